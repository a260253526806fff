//! One complete poll of one application: all the reads that an [`Observation`] needs, or an error.
//!
//! Complete or nothing: any read that fails ends the poll, but for the cases in which the
//! observation itself says what may not be read. What cannot be understood is an error as well,
//! because a misread answer would look like removed names.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use super::arm::ArmClient;
use super::error::{ArmError, ArmErrorKind, Origin};
use super::{Operation, payload};
use crate::zones::{
    Application, ApplicationOutcome, ConnectionState, Endpoint, EndpointFacts, EndpointOutcome,
    FqdnAddresses, GroupZone, InterfaceRead, LinkResource, MemberAddress, Observation, ResourceId,
    ZoneGroupRead,
};

/// Reads of one poll under way at a time, endpoints and their interfaces each.
const PARALLEL: usize = 4;

/// More endpoints at one application, or interfaces at one endpoint, than Azure allows.
const MANY: usize = 1000;

/// Reads the application and its endpoints; also those `known` from before that its list lacks.
pub(super) async fn poll(
    client: &ArmClient,
    application: &ResourceId,
    known: &BTreeSet<ResourceId>,
    clock: impl Fn() -> Timestamp,
) -> Result<Observation, ArmError> {
    let outcome = match read_application(client, application, known).await {
        Ok(found) => ApplicationOutcome::Found(found),
        Err(Stop::ApplicationNotFound(answer)) => ApplicationOutcome::NotFound(answer),
        Err(Stop::Failed(error)) => return Err(error),
    };
    Ok(Observation { application: application.clone(), at: clock(), outcome })
}

/// Why an application is not read to its end.
enum Stop {
    /// Proven not to exist, by this answer.
    ApplicationNotFound(String),
    Failed(ArmError),
}

impl From<ArmError> for Stop {
    fn from(error: ArmError) -> Self {
        Self::Failed(error)
    }
}

async fn read_application(
    client: &ArmClient,
    application: &ResourceId,
    known: &BTreeSet<ResourceId>,
) -> Result<Application, Stop> {
    let read = get::<payload::Application>(client, Operation::Application, application).await;
    let (payload::Resource { tags, properties, .. }, origin) = match read {
        Err(error) if error.is_resource_not_found() => {
            return Err(Stop::ApplicationNotFound(error.to_string()));
        }
        other => other?,
    };
    let (connections, origin) = match properties.private_endpoint_connections {
        Some(connections) => (connections.into_iter().map(|c| c.properties).collect(), origin),
        None => list(client, Operation::Connections, application, "privateEndpointConnections").await?,
    };
    let (link_resources, _) =
        list(client, Operation::LinkResources, application, "privateLinkResources").await?;

    let mut states = connection_states(&connections, &origin)?;
    for endpoint in known {
        states.entry(endpoint.clone()).or_insert(ConnectionState::Absent);
    }
    let endpoints = in_parallel(&origin, states, |(id, connection)| {
        let (client, application) = (client.clone(), application.clone());
        let wanted = connection == ConnectionState::Approved || known.contains(&id);
        async move {
            let outcome = if wanted {
                match read_endpoint(&client, &application, &id).await {
                    // Its names can only be held, and must not hold up those of the others.
                    Err(error) if error.is_refusal() && connection != ConnectionState::Approved => {
                        EndpointOutcome::Unreadable(error.to_string())
                    }
                    other => other?,
                }
            } else {
                EndpointOutcome::NotRead
            };
            Ok(Endpoint { id, connection, outcome })
        }
    })
    .await?;
    Ok(Application {
        subdomain: properties.subdomain,
        tags,
        public_access: properties.public_network_access.map(|access| access.eq_ignore_ascii_case("Enabled")),
        link_resources: link_resources.into_iter().map(link_resource).collect(),
        endpoints,
    })
}

fn link_resource(properties: payload::LinkResource) -> LinkResource {
    LinkResource {
        group_id: properties.group_id,
        required_members: properties.required_members,
        required_zone_names: properties.required_zone_names,
    }
}

/// Every endpoint of the list with its state. Of several connections of one endpoint an approved
/// one counts, otherwise the last.
pub(super) fn connection_states(
    connections: &[payload::Connection],
    origin: &Origin,
) -> Result<BTreeMap<ResourceId, ConnectionState>, ArmError> {
    let mut states = BTreeMap::new();
    for connection in connections {
        let state = payload::connection_state(connection.state.as_ref());
        let Some(endpoint) = connection.private_endpoint.as_ref().and_then(|e| e.id.as_ref()) else {
            if state == ConnectionState::Approved {
                return Err(origin.invalid("an approved connection names no private endpoint"));
            }
            continue;
        };
        let id = match origin.id(endpoint) {
            Ok(id) if id.resource_type().eq_ignore_ascii_case("Microsoft.Network/privateEndpoints") => id,
            // Nothing is ever read or published from it.
            _ if state != ConnectionState::Approved => continue,
            Ok(id) => return Err(origin.invalid(format!("{id} is no private endpoint"))),
            Err(error) => return Err(error),
        };
        let known = states.entry(id).or_insert(state);
        if *known != ConnectionState::Approved {
            *known = state;
        }
    }
    Ok(states)
}

async fn read_endpoint(
    client: &ArmClient,
    application: &ResourceId,
    id: &ResourceId,
) -> Result<EndpointOutcome, ArmError> {
    let (payload::Resource { properties: endpoint, .. }, origin) =
        match get::<payload::Endpoint>(client, Operation::Endpoint, id).await {
            Err(error) if error.is_resource_not_found() => {
                return Ok(EndpointOutcome::NotFound(error.to_string()));
            }
            other => other?,
        };
    let settled = endpoint.provisioning_state.eq_ignore_ascii_case("Succeeded");
    let (connection, link_service) = own_connection(application, &endpoint, &origin)?;
    // It serves a finding only.
    let subnet = endpoint.subnet.and_then(|subnet| subnet.id?.parse().ok());
    let interfaces = read_interfaces(client, &endpoint.network_interfaces, &origin).await?;
    let zone_group =
        if settled && connection == ConnectionState::Approved && endpoint.custom_dns_configs.is_empty() {
            match read_zone_groups(client, id).await {
                Err(error) if error.is_forbidden() && matches!(interfaces, InterfaceRead::Read(_)) => {
                    ZoneGroupRead::Refused(error.to_string())
                }
                other => ZoneGroupRead::Read(other?),
            }
        } else {
            ZoneGroupRead::NotNeeded
        };
    let custom_dns = endpoint
        .custom_dns_configs
        .into_iter()
        .map(|config| FqdnAddresses { fqdn: config.fqdn, addresses: config.ip_addresses })
        .collect();
    Ok(EndpointOutcome::Found(EndpointFacts {
        settled,
        provisioning_state: endpoint.provisioning_state,
        connection,
        link_service,
        subnet,
        interfaces,
        custom_dns,
        zone_group,
    }))
}

/// State and resource of the connection to the application, from either array; without one, those
/// of the first connection, which show where the endpoint leads instead.
pub(super) fn own_connection(
    application: &ResourceId,
    endpoint: &payload::Endpoint,
    origin: &Origin,
) -> Result<(ConnectionState, Option<ResourceId>), ArmError> {
    let mut first = None;
    let automatic = &endpoint.private_link_service_connections;
    for connection in automatic.iter().chain(&endpoint.manual_private_link_service_connections) {
        let connection = &connection.properties;
        let service = connection.service.as_deref().map(|service| origin.id(service)).transpose()?;
        let own = service.as_ref() == Some(application);
        let found = (payload::connection_state(connection.state.as_ref()), service);
        if own {
            return Ok(found);
        }
        first = first.or(Some(found));
    }
    Ok(first.unwrap_or((ConnectionState::Absent, None)))
}

/// The addresses of all interfaces; that one may not be read counts for all.
async fn read_interfaces(
    client: &ArmClient,
    references: &[payload::Reference],
    origin: &Origin,
) -> Result<InterfaceRead, ArmError> {
    let mut ids = BTreeSet::new();
    for reference in references {
        let id = origin.id(&reference.id)?;
        if !id.resource_type().eq_ignore_ascii_case("Microsoft.Network/networkInterfaces") {
            return Err(origin.invalid(format!("{id} is no network interface")));
        }
        ids.insert(id);
    }
    let read = in_parallel(origin, ids, |id| {
        let client = client.clone();
        async move {
            let (interface, _) = get::<payload::Interface>(&client, Operation::Interface, &id).await?;
            Ok((id, interface.properties))
        }
    })
    .await;
    match read {
        Ok(interfaces) => Ok(InterfaceRead::Read(
            interfaces.into_iter().flat_map(|(id, interface)| member_addresses(&id, interface)).collect(),
        )),
        Err(error) if error.is_forbidden() => Ok(InterfaceRead::Refused(error.to_string())),
        Err(error) => Err(error),
    }
}

/// The ip configurations that belong to a member; one without an address is still being made.
fn member_addresses(id: &ResourceId, interface: payload::Interface) -> Vec<MemberAddress> {
    let member = |configuration: payload::IpConfiguration| {
        let link = configuration.link?;
        Some(MemberAddress {
            interface: id.clone(),
            member: link.required_member_name.filter(|name| !name.is_empty()),
            fqdns: link.fqdns,
            address: configuration.address.filter(|address| !address.is_empty())?,
        })
    };
    interface.ip_configurations.into_iter().filter_map(|c| member(c.properties)).collect()
}

async fn read_zone_groups(client: &ArmClient, endpoint: &ResourceId) -> Result<Vec<GroupZone>, ArmError> {
    let (groups, _): (Vec<payload::ZoneGroup>, _) =
        list(client, Operation::ZoneGroups, endpoint, "privateDnsZoneGroups").await?;
    let zone = |config: payload::ZoneConfig| GroupZone {
        zone: config.private_dns_zone_id.rsplit('/').next().unwrap_or_default().to_owned(),
        records: config
            .record_sets
            .into_iter()
            .filter(|set| set.record_type.eq_ignore_ascii_case("A"))
            .map(|set| FqdnAddresses { fqdn: set.fqdn, addresses: set.ip_addresses })
            .collect(),
    };
    let configs = groups.into_iter().flat_map(|group| group.private_dns_zone_configs);
    Ok(configs.map(|config| zone(config.properties)).collect())
}

/// The properties of the resource, which has to be the one that was asked for.
pub(super) async fn get<P: DeserializeOwned>(
    client: &ArmClient,
    operation: Operation,
    id: &ResourceId,
) -> Result<(payload::Resource<P>, Origin), ArmError> {
    let (resource, origin): (payload::Resource<P>, _) = client.get(operation, id).await?;
    match &resource.id {
        Some(other) if origin.id(other)? != *id => {
            Err(origin.invalid(format!("it is another resource: {other}")))
        }
        _ => Ok((resource, origin)),
    }
}

/// The properties of everything in the list `name` below the resource.
pub(super) async fn list<P: DeserializeOwned>(
    client: &ArmClient,
    operation: Operation,
    below: &ResourceId,
    name: &str,
) -> Result<(Vec<P>, Origin), ArmError> {
    let (items, origin): (Vec<payload::Resource<P>>, _) =
        client.list(operation, below.subscription(), &format!("{below}/{name}")).await?;
    Ok((items.into_iter().map(|item| item.properties).collect(), origin))
}

/// Runs the reads of what `origin` lists, a few at a time, and keeps the order of their results; the
/// first failure ends them all.
async fn in_parallel<I, T, F>(
    origin: &Origin,
    items: impl IntoIterator<Item = I, IntoIter: ExactSizeIterator>,
    read: impl Fn(I) -> F,
) -> Result<Vec<T>, ArmError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ArmError>> + Send + 'static,
{
    let items = items.into_iter();
    if items.len() > MANY {
        let reason = format!("it lists {} resources, at most {MANY} are believed", items.len());
        return Err(origin.invalid(reason));
    }
    let mut items = items.enumerate();
    let mut results = BTreeMap::new();
    let mut running = JoinSet::new();
    loop {
        while running.len() < PARALLEL
            && let Some((number, item)) = items.next()
        {
            let work = read(item);
            running.spawn(async move { (number, work.await) });
        }
        let Some(ended) = running.join_next().await else { break };
        let (number, result) = ended.map_err(|_| origin.error(ArmErrorKind::Interrupted))?;
        results.insert(number, result?);
    }
    Ok(results.into_values().collect())
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
