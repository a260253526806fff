//! Polls of an Azure that answers inside this process, for the simulation and the fuzzers.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Response;
use jiff::Timestamp;
use secrecy::SecretString;

use super::arm::ArmClient;
use super::error::ArmError;
use super::http::Http;
use super::observer::Observer;
use super::token::{NewToken, TokenError, TokenSource, Tokens};
use crate::zones::{Observation, ResourceId};

/// Clients with this limit for a request.
pub(super) fn http(limit: Duration) -> Http {
    Http::new(limit, None).expect("clients")
}

/// Answers requests without a network.
#[derive(Clone)]
pub(crate) struct Inside {
    answers: Arc<Answers>,
    /// The longest time to Azure, and back.
    way: Duration,
}

type Answers = dyn Fn(&reqwest::Request) -> Option<Response<Vec<u8>>> + Send + Sync;

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inside")
    }
}

impl Inside {
    /// Nothing stands for a connection that cannot be made.
    pub(super) async fn answer(
        &self,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, reqwest::Error> {
        self.go().await;
        let answer = (self.answers)(&request);
        self.go().await;
        match answer {
            Some(response) => Ok(response.into()),
            None => {
                let url = "http://127.0.0.1:1".parse().expect("a URL");
                Err(shared().client(&url).get("http://").build().expect_err("no host"))
            }
        }
    }

    async fn go(&self) {
        if !self.way.is_zero() {
            tokio::time::sleep(self.way.mul_f64(fastrand::f64())).await;
        }
    }
}

/// The clients of all simulated Azures: making some takes longer than a thousand polls.
fn shared() -> Http {
    static HTTP: OnceLock<Http> = OnceLock::new();
    HTTP.get_or_init(|| http(Duration::from_secs(20))).clone()
}

fn inside(
    answers: impl Fn(&reqwest::Request) -> Option<Response<Vec<u8>>> + Send + Sync + 'static,
    way: Duration,
    observer: Arc<dyn Observer>,
) -> (ArmClient, Arc<Tokens>) {
    let mut http = shared();
    http.inside = Some(Inside { answers: Arc::new(answers), way });
    let tokens = Arc::new(Tokens::new(Box::new(Numbered::default()), |_| {}));
    let limit = Duration::from_secs(20);
    let client = ArmClient::new(http, "http://127.0.0.1:1", tokens.clone(), limit, observer);
    (client.expect("a client"), tokens)
}

/// Polls of an Azure that answers inside this process.
pub(crate) struct Pollable(ArmClient);

impl Pollable {
    pub(crate) fn new(
        answers: impl Fn(&reqwest::Request) -> Option<Response<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        Self(inside(answers, Duration::ZERO, Arc::new(())).0)
    }

    /// As [`super::Azure::poll`], at a given time.
    pub(crate) async fn poll(
        &self,
        application: &ResourceId,
        known: &BTreeSet<ResourceId>,
        now: Timestamp,
    ) -> Result<Observation, ArmError> {
        super::poll::poll(&self.0, application, known, || now).await
    }
}

impl super::Azure {
    /// An Azure that answers inside this process, up to twice `way` after it was asked.
    pub(crate) fn inside(
        config: &crate::config::Azure,
        answers: impl Fn(&reqwest::Request) -> Option<Response<Vec<u8>>> + Send + Sync + 'static,
        way: Duration,
    ) -> Self {
        let (client, tokens) = inside(answers, way, Arc::new(()));
        let made_of = super::MadeOf { config: config.clone(), ca_file: None };
        Self { client, tokens, made_of: Arc::new(made_of) }
    }
}

/// Tokens `token-1`, `token-2` and so on.
#[derive(Default)]
pub(super) struct Numbered(std::sync::atomic::AtomicU64);

#[async_trait]
impl TokenSource for Numbered {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let secret = SecretString::from(format!("token-{number}"));
        Ok(NewToken { secret, lifetime: Duration::from_secs(3600) })
    }
}
