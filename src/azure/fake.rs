//! A server with canned answers for the tests of this room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::arm::ArmClient;
use super::inside::Numbered;
pub(super) use super::inside::http;
use super::observer::Observer;
use super::token::Tokens;

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
