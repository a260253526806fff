//! ARM's errors with the status, code and text that it really sends.
//!
//! Texts follow captured traces where there are any; clients must decide on code and status only.

use serde_json::json;

use super::reply::Reply;
use crate::zones::ResourceId;

/// The tenant of every subscription.
const TENANT: &str = "22222222-2222-2222-2222-222222222222";

/// An error answer of ARM (`{"error":{"code","message"}}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArmError {
    /// HTTP status.
    pub(super) status: u16,
    /// `error.code`.
    pub(super) code: &'static str,
    /// `error.message`.
    pub(super) message: String,
    /// `Retry-After` in seconds.
    pub(super) retry_after: Option<u32>,
    /// `x-ms-failure-cause`: ARM itself, or the resource provider behind it.
    pub(super) cause: Cause,
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// ARM itself.
    Gateway,
    /// The resource provider.
    Service,
}

impl ArmError {
    /// An error of ARM itself.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, cause: Cause::Gateway }
    }

    /// The same, as one of the resource provider.
    pub(super) fn of_service(self) -> Self {
        Self { cause: Cause::Service, ..self }
    }

    /// The same with `Retry-After`.
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The answer.
    pub(super) fn reply(&self) -> Reply {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        let cause = match self.cause {
            Cause::Gateway => "gateway",
            Cause::Service => "service",
        };
        let mut reply = Reply::json(self.status, &body).with("x-ms-failure-cause", cause);
        if let Some(seconds) = self.retry_after {
            reply = reply.with("retry-after", seconds.to_string());
        }
        if self.status == 401 {
            let challenge = format!(
                "Bearer authorization_uri=\"https://login.windows.net/{TENANT}\", error=\"invalid_token\", \
                 error_description=\"{}\"",
                self.message.replace('"', "'")
            );
            reply = reply.with("www-authenticate", challenge);
        }
        reply
    }

    /// 401: the token is missing or not one of ours.
    pub(super) fn invalid_token() -> Self {
        Self::new(401, "InvalidAuthenticationToken", "The access token is invalid.")
    }

    /// 401: the token was good once.
    pub(super) fn expired_token() -> Self {
        let text = "The access token expiry UTC time is earlier than current UTC time.";
        Self::new(401, "ExpiredAuthenticationToken", text)
    }

    /// 401: the token is of another tenant than the subscription.
    pub(super) fn wrong_tenant() -> Self {
        let text = format!(
            "The access token is from the wrong issuer 'https://sts.windows.net/\
             11111111-1111-1111-1111-111111111111/'. It must match the tenant \
             'https://sts.windows.net/{TENANT}/' associated with this subscription."
        );
        Self::new(401, "InvalidAuthenticationTokenTenant", text)
    }

    /// 403: the role lacks an action.
    pub(super) fn authorization_failed(action: &str, scope: &str) -> Self {
        let text = format!(
            "The client '33333333-3333-3333-3333-333333333333' with object id \
             '33333333-3333-3333-3333-333333333333' does not have authorization to perform action \
             '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, \
             please refresh your credentials."
        );
        Self::new(403, "AuthorizationFailed", text)
    }

    /// 404: the resource itself does not exist; the only code that can mean "deleted".
    pub(super) fn resource_not_found(kind: &str, name: &str, group: &str) -> Self {
        let text = format!(
            "The Resource '{kind}/{name}' under resource group '{group}' was not found. For more details \
             please go to https://aka.ms/ARMResourceNotFoundFix"
        );
        Self::new(404, "ResourceNotFound", text)
    }

    /// [`ArmError::resource_not_found`] for a parsed id.
    pub(super) fn id_not_found(id: &ResourceId) -> Self {
        let group = id.resource_group().unwrap_or_default();
        Self::resource_not_found(&id.resource_type(), id.name(), group)
    }

    /// 404: the group is unknown.
    pub(super) fn group_not_found(group: &str) -> Self {
        Self::new(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
    }

    /// 404: the subscription is unknown, or the caller may not see it.
    pub(super) fn subscription_not_found(subscription: &str) -> Self {
        let text = format!("The subscription '{subscription}' could not be found.");
        Self::new(404, "SubscriptionNotFound", text)
    }

    /// 404: the api-version has no such type.
    pub(super) fn invalid_resource_type(namespace: &str, kind: &str, version: &str, supported: &str) -> Self {
        let text = format!(
            "The resource type '{kind}' could not be found in the namespace '{namespace}' for api version \
             '{version}'. The supported api-versions are '{supported}'."
        );
        Self::new(404, "InvalidResourceType", text)
    }

    /// 400: no provider serves this api-version.
    pub(super) fn no_registered_provider(kind: &str, version: &str, supported: &str) -> Self {
        let text = format!(
            "No registered resource provider found for location 'westeurope' and API version '{version}' \
             for type '{kind}'. The supported api-versions are '{supported}'. The supported locations are \
             'westeurope, northeurope, eastus, westus'."
        );
        Self::new(400, "NoRegisteredProviderFound", text)
    }

    /// 400: the api-version is no version.
    pub(super) fn invalid_api_version(version: &str, supported: &str) -> Self {
        let text =
            format!("The api-version '{version}' is invalid. The supported versions are '{supported}'.");
        Self::new(400, "InvalidApiVersionParameter", text)
    }

    /// 400: there is no `api-version` in the query.
    pub(super) fn missing_api_version() -> Self {
        let text = "The api-version query parameter (?api-version=) is required for all requests.";
        Self::new(400, "MissingApiVersionParameter", text)
    }

    /// 429 of ARM itself.
    pub(super) fn throttled(subscription: &str, seconds: u32) -> Self {
        let text = format!(
            "Number of 'read' requests for subscription '{subscription}' actor \
             '33333333-3333-3333-3333-333333333333' exceeded. Please try again after '{seconds}' seconds."
        );
        Self::new(429, "SubscriptionRequestsThrottled", text).retry_after(seconds)
    }
}
