//! What Azure Resource Manager tells everybody, without a token: whether it can be reached, what time it
//! is there, whether it knows a subscription, and of which tenant that is.
//!
//! When no token can be had, or none is accepted, this is what tells a wrong cloud, tenant or clock from
//! a broken credential. Of the tenant: ARM answers a request without a token with 401 and
//! `WWW-Authenticate: Bearer authorization_uri="https://login.windows.net/TENANT"`. That is no documented
//! contract, though Microsoft's own libraries rely on it; so nothing is concluded when it is missing.

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};

use super::arm::ArmClient;
use super::http::{BODY_LIMIT, read_body};
use super::response::ErrorBody;
use super::text::with_causes;

/// A stable api-version of the read of a subscription.
const API_VERSION: &str = "2022-12-01";

/// What was learnt without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// By how much this machine's clock is ahead of Azure's (negative: behind), as far as that is certain;
    /// nothing when Azure did not tell the time.
    pub clock_ahead: Option<SignedDuration>,
    /// What it says of the subscription.
    pub subscription: Subscription,
}

/// What Azure Resource Manager says of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscription {
    /// It exists.
    Known {
        /// The id of the tenant that it trusts, when told.
        tenant: Option<String>,
    },
    /// There is none with this id in this cloud.
    Unknown,
    /// An answer that is none of Azure Resource Manager's.
    Odd(u16),
    /// There was no answer.
    Unreachable(String),
}

/// Asks for a subscription without a token.
pub(super) async fn probe(client: &ArmClient, subscription: &str) -> Probe {
    let (http, base) = client.place();
    let base = base.as_str().trim_end_matches('/');
    let Ok(url) = Url::parse(&format!("{base}/subscriptions/{subscription}?api-version={API_VERSION}"))
    else {
        let subscription = Subscription::Unreachable("its id makes no URL".to_owned());
        return Probe { clock_ahead: None, subscription };
    };
    let before = Timestamp::now();
    let response = match http.client(&url).get(url).send().await {
        Ok(response) => response,
        Err(error) => {
            let subscription = Subscription::Unreachable(with_causes(&error.without_url()));
            return Probe { clock_ahead: None, subscription };
        }
    };
    let clock_ahead = date(response.headers()).map(|theirs| ahead(before, Timestamp::now(), theirs));
    let status = response.status();
    let tenant = tenant(response.headers());
    let code = match status {
        StatusCode::NOT_FOUND => {
            let body = read_body(response, BODY_LIMIT).await.unwrap_or_default();
            ErrorBody::parse(&body).code.unwrap_or_default()
        }
        _ => String::new(),
    };
    let subscription = match (status, code.as_str()) {
        (StatusCode::UNAUTHORIZED, _) => Subscription::Known { tenant },
        (StatusCode::NOT_FOUND, "SubscriptionNotFound") => Subscription::Unknown,
        _ => Subscription::Odd(status.as_u16()),
    };
    Probe { clock_ahead, subscription }
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(headers.get(DATE)?.to_str().ok()?.trim()).ok()
}

/// How far ours is ahead for certain: the answer was made between `before` and `after`, and the second
/// that `Date` tells (RFC 9110 section 6.6.1) had begun and not ended.
fn ahead(before: Timestamp, after: Timestamp, theirs: Timestamp) -> SignedDuration {
    let least = before.duration_since(theirs) - SignedDuration::from_secs(1);
    let most = after.duration_since(theirs);
    if least.is_positive() {
        least
    } else if most.is_negative() {
        most
    } else {
        SignedDuration::ZERO
    }
}

/// The tenant in the challenge; ids only, `common` is none.
fn tenant(headers: &HeaderMap) -> Option<String> {
    let challenge = headers.get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let (_, rest) = challenge.split_once("authorization_uri=\"")?;
    let uri = rest.split('"').next()?.trim_end_matches('/');
    let id = uri.rsplit('/').next()?;
    let is_id = id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_id.then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::azure::fake::{Canned, Fake};

    const ID: &str = "00000000-0000-0000-0000-000000000001";
    const TENANT: &str = "22222222-2222-2222-2222-222222222222";

    async fn asked(answer: Canned) -> (Probe, Fake) {
        let fake = Fake::start().await;
        fake.answers(&format!("/subscriptions/{ID}"), [answer]);
        (probe(&fake.client(), ID).await, fake)
    }

    fn challenge(uri: &str) -> Canned {
        let value = format!("Bearer authorization_uri=\"{uri}\", error=\"invalid_token\"");
        Canned::error(401, "AuthenticationFailed", "no").header("www-authenticate", &value)
    }

    #[tokio::test]
    async fn the_tenant_is_told_without_a_token() {
        let (probe, fake) = asked(challenge(&format!("https://login.windows.net/{TENANT}"))).await;
        assert_eq!(probe.subscription, Subscription::Known { tenant: Some(TENANT.to_owned()) });
        let seen = fake.seen();
        assert_eq!((seen.len(), seen[0].header("authorization")), (1, ""), "no token is sent");
        for odd in ["https://login.windows.net/common", "https://login.windows.net/", "", "x"] {
            let (probe, _) = asked(challenge(odd)).await;
            assert_eq!(probe.subscription, Subscription::Known { tenant: None }, "{odd}");
        }
    }

    #[tokio::test]
    async fn only_azures_own_word_says_that_there_is_no_such_subscription() {
        let (probe, _) = asked(Canned::error(404, "SubscriptionNotFound", "no")).await;
        assert_eq!(probe.subscription, Subscription::Unknown);
        for (answer, status) in [(Canned::raw(404, "<html>"), 404), (Canned::raw(200, "welcome"), 200)] {
            assert_eq!(asked(answer).await.0.subscription, Subscription::Odd(status));
        }
        let client = ArmClient::new(
            crate::azure::fake::http(std::time::Duration::from_secs(5)),
            "http://127.0.0.1:1",
            Arc::new(super::super::token::Tokens::new(Box::new(Nobody), |_| {})),
            std::time::Duration::from_secs(5),
            Arc::new(()),
        )
        .expect("a client");
        assert!(matches!(super::probe(&client, ID).await.subscription, Subscription::Unreachable(_)));
    }

    struct Nobody;

    #[async_trait::async_trait]
    impl super::super::token::TokenSource for Nobody {
        async fn fetch(&self) -> Result<super::super::token::NewToken, super::super::TokenError> {
            panic!("a probe needs no token")
        }
    }

    #[tokio::test]
    async fn the_clock_is_compared_with_azures() {
        let far = Canned::error(401, "x", "no").header("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        let ahead = asked(far).await.0.clock_ahead.expect("a date");
        assert!(ahead > SignedDuration::from_hours(24 * 365));
    }

    #[test]
    fn what_the_resolution_of_a_second_hides_is_no_difference() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let theirs = at("2026-01-01T00:00:10Z");
        let certain = |before: &str, after: &str| ahead(at(before), at(after), theirs).as_millis();
        assert_eq!(certain("2026-01-01T00:00:10.1Z", "2026-01-01T00:00:10.2Z"), 0);
        assert_eq!(certain("2026-01-01T00:00:10.9Z", "2026-01-01T00:00:12Z"), 0);
        assert_eq!(certain("2026-01-01T00:00:09Z", "2026-01-01T00:00:10Z"), 0);
        assert_eq!(certain("2026-01-01T00:00:14Z", "2026-01-01T00:00:15Z"), 3000);
        assert_eq!(certain("2026-01-01T00:00:04Z", "2026-01-01T00:00:05Z"), -5000);
    }
}
