//! Applications that nobody named: found by scope and tag, and never forgotten by accident.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use privatelink_dns::azure::ArmError;
use privatelink_dns::config::Discovery;
use privatelink_dns::simulator::{
    ApplicationOptions, EndpointOptions, Fault, FaultRule, Operation, RawReply,
};
use privatelink_dns::sync::Selection;
use privatelink_dns::zones::ResourceId;

use crate::bench::{Bench, PROVEN, Setup, simulator};
use crate::identity::with_identity;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const LIST: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.IoTCentral/iotApps";

/// A subscription with five applications, of which the configuration takes those tagged `dns=on`.
struct Searched {
    bench: Bench,
    applications: Vec<ResourceId>,
}

impl Searched {
    async fn new() -> Self {
        let simulator = simulator().await;
        let applications = simulator.world().with(|world| {
            world.page_size = NonZeroUsize::new(2);
            let tags = [("DNS", "on"), ("dns", "off"), ("dns", "on"), ("other", "on"), ("dns", "on")];
            let add = |(number, (name, value)): (usize, (&str, &str))| {
                let options = ApplicationOptions {
                    name: format!("app-{number}"),
                    hubs: 1,
                    tags: [(name.to_owned(), value.to_owned())].into(),
                    ..ApplicationOptions::default()
                };
                let application = world.add_application(&options).expect("an application");
                let options = EndpointOptions { name: format!("pe-{number}"), ..EndpointOptions::default() };
                world.add_endpoint(&application, &options).expect("an endpoint");
                world.settle_all(&application).expect("settled");
                application
            };
            tags.into_iter().enumerate().map(add).collect()
        });
        let discovery = "subscription = \"00000000-0000-0000-0000-000000000000\"\ntag = \"dns=on\"";
        let setup = Setup { discovery: Some(discovery), ..Setup::default() };
        Self { bench: Bench::new(simulator, &setup), applications }
    }

    /// Lists the applications and enters the outcome, as the engine does.
    async fn discover(&mut self) -> Result<(), ArmError> {
        let discovery = Discovery {
            subscription: SUBSCRIPTION.to_owned(),
            resource_group: None,
            tag: Some(("dns".to_owned(), Some("on".to_owned()))),
        };
        match self.bench.azure.discover(&discovery).await {
            Ok(found) => {
                self.bench.book.discovered(0, found, self.bench.now);
                Ok(())
            }
            Err(error) => {
                self.bench.book.discovery_failed(0, &error.to_string());
                Err(error)
            }
        }
    }

    /// Lists, and polls everything that is wanted.
    async fn round(&mut self) {
        self.discover().await.expect("a list");
        for application in self.bench.book.wanted() {
            self.bench.good_poll(&application).await;
        }
    }

    fn of(&self, numbers: &[usize]) -> BTreeSet<ResourceId> {
        numbers.iter().map(|&number| self.applications[number].clone()).collect()
    }

    fn tag(&self, number: usize, value: &str) {
        self.bench.world(|world| {
            let application = world.applications.get_mut(&self.applications[number]).expect("it is there");
            application.tags = [("dns".to_owned(), value.to_owned())].into();
        });
    }
}

#[test]
fn every_page_is_read_and_tags_decide() {
    with_identity(async || {
        let mut searched = Searched::new().await;
        searched.round().await;
        assert_eq!(searched.bench.book.wanted(), searched.of(&[0, 2, 4]));
        assert_eq!(searched.bench.simulator.requests().count(Operation::ApplicationList), 3);
        assert_eq!(searched.bench.records().len(), 12);
        assert!(searched.bench.book.is_complete());
    });
}

#[test]
fn an_application_that_vanishes_from_the_list_but_exists_is_polled_on() {
    with_identity(async || {
        let mut searched = Searched::new().await;
        searched.round().await;
        let records = searched.bench.records();
        searched.bench.world(|world| world.serve_raw(LIST, RawReply::json(r#"{"value":[]}"#)));
        // One of them is enough: the client paces its reads after a hundred.
        let application = searched.applications[2].clone();
        for _ in 0..=PROVEN {
            searched.discover().await.expect("a list");
            assert_eq!(searched.bench.book.wanted(), searched.of(&[0, 2, 4]));
            searched.bench.good_poll(&application).await;
        }
        assert_eq!(searched.bench.records(), records);
        assert!(searched.bench.book.holds().is_empty());
    });
}

#[test]
fn a_tag_that_is_taken_away_holds_the_names_for_an_operator() {
    with_identity(async || {
        let mut searched = Searched::new().await;
        searched.round().await;
        let records = searched.bench.records();
        searched.tag(2, "off");
        searched.discover().await.expect("a list");
        let application = searched.applications[2].clone();
        for _ in 0..=PROVEN {
            searched.bench.good_poll(&application).await;
        }
        assert_eq!(searched.bench.records(), records);
        let told = ("application-not-selected", application.to_string());
        assert!(searched.bench.findings().contains(&told), "{:?}", searched.bench.findings());
        assert_eq!(searched.bench.book.holds().len(), 4);

        // Back again, nothing has happened.
        searched.tag(2, "on");
        searched.round().await;
        assert!(searched.bench.book.holds().is_empty());

        // Away again, and an operator agrees.
        searched.tag(2, "off");
        searched.round().await;
        let now = searched.bench.now;
        let (ended, _) = searched.bench.book.approve(&Selection::Application(application), now);
        assert_eq!(ended, 4);
        assert_eq!(searched.bench.records().len(), 8);
    });
}

#[test]
fn an_application_that_gets_the_tag_is_found() {
    with_identity(async || {
        let mut searched = Searched::new().await;
        searched.round().await;
        searched.tag(1, "on");
        searched.round().await;
        assert_eq!(searched.bench.book.wanted(), searched.of(&[0, 1, 2, 4]));
        assert_eq!(searched.bench.records().len(), 16);
    });
}

#[test]
fn every_failure_at_the_list_keeps_the_applications_and_is_named() {
    with_identity(async || {
        let mut running = tokio::task::JoinSet::new();
        for fault in Fault::ALL.iter().copied().filter(|f| f.applies_to(Operation::ApplicationList)) {
            // Hanging answers are the client's business, and tried at the other reads.
            if !matches!(fault, Fault::SlowDrip | Fault::NeverAnswers | Fault::WrongContentType) {
                running.spawn(a_failed_list(fault));
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("no failure changes anything");
        }
    });
}

async fn a_failed_list(fault: Fault) {
    let mut searched = Searched::new().await;
    searched.round().await;
    let (wanted, records) = (searched.bench.book.wanted(), searched.bench.records());
    let findings = searched.bench.findings();
    let rule = FaultRule::new(fault).on(Operation::ApplicationList).retry_after(1);
    searched.bench.world(|world| world.faults.add(rule));

    let from = searched.bench.simulator.requests().total();
    let error = searched.discover().await.expect_err("a failure").to_string();
    let asked = searched.bench.requests_since(from);
    let struck = asked.iter().rfind(|request| request.fault == Some(fault)).expect("it struck");
    // The broken page of half a list fails by itself, after the page that was halved.
    let ids = asked.iter().filter(|r| r.operation == Some(Operation::ApplicationList));
    let mut ids = ids.map(|request| &request.correlation_id);
    assert!(error.contains(&struck.path) || error.contains(Operation::ApplicationList.action()), "{error}");
    assert!(ids.any(|id| error.contains(id)), "{fault:?}: {error}");
    assert_eq!(searched.bench.book.wanted(), wanted, "{fault:?}");
    for application in wanted.clone() {
        searched.bench.good_poll(&application).await;
    }
    assert_eq!(searched.bench.records(), records, "{fault:?}");
    let failed = ("discovery-failed", format!("/subscriptions/{SUBSCRIPTION}"));
    let mut told = searched.bench.findings();
    assert!(told.remove(&failed), "{fault:?}: {told:?}");
    assert_eq!(told, findings, "{fault:?}");

    searched.bench.world(|world| world.faults.clear());
    searched.round().await;
    assert_eq!(searched.bench.findings(), findings, "{fault:?}");
    assert_eq!(searched.bench.book.wanted(), wanted, "{fault:?}");
}
