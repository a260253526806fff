//! The read path put together as the engine does it, with the time as a value.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use privatelink_dns::azure::{ArmError, Azure};
use privatelink_dns::config::{self, Config};
use privatelink_dns::simulator::{RequestRecord, Simulator, World};
use privatelink_dns::sync::Book;
use privatelink_dns::zones::{Finding, FindingKind, ResourceId};

/// Time between two polls.
const INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// Polls that would prove the removal of all names: at least ten, over at least ten minutes.
pub(super) const PROVEN: usize = 11;

/// What a test configures.
pub(super) struct Setup {
    pub(super) applications: Vec<ResourceId>,
    pub(super) discovery: Option<&'static str>,
    pub(super) request_timeout: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { applications: Vec::new(), discovery: None, request_timeout: Duration::from_secs(20) }
    }
}

/// A simulated ARM, the client that reads it, and the book that keeps what it read.
pub(super) struct Bench {
    pub(super) simulator: Simulator,
    pub(super) azure: Azure,
    pub(super) book: Book,
    pub(super) now: Timestamp,
}

pub(super) async fn simulator() -> Simulator {
    let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a simulator");
    let audience = simulator.base_url().to_owned();
    simulator.world().with(|world| world.tokens.resource = audience);
    simulator
}

impl Bench {
    pub(super) fn new(simulator: Simulator, setup: &Setup) -> Self {
        let config = Arc::new(config(&simulator, setup));
        let azure = Azure::new(&config.azure, Arc::new(())).expect("a client");
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        Self { simulator, azure, book: Book::open(None, config, now), now }
    }

    /// Polls the application and enters the outcome, an interval after the last one.
    pub(super) async fn poll(&mut self, application: &ResourceId) -> Result<(), ArmError> {
        let shares = self.book.generation().map(|g| &g.shares);
        let known = shares.and_then(|s| s.get(application)).map(|s| s.endpoints.keys().cloned().collect());
        let result = self.azure.poll(application, &known.unwrap_or_default()).await;
        self.now += INTERVAL;
        match result {
            Ok(observation) => {
                self.book.observe(observation, self.now);
                Ok(())
            }
            Err(error) => {
                self.book.fail(application, &error.to_string(), self.now);
                Err(error)
            }
        }
    }

    /// As [`Self::poll`], for a poll that has to succeed.
    pub(super) async fn good_poll(&mut self, application: &ResourceId) {
        self.poll(application).await.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Every published address record: zone, owner relative to the zone, address.
    pub(super) fn records(&self) -> BTreeSet<String> {
        let zones = self.book.generation().into_iter().flat_map(|g| &g.zones);
        zones
            .flat_map(|(origin, zone)| {
                zone.addresses.iter().flat_map(move |(owner, addresses)| {
                    let label = owner.as_str().strip_suffix(origin.as_str()).unwrap_or(owner.as_str());
                    let label = label.trim_end_matches('.').to_owned();
                    addresses.iter().map(move |address| format!("{origin} {label} {address}"))
                })
            })
            .collect()
    }

    /// Everything that a correct consumer of this Azure publishes, in the form of
    /// [`Self::records`].
    pub(super) fn expected(&self) -> BTreeSet<String> {
        let expected = self.world(|world| world.expected());
        let line = |record: privatelink_dns::simulator::Record| {
            let privatelink = record.privatelink.expect("a name in a required zone");
            let (label, zone) = privatelink.split_once('.').expect("a name below a zone");
            format!("{zone} {label} {}", record.address)
        };
        expected.into_iter().map(line).collect()
    }

    pub(super) fn generation(&self) -> Option<u64> {
        self.book.generation().map(|g| g.number)
    }

    /// Code and subject of every finding, but for the one that goes with privatelink zones always.
    pub(super) fn findings(&self) -> BTreeSet<(&'static str, String)> {
        let findings = self.all_findings().into_iter();
        findings.map(|finding| (finding.kind.code(), finding.subject)).collect()
    }

    pub(super) fn all_findings(&self) -> Vec<Finding> {
        let mut findings = self.book.findings(self.now);
        findings.retain(|finding| finding.kind != FindingKind::ShadowsPublicNames);
        findings
    }

    pub(super) fn messages(&self, kind: FindingKind) -> Vec<String> {
        self.all_findings().into_iter().filter(|f| f.kind == kind).map(|f| f.message).collect()
    }

    pub(super) fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        self.simulator.world().with(act)
    }

    /// The requests from the sequence number on.
    pub(super) fn requests_since(&self, sequence: u64) -> Vec<RequestRecord> {
        let mut all = self.simulator.requests().all();
        all.retain(|request| request.sequence >= sequence);
        all
    }
}

fn config(simulator: &Simulator, setup: &Setup) -> Config {
    let mut text = "version = 1\n[azure.credential]\nkind = \"managed-identity\"\n".to_owned();
    for application in &setup.applications {
        text += &format!("[[application]]\nid = \"{application}\"\n");
    }
    if let Some(discovery) = setup.discovery {
        text += &format!("[[discovery]]\n{discovery}\n");
    }
    let mut config =
        config::parse("test.toml", &text, std::iter::empty()).unwrap_or_else(|errors| panic!("{errors}"));
    simulator.base_url().clone_into(&mut config.azure.cloud.resource_manager);
    simulator.base_url().clone_into(&mut config.azure.cloud.audience);
    config.azure.request_timeout = setup.request_timeout;
    config
}
