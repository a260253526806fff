//! Endpoints that names came from, and that the application's list does not call approved.

use super::*;

/// Beside the healthy endpoint: not listed any more, or rejected.
async fn beside(old: &str, listed: Option<&str>) -> Fake {
    let fake = healthy().await;
    let connections: Vec<Value> = [connection(PE, "Approved")]
        .into_iter()
        .chain(listed.map(|status| connection(old, status)))
        .collect();
    set(&fake, APP, app(json!(connections)));
    fake
}

#[tokio::test]
async fn a_refused_endpoint_that_is_not_listed_as_approved_fails_nothing() {
    let old = PE.replace("/pe", "/old").replace("/s2/", "/s3/");
    for listed in [None, Some("Rejected"), Some("Disconnected"), Some("Pending"), Some("Odd")] {
        for (status, code) in [
            (401, "InvalidAuthenticationTokenTenant"),
            (403, "AuthorizationFailed"),
            (404, "ResourceGroupNotFound"),
            (404, "SubscriptionNotFound"),
        ] {
            let fake = beside(&old, listed).await;
            refuse(&fake, &old, status, code);
            let endpoints = found(&fake, &[PE, &old]).await.endpoints;
            let of = |text: &str| endpoints.iter().find(|e| e.id == id(text)).expect("an endpoint");
            let EndpointOutcome::Unreadable(text) = &of(&old).outcome else {
                panic!("{listed:?} {code}: {:?}", of(&old))
            };
            assert!(text.contains(code) && text.contains("corr-1"), "{text}");
            assert!(matches!(of(PE).outcome, EndpointOutcome::Found(_)), "the other one is read");
        }
    }
}

#[tokio::test]
async fn an_interface_that_went_first_is_a_refusal_as_well() {
    let fake = healthy().await;
    set(&fake, APP, app(json!([])));
    refuse(&fake, NIC, 404, "ResourceNotFound");
    let outcome = found(&fake, &[PE]).await.endpoints.remove(0).outcome;
    assert!(matches!(outcome, EndpointOutcome::Unreadable(_)), "{outcome:?}");
}

#[tokio::test]
async fn what_may_pass_fails_the_poll_even_there() {
    let old = PE.replace("/pe", "/old");
    for (status, code) in [(429, "TooManyRequests"), (503, "ServiceUnavailable"), (409, "Conflict")] {
        let fake = beside(&old, None).await;
        fake.answers(&old, [Canned::error(status, code, "").header("retry-after", "60")]);
        read(&fake, &[&old]).await.expect_err(code);
    }
}
