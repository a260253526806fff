//! Every failure at every read: nothing changes, the finding says what and where, and the next good
//! poll recovers.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use privatelink_dns::azure::ArmError;
use privatelink_dns::simulator::{
    ApplicationOptions, EndpointOptions, Fault, FaultRule, Operation, RawReply, Simulator, ZoneCoverage,
};
use privatelink_dns::zones::{FindingKind, ResourceId};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bench::{Bench, Setup, simulator};
use crate::identity::with_identity;

/// Cases at a time.
const PARALLEL: usize = 40;

/// What a poll with a fault in it gives.
#[derive(Debug, PartialEq)]
enum Expected {
    /// The fault is none to a lenient client.
    Harmless,
    /// A complete poll whose finding says what could not be read or is gone; names stay.
    Finding(FindingKind),
    /// A failed poll.
    Failure,
}

fn expected(operation: Operation, fault: Fault) -> Expected {
    let forbidden = matches!(
        fault,
        Fault::AuthorizationFailed | Fault::LinkedAuthorizationFailed | Fault::RequestDisallowedByPolicy
    );
    match (operation, fault) {
        // The body is right.
        (_, Fault::WrongContentType) => Expected::Harmless,
        (Operation::Interface, _) if forbidden => Expected::Finding(FindingKind::InterfaceReadRefused),
        (Operation::ZoneGroup, _) if forbidden => Expected::Finding(FindingKind::ZoneGroupReadRefused),
        (Operation::ApplicationGet, Fault::ResourceNotFound) => {
            Expected::Finding(FindingKind::ApplicationNotFound)
        }
        (Operation::Endpoint, Fault::ResourceNotFound) => Expected::Finding(FindingKind::EndpointNotFound),
        _ => Expected::Failure,
    }
}

/// A pair of read and failure, for the messages of failing tests.
#[derive(Debug, Clone, Copy)]
struct Case {
    operation: Operation,
    fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.fault, self.operation)
    }
}

impl Case {
    fn hangs(self) -> bool {
        matches!(self.fault, Fault::SlowDrip | Fault::NeverAnswers | Fault::EndlessBody)
    }

    /// An application with one endpoint, made so that a poll makes the read.
    async fn world(self) -> (Simulator, ResourceId) {
        let simulator = simulator().await;
        let application = simulator.world().with(|world| {
            let options = ApplicationOptions { hubs: 1, ..ApplicationOptions::default() };
            let application = world.add_application(&options).expect("an application");
            let endpoint =
                world.add_endpoint(&application, &EndpointOptions::default()).expect("an endpoint");
            world.settle(&endpoint).expect("settled");
            if self.operation == Operation::ZoneGroup {
                world.attach_zone_group(&endpoint, ZoneCoverage::Complete).expect("attached");
            }
            application
        });
        if self.operation == Operation::Connections {
            leave_out_connections(&simulator, &application).await;
        }
        (simulator, application)
    }

    async fn run(self) {
        let (simulator, application) = self.world().await;
        let request_timeout = Duration::from_secs(if self.hangs() { 1 } else { 20 });
        let setup = Setup { applications: vec![application.clone()], request_timeout, ..Setup::default() };
        let mut bench = Bench::new(simulator, &setup);
        bench.good_poll(&application).await;
        let records = bench.records();
        assert_eq!(records, bench.expected(), "{self}");
        assert_eq!(records.len(), 4, "{self}");
        let (findings, generation) = (bench.findings(), bench.generation());

        let from = bench.simulator.requests().total();
        bench.world(|world| {
            let rule = FaultRule::new(self.fault).on(self.operation).retry_after(1);
            world.faults.add(rule);
            if self.operation == Operation::Token {
                world.tokens.revoke_all();
            }
        });
        let result = bench.poll(&application).await;
        let struck = bench.requests_since(from).into_iter().rfind(|r| r.fault == Some(self.fault));
        let struck = struck.unwrap_or_else(|| panic!("{self}: it did not strike"));
        assert_eq!(bench.records(), records, "{self}");
        let named = |message: &str| {
            let resource = message.contains(application.as_str()) || message.contains(&struck.path);
            assert!(resource || message.contains(self.operation.action()), "{self}: {message}");
            if self.operation == Operation::Token {
                // Tokens come from elsewhere; their service tells no such id to the client.
                assert!(message.contains("token"), "{self}: {message}");
            } else if struck.status.is_some() {
                assert!(message.contains(&struck.correlation_id), "{self}: {message}");
            }
        };
        match expected(self.operation, self.fault) {
            Expected::Harmless => {
                result.unwrap_or_else(|error| panic!("{self}: {error}"));
                assert_eq!(bench.findings(), findings, "{self}");
            }
            Expected::Finding(kind) => {
                result.unwrap_or_else(|error| panic!("{self}: {error}"));
                let messages = bench.messages(kind);
                assert_eq!(messages.len(), 1, "{self}: {:?}", bench.findings());
                named(&messages[0]);
            }
            Expected::Failure => {
                let error = result.expect_err(&self.to_string());
                named(&error.to_string());
                self.check_failure(&bench, &application, &error, &findings);
                assert_eq!(bench.generation(), generation, "{self}");
            }
        }

        bench.world(|world| world.faults.clear());
        self.recover(&mut bench, &application).await;
        assert_eq!(bench.findings(), findings, "{self}");
        assert_eq!(bench.records(), records, "{self}");
        // A redirect or link to another host was not followed; tokens come through the switchboard.
        let base = bench.simulator.address().to_string();
        for request in bench.requests_since(from) {
            let here = request.host == base || request.operation == Some(Operation::Token);
            assert!(here, "{self}: {request:?}");
        }
    }

    fn check_failure(
        self,
        bench: &Bench,
        application: &ResourceId,
        error: &ArmError,
        before: &BTreeSet<(&'static str, String)>,
    ) {
        let mut findings = bench.findings();
        assert!(findings.remove(&("poll-failed", application.to_string())), "{self}: {findings:?}");
        assert_eq!(findings, *before, "{self}");
        let messages = bench.messages(FindingKind::PollFailed);
        assert!(messages[0].contains(&error.to_string()), "{self}: {messages:?}");
    }

    /// The next poll is good; without a token, one after the pause that the failure brings.
    async fn recover(self, bench: &mut Bench, application: &ResourceId) {
        // Nothing tells the end of the pause; the limit of every test here ends this.
        let mut result = bench.poll(application).await;
        while self.operation == Operation::Token && result.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            result = bench.poll(application).await;
        }
        result.unwrap_or_else(|error| panic!("{self}: {error}"));
    }
}

/// Lets the application's own read lack its connections, so that their list is asked.
async fn leave_out_connections(simulator: &Simulator, application: &ResourceId) {
    simulator.world().with(|world| world.tokens.accept("look"));
    let url = format!("{}{application}?api-version=2021-11-01-preview", simulator.base_url());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let response = client.get(url).bearer_auth("look").send().await.expect("an answer");
    let mut body: Value = response.json().await.expect("JSON");
    body["properties"].as_object_mut().expect("an object").remove("privateEndpointConnections");
    simulator.world().with(|world| world.serve_raw(application.as_str(), RawReply::json(body.to_string())));
}

/// Every failure that applies to the read.
async fn every_failure_at(operation: Operation) {
    let turns = Arc::new(Semaphore::new(PARALLEL));
    let mut running = JoinSet::new();
    for fault in Fault::ALL.iter().copied().filter(|fault| fault.applies_to(operation)) {
        let turns = turns.clone();
        running.spawn(async move {
            let _turn = turns.acquire().await.expect("a turn");
            Case { operation, fault }.run().await;
        });
    }
    let mut count = 0;
    let mut failed = 0;
    while let Some(ended) = running.join_next().await {
        count += 1;
        failed += usize::from(ended.is_err());
    }
    assert_eq!(failed, 0, "of {count} failures at {operation:?}");
}

#[test]
fn at_the_application() {
    with_identity(async || every_failure_at(Operation::ApplicationGet).await);
}

#[test]
fn at_the_private_link_resources() {
    with_identity(async || every_failure_at(Operation::PrivateLinkResources).await);
}

#[test]
fn at_the_connections() {
    with_identity(async || every_failure_at(Operation::Connections).await);
}

#[test]
fn at_the_endpoint() {
    with_identity(async || every_failure_at(Operation::Endpoint).await);
}

#[test]
fn at_the_network_interface() {
    with_identity(async || every_failure_at(Operation::Interface).await);
}

#[test]
fn at_the_zone_group() {
    with_identity(async || every_failure_at(Operation::ZoneGroup).await);
}

#[test]
fn at_the_token() {
    with_identity(async || every_failure_at(Operation::Token).await);
}
