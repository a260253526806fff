//! What the fuzz targets reach of this room; see [`crate::fuzzing`].

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::runtime::{Builder, Runtime};

use super::{Admin, Metrics, Streams, Token, router};
use crate::propagation::Propagation;
use crate::serve::{Secondaries, SecondaryMetrics};
use crate::store::Saved;
use crate::sync::{Handle, View};
use crate::targets::{TargetMetrics, Targets};
use crate::verify::Verify;

/// The state of a release: something to ask about.
const STATE: &[u8] = include_bytes!("../../tests/fixtures/state/v1.json");

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::OPTIONS];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// The routes, and the token that stands for `TOKEN` in requests.
static ROUTES: LazyLock<(Router, String)> = LazyLock::new(routes);

fn routes() -> (Router, String) {
    let saved = Saved::from_bytes(STATE).expect("state");
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let view = View {
        generation: Some(saved.generation),
        history: Arc::new(saved.history),
        complete: true,
        ..View::empty(now)
    };
    // Nobody takes commands: those who may give them are told that the daemon is stopping.
    let (engine, _) = Handle::shown(view);
    let directory = tempfile::tempdir().expect("a directory");
    let token = Token::open(directory.path()).expect("a token");
    let text = std::fs::read_to_string(directory.path().join(super::TOKEN_FILE)).expect("a token");
    let registry = prometheus::Registry::new();
    let propagation = Propagation::new(&registry).expect("metrics");
    let (deaths, _) = tokio::sync::mpsc::unbounded_channel();
    let (secondaries, _) = Secondaries::new(
        SecondaryMetrics::new(&registry).expect("metrics"),
        propagation.clone(),
        deaths.clone(),
    );
    let targets =
        Targets::new(TargetMetrics::new(&registry).expect("metrics"), propagation.clone(), deaths.clone());
    let verify = Verify::new(&registry, propagation.clone(), deaths).expect("metrics");
    let admin = Admin {
        engine,
        secondaries: Arc::new(secondaries),
        targets: Arc::new(targets),
        propagation,
        verify: Arc::new(verify),
        metrics: Metrics::new(registry),
        token,
        streams: Streams::new(Default::default()),
    };
    (router(Arc::new(admin)), text.trim().to_owned())
}

/// A request: an octet for the method, then lines for path, headers and, below an empty line, the body.
/// Whoever lacks the token is refused, no page of others is answered, and every answer is guarded.
pub fn api(octets: &[u8]) {
    let Some((method, rest)) = octets.split_first() else { return };
    let method = METHODS[usize::from(*method) % METHODS.len()].clone();
    let (routes, token) = &*ROUTES;
    let mut lines = rest.splitn(12, |octet| *octet == b'\n');
    let path = lines.next().unwrap_or_default();
    let mut request = Request::builder().method(&method).uri(path);
    let mut body = Vec::new();
    let mut is_authorized = false;
    while let Some(line) = lines.next() {
        if line.is_empty() {
            body = lines.collect::<Vec<_>>().join(&b'\n');
            break;
        }
        let mut parts = line.splitn(2, |octet| *octet == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = parts.next().unwrap_or_default().trim_ascii_start();
        let value =
            if value == b"Bearer TOKEN" { format!("Bearer {token}").into_bytes() } else { value.into() };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
            is_authorized |=
                name == "authorization" && value.to_str().is_ok_and(|value| value.contains(token));
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(Body::from(body)) else { return };
    let path = request.uri().path().to_owned();
    let answer = TowerToHyperService::new(routes.clone()).call(request);
    let answer = RUNTIME.block_on(answer).expect("an answer");
    let status = answer.status().as_u16();
    assert!(status != 500, "{method} {path}");
    for guard in ["x-content-type-options", "content-security-policy"] {
        assert!(answer.headers().contains_key(guard), "{guard} at {path}");
    }
    if path == "/api/v1/events" {
        return;
    }
    let is_written = path.starts_with("/api/v1/holds/") || path == "/api/v1/poll";
    if is_written && !is_authorized {
        assert!(matches!(status, 401 | 403 | 404 | 405 | 421), "{status} without the token: {path}");
    }
    let body = axum::body::to_bytes(Body::new(answer.into_body()), 64 << 20);
    let body = RUNTIME.block_on(body).expect("a bounded answer");
    assert!(!body.windows(token.len()).any(|part| part == token.as_bytes()), "the token");
}
