//! The admin listener: who may ask it what.

use std::fs;

use privatelink_dns::zones::FindingKind;
use serde_json::Value;

use crate::support::azure::Azure;
use crate::support::home::Home;

#[tokio::test]
async fn a_web_page_with_a_name_of_its_own_reads_nothing() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: &str, host: &str| {
        let request = http.get(format!("http://{}{path}", daemon.admin)).header("host", host);
        let response = request.send().await.expect("answered");
        (response.status().as_u16(), response.text().await.expect("a body"))
    };
    for path in ["/api/v1/status", "/api/v1/records", "/api/v1/poll"] {
        let (code, body) = get(path, "rebound.example:9853").await;
        assert_eq!(code, 421, "{path}: {body}");
        assert!(body.contains("localhost"), "{body}");
    }
    for host in ["localhost", "127.0.0.1:9853", "[::1]"] {
        assert_eq!(get("/api/v1/records", host).await.0, 200, "{host}");
    }
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(get(path, "monitored.example:9853").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn readiness_says_what_is_missing_and_what_is_wrong() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.arm = "http://127.0.0.1:1".to_owned();
    let daemon = home.start().await;
    daemon.finding(FindingKind::PollFailed).await;
    let (code, body) = daemon.get("/readyz").await;
    let ready: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &ready["ready"]), (503, &Value::Bool(false)));
    let reasons = ready["reasons"].as_array().expect("a list");
    assert_eq!(reasons.len(), 2, "{body}");
    assert_eq!(reasons[0], "no generation has been accepted yet: queries are answered SERVFAIL");
    let failed = reasons[1].as_str().expect("text");
    assert!(failed.starts_with(&format!("poll-failed: {}: ", azure.application)), "{failed}");
    assert!(failed.contains("no connection"), "{failed}");
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    let token = fs::read_to_string(home.state().join("admin.token")).expect("a token");
    // White space, so that the size alone is wrong.
    for (size, code) in [(1 << 20, 200), ((1 << 20) + 1, 413)] {
        let body = "\"all\"".to_owned() + &" ".repeat(size - 5);
        assert_eq!(daemon.post("/api/v1/holds/approve", Some(token.trim()), &body).await.0, code, "{size}");
    }
    assert_eq!(daemon.get("/livez").await.0, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_and_every_error_is_json() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let token = fs::read_to_string(home.state().join("admin.token")).expect("a token");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let method = method.parse().expect("a method");
        let mut request = http.request(method, format!("http://{}{path}", daemon.admin));
        request = request.header("authorization", format!("Bearer {}", token.trim())).body("\"all\"");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("answered");
        let code = response.status().as_u16();
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
        if code >= 400 {
            assert_eq!(response.headers()["content-type"], "application/json", "{path}");
            let error: Value = response.json().await.expect("JSON");
            assert!(error["error"].is_string(), "{path}: {error}");
        }
        code
    };
    let own = format!("http://{}", daemon.admin);
    for headers in [&[][..], &[("origin", own.as_str())], &[("sec-fetch-site", "same-origin")]] {
        assert_eq!(ask("POST", "/api/v1/poll", headers).await, 200, "{headers:?}");
    }
    for headers in
        [[("origin", "http://evil.example")], [("origin", "null")], [("sec-fetch-site", "cross-site")]]
    {
        assert_eq!(ask("POST", "/api/v1/poll", &headers).await, 403, "{headers:?}");
        assert_eq!(ask("POST", "/api/v1/holds/approve", &headers).await, 403, "{headers:?}");
    }
    for (method, path, code) in [
        ("DELETE", "/api/v1/status", 405),
        ("POST", "/metrics", 405),
        ("GET", "/api/v1/poll", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/export/yaml", 404),
        ("GET", "/api/v1/export/%ff", 404),
    ] {
        assert_eq!(ask(method, path, &[]).await, code, "{method} {path}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(ask("POST", "/api/v1/holds/reject", &form).await, 415);
    let json = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(ask("POST", "/api/v1/holds/reject", &json).await, 200);
}
