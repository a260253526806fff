//! The status page in a browser, and what its routes answer to whoever is no browser.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use privatelink_dns::zones::Needs;
use reqwest::{Client, Method, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::home::Home;
use crate::support::{eventually, python_program};

/// A browser takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

async fn hold_everything(azure: &Azure, daemon: &Daemon) {
    azure.lose_everything();
    eventually("holds that need an operator", async || {
        let holds = daemon.status().await.holds;
        let needs = holds.iter().filter(|hold| hold.needs == Needs::Operator).count();
        if needs == holds.len() && needs >= 6 { Ok(()) } else { Err(format!("{holds:?}")) }
    })
    .await;
}

#[tokio::test]
async fn people_with_a_browser_see_and_decide() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let hosts = home.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("written");
    home.settings.transfer = format!(
        "[[secondary]]\nname = \"ns1\"\naddress = \"127.0.0.2:1\"\ntransfer_by = \"address\"\n\n\
         [[target]]\nname = \"hosts\"\ntype = \"hosts\"\npath = {hosts:?}\n\n\
         [[target]]\nname = \"gone\"\ntype = \"hosts\"\npath = {:?}\n",
        home.path("not-there")
    );
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let token = fs::read_to_string(home.state().join("admin.token")).expect("a token");

    let mut browser = Command::new(python_program("python"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/page.py"))
        .arg(format!("http://{}", daemon.admin))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/target/page"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut asked = BufReader::new(browser.stdout.take().expect("a pipe")).lines();
    let mut answers = browser.stdin.take().expect("a pipe");
    let status = timeout(PATIENCE, async {
        while let Some(line) = asked.next_line().await.expect("text") {
            let answer = match line.as_str() {
                "scale-out" => public(&azure.scale_out()),
                "hold" => {
                    hold_everything(&azure, &daemon).await;
                    String::new()
                }
                "token" => token.trim().to_owned(),
                other => panic!("{other}"),
            };
            answers.write_all(format!("{answer}\n").as_bytes()).await.expect("it listens");
        }
        browser.wait().await.expect("a status")
    });
    let status = status.await.expect("the browser is done in time");
    assert!(status.success(), "{status}; what it says is above");
    // Removed with and without JavaScript.
    assert_eq!(daemon.status().await.generation.expect("a generation").names, 8 - 2);
    assert!(!format!("{:?}", daemon.log()).contains(token.trim()), "no log line has the token");
}

/// Sends a form; gives status, address and body.
async fn send(
    http: &Client,
    daemon: &Daemon,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, Option<String>, String) {
    let mut request =
        http.request(Method::POST, format!("http://{}{path}", daemon.admin)).body(body.to_owned());
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/x-www-form-urlencoded");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("answered");
    let address = response.headers().get("location").map(|value| value.to_str().expect("text").to_owned());
    (response.status(), address, response.text().await.expect("a body"))
}

#[tokio::test]
async fn a_form_without_the_token_or_of_another_origin_does_nothing() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    hold_everything(&azure, &daemon).await;
    let token = fs::read_to_string(home.state().join("admin.token")).expect("a token");
    let token = token.trim();
    let http =
        Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let name = daemon.status().await.holds[0].name.clone();
    let right = format!("token={token}&word=approve&name={name}");
    let own = format!("http://{}", daemon.admin);

    let wrong = "0".repeat(64);
    for (path, body, code) in [
        ("/page/holds", format!("word=approve&name={name}"), 401),
        ("/page/holds", format!("token={wrong}&word=approve&name={name}"), 401),
        ("/page/holds", format!("token=Bearer+{token}&word=approve&name={name}"), 401),
        ("/page/poll", format!("token={wrong}"), 401),
        ("/page/holds", format!("token={token}&word=approve"), 400),
        ("/page/holds", format!("token={token}&word=approve&name=%3Cscript%3E"), 400),
        ("/page/holds", format!("token={token}&word=%3Cscript%3E&name={name}"), 400),
        ("/page/holds", "x".repeat((1 << 20) + 1), 413),
    ] {
        let (status, address, text) = send(&http, &daemon, path, &body, &[("origin", &own)]).await;
        assert_eq!((status.as_u16(), address), (code, None), "{path}: {text}");
        assert!(!text.contains("<script>") && !text.contains(token) && !text.contains(&wrong), "{text}");
    }
    for headers in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        let (status, ..) = send(&http, &daemon, "/page/holds", &right, headers).await;
        assert_eq!(status.as_u16(), 403, "{headers:?}");
        let bearer = format!("Bearer {token}");
        let headers = [headers, &[("authorization", &bearer), ("content-type", "application/json")]].concat();
        let (status, ..) = send(&http, &daemon, "/api/v1/holds/approve", "\"all\"", &headers).await;
        assert_eq!(status.as_u16(), 403, "{headers:?}");
    }
    let (status, ..) = send(&http, &daemon, "/page/holds", &right, &[("content-type", "text/plain")]).await;
    assert_eq!(status.as_u16(), 415);
    let (status, ..) = send(&http, &daemon, "/page/holds", &right, &[("host", "rebound.example")]).await;
    assert_eq!(status.as_u16(), 421);
    assert_eq!(daemon.status().await.holds.len(), 6, "nothing was done");

    for headers in [&[("origin", own.as_str())][..], &[("sec-fetch-site", "same-origin")], &[]] {
        let name = daemon.status().await.holds[0].name.clone();
        let body = format!("token={token}&word=approve&name={name}");
        let (status, address, _) = send(&http, &daemon, "/page/holds", &body, headers).await;
        assert_eq!((status.as_u16(), address.as_deref()), (303, Some("/?done=approved-1")), "{headers:?}");
    }
    assert_eq!(daemon.status().await.holds.len(), 3);
}

#[tokio::test]
async fn every_answer_says_that_nobody_else_may_show_load_or_keep_it() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let http = Client::builder().no_proxy().build().expect("a client");
    for path in ["/", "/?done=<script>", "/page.js", "/page.css", "/nowhere", "/api/v1/status", "/page/poll"]
    {
        let response = http.get(format!("http://{}{path}", daemon.admin)).send().await.expect("answered");
        let header = |name: &str| {
            response.headers().get(name).map(|v| v.to_str().expect("text").to_owned()).unwrap_or_default()
        };
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(!header("content-type").is_empty(), "{path}");
        assert!(!response.text().await.expect("a body").contains("<script>"), "{path}");
    }
    let export =
        http.get(format!("http://{}/api/v1/export/hosts", daemon.admin)).send().await.expect("answered");
    assert_eq!(export.headers()["cache-control"], "no-cache", "it is asked for again with its tag");
    for path in ["/", "/page.js", "/page.css", "/api/v1/events", "/api/v1/openapi.json"] {
        let request = http.get(format!("http://{}{path}", daemon.admin)).header("host", "rebound.example");
        assert_eq!(request.send().await.expect("answered").status().as_u16(), 421, "{path}");
        let request =
            http.get(format!("http://{}{path}", daemon.admin)).header("origin", "http://evil.example");
        assert_eq!(request.send().await.expect("answered").status().as_u16(), 403, "{path}");
    }
}
