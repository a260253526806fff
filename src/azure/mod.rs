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

mod advice;
mod arc;
mod arm;
mod assertion;
mod budget;
mod check;
mod command;
mod credential;
mod discover;
mod error;
#[cfg(test)]
mod fake;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod http;
#[cfg(any(test, fuzzing))]
pub(crate) mod inside;
mod observer;
mod operation;
mod payload;
mod poll;
mod probe;
mod response;
mod text;
mod token;
mod transport;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use check::{Reading, Readings};
pub use error::{ArmError, ArmErrorDetails, ArmErrorKind};
pub use http::SetupError;
pub use observer::Observer;
pub use operation::{IOT_CENTRAL_API_VERSION, NETWORK_API_VERSION, Operation};
pub use probe::{Probe, Subscription};
pub use token::TokenError;

use crate::config;
use crate::outside;
use crate::zones::{Observation, ResourceId};
use arm::ArmClient;
use credential::Identity;
use http::{CaFile, Http};
use token::Tokens;

/// Azure through one identity. Cheap to clone; clones share connections, token and budgets.
#[derive(Clone)]
pub struct Azure {
    client: ArmClient,
    tokens: Arc<Tokens>,
    made_of: Arc<MadeOf>,
}

/// What a client was made of, to see whether it still fits.
#[derive(PartialEq)]
struct MadeOf {
    config: config::Azure,
    ca_file: Option<CaFile>,
}

impl MadeOf {
    fn read(config: &config::Azure) -> Result<Self, SetupError> {
        // Rhythm is no business of the client.
        let config = config::Azure { poll_interval: Duration::ZERO, ..config.clone() };
        let ca_file = config.ca_file.as_deref().map(CaFile::read).transpose()?;
        Ok(Self { config, ca_file })
    }
}

impl Azure {
    /// Makes ready to ask, without asking: the first token is fetched by the first read.
    ///
    /// # Errors
    /// When the CA file or the URL of Azure Resource Manager cannot be used.
    pub fn new(config: &config::Azure, observer: Arc<dyn Observer>) -> Result<Self, SetupError> {
        Self::of(MadeOf::read(config)?, observer)
    }

    /// The client for another configuration: this one, with its token and budgets, when nothing
    /// changed that it is made of. The content of the CA file counts, whatever its name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reconfigured(
        &self,
        config: &config::Azure,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, SetupError> {
        let made_of = MadeOf::read(config)?;
        if made_of == *self.made_of { Ok(self.clone()) } else { Self::of(made_of, observer) }
    }

    fn of(made_of: MadeOf, observer: Arc<dyn Observer>) -> Result<Self, SetupError> {
        let config = &made_of.config;
        let http = Http::new(config.request_timeout, made_of.ca_file.as_ref())?;
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
        Ok(Self { client, tokens, made_of: Arc::new(made_of) })
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
        poll::poll(&self.client, application, known_endpoints, outside::now).await
    }

    /// The applications that the discovery takes.
    ///
    /// # Errors
    /// When the list cannot be read to its end.
    pub async fn discover(&self, discovery: &config::Discovery) -> Result<BTreeSet<ResourceId>, ArmError> {
        discover::discover(&self.client, discovery).await
    }

    /// Makes every read of the application and its approved endpoints that a poll can need, whatever
    /// becomes of the others.
    pub async fn check(&self, application: &ResourceId) -> Readings {
        check::check(&self.client, application).await
    }

    /// Makes the read of a discovery; the applications that it takes.
    pub async fn check_discovery(&self, discovery: &config::Discovery) -> (Reading, BTreeSet<ResourceId>) {
        check::check_discovery(&self.client, discovery).await
    }

    /// What Azure tells of a subscription without a token.
    pub async fn probe(&self, subscription: &str) -> Probe {
        probe::probe(&self.client, subscription).await
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
    use super::*;

    fn config(cloud: config::Cloud, secret_file: &str) -> config::Azure {
        config::Azure {
            cloud,
            credential: config::Credential::ClientSecret {
                tenant_id: "tenant".to_owned(),
                client_id: "client".to_owned(),
                secret_file: secret_file.into(),
            },
            ca_file: None,
            poll_interval: Duration::from_secs(30),
            request_timeout: Duration::from_secs(20),
        }
    }

    #[test]
    fn a_client_is_kept_while_nothing_changes_that_it_is_made_of() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let authority =
            || rcgen::generate_simple_self_signed(["ca.test".to_owned()]).expect("one").cert.pem();
        let (first, second) = (authority(), authority());
        std::fs::write(&path, &first).expect("written");
        let config = config::Azure {
            ca_file: Some(path.clone()),
            ..config(config::Cloud::public(), "/nonexistent/secret")
        };
        let azure = Azure::new(&config, Arc::new(())).expect("a client");
        let is_kept = |config: &config::Azure| {
            let other = azure.reconfigured(config, Arc::new(())).expect("a client");
            Arc::ptr_eq(&azure.tokens, &other.tokens)
        };
        assert!(is_kept(&config));
        assert!(is_kept(&config::Azure { poll_interval: Duration::from_secs(60), ..config.clone() }));
        assert!(!is_kept(&config::Azure { request_timeout: Duration::from_secs(60), ..config.clone() }));
        std::fs::write(&path, &second).expect("written");
        assert!(!is_kept(&config), "the authority was replaced under the same name");
        std::fs::write(&path, &first).expect("written");
        assert!(is_kept(&config));
        std::fs::remove_file(&path).expect("removed");
        azure.reconfigured(&config, Arc::new(())).expect_err("a reload is refused");
    }

    #[tokio::test]
    async fn a_credential_is_looked_at_with_the_first_read_only() {
        let arm = fake::Fake::start().await;
        let cloud = config::Cloud { resource_manager: arm.url().to_owned(), ..config::Cloud::public() };
        let config = config(cloud, "/nonexistent/secret");
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
