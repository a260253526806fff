//! azure_core's HTTP over our clients, so that the daemon has one HTTP stack with one set of limits.

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request};
use reqwest::{Response, Url};

use super::http::{BodyError, Http, read_body};
use super::text::with_causes;

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

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
