//! What can go wrong with a read, sorted by what the caller does about it.
//!
//! Nothing but [`ArmErrorKind::ResourceNotFound`] may ever count as "it is gone": ARM answers 404
//! as well for subscriptions without access, retired api-versions and deleted groups.

use std::fmt;
use std::time::Duration;

use super::Operation;
use super::text::one_line;
use super::token::TokenError;
use crate::zones::{ResourceId, ResourceIdError};

/// The code of 409 and 429 that means: the resource is being changed, not: you ask too often.
pub(super) const OTHER_OPERATION: &str = "RetryableErrorDueToAnotherOperation";

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ArmError {
    /// What kind of failure; decides what the caller does.
    pub kind: ArmErrorKind,
    /// What was read.
    pub operation: Operation,
    /// The circumstances, for people.
    pub details: Box<ArmErrorDetails>,
}

/// The circumstances of a failed read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArmErrorDetails {
    /// The resource, or the scope of a list.
    pub resource: String,
    /// The HTTP status, when there was a response.
    pub status: Option<u16>,
    /// ARM's error code, one line of at most 400 characters.
    pub code: Option<String>,
    /// ARM's error message, one line of at most 400 characters.
    pub message: Option<String>,
    /// The id by which Microsoft's support finds the request.
    pub correlation_id: String,
    /// `Retry-After` of the response, at most an hour.
    pub retry_after: Option<Duration>,
}

/// The kinds of failed reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArmErrorKind {
    /// 401, also with a fresh token.
    Unauthorized,
    /// 403.
    Forbidden {
        /// The action that is not allowed.
        action: String,
    },
    /// 404 with code `ResourceNotFound`: the only answer that means "it does not exist".
    ResourceNotFound,
    /// 404 with any other code or none; says nothing about the resource.
    NotFoundOther,
    /// 400 or 404 because the api-version is not served (any more).
    ApiVersion,
    /// 409: the provider is not registered, or the resource is locked by a change.
    Conflict,
    /// 429, or an earlier 429 whose wait is not over.
    Throttled {
        /// How long to leave the subscription alone.
        retry_after: Duration,
    },
    /// The daemon's own budget of reads is used up for minutes ahead; ARM was not asked.
    Overload,
    /// 5xx.
    Server,
    /// Any other status, redirects among them.
    UnexpectedStatus,
    /// No complete response in time.
    Timeout,
    /// No connection, or it broke.
    Connect {
        /// What the system or the TLS library said.
        reason: String,
    },
    /// 200 with a body that is not what it should be.
    InvalidBody {
        /// What is wrong with it.
        reason: String,
    },
    /// The body is longer than 16 MiB, or a list longer than 64 MiB.
    TooLarge,
    /// A page's `nextLink` leads away from Azure Resource Manager; no token was sent there.
    NextLinkHost {
        /// Where it leads.
        host: String,
    },
    /// A list's pages never end: a link came twice, or there are more than 100.
    EndlessList,
    /// There is no token to ask with.
    Token(TokenError),
    /// A task of the read was ended from outside.
    Interrupted,
}

impl ArmErrorKind {
    /// A stable word for logs and metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::ResourceNotFound => "resource-not-found",
            Self::NotFoundOther => "not-found-other",
            Self::ApiVersion => "api-version",
            Self::Conflict => "conflict",
            Self::Throttled { .. } => "throttled",
            Self::Overload => "overload",
            Self::Server => "server",
            Self::UnexpectedStatus => "unexpected-status",
            Self::Timeout => "timeout",
            Self::Connect { .. } => "connect",
            Self::InvalidBody { .. } => "invalid-body",
            Self::TooLarge => "too-large",
            Self::NextLinkHost { .. } => "next-link-host",
            Self::EndlessList => "endless-list",
            Self::Token(_) => "token",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Where something that was read comes from, for errors found only when it is made sense of.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// What was read.
    pub(super) operation: Operation,
    /// The resource, or the scope of a list.
    pub(super) resource: String,
    /// Of the response; of a list's last page.
    pub(super) correlation_id: String,
}

impl Origin {
    /// An error found in what the response says.
    pub(super) fn invalid(&self, reason: impl Into<String>) -> ArmError {
        self.error(ArmErrorKind::InvalidBody { reason: one_line(&reason.into()) })
    }

    /// An error that the response brought about.
    pub(super) fn error(&self, kind: ArmErrorKind) -> ArmError {
        ArmError {
            kind,
            operation: self.operation,
            details: Box::new(ArmErrorDetails {
                resource: self.resource.clone(),
                correlation_id: self.correlation_id.clone(),
                ..ArmErrorDetails::default()
            }),
        }
    }

    /// The resource id that the response holds.
    pub(super) fn id(&self, text: &str) -> Result<ResourceId, ArmError> {
        text.parse().map_err(|error: ResourceIdError| self.invalid(error.to_string()))
    }
}

impl ArmError {
    /// Whether the resource is proven not to exist.
    #[must_use]
    pub fn is_resource_not_found(&self) -> bool {
        self.kind == ArmErrorKind::ResourceNotFound
    }

    /// Whether the role lacks the right.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self.kind, ArmErrorKind::Forbidden { .. })
    }

    /// The object id of the identity that was refused, when ARM tells it.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        let (_, rest) = self.details.message.as_deref()?.split_once("with object id '")?;
        let (id, _) = rest.split_once('\'')?;
        (id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')).then_some(id)
    }

    /// Whether ARM plainly refused (401, 403, 404), so that asking again soon changes nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.kind,
            ArmErrorKind::Unauthorized
                | ArmErrorKind::Forbidden { .. }
                | ArmErrorKind::ResourceNotFound
                | ArmErrorKind::NotFoundOther
        )
    }

    /// How long to wait before asking again, when ARM tells: the whole subscription when it throttles,
    /// otherwise this reader alone (a failing service, a resource that is being changed).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            ArmErrorKind::Throttled { retry_after } => Some(retry_after),
            _ => self.details.retry_after,
        }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self.kind {
            ArmErrorKind::Timeout
            | ArmErrorKind::Connect { .. }
            | ArmErrorKind::Server
            | ArmErrorKind::Throttled { .. }
            // Broken on its way; what arrives complete and makes no sense is found later.
            | ArmErrorKind::InvalidBody { .. } => true,
            ArmErrorKind::Conflict => self.details.code.as_deref() == Some(OTHER_OPERATION),
            _ => false,
        }
    }

    /// What happened and what to do, without ARM's own words.
    fn advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.details.code.as_deref().unwrap_or_default();
        match &self.kind {
            ArmErrorKind::Unauthorized => f.write_str(
                "Azure does not accept the token; check that the identity is of the subscription's tenant",
            ),
            ArmErrorKind::Forbidden { action } => write!(
                f,
                "the identity may not do {action} on {}; assign the custom role from the README there",
                self.details.resource
            ),
            ArmErrorKind::ResourceNotFound => f.write_str("the resource does not exist"),
            ArmErrorKind::NotFoundOther if code == "SubscriptionNotFound" => f.write_str(
                "the subscription cannot be seen; check its id, and that the identity has access and is of its tenant",
            ),
            ArmErrorKind::NotFoundOther if code == "ResourceGroupNotFound" => {
                f.write_str("the resource group does not exist; check the resource id")
            }
            ArmErrorKind::NotFoundOther => {
                f.write_str("not found, without proof that the resource is gone; check the resource id")
            }
            ArmErrorKind::ApiVersion => write!(
                f,
                "api-version {} is not served; look for a newer release of privatelink-dns",
                self.operation.api_version()
            ),
            ArmErrorKind::Conflict if code == "MissingSubscriptionRegistration" => {
                f.write_str("the subscription has to register the resource provider")
            }
            ArmErrorKind::Conflict => f.write_str("another operation holds the resource; the next poll asks again"),
            ArmErrorKind::Throttled { retry_after } => {
                write!(f, "throttled; the subscription is left alone for {} s", retry_after.as_secs())
            }
            ArmErrorKind::Overload => f.write_str(
                "more reads of the subscription wait than Azure would take; raise poll_interval or follow fewer \
                 applications",
            ),
            ArmErrorKind::Server => f.write_str("Azure failed; the next poll asks again"),
            ArmErrorKind::UnexpectedStatus => {
                f.write_str("an answer that is not expected; check the Azure URL and proxies in between")
            }
            ArmErrorKind::Timeout => {
                f.write_str("no complete response in time; check the network, or raise the request timeout")
            }
            ArmErrorKind::Connect { reason } => {
                write!(f, "no connection: {reason}; check DNS, firewall, proxy and CA certificates")
            }
            ArmErrorKind::InvalidBody { reason } => {
                write!(f, "the response is not what it should be: {reason}; check proxies in between")
            }
            ArmErrorKind::TooLarge => f.write_str("the response is too large to be true"),
            ArmErrorKind::NextLinkHost { host } => {
                write!(f, "the list goes on at {host}, which is not the configured Azure Resource Manager")
            }
            ArmErrorKind::EndlessList => f.write_str("the list's pages do not end"),
            ArmErrorKind::Token(error) => write!(f, "{error}"),
            ArmErrorKind::Interrupted => f.write_str("the read was ended before it was complete"),
        }
    }
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &self.details;
        write!(f, "reading {} {}: ", self.operation.words(), details.resource)?;
        self.advice(f)?;
        if let Some(status) = details.status {
            write!(f, " [status {status}")?;
            if let Some(code) = &details.code {
                write!(f, " {code}")?;
            }
            if let Some(message) = &details.message {
                write!(f, ": {message}")?;
            }
            f.write_str("]")?;
        }
        if !details.correlation_id.is_empty() {
            write!(f, " (correlation id {})", details.correlation_id)?;
        }
        if let Some(wait) = details.retry_after.filter(|wait| !wait.is_zero()) {
            write!(f, "; Azure asks to wait {} s", wait.as_secs())?;
        }
        Ok(())
    }
}
