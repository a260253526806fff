//! The routes: health, readiness, metrics, status, the status page, and the operator's words.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::events::{self, Streams};
use super::metrics::Metrics;
use super::status::{Status, VerifyStatus, records};
use super::token::Token;
use super::{body, export, headers, host, inquiry, openapi, origin, page};
use crate::propagation::Propagation;
use crate::serve::Secondaries;
use crate::sync::{Command, Handle, Selection, Stopped};
use crate::targets::Targets;
use crate::verify::Verify;
use crate::zones::{DnsName, ResourceId, Severity};

/// The engine gives a pulse every second; without one for this long it hangs.
pub const PULSE: Duration = Duration::from_secs(30);

/// What the routes work with.
pub struct Admin {
    /// The engine.
    pub engine: Handle,
    /// Who takes the zones over.
    pub secondaries: Arc<Secondaries>,
    /// What is kept in step by writing to it.
    pub targets: Arc<Targets>,
    /// How long changes take.
    pub propagation: Propagation,
    /// What looks whether names lead where they should.
    pub verify: Arc<Verify>,
    /// The counters.
    pub metrics: Metrics,
    /// What write requests have to carry.
    pub token: Token,
    /// Who follows what happens.
    pub streams: Streams,
}

/// Which holds an operator means; exactly one of the three.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// All holds.
    All,
    /// The holds of an application.
    Application(ResourceId),
    /// The holds of these names.
    Names(BTreeSet<DnsName>),
}

/// How many things a write request touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Holds that were ended or kept, or applications that are polled now.
    pub count: usize,
}

/// The reasons behind `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
}

impl From<Decision> for Selection {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::All => Self::All,
            Decision::Application(id) => Self::Application(id),
            Decision::Names(names) => Self::Names(names),
        }
    }
}

/// All routes.
pub fn router(admin: Arc<Admin>) -> Router {
    let write = Router::new()
        .route("/api/v1/poll", post(poll))
        .route("/api/v1/holds/approve", post(approve))
        .route("/api/v1/holds/reject", post(reject))
        .method_not_allowed_fallback(wrong_method)
        // Of these routes only: a layer would also guard paths that do not exist.
        .route_layer(middleware::from_fn_with_state(admin.clone(), authorize));
    let api = Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/records", get(all_records))
        .route("/api/v1/export/{format}", get(export::get))
        .route("/api/v1/explain/{name}", get(inquiry::explain))
        .route("/api/v1/history", get(inquiry::history))
        .route("/api/v1/diff", get(inquiry::diff))
        .route("/api/v1/events", get(events::get))
        .route("/api/v1/openapi.json", get(openapi::get))
        .route("/", get(page::get))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/page/holds", post(page::holds))
        .route("/page/poll", post(page::poll))
        .method_not_allowed_fallback(wrong_method)
        .merge(write)
        .route_layer(middleware::from_fn(own_pages))
        .route_layer(middleware::from_fn(own_host));
    // What monitoring asks for may be asked by any name.
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(wrong_method)
        .merge(api)
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .layer(middleware::from_fn(headers::protect))
        .with_state(admin)
}

/// Whether the engine is alive: its pulse is younger than [`PULSE`].
#[must_use]
pub fn is_alive(engine: &Handle, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(engine.pulse())).is_ok_and(|age| age < PULSE)
        // The clock went back.
        || now < engine.pulse()
}

async fn livez(State(admin): State<Arc<Admin>>) -> Response {
    if is_alive(&admin.engine, Timestamp::now()) {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the engine gives no pulse\n").into_response()
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let view = admin.engine.view();
    let mut reasons = Vec::new();
    if !view.is_ready() {
        reasons.push("no generation has been accepted yet: queries are answered SERVFAIL".to_owned());
    }
    let errors = view.findings.iter().filter(|f| f.kind.severity() == Severity::Error);
    reasons.extend(errors.map(|f| format!("{}: {}: {}", f.kind.code(), f.subject, f.message)));
    let code = if view.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(code, &Readiness { ready: view.is_ready(), reasons })
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let secondaries = admin.secondaries.summaries(Timestamp::now());
    match admin.metrics.render(&admin.engine.view(), &secondaries, &admin.targets.states()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn status(State(admin): State<Arc<Admin>>) -> Response {
    json(StatusCode::OK, &status_now(&admin))
}

/// The status of this moment.
pub(super) fn status_now(admin: &Admin) -> Status {
    let secondaries = admin.secondaries.states(Timestamp::now());
    let mut status = Status::of(&admin.engine.view(), &secondaries, &admin.targets.states());
    status.propagation = admin.propagation.last().into_iter().map(Into::into).collect();
    status.listeners = admin.verify.listeners();
    status.verify = admin.verify.last().map(|last| VerifyStatus::of(&last));
    status
}

async fn all_records(State(admin): State<Arc<Admin>>) -> Response {
    json(StatusCode::OK, &records(&admin.engine.view()))
}

async fn poll(State(admin): State<Arc<Admin>>) -> Response {
    answer(admin.engine.ask(Command::Poll).await)
}

async fn approve(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let act = async |selection| admin.engine.ask(|reply| Command::Approve(selection, reply)).await;
    decide(&headers, body, act).await
}

async fn reject(
    State(admin): State<Arc<Admin>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let act = async |selection| admin.engine.ask(|reply| Command::Reject(selection, reply)).await;
    decide(&headers, body, act).await
}

async fn decide(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    act: impl AsyncFnOnce(Selection) -> Result<usize, Stopped>,
) -> Response {
    let body = match body::of(headers, "application/json", body) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    match serde_json::from_slice::<Decision>(&body) {
        Ok(decision) => answer(act(decision.into()).await),
        Err(error) => problem(
            StatusCode::BAD_REQUEST,
            &format!("{error}; write \"all\", {{\"application\":ID}} or {{\"names\":[NAME,…]}}"),
        ),
    }
}

fn answer(result: Result<usize, Stopped>) -> Response {
    match result {
        Ok(count) => json(StatusCode::OK, &Count { count }),
        Err(stopped) => problem(StatusCode::SERVICE_UNAVAILABLE, &stopped.to_string()),
    }
}

/// Lets only requests through that name this host.
async fn own_host(request: Request, next: Next) -> Response {
    let own_name = host::own_name();
    if host::is_own(request.headers(), &own_name) {
        next.run(request).await
    } else {
        problem(
            StatusCode::MISDIRECTED_REQUEST,
            &format!("ask the API by an IP address, as localhost, or as {own_name}, not by another name"),
        )
    }
}

/// Lets no request through that a page of another origin sent.
async fn own_pages(request: Request, next: Next) -> Response {
    if origin::is_foreign(request.method(), request.headers()) {
        problem(StatusCode::FORBIDDEN, "a page of another origin sent this request; nothing was done")
    } else {
        next.run(request).await
    }
}

async fn wrong_method() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "the path takes other methods; see the header `Allow`")
}

/// Lets only requests with the token through.
async fn authorize(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let carried = request.headers().get(header::AUTHORIZATION);
    if carried.is_some_and(|value| admin.token.matches(value.as_bytes())) {
        next.run(request).await
    } else {
        let error = "send the token from admin.token in the state directory as `Authorization: Bearer TOKEN`";
        ([(header::WWW_AUTHENTICATE, "Bearer")], problem(StatusCode::UNAUTHORIZED, error)).into_response()
    }
}

pub(super) fn problem(code: StatusCode, error: &str) -> Response {
    json(code, &serde_json::json!({ "error": error }))
}

pub(super) fn json(code: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (code, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An admin side of an engine, and the directory with its token.
    pub(in super::super) fn admin(engine: Handle) -> (Arc<Admin>, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let token = Token::open(directory.path()).expect("a token");
        let registry = prometheus::Registry::new();
        let propagation = Propagation::new(&registry).expect("metrics");
        let metrics = crate::serve::SecondaryMetrics::new(&registry).expect("metrics");
        let (secondaries, _raises) =
            Secondaries::new(metrics, propagation.clone(), tokio::sync::mpsc::unbounded_channel().0);
        let secondaries = Arc::new(secondaries);
        let metrics = crate::targets::TargetMetrics::new(&registry).expect("metrics");
        let (deaths, _) = tokio::sync::mpsc::unbounded_channel();
        let targets = Arc::new(Targets::new(metrics, propagation.clone(), deaths.clone()));
        let verify = Arc::new(Verify::new(&registry, propagation.clone(), deaths).expect("metrics"));
        let (metrics, streams) = (Metrics::new(registry), Streams::new(Default::default()));
        (
            Arc::new(Admin { engine, secondaries, targets, propagation, verify, metrics, token, streams }),
            directory,
        )
    }

    #[tokio::test]
    async fn an_engine_that_hangs_is_not_alive() {
        let engine = Handle::hung();
        let last = engine.pulse();
        let after = |pause: Duration| is_alive(&engine, last + pause);
        assert!(after(Duration::ZERO) && after(PULSE - Duration::from_secs(1)) && !after(PULSE));
        assert!(is_alive(&engine, last - PULSE), "the clock went back");
        let (admin, _directory) = admin(engine);
        assert_eq!(livez(State(admin)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
