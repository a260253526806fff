//! Observations as Azure's recordings show them, made short.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::zones::{
    Application, ApplicationOutcome, ConnectionState, Derived, DnsName, Endpoint, EndpointEvidence,
    EndpointFacts, EndpointOutcome, FindingKind, FqdnAddresses, GroupZone, InterfaceRead, LinkResource,
    MemberAddress, Observation, ResourceId, Share, ZoneGroupRead, derive,
};

/// The application of the recordings; its name and its subdomain are equal there.
pub(super) const APP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/\
    clitest.rg000001/providers/Microsoft.IoTCentral/iotApps/iotc-cli-test000002";

pub(super) const ZONES: [&str; 4] = [
    "privatelink.azureiotcentral.com",
    "privatelink.azure-devices.net",
    "privatelink.servicebus.windows.net",
    "privatelink.azure-devices-provisioning.net",
];

/// Member, public name, address.
pub(super) type Row = (&'static str, &'static str, &'static str);

pub(super) const OWN: Row = ("iotc-cli-test000002", "iotc-cli-test000002.azureiotcentral.com", "10.0.0.4");
pub(super) const HUB: Row = (
    "iotc-e915c120-4e41-4eb0-a515-7e22e708ac85",
    "iotc-e915c120-4e41-4eb0-a515-7e22e708ac85.azure-devices.net",
    "10.0.0.5",
);
pub(super) const EVENTS: Row = (
    "iothub-ns-iotc-e915c-66760041-c781ba5278",
    "iothub-ns-iotc-e915c-66760041-c781ba5278.servicebus.windows.net",
    "10.0.0.6",
);
pub(super) const DPS: Row = (
    "saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a",
    "saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a.azure-devices-provisioning.net",
    "10.0.0.7",
);

/// Recorded in August 2025.
pub(super) const ONE_HUB: [Row; 4] = [OWN, HUB, EVENTS, DPS];

/// Recorded in May 2022, in that order.
pub(super) const TWO_HUBS: [Row; 6] = [
    OWN,
    (
        "iotc-b21d481a-8349-43b9-bbf4-453616ea43a9",
        "iotc-b21d481a-8349-43b9-bbf4-453616ea43a9.azure-devices.net",
        "10.0.0.5",
    ),
    (
        "iothub-ns-iotc-b21d4-19222067-df46ec888d",
        "iothub-ns-iotc-b21d4-19222067-df46ec888d.servicebus.windows.net",
        "10.0.0.6",
    ),
    (
        "iotc-0232b084-354d-4ae4-80b1-9efd270434fe",
        "iotc-0232b084-354d-4ae4-80b1-9efd270434fe.azure-devices.net",
        "10.0.0.7",
    ),
    (
        "iothub-ns-iotc-0232b-19222041-ce427cca3f",
        "iothub-ns-iotc-0232b-19222041-ce427cca3f.servicebus.windows.net",
        "10.0.0.8",
    ),
    (
        "saas-dps-663c160d-a3cb-48c9-be51-0ae6dbc1f078",
        "saas-dps-663c160d-a3cb-48c9-be51-0ae6dbc1f078.azure-devices-provisioning.net",
        "10.0.0.9",
    ),
];

pub(super) fn id(text: &str) -> ResourceId {
    text.parse().expect("a resource id")
}

pub(super) fn endpoint_id(number: u8) -> ResourceId {
    id(&format!("/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe-{number}"))
}

pub(super) fn subnet(network: &str) -> ResourceId {
    id(&format!(
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/{network}/subnets/n"
    ))
}

pub(super) fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

pub(super) fn names(texts: &[&str]) -> BTreeSet<DnsName> {
    texts.iter().map(|text| name(text)).collect()
}

pub(super) fn ip(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

/// Seconds after an arbitrary start.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_755_216_000 + seconds).expect("a time")
}

/// One ip configuration per row.
pub(super) fn interface(rows: &[Row]) -> InterfaceRead {
    InterfaceRead::Read(rows.iter().map(|row| member(Some(row.0), &[row.1], row.2)).collect())
}

pub(super) fn member(member: Option<&str>, fqdns: &[&str], address: &str) -> MemberAddress {
    MemberAddress {
        interface: id("/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/networkInterfaces/nic"),
        member: member.map(str::to_owned),
        fqdns: fqdns.iter().map(|&f| f.to_owned()).collect(),
        address: address.to_owned(),
    }
}

pub(super) fn told(fqdn: &str, addresses: &[&str]) -> FqdnAddresses {
    FqdnAddresses { fqdn: fqdn.to_owned(), addresses: addresses.iter().map(|&a| a.to_owned()).collect() }
}

pub(super) fn custom_dns(rows: &[Row]) -> Vec<FqdnAddresses> {
    rows.iter().map(|row| told(row.1, &[row.2])).collect()
}

/// A zone group that covers `zones`, with the records that Azure writes for `rows`.
pub(super) fn zone_group(zones: &[&str], rows: &[Row]) -> ZoneGroupRead {
    let record = |zone: &str, row: &Row| {
        let suffix = zone.strip_prefix("privatelink.")?;
        let label = row.1.strip_suffix(suffix)?.strip_suffix('.')?;
        Some(told(&format!("{label}.{zone}"), &[row.2]))
    };
    let group = |zone: &&str| GroupZone {
        zone: (*zone).to_owned(),
        records: rows.iter().filter_map(|row| record(zone, row)).collect(),
    };
    ZoneGroupRead::Read(zones.iter().map(group).collect())
}

pub(super) fn refused() -> InterfaceRead {
    InterfaceRead::Refused("AuthorizationFailed (correlation id c0ffee)".to_owned())
}

/// A settled, approved endpoint that shows `rows` at its network interface and in `customDnsConfigs`.
pub(super) fn facts(rows: &[Row]) -> EndpointFacts {
    EndpointFacts {
        settled: true,
        provisioning_state: "Succeeded".to_owned(),
        connection: ConnectionState::Approved,
        link_service: Some(id(APP)),
        subnet: Some(subnet("cli-vnet-000003")),
        interfaces: interface(rows),
        custom_dns: custom_dns(rows),
        zone_group: ZoneGroupRead::NotNeeded,
    }
}

/// The same while Azure is working on it: `customDnsConfigs` is empty.
pub(super) fn updating(rows: &[Row]) -> EndpointFacts {
    EndpointFacts {
        settled: false,
        provisioning_state: "Updating".to_owned(),
        custom_dns: Vec::new(),
        ..facts(rows)
    }
}

pub(super) fn endpoint(number: u8, facts: EndpointFacts) -> Endpoint {
    listed(number, ConnectionState::Approved, EndpointOutcome::Found(facts))
}

pub(super) fn listed(number: u8, connection: ConnectionState, outcome: EndpointOutcome) -> Endpoint {
    Endpoint { id: endpoint_id(number), connection, outcome }
}

/// The application that requires the members of `rows`, with these endpoints.
pub(super) fn application(rows: &[Row], endpoints: Vec<Endpoint>) -> Application {
    Application {
        tags: std::collections::BTreeMap::new(),
        subdomain: Some(OWN.0.to_owned()),
        public_access: Some(false),
        link_resources: vec![LinkResource {
            group_id: "iotApp".to_owned(),
            required_members: rows.iter().map(|row| row.0.to_owned()).collect(),
            required_zone_names: ZONES.map(str::to_owned).to_vec(),
        }],
        endpoints,
    }
}

pub(super) fn observe(application: Application) -> Observation {
    Observation { application: id(APP), at: at(0), outcome: ApplicationOutcome::Found(application) }
}

pub(super) fn derived(application: Application) -> Derived {
    derive(&observe(application))
}

/// The share and findings of one endpoint with these facts, all members of `rows` required.
pub(super) fn of_one(rows: &[Row], facts: EndpointFacts) -> Derived {
    derived(application(rows, vec![endpoint(1, facts)]))
}

/// Public name, owner name and addresses of everything that the first endpoint gives.
pub(super) fn records(share: &Share) -> Vec<(String, String, Vec<Ipv4Addr>)> {
    share
        .placements()
        .filter(|(endpoint, _, _)| **endpoint == endpoint_id(1))
        .map(|(_, public, p)| {
            let owner = p.owner(public).expect("an owner in the zone").to_string();
            (public.to_string(), owner, p.addresses.iter().copied().collect())
        })
        .collect()
}

/// What [`records`] has to be for rows that Azure's rule places.
pub(super) fn expected(rows: &[Row]) -> Vec<(String, String, Vec<Ipv4Addr>)> {
    let mut list: Vec<_> = rows
        .iter()
        .map(|(_, public, address)| {
            let (label, suffix) = public.split_once('.').expect("two labels");
            ((*public).to_owned(), format!("{label}.privatelink.{suffix}"), vec![ip(address)])
        })
        .collect();
    list.sort();
    list
}

/// The kinds of the findings, sorted, each as often as it was found.
pub(super) fn kinds(derived: &Derived) -> Vec<FindingKind> {
    derived.findings.iter().map(|f| f.kind).collect()
}

/// The subjects of the findings of one kind.
pub(super) fn subjects(derived: &Derived, kind: FindingKind) -> Vec<&str> {
    derived.findings.iter().filter(|f| f.kind == kind).map(|f| f.subject.as_str()).collect()
}

/// The evidence of the first endpoint.
pub(super) fn evidence(derived: &Derived) -> &EndpointEvidence {
    &derived.evidence.endpoints[&endpoint_id(1)]
}
