//! An answer as a value, and how it goes onto the wire.
//!
//! Deciding what to answer is pure; the bodies that only a hostile server sends (one byte at a
//! time, without end, cut by a reset) come to life here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body as HttpBody, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::io::ReaderStream;

use super::connection::ConnectionHandle;

/// Content type of ARM's JSON.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// Time between two bytes of a dripping body: slow enough that no JSON arrives within a usual
/// request timeout, fast enough that a limit on silence alone never fires.
const DRIP: Duration = Duration::from_millis(100);

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    /// HTTP status.
    pub(super) status: u16,
    /// Headers but `Content-Type`.
    pub(super) headers: Vec<(&'static str, String)>,
    /// `Content-Type`; empty for none.
    pub(super) content_type: String,
    /// The bytes of the body, or of its beginning.
    pub(super) body: Vec<u8>,
    /// How the body is delivered.
    pub(super) delivery: Delivery,
}

/// How a body is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Whole, with its length.
    Whole,
    /// A byte at a time; after the last one blanks, without end.
    Drip,
    /// At full speed; after the last byte blanks, without end.
    Endless,
    /// Then the connection is reset.
    Reset,
    /// Not at all: not even the status goes out.
    Never,
}

impl Reply {
    /// A JSON answer.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: JSON.to_owned(),
            body: value.to_string().into_bytes(),
            delivery: Delivery::Whole,
        }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with another status.
    pub(super) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Sends the answer; waits here when there is to be none.
    pub(super) async fn send(self, connection: &ConnectionHandle) -> Response {
        let body = Bytes::from(self.body);
        let body = match self.delivery {
            Delivery::Whole => HttpBody::from(body),
            Delivery::Never => {
                connection.gone().await;
                HttpBody::empty()
            }
            Delivery::Drip => {
                let mut ticks = tokio::time::interval(DRIP);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                HttpBody::from_stream(ReaderStream::new(Hostile { body, sent: 0, then: Then::Drip(ticks) }))
            }
            Delivery::Endless => {
                HttpBody::from_stream(ReaderStream::new(Hostile { body, sent: 0, then: Then::Blanks }))
            }
            Delivery::Reset => {
                let then = Then::Reset { connection: connection.clone(), flushed: false };
                HttpBody::from_stream(ReaderStream::new(Hostile { body, sent: 0, then }))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        // A value that no header can carry, such as an echo of rubbish, is left out.
        if let Ok(value) = HeaderValue::from_str(&self.content_type)
            && !value.is_empty()
        {
            headers.insert(CONTENT_TYPE, value);
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// The bodies that never end well.
struct Hostile {
    body: Bytes,
    sent: usize,
    then: Then,
}

enum Then {
    Drip(Interval),
    Blanks,
    Reset { connection: ConnectionHandle, flushed: bool },
}

impl AsyncRead for Hostile {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let rest = this.body.get(this.sent..).unwrap_or_default();
        let room = match &mut this.then {
            Then::Drip(ticks) => {
                ready!(ticks.poll_tick(cx));
                1
            }
            Then::Blanks | Then::Reset { .. } => buffer.remaining(),
        };
        if !rest.is_empty() {
            let part = rest.get(..room.min(rest.len())).unwrap_or(rest);
            buffer.put_slice(part);
            this.sent += part.len();
            return Poll::Ready(Ok(()));
        }
        match &mut this.then {
            Then::Reset { connection, flushed } => {
                if *flushed {
                    connection.reset();
                } else {
                    // Nothing to read for now makes the server flush what it has.
                    *flushed = true;
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Then::Drip(_) | Then::Blanks => {
                buffer.put_slice(vec![b' '; room.min(buffer.remaining())].as_slice());
                Poll::Ready(Ok(()))
            }
        }
    }
}
