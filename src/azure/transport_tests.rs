use std::time::Duration;

use azure_core::http::{Method, StatusCode};

use super::super::fake::{Canned, Fake, http};
use super::*;

async fn send(url: String) -> azure_core::Result<AsyncRawResponse> {
    let mut request = Request::new(url.parse().expect("a url"), Method::Post);
    request.insert_header("x-identity-header", "mine");
    request.set_body("grant");
    IdentityTransport(http(Duration::from_secs(20))).execute_request(&request).await
}

#[tokio::test]
async fn status_headers_and_body_pass_and_redirects_do_not() {
    let fake = Fake::start().await;
    let elsewhere = Fake::start().await;
    let moved = Canned::raw(302, "gone").header("location", elsewhere.url()).header("x-a", "b");
    fake.answers("/token", [moved]);
    let response = send(format!("{}/token", fake.url())).await.expect("a response");
    let response = response.try_into_raw_response().await.expect("a body");
    assert_eq!(response.status(), StatusCode::Found);
    assert_eq!(response.headers().get_optional_str(&"x-a".into()), Some("b"));
    assert_eq!(response.body().as_ref(), b"gone");
    assert_eq!(fake.seen()[0].header("x-identity-header"), "mine");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_flood_and_a_closed_port_are_errors() {
    let fake = Fake::start().await;
    fake.answers("/token", [Canned::raw(200, vec![b' '; TOKEN_BODY_LIMIT + 1])]);
    let error = send(format!("{}/token", fake.url())).await.expect_err("too large");
    assert!(error.to_string().contains("too large"));
    let error = send("http://127.0.0.1:1/".to_owned()).await.expect_err("closed");
    assert!(matches!(error.kind(), ErrorKind::Connection), "{error}");
}

/// The system's proxy is read from the environment once per process, so the test above runs again
/// in a process with a proxy that nobody answers at.
#[test]
fn plain_http_takes_no_proxy() {
    let this = std::env::current_exe().expect("a path");
    let mut again = std::process::Command::new(this);
    again.args(["--exact", "azure::transport::tests::status_headers_and_body_pass_and_redirects_do_not"]);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, "http://127.0.0.1:1");
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
