//! Whether this identity may read all that a poll can need, for `check-config --online`.
//!
//! A poll stops at the first read that fails, and leaves out what it does not need today. Whoever
//! assigns a role wants to know everything that is missing at once, so here every read is made,
//! whatever becomes of the others. Nothing is derived from what is read.

use std::collections::BTreeSet;

use super::arm::ArmClient;
use super::discover::{discover, scope};
use super::error::{ArmError, ArmErrorKind, Origin};
use super::poll::{connection_states, get, list, own_connection};
use super::{Operation, payload};
use crate::config::Discovery;
use crate::zones::{ConnectionState, ResourceId};

/// One read, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What was read.
    pub operation: Operation,
    /// The resource, or the scope of a list.
    pub resource: String,
    /// Whether a poll fails without it, as things are now.
    pub needed: bool,
    /// Why it could not be read.
    pub result: Result<(), ArmError>,
}

/// All reads of one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readings {
    /// The application.
    pub application: ResourceId,
    /// The reads, in the order of a poll.
    pub reads: Vec<Reading>,
    /// Endpoints that a poll leaves alone, because their connection is not approved.
    pub not_approved: Vec<(ResourceId, ConnectionState)>,
    /// Whether the endpoints are known, so that "none" means that there are none.
    pub knows_endpoints: bool,
}

impl Reading {
    /// Where a role has to be assigned for this read, and for those that belong to it: the application,
    /// the resource group of an endpoint, whose interfaces get new names with each endpoint, or what a
    /// discovery lists.
    #[must_use]
    pub fn scope(&self) -> String {
        let head = match self.operation {
            Operation::Application | Operation::Connections | Operation::LinkResources => {
                return self.resource.clone();
            }
            Operation::Endpoint | Operation::Interface | Operation::ZoneGroups | Operation::Applications => {
                self.resource.split("/providers/").next()
            }
        };
        head.unwrap_or(&self.resource).to_owned()
    }
}

/// Makes every read of the application and its approved endpoints.
pub(super) async fn check(client: &ArmClient, application: &ResourceId) -> Readings {
    let mut reads = Reads(Vec::new());
    let read = get::<payload::Application>(client, Operation::Application, application).await;
    let own = reads.note(Operation::Application, application.as_str(), true, read);
    let own = own.map(|(resource, origin)| (resource.properties.private_endpoint_connections, origin));
    let (own, own_origin) = match own {
        Some((connections, origin)) => (connections, Some(origin)),
        None => (None, None),
    };
    let read = list::<payload::Connection>(
        client,
        Operation::Connections,
        application,
        "privateEndpointConnections",
    );
    let listed = reads.note(Operation::Connections, application.as_str(), own.is_none(), read.await);
    let read =
        list::<payload::LinkResource>(client, Operation::LinkResources, application, "privateLinkResources");
    reads.note(Operation::LinkResources, application.as_str(), true, read.await);

    let own = own.map(|connections| connections.into_iter().map(|c| c.properties).collect());
    let connections: Option<(Vec<payload::Connection>, Origin)> = own.zip(own_origin).or(listed);
    let knows_endpoints = connections.is_some();
    let mut not_approved = Vec::new();
    if let Some((connections, origin)) = connections {
        let states = connection_states(&connections, &origin);
        let states = reads.note_failure(states).unwrap_or_default();
        for (endpoint, state) in states {
            if state == ConnectionState::Approved {
                reads.endpoint(client, application, &endpoint).await;
            } else {
                not_approved.push((endpoint, state));
            }
        }
    }
    Readings { application: application.clone(), reads: reads.0, not_approved, knows_endpoints }
}

/// Reads the list of a discovery; what it takes.
pub(super) async fn check_discovery(
    client: &ArmClient,
    discovery: &Discovery,
) -> (Reading, BTreeSet<ResourceId>) {
    let (result, taken) = match discover(client, discovery).await {
        Ok(taken) => (Ok(()), taken),
        Err(error) => (Err(error), BTreeSet::new()),
    };
    (Reading { operation: Operation::Applications, resource: scope(discovery), needed: true, result }, taken)
}

struct Reads(Vec<Reading>);

impl Reads {
    fn note<T>(
        &mut self,
        operation: Operation,
        resource: &str,
        needed: bool,
        result: Result<T, ArmError>,
    ) -> Option<T> {
        let (value, result) = match result {
            Ok(value) => (Some(value), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.0.push(Reading { operation, resource: resource.to_owned(), needed, result });
        value
    }

    /// Notes what was found to be wrong with something that had been read.
    fn note_failure<T>(&mut self, result: Result<T, ArmError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let (operation, resource) = (error.operation, error.details.resource.clone());
                self.0.push(Reading { operation, resource, needed: true, result: Err(error) });
                None
            }
        }
    }

    async fn endpoint(&mut self, client: &ArmClient, application: &ResourceId, id: &ResourceId) {
        let read = get::<payload::Endpoint>(client, Operation::Endpoint, id).await;
        let Some((resource, origin)) = self.note(Operation::Endpoint, id.as_str(), true, read) else {
            return;
        };
        let endpoint = resource.properties;
        let Some((state, _)) = self.note_failure(own_connection(application, &endpoint, &origin)) else {
            return;
        };
        let mut refused = false;
        for reference in &endpoint.network_interfaces {
            let Some(interface) = self.note_failure(origin.id(&reference.id)) else { continue };
            let read = get::<payload::Interface>(client, Operation::Interface, &interface).await;
            // The endpoint tells the addresses too, if later.
            let forbidden = is_forbidden(&read);
            refused |= forbidden;
            self.note(Operation::Interface, interface.as_str(), !forbidden, read);
        }
        let read =
            list::<payload::ZoneGroup>(client, Operation::ZoneGroups, id, "privateDnsZoneGroups").await;
        let asked_for = endpoint.custom_dns_configs.is_empty()
            && endpoint.provisioning_state.eq_ignore_ascii_case("Succeeded")
            && state == ConnectionState::Approved;
        let needed = asked_for && (refused || !is_forbidden(&read));
        self.note(Operation::ZoneGroups, id.as_str(), needed, read);
    }
}

fn is_forbidden<T>(read: &Result<T, ArmError>) -> bool {
    matches!(read, Err(error) if matches!(error.kind, ArmErrorKind::Forbidden { .. }))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
