//! Azure Resource Manager as this daemon needs it: reads only, complete or failed.
//!
//! Everything that is later served or removed rests on what is read here, so the one rule is that
//! nothing may look like an answer that is none: a refused, cut off, throttled or garbled response
//! is an [`ArmError`], and only 404 with code `ResourceNotFound` means that something is gone. What
//! a poll reads is an [`Observation`]; what it means is not decided here.
//!
//! From the outside in: [`Azure`] is the room's face; `poll` and `discover` know which reads make
//! an answer; `arm` makes one read, with retries, paging and the budget of its subscription;
//! `token` keeps the bearer token that `credential` fetches.

mod arc;
mod arm;
mod assertion;
mod budget;
mod command;
mod credential;
mod discover;
mod error;
#[cfg(test)]
mod fake;
mod files;
mod http;
mod observer;
mod operation;
mod payload;
mod poll;
mod response;
mod text;
mod token;
mod transport;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

pub use error::{ArmError, ArmErrorDetails, ArmErrorKind};
pub use http::SetupError;
pub use observer::Observer;
pub use operation::{IOT_CENTRAL_API_VERSION, NETWORK_API_VERSION, Operation};
pub use token::TokenError;

use crate::config;
use crate::zones::{Observation, ResourceId};
use arm::ArmClient;
use credential::Identity;
use http::Http;
use token::Tokens;

/// Azure through one identity. Cheap to clone; clones share connections, token and budgets.
#[derive(Clone)]
pub struct Azure {
    client: ArmClient,
    tokens: Arc<Tokens>,
}

impl Azure {
    /// Makes ready to ask, without asking: the first token is fetched by the first read.
    ///
    /// # Errors
    /// When the CA file or the URL of Azure Resource Manager cannot be used.
    pub fn new(config: &config::Azure, observer: Arc<dyn Observer>) -> Result<Self, SetupError> {
        let http = Http::new(config.request_timeout, config.ca_file.as_deref())?;
        let identity = Identity::new(config.credential.clone(), config.cloud.clone(), http.clone());
        let hears = observer.clone();
        let tokens = Arc::new(Tokens::new(Box::new(identity), move |error| hears.token_failed(error)));
        let client = ArmClient::new(
            http,
            &config.cloud.resource_manager,
            tokens.clone(),
            config.request_timeout,
            observer,
        )?;
        Ok(Self { client, tokens })
    }

    /// Reads the application and its endpoints: all of it, or an error.
    ///
    /// `known_endpoints` are those that names were published from; they are read whatever the
    /// application's list says of them.
    ///
    /// # Errors
    /// When any read fails; nothing may then be changed.
    /// [`retry_after`](ArmError::retry_after) tells when to come back, if ARM does.
    pub async fn poll(
        &self,
        application: &ResourceId,
        known_endpoints: &BTreeSet<ResourceId>,
    ) -> Result<Observation, ArmError> {
        poll::poll(&self.client, application, known_endpoints, Timestamp::now).await
    }

    /// The applications that the discovery takes.
    ///
    /// # Errors
    /// When the list cannot be read to its end.
    pub async fn discover(&self, discovery: &config::Discovery) -> Result<BTreeSet<ResourceId>, ArmError> {
        discover::discover(&self.client, discovery).await
    }

    /// When the token in use ends; nothing before the first and after the last.
    #[must_use]
    pub fn token_expiry(&self) -> Option<Timestamp> {
        self.tokens.expiry()
    }

    /// Fetches a token if there is none, to see whether the credential works.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn check_credential(&self) -> Result<(), TokenError> {
        self.tokens.get().await.map(|_| ())
    }
}

impl fmt::Debug for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Azure").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_credential_is_looked_at_with_the_first_read_only() {
        let arm = fake::Fake::start().await;
        let config = config::Azure {
            cloud: config::Cloud { resource_manager: arm.url().to_owned(), ..config::Cloud::public() },
            credential: config::Credential::ClientSecret {
                tenant_id: "tenant".to_owned(),
                client_id: "client".to_owned(),
                secret_file: "/nonexistent/secret".into(),
            },
            ca_file: None,
            poll_interval: Duration::from_secs(30),
            request_timeout: Duration::from_secs(20),
        };
        let azure = Azure::new(&config, Arc::new(())).expect("ready");
        let application = "/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/a"
            .parse()
            .expect("an id");
        let error = azure.poll(&application, &BTreeSet::new()).await.expect_err("no token");
        assert!(error.to_string().contains("/nonexistent/secret"), "{error}");
        assert!(matches!(error.kind, ArmErrorKind::Token(TokenError::File { .. })));
        assert_eq!(azure.token_expiry(), None);
        assert!(arm.seen().is_empty());
    }
}
