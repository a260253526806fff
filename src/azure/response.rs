//! ARM's responses that are no success, sorted into kinds; pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::Operation;
use super::error::{ArmErrorKind, OTHER_OPERATION};
use super::text::one_line;

/// The wait after a 429 that tells none.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// The longest wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Code and message of an ARM error body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// `error.code`.
    pub(super) code: Option<String>,
    /// `error.message`.
    pub(super) message: Option<String>,
}

impl ErrorBody {
    /// Reads `{"error":{"code","message"}}`; gateways answer HTML or nothing, which gives nothing.
    pub(super) fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Wrapper {
            error: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            code: Option<String>,
            message: Option<String>,
        }
        // Byte order marks come from some gateways.
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let text = |text: Option<String>| text.map(|t| one_line(&t)).filter(|t| !t.is_empty());
        serde_json::from_slice::<Wrapper>(body)
            .map(|w| Self { code: text(w.error.code), message: text(w.error.message) })
            .unwrap_or_default()
    }
}

/// The kind of an answer that is not 200.
pub(super) fn classify(
    operation: Operation,
    status: u16,
    error: &ErrorBody,
    retry_after: Option<Duration>,
) -> ArmErrorKind {
    const API_VERSION: &[&str] = &[
        "NoRegisteredProviderFound",
        "InvalidApiVersionParameter",
        "UnsupportedApiVersion",
        "InvalidResourceType",
    ];
    let code = error.code.as_deref().unwrap_or_default();
    match status {
        400 | 404 if API_VERSION.contains(&code) => ArmErrorKind::ApiVersion,
        401 => ArmErrorKind::Unauthorized,
        403 => ArmErrorKind::Forbidden {
            action: error
                .message
                .as_deref()
                .and_then(refused_action)
                .unwrap_or_else(|| operation.action())
                .to_owned(),
        },
        404 if code == "ResourceNotFound" => ArmErrorKind::ResourceNotFound,
        404 => ArmErrorKind::NotFoundOther,
        408 => ArmErrorKind::Timeout,
        409 => ArmErrorKind::Conflict,
        // The resource is being changed: nobody asked too often.
        429 if code == OTHER_OPERATION => ArmErrorKind::Conflict,
        429 => ArmErrorKind::Throttled { retry_after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) },
        500..=599 => ArmErrorKind::Server,
        _ => ArmErrorKind::UnexpectedStatus,
    }
}

/// The action in "… does not have authorization to perform action 'X' over scope 'Y' …".
fn refused_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("perform action '")?;
    rest.split_once('\'').map(|(action, _)| action).filter(|action| !action.is_empty())
}

/// `Retry-After` as a wait (RFC 9110 section 10.2.3: seconds or a date), at most an hour.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a very long wait.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// The id by which Microsoft's support finds the request; they are GUIDs, and nothing much longer is shown.
pub(super) fn correlation_id(headers: &HeaderMap) -> Option<String> {
    ["x-ms-correlation-request-id", "x-ms-request-id"].iter().find_map(|name| {
        let id = headers.get(*name)?.to_str().ok().map(one_line)?;
        (1..=64).contains(&id.len()).then_some(id)
    })
}

/// The smallest number of reads left, of those that the response tells.
pub(super) fn remaining_reads(headers: &HeaderMap) -> Option<u64> {
    ["x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-subscription-global-reads"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, code: &str, message: &str) -> ArmErrorKind {
        let error = ErrorBody { code: Some(code.to_owned()), message: Some(message.to_owned()) };
        classify(Operation::Endpoint, status, &error, None)
    }

    #[test]
    fn only_one_answer_means_gone() {
        assert_eq!(kind(404, "ResourceNotFound", ""), ArmErrorKind::ResourceNotFound);
        for code in ["SubscriptionNotFound", "ResourceGroupNotFound", "resourcenotfound", "NotFound", ""] {
            assert_eq!(kind(404, code, ""), ArmErrorKind::NotFoundOther, "{code}");
        }
        assert_eq!(
            classify(Operation::Endpoint, 404, &ErrorBody::default(), None),
            ArmErrorKind::NotFoundOther
        );
    }

    #[test]
    fn every_class_of_error() {
        assert_eq!(kind(401, "ExpiredAuthenticationToken", ""), ArmErrorKind::Unauthorized);
        assert_eq!(kind(400, "NoRegisteredProviderFound", ""), ArmErrorKind::ApiVersion);
        assert_eq!(kind(400, "InvalidApiVersionParameter", ""), ArmErrorKind::ApiVersion);
        assert_eq!(kind(404, "InvalidResourceType", ""), ArmErrorKind::ApiVersion);
        assert_eq!(kind(409, "MissingSubscriptionRegistration", ""), ArmErrorKind::Conflict);
        assert_eq!(kind(429, "RetryableErrorDueToAnotherOperation", ""), ArmErrorKind::Conflict);
        assert_eq!(kind(408, "", ""), ArmErrorKind::Timeout);
        assert_eq!(kind(503, "ServiceUnavailable", ""), ArmErrorKind::Server);
        assert_eq!(kind(302, "", ""), ArmErrorKind::UnexpectedStatus);
        assert_eq!(
            kind(429, "TooManyRequests", ""),
            ArmErrorKind::Throttled { retry_after: DEFAULT_RETRY_AFTER }
        );
        let action = |kind| match kind {
            ArmErrorKind::Forbidden { action } => action,
            other => panic!("{other:?}"),
        };
        let message =
            "The client 'a' does not have authorization to perform action 'X/y/read' over scope '/s'.";
        assert_eq!(action(kind(403, "AuthorizationFailed", message)), "X/y/read");
        assert_eq!(
            action(kind(403, "LinkedAuthorizationFailed", "no")),
            "Microsoft.Network/privateEndpoints/read"
        );
    }

    #[test]
    fn error_bodies_may_be_anything() {
        for body in
            ["", "<html>Bad gateway</html>", "{\"error\":\"text\"}", "[]", "{\"error\":{}}", "\u{feff}"]
        {
            assert_eq!(ErrorBody::parse(body.as_bytes()), ErrorBody::default(), "{body}");
        }
        let body = "\u{feff}{\"error\":{\"code\":\"A\\nB\",\"message\":null,\"details\":[{}]}}";
        assert_eq!(
            ErrorBody::parse(body.as_bytes()),
            ErrorBody { code: Some("A B".to_owned()), message: None }
        );
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().expect("a time");
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().expect("a value"));
            retry_after(&headers, now)
        };
        assert_eq!(wait("17"), Some(Duration::from_secs(17)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999999999999999"), Some(MAX_RETRY_AFTER));
        for nonsense in ["", "-5", "soon", "1.5"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_smaller_remaining_count_is_told() {
        let mut headers = HeaderMap::new();
        assert_eq!(remaining_reads(&headers), None);
        headers.insert("x-ms-ratelimit-remaining-subscription-global-reads", "16499".parse().expect("v"));
        headers.insert("x-ms-ratelimit-remaining-subscription-reads", "249".parse().expect("v"));
        assert_eq!(remaining_reads(&headers), Some(249));
    }
}
