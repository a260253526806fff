//! Each fault as a client sees it.

use super::*;

/// What came of a GET.
#[derive(Debug)]
enum Outcome {
    /// All of it, or the beginning of an answer that is far too long.
    Answer {
        status: u16,
        content_type: String,
        location: Option<String>,
        retry: Option<String>,
        body: Vec<u8>,
    },
    /// Not even a status within [`PATIENCE`].
    Silence,
    /// The status came, then the body broke off with an error.
    Broken,
    /// The body comes a byte at a time.
    Dripping,
}

/// How long a silence has to last; one that is cut short by a slow machine is a silence too.
const PATIENCE: Duration = Duration::from_millis(100);

/// More than any whole body, so that an endless one is recognised.
const HUGE: usize = 4 << 20;

impl Bench {
    async fn outcome(&self, operation: Operation, fault: Fault) -> Outcome {
        let mut request = self.get(&self.path(operation));
        if operation == Operation::Token {
            request = request.header("x-identity-header", "simulated-identity");
        }
        if fault == Fault::NeverAnswers {
            let answer = tokio::time::timeout(PATIENCE, request.send()).await;
            assert!(answer.is_err(), "{operation:?}: {answer:?}");
            return Outcome::Silence;
        }
        let mut response = request.send().await.expect("a status");
        let header = |name: &str| response.headers().get(name).map(|v| v.to_str().expect("text").to_owned());
        let (location, retry) = (header("location"), header("retry-after"));
        let content_type = header("content-type").unwrap_or_default();
        let status = response.status().as_u16();
        let (mut body, mut singles) = (Vec::new(), 0);
        while body.len() < HUGE {
            match response.chunk().await {
                Err(_) => return Outcome::Broken,
                Ok(None) => break,
                Ok(Some(chunk)) => {
                    body.extend_from_slice(&chunk);
                    singles += usize::from(chunk.len() == 1);
                }
            }
            if singles == 3 && body.len() == 3 {
                return Outcome::Dripping;
            }
        }
        Outcome::Answer { status, content_type, location, retry, body }
    }
}

/// Status and code of the faults that are ARM's own errors.
fn error(fault: Fault) -> Option<(u16, &'static str)> {
    Some(match fault {
        Fault::InvalidAuthenticationToken => (401, "InvalidAuthenticationToken"),
        Fault::ExpiredAuthenticationToken => (401, "ExpiredAuthenticationToken"),
        Fault::InvalidAuthenticationTokenTenant => (401, "InvalidAuthenticationTokenTenant"),
        Fault::AuthorizationFailed => (403, "AuthorizationFailed"),
        Fault::LinkedAuthorizationFailed => (403, "LinkedAuthorizationFailed"),
        Fault::RequestDisallowedByPolicy => (403, "RequestDisallowedByPolicy"),
        Fault::ResourceNotFound => (404, "ResourceNotFound"),
        Fault::ResourceGroupNotFound => (404, "ResourceGroupNotFound"),
        Fault::SubscriptionNotFound => (404, "SubscriptionNotFound"),
        Fault::InvalidResourceType => (404, "InvalidResourceType"),
        Fault::NoRegisteredProviderFound => (400, "NoRegisteredProviderFound"),
        Fault::InvalidApiVersionParameter => (400, "InvalidApiVersionParameter"),
        Fault::MissingSubscriptionRegistration => (409, "MissingSubscriptionRegistration"),
        Fault::Conflict => (409, "Conflict"),
        Fault::SubscriptionRequestsThrottled => (429, "SubscriptionRequestsThrottled"),
        Fault::TooManyRequests => (429, "TooManyRequests"),
        Fault::RetryableErrorDueToAnotherOperation => (429, "RetryableErrorDueToAnotherOperation"),
        Fault::InternalServerError => (500, "InternalServerError"),
        Fault::ServiceUnavailable => (503, "ServiceUnavailable"),
        Fault::ServerTimeout => (503, "ServerTimeout"),
        Fault::GatewayTimeout => (504, "GatewayTimeout"),
        _ => return None,
    })
}

#[tokio::test]
async fn every_pair_of_operation_and_error() {
    let bench = Bench::new().await;
    for &operation in Operation::ALL {
        for &fault in Fault::ALL {
            let Some((status, code)) = error(fault) else { continue };
            bench.world(|world| {
                world.faults.clear();
                world.faults.add(FaultRule::new(fault).on(operation).retry_after(7).times(1));
            });
            let got = bench.outcome(operation, fault).await;
            let Outcome::Answer { status: got, retry, body, .. } = got else {
                panic!("{operation:?} {fault:?}: {got:?}")
            };
            assert_eq!(got, status, "{operation:?} {fault:?}");
            assert_eq!(retry.as_deref(), (status == 429).then_some("7"), "{operation:?} {fault:?}");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            if operation == Operation::Token {
                assert_eq!(body["statusCode"], status, "the shape of App Service");
            } else {
                assert_eq!(body["error"]["code"], code);
                assert!(body["error"]["message"].as_str().is_some_and(|text| text.len() > 20));
            }
        }
    }
    let last = bench.simulator.requests().all().pop().expect("a record");
    assert_eq!((last.fault, last.status), (Some(Fault::GatewayTimeout), Some(504)));
}

#[tokio::test]
async fn a_refusal_names_action_and_scope() {
    let bench = Bench::new().await;
    bench.world(|world| world.faults.add(FaultRule::new(Fault::AuthorizationFailed)));
    let (status, body) = bench.json(&bench.path(Operation::Endpoint)).await;
    let message = body["error"]["message"].as_str().expect("a message");
    assert_eq!(status, 403);
    assert!(message.contains("action 'Microsoft.Network/privateEndpoints/read'"), "{message}");
    assert!(message.contains(&format!("over scope '{}'", bench.endpoint)), "{message}");
}

/// Whether an outcome is what a hostile fault should look like.
fn looks_like(fault: Fault, got: &Outcome, site: &str) -> bool {
    let parsed = |body: &[u8]| serde_json::from_slice::<Value>(body).ok();
    match (fault, got) {
        (Fault::SlowDrip, Outcome::Dripping)
        | (Fault::NeverAnswers, Outcome::Silence)
        | (Fault::ConnectionReset, Outcome::Broken) => true,
        (_, Outcome::Answer { status, content_type, location, body, .. }) => {
            let next = parsed(body).and_then(|list| Some(list["nextLink"].as_str()?.to_owned()));
            let next = next.unwrap_or_default();
            match fault {
                Fault::BadGateway => (*status, content_type.as_str()) == (502, "text/html"),
                Fault::HtmlBody => (*status, content_type.as_str()) == (200, "text/html"),
                Fault::TruncatedJson => *status == 200 && !body.is_empty() && parsed(body).is_none(),
                Fault::WrongContentType => content_type == "text/plain" && parsed(body).is_some(),
                Fault::EmptyBody => *status == 200 && body.is_empty(),
                Fault::ArrayBody => body == b"[]",
                Fault::NullBody => body == b"null",
                Fault::StringBody => body == b"\"ok\"",
                Fault::EndlessBody => *status == 200 && body.len() >= HUGE,
                Fault::PartialPage => next.starts_with(site) && next.ends_with("skiptoken=broken"),
                Fault::ForeignNextLink => next.starts_with("http://localhost:"),
                Fault::NextLinkLoop => next.starts_with(site) && !next.contains("skiptoken"),
                Fault::ForeignRedirect => {
                    *status == 307 && location.as_ref().is_some_and(|l| l.starts_with("http://localhost:"))
                }
                _ => false,
            }
        }
        _ => false,
    }
}

#[tokio::test]
async fn every_pair_of_operation_and_hostile_answer() {
    let bench = Bench::new().await;
    for &fault in Fault::ALL {
        if error(fault).is_some() {
            continue;
        }
        for operation in Operation::ALL.iter().copied().filter(|operation| fault.applies_to(*operation)) {
            bench.world(|world| {
                world.faults.clear();
                world.faults.add(FaultRule::new(fault).on(operation));
            });
            let got = bench.outcome(operation, fault).await;
            assert!(looks_like(fault, &got, bench.simulator.base_url()), "{operation:?} {fault:?}: {got:?}");
        }
    }
}

#[tokio::test]
async fn a_page_that_fails_and_a_foreign_host_that_sees_who_comes() {
    let bench = Bench::new().await;
    let path = bench.path(Operation::ApplicationList);
    bench.world(|world| world.faults.add(FaultRule::new(Fault::PartialPage).times(1)));
    let (_, page) = bench.json(&path).await;
    let (status, _) = bench.json(page["nextLink"].as_str().expect("a link")).await;
    assert_eq!(status, 500);

    bench.world(|world| world.faults.add(FaultRule::new(Fault::ForeignNextLink).times(1)));
    let (_, page) = bench.json(&path).await;
    let (status, _) = bench.json(page["nextLink"].as_str().expect("a link")).await;
    assert_eq!(status, 200);
    let last = bench.simulator.requests().all().pop().expect("a record");
    assert!(last.host.starts_with("localhost:") && last.authorized, "a leaked token shows: {last:?}");
}

#[tokio::test]
async fn a_reset_is_a_reset_after_half_of_the_body() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let bench = Bench::new().await;
    bench.world(|world| world.faults.add(FaultRule::new(Fault::ConnectionReset)));
    let address = bench.simulator.address();
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connected");
    let path = bench.path(Operation::Endpoint);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer good\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut got = Vec::new();
    let ended = stream.read_to_end(&mut got).await;
    assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
    let got = String::from_utf8_lossy(&got);
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("\"customDnsConfigs\":[{"), "{got}");
}
