//! Bearer tokens, and the managed identity endpoint of App Service that hands them out.
//!
//! That endpoint and not the one of virtual machines, because it is the only one that Microsoft's
//! credential library lets point at plain http on loopback (`IDENTITY_ENDPOINT`).

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::errors::ArmError;
use super::reply::Reply;

/// Path of the managed identity endpoint.
pub(super) const PATH: &str = "/msi/token";

/// Issued tokens that are remembered; a client keeps one.
const REMEMBERED: usize = 64;

/// Who is let in, and with what.
pub struct Tokens {
    /// Whether reads need a token at all; they do by default.
    pub required: bool,
    /// The secret that the managed identity endpoint wants in `x-identity-header`.
    pub identity_header: String,
    /// The audience that tokens are handed out for; a trailing slash does not matter.
    pub resource: String,
    /// Life of the tokens handed out from now on.
    pub lifetime: Duration,
    accepted: Vec<String>,
    issued: VecDeque<(String, Timestamp)>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            required: true,
            identity_header: "simulated-identity".to_owned(),
            resource: "https://management.azure.com".to_owned(),
            lifetime: Duration::from_secs(24 * 3600),
            accepted: Vec::new(),
            issued: VecDeque::new(),
        }
    }
}

/// Without tokens and the secret, as everywhere.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("required", &self.required)
            .field("resource", &self.resource)
            .field("lifetime", &self.lifetime)
            .field("issued", &self.issued.len())
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// Lets a fixed token in, without expiry.
    pub fn accept(&mut self, token: impl Into<String>) {
        self.accepted.push(token.into());
    }

    /// Lets no token in any more that was issued or accepted so far: 401
    /// `InvalidAuthenticationToken`.
    pub fn revoke_all(&mut self) {
        self.accepted.clear();
        self.issued.clear();
    }

    /// Makes every token that was issued so far expired: 401 `ExpiredAuthenticationToken`.
    pub fn expire_all(&mut self) {
        for (_, expires) in &mut self.issued {
            *expires = Timestamp::UNIX_EPOCH;
        }
    }

    /// Checks the header `Authorization`.
    pub(super) fn check(&self, authorization: Option<&str>, now: Timestamp) -> Result<(), ArmError> {
        if !self.required {
            return Ok(());
        }
        let (scheme, token) =
            authorization.and_then(|value| value.split_once(' ')).ok_or_else(ArmError::invalid_token)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ArmError::invalid_token());
        }
        if self.accepted.iter().any(|known| known == token) {
            return Ok(());
        }
        match self.issued.iter().find(|(known, _)| known == token) {
            Some((_, expires)) if *expires > now => Ok(()),
            Some(_) => Err(ArmError::expired_token()),
            None => Err(ArmError::invalid_token()),
        }
    }

    /// Answers `GET /msi/token?api-version=2019-08-01&resource=…` as App Service does.
    pub(super) fn issue(
        &mut self,
        identity_header: Option<&str>,
        query: &[(String, String)],
        now: Timestamp,
        random: &mut fastrand::Rng,
    ) -> Reply {
        let get = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if identity_header != Some(self.identity_header.as_str()) {
            return refusal(401, "The x-identity-header is missing or wrong.");
        }
        if get("api-version") != Some("2019-08-01") {
            return refusal(400, "The api-version is missing or not 2019-08-01.");
        }
        let asked = get("resource").unwrap_or_default();
        if asked.trim_end_matches('/') != self.resource.trim_end_matches('/') {
            return refusal(400, "The resource is missing or not one that this identity gets tokens for.");
        }
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let expires = now.as_second().saturating_add(lifetime);
        let expires = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        let token = format!("simulated.{:032x}", random.u128(..));
        if self.issued.len() == REMEMBERED {
            self.issued.pop_front();
        }
        self.issued.push_back((token.clone(), expires));
        let body = json!({
            "access_token": token,
            "expires_on": expires.as_second().to_string(),
            "resource": asked,
            "token_type": "Bearer",
        });
        Reply::json(200, &body)
    }
}

/// An error in the shape of App Service, which is not ARM's.
pub(super) fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"statusCode": status, "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn query(resource: &str) -> Vec<(String, String)> {
        [("api-version", "2019-08-01"), ("resource", resource)].map(|(n, v)| (n.into(), v.into())).to_vec()
    }

    fn body(reply: &Reply) -> serde_json::Value {
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    #[test]
    fn hands_out_tokens_that_expire() {
        let mut tokens = Tokens { lifetime: Duration::from_secs(60), ..Tokens::default() };
        let mut random = fastrand::Rng::with_seed(1);
        let reply = tokens.issue(
            Some("simulated-identity"),
            &query("https://management.azure.com/"),
            NOW,
            &mut random,
        );
        assert_eq!(reply.status, 200);
        let body = body(&reply);
        assert_eq!(body["expires_on"], "60");
        assert_eq!(body["token_type"], "Bearer");
        let header = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(tokens.check(Some(&header), at(59)), Ok(()));
        assert_eq!(tokens.check(Some(&header), at(60)), Err(ArmError::expired_token()));
        tokens.revoke_all();
        assert_eq!(tokens.check(Some(&header), at(1)), Err(ArmError::invalid_token()));
    }

    #[test]
    fn refuses_who_does_not_know_the_secret_or_wants_another_audience() {
        let mut tokens = Tokens::default();
        let mut random = fastrand::Rng::with_seed(1);
        let good = query("https://management.azure.com");
        let mut status =
            |header: Option<&str>, query: &[_]| tokens.issue(header, query, NOW, &mut random).status;
        assert_eq!(status(None, &good), 401);
        assert_eq!(status(Some("guess"), &good), 401);
        assert_eq!(status(Some("simulated-identity"), &query("https://vault.azure.net")), 400);
        assert_eq!(status(Some("simulated-identity"), &good[1..]), 400);
        assert_eq!(status(Some("simulated-identity"), &good), 200);
    }

    #[test]
    fn checks_the_header() {
        let mut tokens = Tokens::default();
        tokens.accept("good");
        assert_eq!(tokens.check(Some("Bearer good"), NOW), Ok(()));
        for bad in [None, Some(""), Some("good"), Some("Basic good"), Some("Bearer goo")] {
            assert_eq!(tokens.check(bad, NOW), Err(ArmError::invalid_token()), "{bad:?}");
        }
        tokens.required = false;
        assert_eq!(tokens.check(None, NOW), Ok(()));
        assert!(!format!("{tokens:?}").contains("good"));
    }
}
