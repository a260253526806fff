//! The running daemon's API, for the subcommands that ask it.

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::admin::{TOKEN_FILE, Token};
use crate::config::Contact;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A client of the daemon that the configuration describes; of that, only where the daemon is reached
/// counts.
pub(super) struct Client {
    http: reqwest::Client,
    daemon: Contact,
    /// What to do where the daemon cannot be reached.
    otherwise: &'static str,
}

impl Client {
    pub(super) fn new(file: &Path) -> Result<Self, Failure> {
        // Straight to the address: a proxy has no business between a host and itself.
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { http, daemon: Contact::load(file)?, otherwise: "" })
    }

    /// The same, for a command that can do without the daemon.
    pub(super) fn optional(file: &Path) -> Result<Self, Failure> {
        Ok(Self { otherwise: " --offline goes by what it has stored.", ..Self::new(file)? })
    }

    /// Sends a request; gives the status and the body.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), Failure> {
        let address = self.daemon.admin_listen;
        let response = request.send().await.map_err(|error| {
            let error = error.without_url();
            format!("cannot reach the daemon at http://{address}: {error}; is it running?{}", self.otherwise)
        })?;
        let status = response.status();
        Ok((status, response.bytes().await?.to_vec()))
    }

    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Vec<u8>), Failure> {
        self.send(self.http.request(Method::GET, self.url(path))).await
    }

    /// Asks for what has to be there; where it is refused, the error is the daemon's.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let (status, body) = self.get(path).await?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body)?);
        }
        let error = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let unexplained = || format!("the daemon answered {status}");
        Err(error["error"].as_str().map_or_else(unexplained, str::to_owned).into())
    }

    /// Sends a write request with the token of the state directory.
    pub(super) async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let directory = &self.daemon.state_directory;
        let token = Token::read(directory).map_err(|error| {
            format!(
                "cannot read {}: {error}; run this as the daemon's user or as root",
                directory.join(TOKEN_FILE).display()
            )
        })?;
        let request = self
            .http
            .request(Method::POST, self.url(path))
            .header("authorization", token.header().expose_secret())
            .header("content-type", "application/json")
            .body(body);
        let (status, body) = self.send(request).await?;
        if status.is_success() {
            return Ok(body);
        }
        let error = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        Err(format!("the daemon refused: {}", error["error"].as_str().unwrap_or(status.as_str())).into())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.daemon.admin_listen)
    }
}
