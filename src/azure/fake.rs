//! A server with canned answers for the tests of this room.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use secrecy::SecretString;
use serde_json::json;

use jiff::Timestamp;

use super::arm::ArmClient;
use super::error::ArmError;
use super::http::Http;
use super::observer::Observer;
use super::token::{NewToken, TokenError, TokenSource, Tokens};
use crate::zones::{Observation, ResourceId};

/// One answer.
#[derive(Clone)]
pub(super) struct Canned {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    hangs: bool,
}

impl Canned {
    pub(super) fn raw(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), hangs: false }
    }

    pub(super) fn json(body: serde_json::Value) -> Self {
        Self::raw(200, body.to_string())
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::raw(status, json!({ "error": { "code": code, "message": message } }).to_string())
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An answer that never comes.
    pub(super) fn silence() -> Self {
        Self { hangs: true, ..Self::raw(200, "") }
    }
}

/// What a request looked like.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, VecDeque<Canned>>,
    seen: Vec<Seen>,
}

/// A server on a loopback port; ends with the test's runtime.
pub(super) struct Fake {
    url: String,
    script: Arc<Mutex<Script>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = script.clone();
        let answer = move |request: Request| {
            let canned = Self::next(&shared, &request);
            async move {
                if canned.hangs {
                    std::future::pending::<()>().await;
                }
                let mut response = Response::new(Body::from(canned.body));
                *response.status_mut() = StatusCode::from_u16(canned.status).expect("a status");
                for (name, value) in canned.headers {
                    let name = axum::http::HeaderName::try_from(name).expect("a name");
                    response.headers_mut().insert(name, value.parse().expect("a value"));
                }
                response
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Self { url, script }
    }

    fn next(script: &Mutex<Script>, request: &Request) -> Canned {
        let mut script = script.lock().expect("lock");
        let path = request.uri().path().to_owned();
        script.seen.push(Seen {
            path: path.clone(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        });
        match script.answers.get_mut(&path.to_ascii_lowercase()) {
            Some(answers) if answers.len() > 1 => answers.pop_front().expect("an answer"),
            Some(answers) => answers[0].clone(),
            None => Canned::error(404, "NotScripted", &path),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The path's answers from now on; the last one is repeated.
    pub(super) fn answers(&self, path: &str, answers: impl IntoIterator<Item = Canned>) {
        let answers = answers.into_iter().collect();
        self.script.lock().expect("lock").answers.insert(path.to_ascii_lowercase(), answers);
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.script.lock().expect("lock").seen.clone()
    }

    /// The paths of the requests so far.
    pub(super) fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// A client of this server with tokens `token-1`, `token-2` and so on.
    pub(super) fn client(&self) -> ArmClient {
        self.client_observed(Arc::new(()))
    }

    pub(super) fn client_observed(&self, observer: Arc<dyn Observer>) -> ArmClient {
        let tokens = Arc::new(Tokens::new(Box::new(Numbered::default()), |_| {}));
        let limit = Duration::from_secs(20);
        ArmClient::new(http(limit), &self.url, tokens, limit, observer).expect("a client").impatient()
    }
}

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

#[derive(Default)]
struct Numbered(std::sync::atomic::AtomicU64);

#[async_trait]
impl TokenSource for Numbered {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let secret = SecretString::from(format!("token-{number}"));
        Ok(NewToken { secret, lifetime: Duration::from_secs(3600) })
    }
}
