//! Literal answers, served and polled: what the tests of payloads share.

use std::collections::BTreeSet;

use privatelink_dns::simulator::{Fault, FaultRule, Operation, RawReply};
use privatelink_dns::zones::ResourceId;

use crate::bench::{Bench, Setup, simulator};

pub(super) const APP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/clitest.rg000001/providers/Microsoft.IoTCentral/iotApps/iotc-cli-test000002";
pub(super) const PE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/clitest.rg000001/providers/Microsoft.Network/privateEndpoints/cli-pe-000005";
pub(super) const NIC: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/clitest.rg000001/providers/Microsoft.Network/networkInterfaces/cli-pe-000005.nic.4a9b293a-c54b-44bd-a070-32c93460e2da";

pub(super) const OWN: &str = "iotc-cli-test000002";
pub(super) const HUB: &str = "iotc-e915c120-4e41-4eb0-a515-7e22e708ac85";
pub(super) const EVENTS: &str = "iothub-ns-iotc-e915c-66760041-c781ba5278";
pub(super) const DPS: &str = "saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a";

pub(super) const ONE_HUB: [&str; 4] = [
    "privatelink.azureiotcentral.com iotc-cli-test000002 10.0.0.4",
    "privatelink.azure-devices.net iotc-e915c120-4e41-4eb0-a515-7e22e708ac85 10.0.0.5",
    "privatelink.servicebus.windows.net iothub-ns-iotc-e915c-66760041-c781ba5278 10.0.0.6",
    "privatelink.azure-devices-provisioning.net saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a 10.0.0.7",
];
pub(super) const TWO_HUBS: [&str; 6] = [
    "privatelink.azureiotcentral.com iotc-cli-test000002 10.0.0.4",
    "privatelink.azure-devices.net iotc-b21d481a-8349-43b9-bbf4-453616ea43a9 10.0.0.5",
    "privatelink.servicebus.windows.net iothub-ns-iotc-b21d4-19222067-df46ec888d 10.0.0.6",
    "privatelink.azure-devices.net iotc-0232b084-354d-4ae4-80b1-9efd270434fe 10.0.0.7",
    "privatelink.servicebus.windows.net iothub-ns-iotc-0232b-19222041-ce427cca3f 10.0.0.8",
    "privatelink.azure-devices-provisioning.net saas-dps-663c160d-a3cb-48c9-be51-0ae6dbc1f078 10.0.0.9",
];
pub(super) const PUBLIC: (&str, &str) = ("public-access-enabled", APP);

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/arm/", $name, ".json")).to_owned()
    };
}
pub(super) use fixture;

/// The answers of one poll.
#[derive(Clone)]
pub(super) struct Payloads {
    pub(super) application: String,
    pub(super) connections: Option<String>,
    pub(super) link: String,
    pub(super) endpoint: String,
    pub(super) interface: String,
    pub(super) zone_groups: Option<String>,
}

impl Payloads {
    pub(super) fn one_hub() -> Self {
        Self {
            application: fixture!("application"),
            connections: None,
            link: fixture!("link-one-hub"),
            endpoint: fixture!("endpoint-one-hub"),
            interface: fixture!("interface-one-hub"),
            zone_groups: None,
        }
    }

    pub(super) fn two_hubs() -> Self {
        Self {
            link: fixture!("link-two-hubs"),
            endpoint: fixture!("endpoint-two-hubs"),
            interface: fixture!("interface-two-hubs"),
            ..Self::one_hub()
        }
    }

    pub(super) fn zone_group(group: String) -> Self {
        Self { endpoint: fixture!("endpoint-with-zone-group"), zone_groups: Some(group), ..Self::one_hub() }
    }

    /// The same with the connection in another state on each side.
    pub(super) fn in_state(&self, listed: &str, at_endpoint: &str) -> Self {
        let to = |text: &String, state: &str| swap(text, "\"Approved\"", &format!("\"{state}\""));
        Self {
            application: to(&self.application, listed),
            endpoint: to(&self.endpoint, at_endpoint),
            ..self.clone()
        }
    }
}

/// Replaces what has to be there.
pub(super) fn swap(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from}");
    text.replace(from, to)
}

/// Payloads served literally, and polled.
pub(super) struct Served {
    pub(super) bench: Bench,
    pub(super) app: ResourceId,
}

impl Served {
    pub(super) async fn new() -> Self {
        let app: ResourceId = APP.parse().expect("an id");
        let setup = Setup { applications: vec![app.clone()], ..Setup::default() };
        Self { bench: Bench::new(simulator().await, &setup), app }
    }

    pub(super) fn serve(&self, payloads: &Payloads) {
        let Payloads { application, connections, link, endpoint, interface, zone_groups } = payloads;
        let at = |path: &str, below: &str| format!("{path}{below}");
        self.bench.world(|world| {
            world.raw.clear();
            for (path, body) in [
                (at(APP, ""), Some(application)),
                (at(APP, "/privateEndpointConnections"), connections.as_ref()),
                (at(APP, "/privateLinkResources"), Some(link)),
                (at(PE, ""), Some(endpoint)),
                (at(NIC, ""), Some(interface)),
                (at(PE, "/privateDnsZoneGroups"), zone_groups.as_ref()),
            ] {
                if let Some(body) = body {
                    world.serve_raw(&path, RawReply::json(body));
                }
            }
        });
    }

    pub(super) async fn poll(&mut self, payloads: &Payloads) {
        self.serve(payloads);
        self.bench.good_poll(&self.app).await;
    }

    /// The role lacks the right to read network interfaces.
    pub(super) fn refuse_interfaces(&self) {
        let rule = FaultRule::new(Fault::AuthorizationFailed).on(Operation::Interface);
        self.bench.world(|world| world.faults.add(rule));
    }

    #[track_caller]
    pub(super) fn check(&self, records: &[&str], findings: &[(&'static str, &str)]) {
        let records: BTreeSet<String> = records.iter().map(|&record| record.to_owned()).collect();
        assert_eq!(self.bench.records(), records);
        let findings: BTreeSet<_> = findings.iter().map(|(kind, s)| (*kind, (*s).to_owned())).collect();
        assert_eq!(self.bench.findings(), findings);
    }
}

/// Polls the payloads once, from nothing.
pub(super) async fn polled(payloads: &Payloads) -> Served {
    let mut served = Served::new().await;
    served.poll(payloads).await;
    served
}

/// Polls the recording of one hub first.
pub(super) async fn polled_after_one_hub(payloads: &Payloads) -> Served {
    let mut served = polled(&Payloads::one_hub()).await;
    served.poll(payloads).await;
    served
}

/// The public name of a record line.
pub(super) fn public_name(record: &str) -> String {
    let mut words = record.split(' ');
    let zone = words.next().and_then(|zone| zone.strip_prefix("privatelink.")).expect("a zone");
    format!("{}.{zone}", words.next().expect("a label"))
}
