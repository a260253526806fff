use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::fake::{Canned, Fake, http};
use super::super::token::{NewToken, TokenError, TokenSource};
use super::*;

const ID: &str = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/privateEndpoints/pe";
const LIST: &str = "/subscriptions/s1/providers/Microsoft.IoTCentral/iotApps";

fn id() -> ResourceId {
    ID.parse().expect("an id")
}

async fn get(client: &ArmClient) -> Result<Value, ArmError> {
    client.get(Operation::Endpoint, &id()).await.map(|(value, _)| value)
}

async fn list(client: &ArmClient) -> Result<Vec<Value>, ArmError> {
    client.list(Operation::Applications, "s1", LIST).await.map(|(items, _)| items)
}

async fn failure(answers: impl IntoIterator<Item = Canned>) -> (ArmError, Fake) {
    let fake = Fake::start().await;
    fake.answers(ID, answers);
    (get(&fake.client()).await.expect_err("an error"), fake)
}

#[tokio::test]
async fn a_request_names_itself_and_its_version() {
    let fake = Fake::start().await;
    fake.answers(ID, [Canned::json(json!({ "id": ID }))]);
    assert_eq!(get(&fake.client()).await.expect("an answer")["id"], ID);
    let seen = fake.seen().remove(0);
    assert_eq!(seen.query, "api-version=2024-05-01");
    assert_eq!(seen.header("authorization"), "Bearer token-1");
    assert_eq!(seen.header("user-agent"), concat!("privatelink-dns/", env!("CARGO_PKG_VERSION")));
    let request_id = seen.header("x-ms-client-request-id");
    assert_eq!((request_id.len(), &request_id[14..15]), (36, "4"), "{request_id}");
}

#[tokio::test]
async fn what_is_transient_is_tried_three_times() {
    for status in [408, 429, 500, 503] {
        let (error, fake) = failure([Canned::error(status, "X", "").header("retry-after", "0")]).await;
        assert_eq!(error.details.status, Some(status));
        assert_eq!(fake.seen().len(), 3, "{status}");
    }
    let fake = Fake::start().await;
    fake.answers(ID, [Canned::raw(502, "<html>"), Canned::json(json!({}))]);
    get(&fake.client()).await.expect("the second try");
}

#[tokio::test]
async fn what_is_final_is_tried_once() {
    for (status, code) in [
        (400, "InvalidApiVersionParameter"),
        (403, "AuthorizationFailed"),
        (404, "ResourceNotFound"),
        (404, "SubscriptionNotFound"),
        (409, "Conflict"),
        (204, ""),
    ] {
        let (error, fake) = failure([Canned::error(status, code, "")]).await;
        assert_eq!(error.is_resource_not_found(), code == "ResourceNotFound");
        assert_eq!(fake.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_error_says_what_to_do_on_one_line() {
    let message = "The client 'x' does not have authorization to perform action \
                   'Microsoft.Network/privateEndpoints/read' over scope '/s'.\n\u{1b}[2JMore.";
    let answer = Canned::error(403, "AuthorizationFailed", message)
        .header("x-ms-request-id", "request")
        .header("x-ms-correlation-request-id", "correlation");
    let (error, _) = failure([answer]).await;
    let text = error.to_string();
    assert!(!text.contains(char::is_control), "{text}");
    for part in [
        "Microsoft.Network/privateEndpoints/read on",
        ID,
        "role",
        "403",
        "AuthorizationFailed",
        "correlation",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let (error, _) = failure([Canned::raw(403, "").header("x-ms-request-id", "request")]).await;
    assert_eq!(error.details.correlation_id, "request");
    let (error, fake) = failure([Canned::raw(403, "")]).await;
    assert_eq!(error.details.correlation_id, fake.seen()[0].header("x-ms-client-request-id"));
    assert!(!format!("{error:?}").contains("token-1"));
}

#[tokio::test]
async fn bodies_that_are_no_answer() {
    for body in ["", "  ", "<html>login</html>", "{\"id\":\"x", "[1", "\u{feff}"] {
        let (error, fake) = failure([Canned::raw(200, body)]).await;
        assert!(matches!(error.kind, ArmErrorKind::InvalidBody { .. }), "{body:?}: {error}");
        assert_eq!(fake.seen().len(), 1);
    }
    let (error, _) = failure([Canned::raw(200, "no gzip").header("content-encoding", "gzip")]).await;
    assert!(matches!(error.kind, ArmErrorKind::InvalidBody { .. }), "{error}");
    let (error, _) = failure([Canned::raw(200, vec![b' '; BODY_LIMIT + 1])]).await;
    assert_eq!(error.kind, ArmErrorKind::TooLarge);
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_asked_for_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = async {
        for tries in 1.. {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.expect("a request");
            assert!(request[..read].ends_with(b"\r\n\r\n"));
            let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}";
            stream.write_all(cut).await.expect("sent");
            if tries == TRIES {
                break;
            }
        }
    };
    let limit = Duration::from_secs(20);
    let tokens = Arc::new(Tokens::new(Box::new(SomeToken), |_| {}));
    let client =
        ArmClient::new(http(limit), &url, tokens, limit, Arc::new(())).expect("a client").impatient();
    let (result, ()) = tokio::join!(get(&client), server);
    let error = result.expect_err("cut off");
    assert!(matches!(error.kind, ArmErrorKind::InvalidBody { .. }), "{error}");
}

#[tokio::test]
async fn a_long_retry_after_is_left_to_the_caller_and_pauses_the_subscription() {
    let fake = Fake::start().await;
    fake.answers(ID, [Canned::error(429, "TooManyRequests", "").header("retry-after", "300")]);
    fake.answers(LIST, [Canned::json(json!({ "value": [] }))]);
    let other = LIST.replace("s1", "s2");
    fake.answers(&other, [Canned::json(json!({ "value": [] }))]);
    let client = fake.client();
    let error = get(&client).await.expect_err("throttled");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    let error = list(&client).await.expect_err("the same subscription");
    assert!(error.retry_after().is_some_and(|wait| wait > Duration::from_secs(200)));
    assert_eq!(fake.seen().len(), 1, "nothing is sent during the pause");
    client.list::<Value>(Operation::Applications, "s2", &other).await.expect("another subscription");
}

#[tokio::test]
async fn a_wait_for_one_resource_reaches_the_caller_and_pauses_nobody_else() {
    for (status, code, kind) in [
        (429, "RetryableErrorDueToAnotherOperation", ArmErrorKind::Conflict),
        (409, "RetryableErrorDueToAnotherOperation", ArmErrorKind::Conflict),
        (409, "Conflict", ArmErrorKind::Conflict),
        (503, "ServiceUnavailable", ArmErrorKind::Server),
    ] {
        let fake = Fake::start().await;
        fake.answers(ID, [Canned::error(status, code, "").header("retry-after", "300")]);
        fake.answers(LIST, [Canned::json(json!({ "value": [] }))]);
        let client = fake.client();
        let error = get(&client).await.expect_err("not now");
        assert_eq!((&error.kind, error.retry_after()), (&kind, Some(Duration::from_secs(300))), "{code}");
        assert!(error.to_string().contains("300 s"), "{error}");
        assert_eq!(fake.paths(), [ID], "{code}: it is not asked again before");
        list(&client).await.expect("the subscription goes on");
    }
}

#[tokio::test]
async fn a_short_wait_for_one_resource_is_kept_within_the_read() {
    for (status, code) in [(409, "RetryableErrorDueToAnotherOperation"), (503, "ServiceUnavailable")] {
        let fake = Fake::start().await;
        let later = Canned::error(status, code, "").header("retry-after", "0");
        fake.answers(ID, [later, Canned::json(json!({}))]);
        get(&fake.client()).await.expect("the second try");
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let fake = Fake::start().await;
    let refused = || Canned::error(401, "ExpiredAuthenticationToken", "");
    fake.answers(ID, [refused(), Canned::json(json!({}))]);
    get(&fake.client()).await.expect("with the second token");
    let tokens = fake.seen().iter().map(|s| s.header("authorization").to_owned()).collect::<Vec<_>>();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);

    let (error, fake) = failure([refused()]).await;
    assert_eq!((error.kind, fake.seen().len()), (ArmErrorKind::Unauthorized, 2));
}

#[tokio::test]
async fn a_token_of_another_tenant_is_not_replaced() {
    let (error, fake) = failure([Canned::error(401, "InvalidAuthenticationTokenTenant", "")]).await;
    assert_eq!((error.kind, fake.seen().len()), (ArmErrorKind::Unauthorized, 1));
}

/// One token; then it tells that it was asked again, and is silent.
#[derive(Default)]
struct OneToken(Arc<tokio::sync::Notify>, std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl TokenSource for OneToken {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        if self.1.swap(true, std::sync::atomic::Ordering::SeqCst) {
            self.0.notify_one();
            std::future::pending::<()>().await;
        }
        SomeToken.fetch().await
    }
}

#[tokio::test]
async fn while_a_refused_token_cannot_be_replaced_others_use_it() {
    let fake = Fake::start().await;
    fake.answers(ID, [Canned::error(401, "InvalidAuthenticationToken", "")]);
    fake.answers(LIST, [Canned::json(json!({ "value": [] }))]);
    let source = OneToken::default();
    let asked_again = source.0.clone();
    let tokens = Arc::new(Tokens::new(Box::new(source), |_| {}));
    let limit = Duration::from_secs(20);
    let client = ArmClient::new(http(limit), fake.url(), tokens, limit, Arc::new(())).expect("a client");
    let others = async {
        asked_again.notified().await;
        list(&client).await.expect("the token is good here");
    };
    tokio::select! {
        result = get(&client) => panic!("the provider is silent: {result:?}"),
        () = others => {}
    }
}

struct NoToken;

#[async_trait::async_trait]
impl TokenSource for NoToken {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        Err(TokenError::Provider("AADSTS7000222".to_owned()))
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let fake = Fake::start().await;
    let tokens = Arc::new(Tokens::new(Box::new(NoToken), |_| {}));
    let limit = Duration::from_secs(20);
    let client = ArmClient::new(http(limit), fake.url(), tokens, limit, Arc::new(())).expect("a client");
    let error = get(&client).await.expect_err("no token");
    assert!(matches!(&error.kind, ArmErrorKind::Token(_)) && error.to_string().contains("AADSTS7000222"));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Fake::start().await;
    let answer = Canned::raw(307, "").header("location", &format!("{}/x", elsewhere.url()));
    let (error, _) = failure([answer]).await;
    assert_eq!((error.kind, error.details.status), (ArmErrorKind::UnexpectedStatus, Some(307)));
    assert!(elsewhere.seen().is_empty(), "the token stays at home");
}

#[tokio::test]
async fn a_next_link_stays_at_home() {
    let fake = Fake::start().await;
    let elsewhere = Fake::start().await;
    let port = fake.url().rsplit(':').next().expect("a port").to_owned();
    for link in [
        format!("{}{LIST}", elsewhere.url()),
        format!("https://127.0.0.1:{port}{LIST}"),
        format!("http://user@127.0.0.1:{port}{LIST}"),
        format!("http://localhost:{port}{LIST}"),
        "//evil.example/x".to_owned(),
        "/relative".to_owned(),
    ] {
        fake.answers(LIST, [Canned::json(json!({ "value": [1], "nextLink": link }))]);
        let error = list(&fake.client()).await.expect_err("refused");
        assert!(matches!(error.kind, ArmErrorKind::NextLinkHost { .. }), "{link}: {error}");
    }
    assert!(elsewhere.seen().is_empty(), "the token stays at home");
}

#[tokio::test]
async fn a_list_ends() {
    let fake = Fake::start().await;
    let page = |number: usize| {
        let link = format!("{}{LIST}?page={number}", fake.url());
        Canned::json(json!({ "value": [number], "nextLink": link }))
    };
    fake.answers(LIST, [page(1), page(2), page(1)]);
    assert_eq!(list(&fake.client()).await.expect_err("a loop").kind, ArmErrorKind::EndlessList);

    fake.answers(LIST, (0..2 * PAGES).map(page));
    let before = fake.seen().len();
    assert_eq!(list(&fake.client()).await.expect_err("no end").kind, ArmErrorKind::EndlessList);
    assert_eq!(fake.seen().len() - before, PAGES);

    for last in [json!({ "value": [3] }), json!({ "value": [3], "nextLink": "" })] {
        fake.answers(LIST, [page(1), page(2), Canned::json(last)]);
        assert_eq!(list(&fake.client()).await.expect("a list"), [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_failed_page_fails_the_list() {
    let fake = Fake::start().await;
    let link = format!("{}{LIST}?page=2", fake.url());
    for broken in [Canned::json(json!({ "nextLink": null })), Canned::error(404, "ResourceNotFound", "")] {
        fake.answers(LIST, [Canned::json(json!({ "value": [1], "nextLink": link })), broken]);
        list(&fake.client()).await.expect_err("not half a list");
    }
}

#[tokio::test]
async fn silence_and_a_closed_port_are_told_apart() {
    let fake = Fake::start().await;
    fake.answers(ID, [Canned::silence()]);
    let limit = Duration::from_millis(50);
    let client = |url: &str| {
        let tokens = Arc::new(Tokens::new(Box::new(SomeToken), |_| {}));
        ArmClient::new(http(limit), url, tokens, limit, Arc::new(())).expect("a client").impatient()
    };
    assert_eq!(get(&client(fake.url())).await.expect_err("silence").kind, ArmErrorKind::Timeout);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let error = get(&client(&url)).await.expect_err("closed");
    assert!(matches!(error.kind, ArmErrorKind::Connect { .. }), "{error}");
}

struct SomeToken;

#[async_trait::async_trait]
impl TokenSource for SomeToken {
    async fn fetch(&self) -> Result<NewToken, TokenError> {
        Ok(NewToken { secret: "some".into(), lifetime: Duration::from_secs(3600) })
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn request(&self, operation: Operation, status: u16) {
        self.0.lock().expect("lock").push(format!("{} {status}", operation.label()));
    }

    fn throttled(&self, operation: Operation, subscription: &str) {
        self.0.lock().expect("lock").push(format!("{} throttled {subscription}", operation.label()));
    }

    fn remaining(&self, subscription: &str, reads: u64) {
        self.0.lock().expect("lock").push(format!("{subscription} {reads}"));
    }

    fn token_failed(&self, _: &TokenError) {}
}

#[tokio::test]
async fn every_try_is_observed() {
    let fake = Fake::start().await;
    let throttled = Canned::error(429, "TooManyRequests", "").header("retry-after", "0");
    let header = "x-ms-ratelimit-remaining-subscription-global-reads";
    fake.answers(ID, [throttled, Canned::json(json!({})).header(header, "3749")]);
    let heard = Arc::new(Heard::default());
    get(&fake.client_observed(heard.clone())).await.expect("an answer");
    let heard = heard.0.lock().expect("lock").clone();
    assert_eq!(heard, ["endpoint 429", "endpoint throttled s1", "endpoint 200", "s1 3749"]);
}

#[tokio::test]
async fn a_token_is_not_sent_in_the_clear() {
    let limit = Duration::from_secs(1);
    for url in ["http://management.azure.com", "ftp://x", "nonsense", "https://u@x", "https://x/?a=b"] {
        let tokens = Arc::new(Tokens::new(Box::new(SomeToken), |_| {}));
        assert!(ArmClient::new(http(limit), url, tokens, limit, Arc::new(())).is_err(), "{url}");
    }
}
