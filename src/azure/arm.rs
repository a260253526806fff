//! Reading from Azure Resource Manager: one GET with everything that can go wrong with it.
//!
//! The token goes to the configured Azure Resource Manager and nowhere else, whatever a `nextLink`
//! or a redirect says. A read either gives the complete, well-formed answer or an error.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::Operation;
use super::budget::{Budget, NoTurn};
use super::error::{ArmError, ArmErrorDetails, ArmErrorKind, Origin};
use super::http::{BODY_LIMIT, BodyError, Http, SetupError, read_body};
use super::observer::Observer;
use super::payload::Page;
use super::response::{ErrorBody, classify, correlation_id, remaining_reads, retry_after};
use super::text::{one_line, with_causes, without};
use super::token::Tokens;
use crate::outside;
use crate::zones::ResourceId;

/// Attempts at one read, before its caller hears of it.
const TRIES: u32 = 3;

/// The longest wait inside a read; for more, the caller comes back later.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages of one list.
const PAGES: usize = 100;

/// Bytes of one list.
const LIST_LIMIT: usize = 64 << 20;

/// Reads from Azure Resource Manager. Cheap to clone; clones share token and budgets.
#[derive(Clone)]
pub(super) struct ArmClient(Arc<Shared>);

struct Shared {
    http: Http,
    base: Url,
    tokens: Arc<Tokens>,
    budget: Budget,
    observer: Arc<dyn Observer>,
    request_timeout: Duration,
    first_backoff: Duration,
}

/// What is read and whom to charge for it.
struct Read<'a> {
    operation: Operation,
    resource: &'a str,
    subscription: &'a str,
}

/// A complete 200.
struct Answer {
    body: Vec<u8>,
    correlation_id: String,
}

impl ArmClient {
    /// Reads from `resource_manager`, a base URL, with `tokens`.
    ///
    /// # Errors
    /// When the URL is none, or is neither https nor http to this machine.
    pub(super) fn new(
        http: Http,
        resource_manager: &str,
        tokens: Arc<Tokens>,
        request_timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SetupError> {
        let bad = |reason: &str| SetupError::ResourceManager {
            url: resource_manager.to_owned(),
            reason: reason.to_owned(),
        };
        let base = Url::parse(resource_manager).map_err(|error| bad(&error.to_string()))?;
        if base.scheme() != "https" && !(base.scheme() == "http" && super::http::is_loopback(&base)) {
            return Err(bad("a token is sent over https, or http to this machine, only"));
        }
        if base.query().is_some() || base.fragment().is_some() || !base.username().is_empty() {
            return Err(bad("it may have scheme, host, port and path only"));
        }
        let first_backoff = Duration::from_millis(500);
        let budget = Budget::default();
        let shared = Shared { http, base, tokens, budget, observer, request_timeout, first_backoff };
        Ok(Self(Arc::new(shared)))
    }

    /// A client that hardly waits between its tries.
    #[cfg(test)]
    pub(super) fn impatient(self) -> Self {
        let shared = Arc::into_inner(self.0).expect("the only clone");
        Self(Arc::new(Shared { first_backoff: Duration::from_millis(1), ..shared }))
    }

    /// How, and where, Azure Resource Manager is asked; for what is asked without a token.
    pub(super) fn place(&self) -> (&Http, &Url) {
        (&self.0.http, &self.0.base)
    }

    /// Reads the resource.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        operation: Operation,
        id: &ResourceId,
    ) -> Result<(T, Origin), ArmError> {
        let read = Read { operation, resource: id.as_str(), subscription: id.subscription() };
        let url = self.url(&read, id.as_str())?;
        let answer = self.0.answer(&read, url).await?;
        Ok((read.parse(&answer)?, read.origin(answer.correlation_id)))
    }

    /// Reads the list at `path` to its last page; `subscription` is charged.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        operation: Operation,
        subscription: &str,
        path: &str,
    ) -> Result<(Vec<T>, Origin), ArmError> {
        let read = Read { operation, resource: path, subscription };
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut seen = HashSet::new();
        let mut url = self.url(&read, path)?;
        loop {
            seen.insert(url.clone());
            let answer = self.0.answer(&read, url).await?;
            let page: Page<T> = read.parse(&answer)?;
            let origin = read.origin(answer.correlation_id);
            bytes += answer.body.len();
            if bytes > LIST_LIMIT {
                return Err(origin.error(ArmErrorKind::TooLarge));
            }
            items.extend(page.value);
            let Some(link) = page.next_link.filter(|link| !link.is_empty()) else {
                return Ok((items, origin));
            };
            url = self.0.next_page(&origin, &link)?;
            if seen.len() == PAGES || seen.contains(&url) {
                return Err(origin.error(ArmErrorKind::EndlessList));
            }
        }
    }

    fn url(&self, read: &Read<'_>, path: &str) -> Result<Url, ArmError> {
        let base = self.0.base.as_str().trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}{path}"))
            .map_err(|error| read.error(ArmErrorKind::InvalidBody { reason: error.to_string() }))?;
        url.query_pairs_mut().append_pair("api-version", read.operation.api_version());
        Ok(url)
    }
}

impl Shared {
    /// The link, if it stays at Azure Resource Manager.
    fn next_page(&self, origin: &Origin, link: &str) -> Result<Url, ArmError> {
        let refused = |host: &str| origin.error(ArmErrorKind::NextLinkHost { host: one_line(host) });
        let url = Url::parse(link).map_err(|_| refused(link))?;
        if url.origin() != self.base.origin() || !url.username().is_empty() || url.password().is_some() {
            return Err(refused(&url.origin().ascii_serialization()));
        }
        Ok(url)
    }

    /// The complete 200, with retries; the last one starts before twice the request timeout and
    /// [`PATIENCE`] are over, not counting the waits for the subscription's budget.
    async fn answer(&self, read: &Read<'_>, url: Url) -> Result<Answer, ArmError> {
        let mut deadline = Instant::now() + self.request_timeout * 2 + PATIENCE;
        let mut backoff = self.first_backoff;
        let mut replacement = None;
        let mut tries = 0;
        loop {
            let queued = Instant::now();
            self.budget.acquire(read.subscription, PATIENCE).await.map_err(|reason| {
                read.error(match reason {
                    NoTurn::Paused(retry_after) => ArmErrorKind::Throttled { retry_after },
                    NoTurn::Overload => ArmErrorKind::Overload,
                })
            })?;
            deadline += queued.elapsed();
            let token = match &replacement {
                Some(token) => Arc::clone(token),
                None => self.tokens.get().await.map_err(|error| read.error(ArmErrorKind::Token(error)))?,
            };
            let error = match self.attempt(read, url.clone(), token.expose()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.kind == ArmErrorKind::Unauthorized {
                // Of another tenant is what every token of this identity is.
                let is_final = error.details.code.as_deref() == Some("InvalidAuthenticationTokenTenant");
                if is_final || replacement.is_some() {
                    return Err(error);
                }
                replacement = self.tokens.replacement(&token).await;
                if replacement.is_none() {
                    return Err(error);
                }
                continue;
            }
            tries += 1;
            // Half of it random, so that many readers do not come back together.
            let wait =
                error.retry_after().unwrap_or_default().max(backoff.mul_f64(0.5 + fastrand::f64() / 2.0));
            backoff *= 2;
            let in_time = wait <= PATIENCE && Instant::now() + wait < deadline;
            if tries >= TRIES || !error.is_transient() || !in_time {
                return Err(error);
            }
            tracing::debug!(operation = read.operation.label(), ?wait, "{}; trying again", error);
            sleep(wait).await;
        }
    }

    async fn attempt(&self, read: &Read<'_>, url: Url, token: &str) -> Result<Answer, ArmError> {
        let request_id = request_id();
        let fail = |kind| read.error_with(kind, None, &request_id);
        let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {token}")) else {
            return Err(fail(ArmErrorKind::Unauthorized));
        };
        bearer.set_sensitive(true);
        let request = self
            .http
            .client(&url)
            .get(url)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header("x-ms-client-request-id", &request_id)
            .header("x-ms-return-client-request-id", "true");
        let response = match self.http.send(request).await {
            Ok(response) => response,
            Err(error) => {
                self.observer.request(read.operation, 0);
                return Err(fail(network(error)));
            }
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        self.observer.request(read.operation, status);
        let body = read_body(response, BODY_LIMIT).await.map(|body| without(body, token.as_bytes()));
        self.judge(read, status, &headers, body, &request_id)
    }

    /// What an answer means, and what others have to know of it.
    fn judge(
        &self,
        read: &Read<'_>,
        status: u16,
        headers: &HeaderMap,
        body: Result<Vec<u8>, BodyError>,
        request_id: &str,
    ) -> Result<Answer, ArmError> {
        let correlation_id = correlation_id(headers).unwrap_or_else(|| request_id.to_owned());
        if let Some(remaining) = remaining_reads(headers) {
            self.observer.remaining(read.subscription, remaining);
        }
        let error = |kind, body: ErrorBody, retry_after| ArmError {
            kind,
            operation: read.operation,
            details: Box::new(ArmErrorDetails {
                resource: read.resource.to_owned(),
                status: Some(status),
                code: body.code,
                message: body.message,
                correlation_id: correlation_id.clone(),
                retry_after,
            }),
        };
        if status == 200 {
            let broken = |kind| error(kind, ErrorBody::default(), None);
            return match body {
                Ok(body) => Ok(Answer { body, correlation_id }),
                Err(BodyError::TooLarge) => Err(broken(ArmErrorKind::TooLarge)),
                Err(BodyError::Broken(cause)) => Err(broken(broken_body(cause))),
            };
        }
        // The status decides; a body that could not be read only lacks its words.
        let body = ErrorBody::parse(&body.unwrap_or_default());
        let wait = retry_after(headers, outside::now());
        let kind = classify(read.operation, status, &body, wait);
        if let ArmErrorKind::Throttled { retry_after } = kind {
            self.budget.pause(read.subscription, retry_after);
            self.observer.throttled(read.operation, read.subscription);
        }
        Err(error(kind, body, wait))
    }
}

impl Read<'_> {
    fn origin(&self, correlation_id: String) -> Origin {
        Origin { operation: self.operation, resource: self.resource.to_owned(), correlation_id }
    }

    fn error(&self, kind: ArmErrorKind) -> ArmError {
        self.error_with(kind, None, "")
    }

    fn error_with(&self, kind: ArmErrorKind, status: Option<u16>, correlation_id: &str) -> ArmError {
        let details = ArmErrorDetails {
            resource: self.resource.to_owned(),
            status,
            correlation_id: correlation_id.to_owned(),
            ..ArmErrorDetails::default()
        };
        ArmError { kind, operation: self.operation, details: Box::new(details) }
    }

    fn parse<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ArmError> {
        let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
        serde_json::from_slice(body).map_err(|error| {
            let reason = match body.iter().find(|b| !b.is_ascii_whitespace()) {
                None => "it is empty".to_owned(),
                Some(b'<') => "it is HTML or XML".to_owned(),
                Some(_) => one_line(&error.to_string()),
            };
            self.error_with(ArmErrorKind::InvalidBody { reason }, Some(200), &answer.correlation_id)
        })
    }
}

fn network(error: reqwest::Error) -> ArmErrorKind {
    if error.is_timeout() {
        return ArmErrorKind::Timeout;
    }
    ArmErrorKind::Connect { reason: with_causes(&error.without_url()) }
}

fn broken_body(error: reqwest::Error) -> ArmErrorKind {
    if error.is_timeout() {
        return ArmErrorKind::Timeout;
    }
    ArmErrorKind::InvalidBody { reason: format!("it broke off: {}", with_causes(&error.without_url())) }
}

/// A random id in the form of a UUID, version 4 (RFC 9562 section 5.4).
fn request_id() -> String {
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
#[path = "arm_tests.rs"]
mod tests;
