//! azure_core's HTTP over our clients, so that the daemon has one HTTP stack with one set of limits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use reqwest::{Response, Url};

use super::http::{BodyError, Http, read_body};
use super::text::{one_line, with_causes, without};

/// The most bytes of a token response; real ones have a few thousand.
const TOKEN_BODY_LIMIT: usize = 1 << 20;

/// What azure_identity sends its requests through.
#[derive(Debug)]
pub(super) struct IdentityTransport(pub(super) Http);

#[async_trait]
impl HttpClient for IdentityTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url: Url = request.url().clone();
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|_| Error::with_message(ErrorKind::Other, "a request method that HTTP does not know"))?;
        let mut builder = self.0.client(&url).request(method, url);
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        let Body::Bytes(body) = request.body().clone() else {
            return Err(Error::with_message(ErrorKind::Other, "a token request never streams its body"));
        };
        let response = builder.body(body).send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), headers(&response));
        let body = read_body(response, TOKEN_BODY_LIMIT).await.map_err(|error| match error {
            BodyError::TooLarge => {
                Error::with_message(ErrorKind::DataConversion, "the response is too large")
            }
            BodyError::Broken(error) => failed(error),
        })?;
        Ok(AsyncRawResponse::from_bytes(status.into(), headers, body))
    }
}

/// azure_core retries both kinds; the text has the causes, which its own `Display` leaves out.
fn failed(error: reqwest::Error) -> Error {
    let kind = if error.is_connect() { ErrorKind::Connection } else { ErrorKind::Io };
    Error::with_message(kind, with_causes(&error))
}

fn headers(response: &Response) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in response.headers() {
        if let Ok(value) = value.to_str() {
            headers.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    headers
}

/// Remembers the last request that failed, and hides what a provider repeats of our secrets.
///
/// azure_identity tries again for longer than a token is waited for, most of all at the metadata
/// service, so what went wrong would be lost with the wait.
#[derive(Debug)]
pub(super) struct Witness {
    inner: Arc<dyn HttpClient>,
    last: Mutex<Option<String>>,
}

impl Witness {
    /// Sends through `inner`.
    pub(super) fn new(inner: Arc<dyn HttpClient>) -> Self {
        Self { inner, last: Mutex::default() }
    }

    /// Begins anew.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    /// The last failure, on one line.
    pub(super) fn last_failure(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HttpClient for Witness {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let secrets = secrets(request);
        let response = match self.inner.execute_request(request).await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => response.try_into_raw_response().await?,
            Err(error) => {
                *self.lock() = Some(one_line(&error.to_string()));
                return Err(error);
            }
        };
        let (status, headers, body) = response.deconstruct();
        let hide = |body: Vec<u8>, secret: &String| without(body, secret.as_bytes());
        let body = secrets.iter().fold(body.to_vec(), hide);
        let told = words(&body).map(|words| format!(": {words}")).unwrap_or_default();
        *self.lock() = Some(format!("status {}{told}", u16::from(status)));
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

/// The secrets in a request for a token.
fn secrets(request: &Request) -> Vec<String> {
    const FIELDS: [&str; 2] = ["client_secret", "client_assertion"];
    const HEADER: HeaderName = HeaderName::from_static("x-identity-header");
    let Body::Bytes(body) = request.body() else { return Vec::new() };
    let fields = form_urlencoded::parse(body).filter(|(name, _)| FIELDS.contains(&name.as_ref()));
    let header = request.headers().get_optional_str(&HEADER).map(str::to_owned);
    fields.map(|(_, value)| value.into_owned()).chain(header).collect()
}

/// What a refusal says. Only the fields that are meant for people: anything else could repeat a
/// part of the request.
fn words(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let fields = ["/error_description", "/error/message", "/message", "/error"];
    fields.iter().find_map(|field| body.pointer(field)?.as_str()).map(one_line)
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
