//! Observations and generations of any size.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use privatelink_dns::zones::{
    Application, ApplicationOutcome, ConnectionState, Derived, Difference, Endpoint, EndpointFacts,
    EndpointOutcome, Generation, GuardPolicy, GuardState, InterfaceRead, LinkResource, MemberAddress,
    Observation, Publication, ResourceId, Shares, ZoneGroupRead, derive, generation, guard,
};

/// The time of everything.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("a time")
}

fn id(text: &str) -> ResourceId {
    text.parse().expect("a resource id")
}

/// The default publication.
pub(crate) fn publication() -> Publication {
    Publication {
        privatelink_zones: true,
        per_name_zones: false,
        application_name: false,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec!["ns.invalid".parse().expect("a name")],
        hostmaster: "hostmaster.invalid".parse().expect("a name"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    }
}

/// A complete poll of the application `bench` with so many hubs at one endpoint.
pub(crate) fn observation(hubs: u32) -> Observation {
    observation_of("bench", 0..hubs)
}

/// A complete poll of an application with these hubs at one endpoint.
pub(crate) fn observation_of(name: &str, hubs: Range<u32>) -> Observation {
    let group = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/bench/providers";
    let member = |i: u32| format!("iotc-{i:08x}-0000-4000-8000-000000000000");
    let interface = id(&format!("{group}/Microsoft.Network/networkInterfaces/{name}"));
    let addresses = hubs
        .clone()
        .map(|i| MemberAddress {
            interface: interface.clone(),
            member: Some(member(i)),
            fqdns: vec![format!("{}.azure-devices.net", member(i))],
            address: Ipv4Addr::from(0x0a00_0004 + i).to_string(),
        })
        .collect();
    let application = id(&format!("{group}/Microsoft.IoTCentral/iotApps/{name}"));
    Observation {
        application: application.clone(),
        at: now(),
        outcome: ApplicationOutcome::Found(Application {
            link_resources: vec![LinkResource {
                group_id: "iotApp".to_owned(),
                required_members: hubs.map(member).collect(),
                required_zone_names: vec!["privatelink.azure-devices.net".to_owned()],
            }],
            endpoints: vec![Endpoint {
                id: id(&format!("{group}/Microsoft.Network/privateEndpoints/{name}")),
                connection: ConnectionState::Approved,
                outcome: EndpointOutcome::Found(EndpointFacts {
                    settled: true,
                    provisioning_state: "Succeeded".to_owned(),
                    connection: ConnectionState::Approved,
                    link_service: Some(application),
                    subnet: None,
                    interfaces: InterfaceRead::Read(addresses),
                    custom_dns: Vec::new(),
                    zone_group: ZoneGroupRead::Read(Vec::new()),
                }),
            }],
            ..Application::default()
        }),
    }
}

/// The generation that follows `current` after a complete poll.
pub(crate) fn accept(current: Option<&Generation>, derived: &Derived) -> (Generation, Difference) {
    let application = &derived.share.application;
    let share = current.and_then(|c| c.shares.get(application));
    let review = guard::review(
        share.map(AsRef::as_ref),
        derived,
        &GuardState::default(),
        &GuardPolicy::default(),
        now(),
    );
    let mut shares: Shares = current.map(|c| c.shares.clone()).unwrap_or_default();
    shares.insert(application.clone(), Arc::new(review.share));
    generation::succeed(current, shares, &publication(), "bench", now()).expect("a change")
}

/// A generation with so many names.
pub(crate) fn generation_of(hubs: u32) -> (Generation, Difference) {
    accept(None, &derive(&observation(hubs)))
}
