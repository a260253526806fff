//! Configurations and observations, made short.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::{self, Config};
use crate::sync::Book;
use crate::zones::{
    Application, ApplicationOutcome, ConnectionState, Endpoint, EndpointFacts, EndpointOutcome, FindingKind,
    InterfaceRead, LinkResource, MemberAddress, Observation, ResourceId, ZoneGroupRead,
};

/// A configuration's `[[discovery]]` of everything tagged `dns`.
pub(crate) const DISCOVERY: &str =
    "[[discovery]]\nsubscription = \"00000000-0000-0000-0000-000000000000\"\ntag = \"dns\"\n";

/// A configuration with more lines; its guard believes a removal after three polls, one of
/// everything after five.
pub(crate) fn config(more: &str) -> Arc<Config> {
    let text = format!(
        "version = 1\n[azure.credential]\nkind = \"managed-identity\"\n[guard]\nremoval_period = \"0s\"\n\
         bulk_polls = 5\nbulk_period = \"0s\"\n{more}"
    );
    let config = config::parse("test.toml", &text, std::iter::empty());
    Arc::new(config.unwrap_or_else(|errors| panic!("{errors}")))
}

/// The configuration's `[[application]]` of an id.
pub(crate) fn listed(id: &ResourceId) -> String {
    format!("[[application]]\nid = \"{id}\"\n")
}

/// The application of a name.
pub(crate) fn id(name: &str) -> ResourceId {
    let scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg";
    format!("{scope}/providers/Microsoft.IoTCentral/iotApps/{name}").parse().expect("an id")
}

pub(crate) fn ids(names: &[&str]) -> BTreeSet<ResourceId> {
    names.iter().map(|name| id(name)).collect()
}

/// Seconds after an arbitrary start.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_755_216_000 + seconds).expect("a time")
}

/// An application tagged `dns` with so many hubs behind one endpoint.
pub(crate) fn found(application: &ResourceId, hubs: u8) -> Observation {
    let network = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network";
    let name = application.name();
    let hubs: Vec<String> = (1..=hubs).map(|i| format!("hub{i}-{name}")).collect();
    let address = |(number, hub): (usize, &String)| MemberAddress {
        interface: format!("{network}/networkInterfaces/{name}").parse().expect("an id"),
        member: Some(hub.clone()),
        fqdns: vec![format!("{hub}.azure-devices.net")],
        address: format!("10.0.0.{}", number + 1),
    };
    let facts = EndpointFacts {
        settled: true,
        provisioning_state: "Succeeded".to_owned(),
        connection: ConnectionState::Approved,
        link_service: Some(application.clone()),
        subnet: None,
        interfaces: InterfaceRead::Read(hubs.iter().enumerate().map(address).collect()),
        custom_dns: Vec::new(),
        zone_group: ZoneGroupRead::Read(Vec::new()),
    };
    let found = Application {
        tags: BTreeMap::from([("dns".to_owned(), String::new())]),
        link_resources: vec![LinkResource {
            group_id: "iotApp".to_owned(),
            required_members: hubs,
            required_zone_names: vec!["privatelink.azure-devices.net".to_owned()],
        }],
        endpoints: vec![Endpoint {
            id: format!("{network}/privateEndpoints/{name}").parse().expect("an id"),
            connection: ConnectionState::Approved,
            outcome: EndpointOutcome::Found(facts),
        }],
        ..Application::default()
    };
    Observation { application: application.clone(), at: at(0), outcome: ApplicationOutcome::Found(found) }
}

/// ARM says that the application does not exist.
pub(crate) fn not_found(application: &ResourceId) -> Observation {
    let outcome = ApplicationOutcome::NotFound("ResourceNotFound".to_owned());
    Observation { application: application.clone(), at: at(0), outcome }
}

/// The application without its tags.
pub(crate) fn untagged(application: &ResourceId) -> Observation {
    let mut observation = found(application, 1);
    if let ApplicationOutcome::Found(found) = &mut observation.outcome {
        found.tags.clear();
    }
    observation
}

/// The kinds of all findings but the one that privatelink zones always have.
pub(crate) fn kinds(book: &Book, now: Timestamp) -> Vec<FindingKind> {
    let kinds = book.findings(now).into_iter().map(|finding| finding.kind);
    kinds.filter(|kind| *kind != FindingKind::ShadowsPublicNames).collect()
}

/// The published names of an application.
pub(crate) fn names(book: &Book, application: &ResourceId) -> usize {
    let share = book.generation().and_then(|g| g.shares.get(application));
    share.map_or(0, |share| share.names().len())
}
