//! The bearer token: kept while it lives, renewed before it ends.
//!
//! azure_identity's own cache fails a call as soon as a renewal fails, although the old token is
//! good for minutes more, and would give a token that ARM refused again. So the credential is built
//! anew for each token (about once an hour), which also picks up replaced secrets and certificates,
//! and the token is kept here.
//!
//! One resource's 401 is no word on the token: it may be of another tenant, while all others take
//! the token. So a refused token stays in use until there is another one.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

/// Renewal starts this long before the end, or at half the lifetime when that is later.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// The longest wait for a token. The metadata service of a machine that has none answers after 72 s.
const FETCH_TIMEOUT: Duration = Duration::from_secs(20);

/// The wait after a first failure; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);

/// The longest wait after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Refused tokens are replaced once in this time: more often would only load Entra.
const REPLACE_INTERVAL: Duration = Duration::from_secs(30);

/// The longest lifetime that is believed.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A file of the credential cannot be used.
    #[error("cannot use {} of the credential: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The credential's settings do not fit together.
    #[error("the credential cannot be used: {0}")]
    Settings(String),
    /// The identity provider refused, or could not be reached.
    #[error("no token from the identity provider: {0}; check the credential and the way to it")]
    Provider(String),
    /// The identity provider did not answer in time.
    #[error(
        "no token within {} s{}; check the way to the identity provider (a managed identity works on its \
         own machine only)", after.as_secs(), last.as_ref().map(|last| format!(", the last try gave {last}")).unwrap_or_default()
    )]
    Timeout {
        /// How long it was waited for.
        after: Duration,
        /// What the last request gave, when it was tried again and again.
        last: Option<String>,
    },
    /// The identity provider gave a token that is over.
    #[error("the identity provider gave a token that has expired; check this machine's clock")]
    Expired,
}

/// A token as a source gives it.
pub(super) struct NewToken {
    /// The token.
    pub(super) secret: SecretString,
    /// How long it lives from now on.
    pub(super) lifetime: Duration,
}

/// Where tokens come from.
#[async_trait]
pub(super) trait TokenSource: Send + Sync {
    /// A new token.
    async fn fetch(&self) -> Result<NewToken, TokenError>;

    /// What the last failed request of the latest [`fetch`](Self::fetch) gave, in words.
    fn last_failure(&self) -> Option<String> {
        None
    }
}

/// A token in use.
#[derive(Clone)]
pub(super) struct Token {
    secret: SecretString,
    number: u64,
    renew_at: Instant,
    ends: Instant,
    expiry: Timestamp,
}

impl Token {
    /// The token itself, for the `Authorization` header and nothing else.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

/// The one token of the daemon.
pub(super) struct Tokens {
    source: Box<dyn TokenSource>,
    current: Mutex<Current>,
    /// Held while a token is fetched: one fetch at a time.
    fetching: tokio::sync::Mutex<Option<Failure>>,
    on_failure: Box<dyn Fn(&TokenError) + Send + Sync>,
}

#[derive(Default)]
struct Current {
    token: Option<Arc<Token>>,
    /// How many tokens there have been.
    count: u64,
    /// When a refused one was last replaced.
    replaced: Option<Instant>,
}

/// The last failure, until a fetch succeeds.
struct Failure {
    error: TokenError,
    retry_at: Instant,
    backoff: Duration,
}

impl Tokens {
    /// No token yet; every failed fetch is told to `on_failure`.
    pub(super) fn new(
        source: Box<dyn TokenSource>,
        on_failure: impl Fn(&TokenError) + Send + Sync + 'static,
    ) -> Self {
        Self {
            source,
            current: Mutex::default(),
            fetching: tokio::sync::Mutex::new(None),
            on_failure: Box::new(on_failure),
        }
    }

    /// A token that lives. Shortly before its end one caller renews it; the others, and that one if
    /// it fails, go on with the old one.
    ///
    /// # Errors
    /// When there is none; soon after a failure with that failure again, without another attempt.
    pub(super) async fn get(&self) -> Result<Arc<Token>, TokenError> {
        if let Some(token) = self.alive() {
            if Instant::now() < token.renew_at {
                return Ok(token);
            }
            let Ok(mut failure) = self.fetching.try_lock() else { return Ok(token) };
            return Ok(self.fetch(&mut failure).await.unwrap_or(token));
        }
        let mut failure = self.fetching.lock().await;
        match self.alive() {
            Some(token) => Ok(token),
            None => self.fetch(&mut failure).await,
        }
    }

    /// Another token than `refused`, which ARM did not take: one that is there already, or a new
    /// one. Nothing when that cannot be had, or when `refused` is itself such a replacement and
    /// fresh. The others go on with the old one until then.
    pub(super) async fn replacement(&self, refused: &Token) -> Option<Arc<Token>> {
        let mut failure = self.fetching.lock().await;
        if let Some(newer) = self.alive().filter(|held| held.number != refused.number) {
            return Some(newer);
        }
        if self.lock().replaced.is_some_and(|at| Instant::now() < at + REPLACE_INTERVAL) {
            return None;
        }
        let token = self.fetch(&mut failure).await.ok()?;
        self.lock().replaced = Some(Instant::now());
        Some(token)
    }

    /// When the token in use ends.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        self.lock().token.as_ref().map(|token| token.expiry)
    }

    fn alive(&self) -> Option<Arc<Token>> {
        self.lock().token.clone().filter(|token| token.ends > Instant::now())
    }

    async fn fetch(&self, failure: &mut Option<Failure>) -> Result<Arc<Token>, TokenError> {
        if let Some(last) = failure.as_ref().filter(|last| Instant::now() < last.retry_at) {
            return Err(last.error.clone());
        }
        let fetched = match timeout(FETCH_TIMEOUT, self.source.fetch()).await {
            Ok(Ok(new)) if new.lifetime.is_zero() => Err(TokenError::Expired),
            Ok(result) => result,
            Err(_) => Err(TokenError::Timeout { after: FETCH_TIMEOUT, last: self.source.last_failure() }),
        };
        match fetched {
            Ok(new) => {
                *failure = None;
                Ok(self.keep(new))
            }
            Err(error) => {
                (self.on_failure)(&error);
                let backoff =
                    failure.as_ref().map_or(FIRST_BACKOFF, |last| (last.backoff * 2).min(MAX_BACKOFF));
                *failure =
                    Some(Failure { error: error.clone(), retry_at: Instant::now() + backoff, backoff });
                Err(error)
            }
        }
    }

    fn keep(&self, new: NewToken) -> Arc<Token> {
        let lifetime = new.lifetime.min(MAX_LIFETIME);
        let now = Instant::now();
        let mut current = self.lock();
        current.count += 1;
        let token = Arc::new(Token {
            secret: new.secret,
            number: current.count,
            renew_at: now + (lifetime - RENEW_BEFORE.min(lifetime / 2)),
            ends: now + lifetime,
            expiry: Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX),
        });
        current.token = Some(token.clone());
        token
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expiry", &self.expiry()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
