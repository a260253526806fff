//! Request bodies: of the right type and not too large, with an error in JSON otherwise.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::api::problem;

/// The largest request body: some thousand names.
pub(super) const LIMIT: usize = 1 << 20;

/// The body of a request whose `Content-Type`, when it has one, is `expected`.
///
/// # Errors
/// The answer to a request with another body.
pub(super) fn of(
    headers: &HeaderMap,
    expected: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<Bytes, Box<Response>> {
    let is_expected = headers.get_all(header::CONTENT_TYPE).iter().all(|value| {
        let essence = value.to_str().ok().and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
    });
    if !is_expected {
        let error = format!("send the body as {expected}");
        return Err(Box::new(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error)));
    }
    body.map_err(|rejection| {
        let error = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            format!("the body is larger than {LIMIT} octets")
        } else {
            rejection.body_text()
        };
        Box::new(problem(rejection.status(), &error))
    })
}
