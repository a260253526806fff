//! From one observation to what it alone would publish, and the evidence for what it lacks.
//!
//! Names and addresses come from the endpoint (network interface, then `customDnsConfigs`, then
//! the zone group), zones from `requiredZoneNames`; no table of ours knows any of them. What
//! cannot be placed becomes a finding, never a guess.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{ApplicationEvidence, EndpointEvidence, Evidence};
use super::sources::{self, Placed};
use super::{
    Application, ApplicationOutcome, ConnectionState, DnsName, Endpoint, EndpointFacts, EndpointOutcome,
    EndpointShare, Finding, FindingKind, Observation, ResourceId, Share, public_suffix,
};

/// What an observation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// What the observation alone would publish.
    pub share: Share,
    /// Why anything that was published before is not in the share.
    pub evidence: Evidence,
    /// What a person should know.
    pub findings: Vec<Finding>,
}

/// Derives the share, the evidence and the findings of one observation.
#[must_use]
pub fn derive(observation: &Observation) -> Derived {
    let id = &observation.application;
    match &observation.outcome {
        ApplicationOutcome::Found(application) => Derivation::new(observation, application).run(),
        ApplicationOutcome::NotFound(answer) => Derived {
            share: Share::empty(id.clone()),
            evidence: Evidence::of(ApplicationEvidence::NotFound),
            findings: vec![Finding::of(
                id,
                FindingKind::ApplicationNotFound,
                id.as_str(),
                format!(
                    "ARM answers ResourceNotFound for the application. If it was deleted, remove it from the \
                     configuration; if not, check the resource id. ARM said: {answer}"
                ),
            )],
        },
        ApplicationOutcome::NotSelected => Derived {
            share: Share::empty(id.clone()),
            evidence: Evidence::of(ApplicationEvidence::NotSelected),
            findings: vec![Finding::of(
                id,
                FindingKind::ApplicationNotSelected,
                id.as_str(),
                "The application exists, but its tags no longer match the discovery that took it. Put the tag \
                 back, or name the application in the configuration; its records stay until an operator approves \
                 their removal.",
            )],
        },
    }
}

/// The work on an application that exists.
struct Derivation<'a> {
    observation: &'a Observation,
    application: &'a Application,
    /// Required members, lower case.
    members: BTreeSet<String>,
    share: Share,
    endpoints: BTreeMap<ResourceId, EndpointEvidence>,
    findings: Vec<Finding>,
}

impl<'a> Derivation<'a> {
    fn new(observation: &'a Observation, application: &'a Application) -> Self {
        let members = application
            .link_resources
            .iter()
            .flat_map(|r| &r.required_members)
            .map(|m| m.to_ascii_lowercase())
            .collect();
        Self {
            observation,
            application,
            members,
            share: Share::empty(observation.application.clone()),
            endpoints: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    fn run(mut self) -> Derived {
        self.required_zones();
        for endpoint in each_once(&self.application.endpoints) {
            let evidence = self.endpoint(endpoint);
            self.endpoints.insert(endpoint.id.clone(), evidence);
        }
        self.overall();
        self.findings.sort();
        self.findings.dedup();
        Derived {
            share: self.share,
            evidence: Evidence {
                application: ApplicationEvidence::Found,
                required_members: self.members,
                endpoints: self.endpoints,
            },
            findings: self.findings,
        }
    }

    fn find(&mut self, kind: FindingKind, subject: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding::of(&self.observation.application, kind, subject, message));
    }

    fn required_zones(&mut self) {
        let application = self.application;
        for text in application.link_resources.iter().flat_map(|r| &r.required_zone_names) {
            let zone = text.parse::<DnsName>().ok();
            // A zone for a whole public suffix would cut off everything below it.
            match zone.filter(|z| public_suffix(z).is_some_and(|s| s.parent().is_some())) {
                Some(zone) => {
                    self.share.zones.insert(zone);
                }
                None => self.find(
                    FindingKind::InvalidZoneName,
                    text,
                    "Azure requires this zone, but it is not of the form privatelink.DOMAIN; it is not served.",
                ),
            }
        }
        if self.share.zones.is_empty() {
            self.find(
                FindingKind::NoRequiredZones,
                self.observation.application.as_str(),
                "privateLinkResources names no required zone; new names cannot be placed, known ones are kept.",
            );
        }
    }

    /// What one endpoint contributes, and what it proves.
    fn endpoint(&mut self, endpoint: &Endpoint) -> EndpointEvidence {
        use ConnectionState::{Absent, Approved, Disconnected, Pending, Rejected, Unknown};
        let listed = endpoint.connection;
        let facts = match &endpoint.outcome {
            EndpointOutcome::NotFound(answer) => {
                self.find(
                    FindingKind::EndpointNotFound,
                    endpoint.id.as_str(),
                    format!(
                        "ARM answers ResourceNotFound for the private endpoint; its records go once that is \
                         proven. ARM said: {answer}"
                    ),
                );
                return EndpointEvidence::NotFound;
            }
            EndpointOutcome::Unreadable(answer) => {
                self.report_state(&endpoint.id, listed);
                self.find(
                    FindingKind::EndpointUnreadable,
                    endpoint.id.as_str(),
                    format!(
                        "The application's list says {} and the private endpoint may not be read, so nothing proves \
                         that its names are gone; they are kept. Approve their removal if it was moved or deleted, or \
                         give the identity its rights back. ARM said: {answer}",
                        listed.as_str()
                    ),
                );
                return EndpointEvidence::Unsettled("the private endpoint may not be read".to_owned());
            }
            EndpointOutcome::NotRead => {
                self.report_state(&endpoint.id, listed);
                return match listed {
                    Pending | Rejected | Disconnected => EndpointEvidence::NotApproved(listed),
                    Approved | Absent | Unknown => {
                        EndpointEvidence::Unsettled("the endpoint was not read".to_owned())
                    }
                };
            }
            EndpointOutcome::Found(facts) => facts,
        };
        if facts.link_service.as_ref().is_some_and(|service| *service != self.observation.application) {
            self.find(
                FindingKind::EndpointForeign,
                endpoint.id.as_str(),
                "The application lists this private endpoint, but the endpoint is connected to another resource; \
                 nothing is published from it.",
            );
            return EndpointEvidence::Unsettled("the endpoint is connected to another resource".to_owned());
        }
        match (listed, facts.connection) {
            (Approved, Approved) => self.approved(&endpoint.id, facts),
            (Approved, other) | (other, Approved) => {
                let text = format!(
                    "the application's list says {}, the endpoint says {}",
                    listed.as_str(),
                    facts.connection.as_str()
                );
                self.find(
                    FindingKind::ConnectionConverging,
                    endpoint.id.as_str(),
                    format!(
                        "Azure is converging on the connection's state: {text}. Nothing is removed meanwhile."
                    ),
                );
                self.report_state(&endpoint.id, other);
                EndpointEvidence::Unsettled(text)
            }
            (Unknown, _) | (_, Unknown) => {
                self.report_state(&endpoint.id, Unknown);
                EndpointEvidence::Unsettled("the connection's state is not known".to_owned())
            }
            (_, state) => {
                self.report_state(&endpoint.id, if listed == Absent { state } else { listed });
                EndpointEvidence::NotApproved(state)
            }
        }
    }

    fn report_state(&mut self, endpoint: &ResourceId, state: ConnectionState) {
        let (kind, message) = match state {
            ConnectionState::Approved | ConnectionState::Absent => return,
            ConnectionState::Pending => (
                FindingKind::EndpointPending,
                "The connection waits for approval: approve it in the application under Networking, Private \
                 endpoint connections.",
            ),
            ConnectionState::Rejected => (
                FindingKind::EndpointRejected,
                "The connection was rejected, which is final: create the private endpoint anew if it is needed.",
            ),
            ConnectionState::Disconnected => (
                FindingKind::EndpointDisconnected,
                "The application's owner removed the connection: delete the private endpoint, or create it anew.",
            ),
            ConnectionState::Unknown => (
                FindingKind::EndpointStateUnknown,
                "The connection has a state that Azure does not document; nothing is published from the endpoint.",
            ),
        };
        self.find(kind, endpoint.as_str(), message);
    }

    /// An endpoint whose connection both sides call approved.
    fn approved(&mut self, id: &ResourceId, facts: &EndpointFacts) -> EndpointEvidence {
        if !facts.settled {
            let failed = facts.provisioning_state.eq_ignore_ascii_case("Failed");
            let (kind, text) = if failed {
                (FindingKind::EndpointFailed, "look at the endpoint in the Azure portal")
            } else {
                (FindingKind::EndpointUpdating, "Azure is still working on it; nothing is removed meanwhile")
            };
            self.find(
                kind,
                id.as_str(),
                format!("provisioningState of the private endpoint is {}: {text}.", facts.provisioning_state),
            );
        }
        let placed =
            sources::place(self.observation, self.application, id, facts, &self.share.zones, &self.members);
        self.findings.extend(placed.findings.iter().cloned());
        self.missing_members(id, facts, &placed);
        let evidence = match (&placed.source, facts.settled) {
            (None, _) => EndpointEvidence::Unsettled("no source tells the endpoint's addresses".to_owned()),
            (_, false) => {
                EndpointEvidence::Unsettled(format!("provisioningState is {}", facts.provisioning_state))
            }
            // An application requires at least its own name: an empty list proves nothing.
            (Some(_), true) if self.members.is_empty() => {
                EndpointEvidence::Unsettled("privateLinkResources names no required member".to_owned())
            }
            (Some(_), true) => {
                EndpointEvidence::Settled { shown: placed.shown, only_zones: placed.only_zones }
            }
        };
        self.share
            .endpoints
            .insert(id.clone(), EndpointShare { subnet: facts.subnet.clone(), names: placed.names });
        evidence
    }

    /// Compares the endpoint's members with the required ones, both ways.
    fn missing_members(&mut self, id: &ResourceId, facts: &EndpointFacts, placed: &Placed) {
        let own = [self.application.subdomain.as_deref(), Some(self.observation.application.name())];
        // Gathered once: an application may have many members, and every poll comes here.
        let mut present = BTreeSet::<String>::new();
        for (name, placement) in &placed.names {
            present.extend(placement.member.clone());
            present.extend(name.labels().next().map(str::to_owned));
            if placement.own_name {
                present.extend(own.iter().flatten().map(|own| own.to_ascii_lowercase()));
            }
        }
        let without: Vec<String> = self.members.difference(&present).cloned().collect();
        let why =
            if facts.settled { "Azure has not given it one yet" } else { "Azure is still working on it" };
        for member in without {
            self.find(
                FindingKind::MemberWithoutAddress,
                &member,
                format!(
                    "Required member without address at private endpoint {id}: {why}. Devices that are placed on \
                     it cannot connect until it appears; a record published before is kept."
                ),
            );
        }
        let leaving: Vec<(String, String)> = placed
            .names
            .iter()
            .filter_map(|(name, placement)| {
                // Only the network interface tells the member; elsewhere the first label is it.
                let member = placement.member.as_deref().or_else(|| name.labels().next())?;
                (!self.members.contains(member)).then(|| (name.to_string(), member.to_owned()))
            })
            .collect();
        for (name, member) in leaving {
            self.find(
                FindingKind::MemberLeaving,
                name,
                format!(
                    "{member} is no required member any more, but private endpoint {id} still has its address: \
                     Azure is converging, the record stays until both sides agree."
                ),
            );
        }
    }

    /// What only the application as a whole shows.
    fn overall(&mut self) {
        let application = &self.observation.application;
        if self.share.endpoints.is_empty() {
            self.find(
                FindingKind::NoApprovedEndpoint,
                application.as_str(),
                "No private endpoint of the application is approved by both sides, so there is nothing new to \
                 publish. Create one, or approve the pending one.",
            );
        }
        let networks: BTreeSet<ResourceId> = self
            .share
            .endpoints
            .values()
            .filter_map(|e| e.subnet.as_ref().and_then(ResourceId::virtual_network))
            .collect();
        if networks.len() > 1 {
            let list: Vec<&str> = networks.iter().map(ResourceId::as_str).collect();
            self.find(
                FindingKind::EndpointsInSeveralNetworks,
                application.as_str(),
                format!(
                    "Endpoints of the application lie in several virtual networks ({}); each name is answered \
                     with the addresses of all of them, reachable or not.",
                    list.join(", ")
                ),
            );
        }
        if self.application.public_access == Some(true) {
            self.find(
                FindingKind::PublicAccessEnabled,
                application.as_str(),
                "publicNetworkAccess is Enabled: devices may still connect through public endpoints.",
            );
        }
    }
}

/// Each endpoint once. One that was created anew under its old name has two connections in the
/// list, and the one that is left over says nothing about it.
fn each_once(endpoints: &[Endpoint]) -> impl Iterator<Item = &Endpoint> {
    let rank = |endpoint: &Endpoint| match endpoint.connection {
        ConnectionState::Approved => 2,
        ConnectionState::Pending | ConnectionState::Unknown => 1,
        ConnectionState::Rejected | ConnectionState::Disconnected | ConnectionState::Absent => 0,
    };
    let mut chosen = BTreeMap::<&ResourceId, &Endpoint>::new();
    for endpoint in endpoints {
        let kept = chosen.entry(&endpoint.id).or_insert(endpoint);
        if rank(endpoint) > rank(kept) {
            *kept = endpoint;
        }
    }
    chosen.into_values()
}
