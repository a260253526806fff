//! What is known to be right: the names with the addresses that Azure gave, from a generation.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::zones::{DnsName, Finding, Generation, ResourceId};

/// Everything that servers and addresses are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The names by public name.
    pub names: BTreeMap<DnsName, Name>,
    /// What is known of Azure's side beside them.
    pub findings: Vec<Finding>,
    /// A policy zone is handed to secondaries.
    pub policy_zone: bool,
}

/// One public name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The application that it belongs to.
    pub application: ResourceId,
    /// Its privatelink zone.
    pub zone: DnsName,
    /// What public DNS makes it an alias of, in that zone.
    pub private: Option<DnsName>,
    /// It is the application's own name: its public form may stay public.
    pub own_name: bool,
    /// Zone and name under which a server answers that has the zones, the privatelink one first.
    pub owners: Vec<(DnsName, DnsName)>,
    /// The answers that are right; the first one is for clients of no special network.
    pub answers: Vec<BTreeSet<Ipv4Addr>>,
    /// What each endpoint gives.
    pub given: BTreeMap<ResourceId, BTreeSet<Ipv4Addr>>,
}

impl Facts {
    /// The facts of an accepted generation, and what polls have found.
    #[must_use]
    pub fn of(generation: &Generation, findings: &[Finding]) -> Self {
        let mut facts = Self {
            findings: findings.to_vec(),
            policy_zone: generation.publication.rpz.is_some(),
            ..Self::default()
        };
        for share in generation.shares.values() {
            for (endpoint, public, placement) in share.placements() {
                let name = facts.names.entry(public.clone()).or_insert_with(|| Name {
                    application: share.application.clone(),
                    zone: placement.zone.clone(),
                    private: placement.owner(public),
                    own_name: placement.own_name,
                    owners: generation
                        .owners(public, placement)
                        .map(|(zone, owner)| (zone.clone(), owner))
                        .collect(),
                    answers: generation.answers(public, placement),
                    given: BTreeMap::new(),
                });
                name.give(endpoint.clone(), placement.addresses.clone());
            }
        }
        facts
    }

    /// Whose address that is, if any endpoint gives it: the public name and the endpoint.
    pub(super) fn whose(&self, address: Ipv4Addr) -> Option<(&DnsName, &ResourceId)> {
        self.names.iter().find_map(|(public, name)| {
            let mut given = name.given.iter();
            given.find(|(_, addresses)| addresses.contains(&address)).map(|(endpoint, _)| (public, endpoint))
        })
    }
}

impl Name {
    /// Adds what an endpoint gives.
    pub fn give(&mut self, endpoint: ResourceId, addresses: BTreeSet<Ipv4Addr>) {
        self.given.entry(endpoint).or_default().extend(addresses);
    }

    /// The addresses for clients of no special network.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.answers.first().cloned().unwrap_or_default()
    }
}
