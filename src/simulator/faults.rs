//! What can go wrong between a client and ARM, one variant per way, with rules that say when.
//!
//! Errors are answered as the service does; hostile variants are what proxies, captive portals,
//! broken networks and attackers make of an answer. [`Fault::ALL`] lets a test try every pair of
//! operation and fault.

use serde_json::{Value, json};

use super::errors::ArmError;
use super::reply::{Delivery, Reply};
use super::{Operation, Site, token};

/// A page as proxies send it.
const HTML: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
                    Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// A way in which an answer goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 401 `InvalidAuthenticationToken`.
    InvalidAuthenticationToken,
    /// 401 `ExpiredAuthenticationToken`.
    ExpiredAuthenticationToken,
    /// 401 `InvalidAuthenticationTokenTenant`.
    InvalidAuthenticationTokenTenant,
    /// 403 `AuthorizationFailed`, naming action and scope.
    AuthorizationFailed,
    /// 403 `LinkedAuthorizationFailed`.
    LinkedAuthorizationFailed,
    /// 403 `RequestDisallowedByPolicy`.
    RequestDisallowedByPolicy,
    /// 404 `ResourceNotFound`, the only one that can mean "deleted".
    ResourceNotFound,
    /// 404 `ResourceGroupNotFound`.
    ResourceGroupNotFound,
    /// 404 `SubscriptionNotFound`.
    SubscriptionNotFound,
    /// 404 `InvalidResourceType`.
    InvalidResourceType,
    /// 400 `NoRegisteredProviderFound`.
    NoRegisteredProviderFound,
    /// 400 `InvalidApiVersionParameter`.
    InvalidApiVersionParameter,
    /// 409 `MissingSubscriptionRegistration`.
    MissingSubscriptionRegistration,
    /// 409 `Conflict`.
    Conflict,
    /// 429 `SubscriptionRequestsThrottled` with `Retry-After`.
    SubscriptionRequestsThrottled,
    /// 429 `TooManyRequests` with `Retry-After`.
    TooManyRequests,
    /// 429 `RetryableErrorDueToAnotherOperation` with `Retry-After`.
    RetryableErrorDueToAnotherOperation,
    /// 500 `InternalServerError`.
    InternalServerError,
    /// 502 with an HTML page.
    BadGateway,
    /// 503 `ServiceUnavailable`.
    ServiceUnavailable,
    /// 503 `ServerTimeout`.
    ServerTimeout,
    /// 504 `GatewayTimeout`.
    GatewayTimeout,
    /// 200, the JSON stops half way, the connection is fine.
    TruncatedJson,
    /// 200 with an HTML page.
    HtmlBody,
    /// 200, the right body as `text/plain`.
    WrongContentType,
    /// 200 without a body.
    EmptyBody,
    /// 200 with `[]`.
    ArrayBody,
    /// 200 with `null`.
    NullBody,
    /// 200 with a JSON string.
    StringBody,
    /// 200, the body comes byte by byte and never ends.
    SlowDrip,
    /// 200, the connection is reset in the middle of the body.
    ConnectionReset,
    /// The request is taken and never answered.
    NeverAnswers,
    /// 200, the body comes fast and never ends.
    EndlessBody,
    /// A list: half of the items, and the next page answers 500.
    PartialPage,
    /// A list: the next page is on another host.
    ForeignNextLink,
    /// A list: the next page is this page.
    NextLinkLoop,
    /// 307 to another host.
    ForeignRedirect,
}

impl Fault {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::InvalidAuthenticationToken,
        Self::ExpiredAuthenticationToken,
        Self::InvalidAuthenticationTokenTenant,
        Self::AuthorizationFailed,
        Self::LinkedAuthorizationFailed,
        Self::RequestDisallowedByPolicy,
        Self::ResourceNotFound,
        Self::ResourceGroupNotFound,
        Self::SubscriptionNotFound,
        Self::InvalidResourceType,
        Self::NoRegisteredProviderFound,
        Self::InvalidApiVersionParameter,
        Self::MissingSubscriptionRegistration,
        Self::Conflict,
        Self::SubscriptionRequestsThrottled,
        Self::TooManyRequests,
        Self::RetryableErrorDueToAnotherOperation,
        Self::InternalServerError,
        Self::BadGateway,
        Self::ServiceUnavailable,
        Self::ServerTimeout,
        Self::GatewayTimeout,
        Self::TruncatedJson,
        Self::HtmlBody,
        Self::WrongContentType,
        Self::EmptyBody,
        Self::ArrayBody,
        Self::NullBody,
        Self::StringBody,
        Self::SlowDrip,
        Self::ConnectionReset,
        Self::NeverAnswers,
        Self::EndlessBody,
        Self::PartialPage,
        Self::ForeignNextLink,
        Self::NextLinkLoop,
        Self::ForeignRedirect,
    ];

    /// Whether the fault makes a difference: those of paging do so on lists only.
    #[must_use]
    pub fn applies_to(self, operation: Operation) -> bool {
        !matches!(self, Self::PartialPage | Self::ForeignNextLink | Self::NextLinkLoop) || operation.is_list()
    }

    /// ARM's error for it, as far as it is one.
    fn error(self, asked: &Asked<'_>) -> Option<ArmError> {
        let seconds = asked.retry_after;
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        let kind = asked.operation.action().trim_end_matches("/read");
        let (namespace, kind_alone) = kind.split_once('/').unwrap_or((kind, kind));
        let later = "The operation could not be carried out. Please try again later.";
        Some(match self {
            Self::InvalidAuthenticationToken => ArmError::invalid_token(),
            Self::ExpiredAuthenticationToken => ArmError::expired_token(),
            Self::InvalidAuthenticationTokenTenant => ArmError::wrong_tenant(),
            Self::AuthorizationFailed => ArmError::authorization_failed(asked.operation.action(), asked.path),
            Self::LinkedAuthorizationFailed => ArmError::new(
                403,
                "LinkedAuthorizationFailed",
                "The client has permission to perform the action on the scope, however it does not have \
                 permission on the linked scope(s) or the linked scope(s) are invalid.",
            ),
            Self::RequestDisallowedByPolicy => ArmError::new(
                403,
                "RequestDisallowedByPolicy",
                format!("Resource '{name}' was disallowed by policy."),
            ),
            Self::ResourceNotFound => ArmError::resource_not_found(kind, name, asked.group),
            Self::ResourceGroupNotFound => ArmError::group_not_found(asked.group),
            Self::SubscriptionNotFound => ArmError::subscription_not_found(asked.subscription),
            Self::InvalidResourceType => {
                ArmError::invalid_resource_type(namespace, kind_alone, asked.version, "2099-01-01")
            }
            Self::NoRegisteredProviderFound => {
                ArmError::no_registered_provider(kind_alone, asked.version, "2099-01-01")
            }
            Self::InvalidApiVersionParameter => ArmError::invalid_api_version(asked.version, "2099-01-01"),
            Self::MissingSubscriptionRegistration => ArmError::new(
                409,
                "MissingSubscriptionRegistration",
                format!("The subscription is not registered to use namespace '{namespace}'."),
            ),
            Self::Conflict => {
                ArmError::new(409, "Conflict", "Another operation is in progress on the resource.")
                    .of_service()
            }
            Self::SubscriptionRequestsThrottled => ArmError::throttled(asked.subscription, seconds),
            Self::TooManyRequests => ArmError::new(429, "TooManyRequests", "The request was throttled.")
                .of_service()
                .retry_after(seconds),
            Self::RetryableErrorDueToAnotherOperation => ArmError::new(
                429,
                "RetryableErrorDueToAnotherOperation",
                format!("Operation on resource {} could not start because it is being changed.", asked.path),
            )
            .of_service()
            .retry_after(seconds),
            Self::InternalServerError => ArmError::new(500, "InternalServerError", later).of_service(),
            Self::ServiceUnavailable => ArmError::new(503, "ServiceUnavailable", later),
            Self::ServerTimeout => ArmError::new(503, "ServerTimeout", later),
            Self::GatewayTimeout => ArmError::new(
                504,
                "GatewayTimeout",
                "The gateway did not receive a response from the provider within the specified time period.",
            ),
            _ => return None,
        })
    }

    /// The answer with the fault; `normal` makes the one that it spoils.
    pub(super) fn apply(self, asked: &Asked<'_>, normal: impl FnOnce() -> Reply) -> Reply {
        if let Some(error) = self.error(asked) {
            return match asked.operation {
                Operation::Token => {
                    let reply = token::refusal(error.status, &error.message);
                    match error.retry_after {
                        Some(seconds) => reply.with("retry-after", seconds.to_string()),
                        None => reply,
                    }
                }
                _ => error.reply(),
            };
        }
        let of_json = |value: Value| Reply::json(200, &value);
        match self {
            Self::BadGateway => html(502),
            Self::HtmlBody => html(200),
            Self::EmptyBody => {
                Reply { body: Vec::new(), content_type: String::new(), ..of_json(Value::Null) }
            }
            Self::ArrayBody => of_json(json!([])),
            Self::NullBody => of_json(Value::Null),
            Self::StringBody => of_json(json!("ok")),
            Self::WrongContentType => Reply { content_type: "text/plain".to_owned(), ..normal() },
            Self::TruncatedJson => Reply { delivery: Delivery::Whole, ..half(normal()) },
            Self::ConnectionReset => Reply { delivery: Delivery::Reset, ..half(normal()) },
            Self::NeverAnswers => Reply { delivery: Delivery::Never, ..normal() },
            Self::SlowDrip => Reply { delivery: Delivery::Drip, ..unfinished(normal()) },
            Self::EndlessBody => Reply { delivery: Delivery::Endless, ..unfinished(normal()) },
            Self::PartialPage => {
                let broken =
                    format!("{}{}?{}", asked.site.base_url, asked.path, with_skip(asked.query, BROKEN));
                linked(normal(), &broken, true)
            }
            Self::ForeignNextLink => {
                let away =
                    format!("{}{}?{}", asked.site.foreign_url, asked.path, with_skip(asked.query, "1"));
                linked(normal(), &away, false)
            }
            Self::NextLinkLoop => {
                let same = format!("{}{}?{}", asked.site.base_url, asked.path, asked.query);
                linked(normal(), &same, false)
            }
            Self::ForeignRedirect => {
                let away = format!("{}{}?{}", asked.site.foreign_url, asked.path, asked.query);
                Reply { body: Vec::new(), content_type: String::new(), ..of_json(Value::Null) }
                    .with("location", away)
                    .status(307)
            }
            // The rest are errors, made above.
            _ => normal(),
        }
    }
}

/// A `$skiptoken` whose page always fails.
pub(super) const BROKEN: &str = "broken";

/// What a request asks for, as far as faults mention it.
pub(super) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) version: &'a str,
    pub(super) subscription: &'a str,
    pub(super) group: &'a str,
    pub(super) retry_after: u32,
    pub(super) site: &'a Site,
}

fn html(status: u16) -> Reply {
    let reply = Reply::json(status, &Value::Null);
    Reply { body: HTML.as_bytes().to_vec(), content_type: "text/html".to_owned(), ..reply }
}

fn half(mut reply: Reply) -> Reply {
    reply.body.truncate(reply.body.len() / 2);
    reply
}

/// Without its last byte, so that no blanks after it make it complete.
fn unfinished(mut reply: Reply) -> Reply {
    reply.body.pop();
    reply
}

/// A list with `nextLink`; anything else is left as it is.
fn linked(mut reply: Reply, next: &str, halve: bool) -> Reply {
    let Ok(mut list) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    let Some(items) = list.get_mut("value").and_then(Value::as_array_mut) else { return reply };
    if halve {
        items.truncate(items.len() / 2);
    }
    list["nextLink"] = json!(next);
    reply.body = list.to_string().into_bytes();
    reply
}

/// The query with another `$skiptoken`.
pub(super) fn with_skip(query: &str, token: &str) -> String {
    let is_skip = |pair: &&str| pair.to_ascii_lowercase().replace("%24", "$").starts_with("$skiptoken=");
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_skip(pair)).collect();
    format!("{}&%24skiptoken={token}", kept.join("&"))
}

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// The fault.
    pub fault: Fault,
    /// Only this kind of read; every read of ARM, but not of tokens, when absent.
    pub operation: Option<Operation>,
    /// Only paths that contain this text, compared without case.
    pub containing: Option<String>,
    /// Only so many times more; until removed when absent.
    pub times: Option<u32>,
    /// Seconds in `Retry-After` of the 429 faults.
    pub retry_after: u32,
}

impl FaultRule {
    /// The fault on every read of ARM, until removed; `Retry-After` is 10 s.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, operation: None, containing: None, times: None, retry_after: 10 }
    }

    /// Only on one kind of read.
    #[must_use]
    pub fn on(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Only for paths that contain `text`, compared without case.
    #[must_use]
    pub fn containing(self, text: impl Into<String>) -> Self {
        Self { containing: Some(text.into()), ..self }
    }

    /// Only so many times.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Another `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: seconds, ..self }
    }

    fn strikes(&self, operation: Operation, path: &str) -> bool {
        self.times != Some(0)
            && self.operation.map_or(operation != Operation::Token, |only| only == operation)
            && self
                .containing
                .as_ref()
                .is_none_or(|text| path.to_ascii_lowercase().contains(&text.to_ascii_lowercase()))
    }
}

/// Names a rule that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// The rules in force; the first one that matches strikes.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<(RuleId, FaultRule, u64)>,
    next: u64,
}

impl Faults {
    /// Adds a rule behind the others.
    pub fn add(&mut self, rule: FaultRule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        self.rules.push((id, rule, 0));
        id
    }

    /// Removes a rule; whether it was there.
    pub fn remove(&mut self, id: RuleId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|(known, ..)| *known != id);
        self.rules.len() != before
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// How often a rule struck; 0 after it was removed.
    #[must_use]
    pub fn hits(&self, id: RuleId) -> u64 {
        self.rules.iter().find(|(known, ..)| *known == id).map_or(0, |(.., hits)| *hits)
    }

    /// Whether any rule can still strike.
    #[must_use]
    pub fn any(&self) -> bool {
        self.rules.iter().any(|(_, rule, _)| rule.times != Some(0))
    }

    /// The fault for a request, counted.
    pub(super) fn take(&mut self, operation: Operation, path: &str) -> Option<FaultRule> {
        let (_, rule, hits) = self.rules.iter_mut().find(|(_, rule, _)| rule.strikes(operation, path))?;
        *hits += 1;
        rule.times = rule.times.map(|left| left.saturating_sub(1));
        Some(rule.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_strike_where_and_as_often_as_told() {
        let mut faults = Faults::default();
        let once = FaultRule::new(Fault::Conflict).on(Operation::Endpoint).containing("PE-1").times(1);
        let once = faults.add(once);
        let always = faults.add(FaultRule::new(Fault::HtmlBody));
        let mut at = |operation, path: &str| faults.take(operation, path).map(|rule| rule.fault);
        assert_eq!(at(Operation::Endpoint, "/x/pe-2"), Some(Fault::HtmlBody));
        assert_eq!(at(Operation::Endpoint, "/x/pe-1"), Some(Fault::Conflict));
        assert_eq!(at(Operation::Endpoint, "/x/pe-1"), Some(Fault::HtmlBody));
        assert_eq!(at(Operation::Token, "/msi/token"), None, "tokens only when named");
        assert_eq!((faults.hits(once), faults.hits(always)), (1, 2));
        assert!(faults.remove(always) && !faults.remove(always));
        assert!(!faults.any());
    }

    #[test]
    fn a_skip_token_is_replaced() {
        assert_eq!(with_skip("api-version=1", "2"), "api-version=1&%24skiptoken=2");
        assert_eq!(with_skip("$skipToken=1&api-version=1", "2"), "api-version=1&%24skiptoken=2");
        assert_eq!(with_skip("api-version=1&%24skiptoken=1", "2"), "api-version=1&%24skiptoken=2");
    }
}
