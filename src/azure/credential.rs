//! Tokens for what the configuration calls a credential.
//!
//! Every fetch builds the credential anew: a replaced secret, certificate or federated token is
//! used from the next token on, without a restart, and no cache but ours decides how long a token
//! is used.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_core::time::{Duration as CoreDuration, OffsetDateTime};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredential,
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use secrecy::{ExposeSecret, SecretString};

use super::arc::ArcIdentity;
use super::assertion::CertificateAssertion;
use super::command::GroupExecutor;
use super::files::{blocking, read_small, read_small_text};
use super::http::Http;
use super::text::one_line;
use super::token::{NewToken, TokenError, TokenSource};
use super::transport::{IdentityTransport, Witness};
use crate::config::{Cloud, Credential, UserAssigned};

/// The most bytes of a file with a secret, certificate or key.
const FILE_LIMIT: u64 = 64 << 10;

/// Tokens of the configured credential.
pub(super) struct Identity {
    credential: Credential,
    cloud: Cloud,
    http: Http,
    transport: Arc<Witness>,
}

impl Identity {
    /// The identity that asks the cloud's identity provider through `http`.
    pub(super) fn new(credential: Credential, cloud: Cloud, http: Http) -> Self {
        let transport = Arc::new(Witness::new(Arc::new(IdentityTransport(http.clone()))));
        Self { credential, cloud, http, transport }
    }

    /// Our transport, the configured authority, and retries that end within the time that
    /// [`Tokens`](super::token::Tokens) gives.
    fn options(&self) -> ClientOptions {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.cloud.authority);
        ClientOptions {
            transport: Some(Transport::new(self.transport.clone())),
            retry: RetryOptions::exponential(ExponentialRetryOptions {
                initial_delay: CoreDuration::milliseconds(500),
                max_retries: 2,
                max_total_elapsed: CoreDuration::seconds(15),
                max_delay: CoreDuration::seconds(5),
            }),
            cloud: Some(Arc::new(CloudConfiguration::from(cloud))),
            ..ClientOptions::default()
        }
    }

    async fn build(&self) -> Result<Box<dyn TokenSource>, TokenError> {
        let options = self.options();
        let credential: Arc<dyn TokenCredential> = match &self.credential {
            Credential::Arc => {
                return Ok(Box::new(ArcIdentity::from_environment(self.http.clone(), &self.cloud.audience)?));
            }
            Credential::ManagedIdentity { identity } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: identity.as_ref().map(user_assigned),
                    client_options: options,
                }))
                .map_err(|error| settings(&error))?
            }
            Credential::WorkloadIdentity { tenant_id, client_id, token_file } => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options: options },
                    client_id: client_id.clone(),
                    tenant_id: tenant_id.clone(),
                    token_file_path: token_file.clone(),
                }))
                .map_err(|error| settings(&error))?
            }
            Credential::ClientSecret { tenant_id, client_id, secret_file } => {
                let secret = blocking(secret_file.clone(), |path| read_small_text(path, FILE_LIMIT)).await?;
                ClientSecretCredential::new(
                    tenant_id,
                    client_id.clone(),
                    Secret::new(secret.expose_secret().to_owned()),
                    Some(ClientSecretCredentialOptions { client_options: options }),
                )
                .map_err(|error| settings(&error))?
            }
            Credential::ClientCertificate { tenant_id, client_id, certificate_file, key_file } => {
                let endpoint = format!("{}/{tenant_id}/oauth2/v2.0/token", self.cloud.authority);
                let (client, key_file) = (client_id.clone(), key_file.clone());
                let assertion = blocking(certificate_file.clone(), move |certificate_file| {
                    certificate_assertion(&client, endpoint, certificate_file, &key_file)
                })
                .await?;
                ClientAssertionCredential::new(
                    tenant_id.clone(),
                    client_id.clone(),
                    assertion,
                    Some(ClientAssertionCredentialOptions { client_options: options }),
                )
                .map_err(|error| settings(&error))?
            }
            Credential::AzureCli => AzureCliCredential::new(Some(AzureCliCredentialOptions {
                executor: Some(Arc::new(GroupExecutor)),
                ..AzureCliCredentialOptions::default()
            }))
            .map_err(|error| settings(&error))?,
        };
        Ok(Box::new(Sdk { credential, scope: format!("{}/.default", self.cloud.audience) }))
    }
}

#[async_trait]
impl TokenSource for Identity {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        self.transport.forget();
        self.build().await?.fetch().await
    }

    fn last_failure(&self) -> Option<String> {
        self.transport.last_failure()
    }
}

/// A credential of azure_identity.
struct Sdk {
    credential: Arc<dyn TokenCredential>,
    scope: String,
}

#[async_trait]
impl TokenSource for Sdk {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        // Only `Display`: the `Debug` of these errors carries whole responses.
        let token = self
            .credential
            .get_token(&[&self.scope], None)
            .await
            .map_err(|error| TokenError::Provider(one_line(&error.to_string())))?;
        let left = token.expires_on - OffsetDateTime::now_utc();
        Ok(NewToken {
            secret: SecretString::from(token.token.secret()),
            lifetime: Duration::try_from(left).unwrap_or_default(),
        })
    }
}

fn certificate_assertion(
    client_id: &str,
    endpoint: String,
    certificate_file: &Path,
    key_file: &Path,
) -> Result<CertificateAssertion, TokenError> {
    let certificate = read_small(certificate_file, FILE_LIMIT)?;
    let key = read_small(key_file, FILE_LIMIT)?;
    CertificateAssertion::new(client_id, endpoint, (certificate_file, &certificate), (key_file, &key))
}

fn user_assigned(identity: &UserAssigned) -> UserAssignedId {
    match identity {
        UserAssigned::ClientId(id) => UserAssignedId::ClientId(id.clone()),
        UserAssigned::ObjectId(id) => UserAssignedId::ObjectId(id.clone()),
        UserAssigned::ResourceId(id) => UserAssignedId::ResourceId(id.clone()),
    }
}

fn settings(error: &azure_core::Error) -> TokenError {
    TokenError::Settings(one_line(&error.to_string()))
}

#[cfg(test)]
#[path = "credential_tests.rs"]
mod tests;
