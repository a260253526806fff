//! The managed identity of an Azure Arc server, the only credential without a secret that a
//! machine outside Azure has; azure_identity 1.0 does not know it.
//!
//! The agent on the machine answers a first request with 401 and the name of a key file. Whoever
//! can read that file, root and members of the group `himds`, may have the token. The name is not
//! trusted: another local process could sit on the agent's port and ask for any file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::files::{blocking, read_small_text};
use super::http::{BodyError, Http, is_loopback, read_body};
use super::response::ErrorBody;
use super::text::{one_line, with_causes};
use super::token::{NewToken, TokenError, TokenSource};

/// The agent's address when the environment tells none.
const DEFAULT_ENDPOINT: &str = "http://localhost:40342/metadata/identity/oauth2/token";

const API_VERSION: &str = "2021-02-01";

/// The only place of key files on Linux.
const KEY_DIRECTORY: &str = "/var/opt/azcmagent/tokens";

/// The most bytes of a key file.
const KEY_LIMIT: u64 = 4096;

/// The most bytes of the agent's answers.
const BODY_LIMIT: usize = 1 << 20;

/// Tokens of the agent on this machine.
pub(super) struct ArcIdentity {
    http: Http,
    endpoint: Url,
    directory: PathBuf,
    audience: String,
}

impl ArcIdentity {
    /// Asks the agent that `IDENTITY_ENDPOINT` names (valid together with `IMDS_ENDPOINT` only),
    /// or the one at its usual address.
    ///
    /// # Errors
    /// When the environment names an address that is not this machine.
    pub(super) fn from_environment(http: Http, audience: &str) -> Result<Self, TokenError> {
        let endpoint = match (std::env::var("IDENTITY_ENDPOINT"), std::env::var("IMDS_ENDPOINT")) {
            (Ok(endpoint), Ok(_)) => endpoint,
            _ => DEFAULT_ENDPOINT.to_owned(),
        };
        Self::new(http, &endpoint, Path::new(KEY_DIRECTORY), audience)
    }

    /// Asks the agent at `endpoint`, whose key files are in `directory`.
    ///
    /// # Errors
    /// When the endpoint is not plain HTTP to this machine.
    pub(super) fn new(
        http: Http,
        endpoint: &str,
        directory: &Path,
        audience: &str,
    ) -> Result<Self, TokenError> {
        let bad = |reason: &str| TokenError::Settings(format!("IDENTITY_ENDPOINT {endpoint:?} {reason}"));
        let url = Url::parse(endpoint).map_err(|error| bad(&format!("is no URL ({error})")))?;
        if url.scheme() != "http" || !is_loopback(&url) {
            return Err(bad("is not http to this machine"));
        }
        Ok(Self { http, endpoint: url, directory: directory.to_owned(), audience: audience.to_owned() })
    }

    async fn ask(&self, key: Option<&SecretString>) -> Result<Response, TokenError> {
        let mut request = self
            .http
            .client(&self.endpoint)
            .get(self.endpoint.clone())
            .query(&[("api-version", API_VERSION), ("resource", &self.audience)])
            .header("metadata", "true");
        if let Some(key) = key {
            let mut value = HeaderValue::try_from(format!("Basic {}", key.expose_secret()))
                .map_err(|_| TokenError::Settings("the Azure Arc key file holds no key".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(|error| {
            TokenError::Provider(format!("the Azure Arc agent does not answer: {}", with_causes(&error)))
        })
    }
}

#[async_trait]
impl TokenSource for ArcIdentity {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        let challenge = self.ask(None).await?;
        if challenge.status() != 401 {
            return Err(TokenError::Provider(format!(
                "the Azure Arc agent answered {} instead of a challenge",
                challenge.status()
            )));
        }
        let named = key_file(challenge.headers())?;
        let directory = self.directory.clone();
        let key = blocking(named, move |named| read_key(&directory, named)).await?;
        let response = self.ask(Some(&key)).await?;
        let status = response.status();
        let body = read_body(response, BODY_LIMIT).await.map_err(|error| {
            TokenError::Provider(match error {
                BodyError::TooLarge => "the Azure Arc agent's answer is too large".to_owned(),
                BodyError::Broken(error) => with_causes(&error),
            })
        })?;
        if status != 200 {
            let error = ErrorBody::parse(&body);
            let told = error.message.or(error.code).unwrap_or_default();
            return Err(TokenError::Provider(format!("the Azure Arc agent answered {status} {told}")));
        }
        parse(&body, Timestamp::now())
    }
}

/// The file in `WWW-Authenticate: Basic realm=FILE`.
fn key_file(headers: &HeaderMap) -> Result<PathBuf, TokenError> {
    let bad = || {
        TokenError::Provider(
            "the Azure Arc agent's challenge has no key file; is the agent up to date?".into(),
        )
    };
    let value = headers.get(WWW_AUTHENTICATE).and_then(|v| v.to_str().ok()).ok_or_else(bad)?;
    let (scheme, realm) = value.trim().split_once('=').ok_or_else(bad)?;
    let words: Vec<&str> = scheme.split_whitespace().collect();
    let [basic, name] = words.as_slice() else { return Err(bad()) };
    if !basic.eq_ignore_ascii_case("basic") || !name.eq_ignore_ascii_case("realm") {
        return Err(bad());
    }
    Ok(PathBuf::from(realm.trim().trim_matches('"')))
}

/// The content of `named`, if it really lies in `directory`, symbolic links followed.
fn read_key(directory: &Path, named: &Path) -> Result<SecretString, TokenError> {
    let failed = |reason: String| TokenError::File { path: named.to_owned(), reason };
    let real = |path: &Path| {
        path.canonicalize().map_err(|error| {
            failed(format!("{error}; the daemon's user has to be a member of the group himds"))
        })
    };
    if !named.is_absolute() {
        return Err(failed("the Azure Arc agent named no absolute path".to_owned()));
    }
    let (place, file) = (real(directory)?, real(named)?);
    if file.parent() != Some(&place) || file.extension().is_none_or(|extension| extension != "key") {
        return Err(failed(format!("the Azure Arc agent may name .key files in {} only", place.display())));
    }
    read_small_text(&file, KEY_LIMIT)
}

/// The token in the agent's answer; `expires_on` comes as text or number.
fn parse(body: &[u8], now: Timestamp) -> Result<NewToken, TokenError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(i64),
        Text(String),
    }
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        expires_on: Seconds,
    }
    let bad = |reason: String| {
        TokenError::Provider(format!("the Azure Arc agent's answer is no token: {}", one_line(&reason)))
    };
    // The parser's own text could quote a part of the token.
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| bad(format!("line {} column {}", error.line(), error.column())))?;
    let ends = match answer.expires_on {
        Seconds::Number(number) => number,
        Seconds::Text(text) => text.trim().parse().map_err(|_| bad("expires_on is no number".to_owned()))?,
    };
    let left = u64::try_from(ends.saturating_sub(now.as_second())).unwrap_or(0);
    Ok(NewToken { secret: SecretString::from(answer.access_token), lifetime: Duration::from_secs(left) })
}

#[cfg(test)]
#[path = "arc_tests.rs"]
mod tests;
