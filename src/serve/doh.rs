//! DNS over HTTPS (RFC 8484), HTTP/2: what Windows and browsers speak.
//!
//! hyper carries HTTP; here a request becomes a query and an answer a response. Queries of a
//! connection are bounded by its streams, and a connection that asks nothing is closed.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::answer::Outcome;
use super::counters::{Counters, Transport};
use super::query::Step;
use super::tcp::{self, LARGEST};

/// The media type of a DNS message (RFC 8484 section 6).
const MESSAGE: &str = "application/dns-message";

/// Requests at a time on one connection.
const STREAMS: u32 = 32;

/// Octets of all headers of a request; a query in a GET is one of them.
const HEADERS: u32 = 16 * 1024;

/// What the requests of a connection need.
struct Context {
    shared: Shared,
    counters: Arc<Counters>,
    client: SocketAddr,
    path: Arc<str>,
    /// Requests so far, and requests under way.
    begun: AtomicUsize,
    open: AtomicUsize,
}

/// Answers the requests of one connection until the client ends it or asks nothing for too long.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: SocketAddr,
    path: Arc<str>,
    shared: &Shared,
    counters: &Arc<Counters>,
) -> io::Result<()> {
    let idle = shared.load().tcp.idle_timeout;
    let context = Arc::new(Context {
        shared: shared.clone(),
        counters: counters.clone(),
        client,
        path,
        begun: AtomicUsize::new(0),
        open: AtomicUsize::new(0),
    });
    let service = service_fn(|request| {
        let context = context.clone();
        async move { Ok::<_, Infallible>(context.respond(request).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(idle)
        .keep_alive_timeout(idle)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut before = 0;
    loop {
        tokio::select! {
            ended = &mut connection => return ended.map_err(io::Error::other),
            () = tokio::time::sleep(idle) => {
                let begun = context.begun.load(Ordering::Relaxed);
                if begun == before && context.open.load(Ordering::Relaxed) == 0 {
                    return Ok(());
                }
                before = begun;
            }
        }
    }
}

impl Context {
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let response = match self.query(request).await {
            Ok(query) => self.answer(&query).await,
            Err(status) => empty(status),
        };
        self.open.fetch_sub(1, Ordering::Relaxed);
        response
    }

    /// The query in a request (RFC 8484 section 4.1).
    async fn query(&self, request: Request<Incoming>) -> Result<Vec<u8>, StatusCode> {
        if request.uri().path() != &*self.path {
            return Err(StatusCode::NOT_FOUND);
        }
        match *request.method() {
            Method::GET => {
                let parameters = request.uri().query().unwrap_or_default().split('&');
                let text = parameters.filter_map(|p| p.strip_prefix("dns=")).next();
                let text = text.ok_or(StatusCode::BAD_REQUEST)?;
                if text.len() > LARGEST * 4 / 3 + 4 {
                    return Err(StatusCode::URI_TOO_LONG);
                }
                URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| StatusCode::BAD_REQUEST)
            }
            Method::POST => {
                if request.headers().get(header::CONTENT_TYPE) != Some(&HeaderValue::from_static(MESSAGE)) {
                    return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
                }
                let body = to_bytes(Body::new(request.into_body()), LARGEST).await;
                body.map(Into::into).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)
            }
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn answer(&self, query: &[u8]) -> Response<Body> {
        let mut response = Vec::new();
        let (shared, counters) = (&self.shared, &self.counters);
        if let Step::Wait(query) =
            tcp::one(shared, counters, self.client, Transport::Https, query, &mut response)
        {
            let outcome = query.run(shared, self.client, Transport::Https, &mut response).await;
            counters.count(&shared.load().image, Transport::Https, self.client, outcome);
            if outcome == Outcome::Ignored {
                response.clear();
            }
        }
        if response.is_empty() {
            return empty(StatusCode::BAD_REQUEST);
        }
        let mut response = Response::new(Body::from(response));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
        // TTLs are short, and a cache in between would not count them down.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
