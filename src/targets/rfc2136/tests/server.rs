//! A model of a server that follows RFC 2136.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::targets::rfc2136::ledger::Book;
use crate::targets::rfc2136::plan::{Desired, Holding};
use crate::wire::update::NameChange;
use crate::zones::DnsName;

/// A server: names with their addresses, and names that have records of other types.
#[derive(Debug, Clone, Default)]
pub(super) struct Server(pub(super) BTreeMap<DnsName, Holding>, pub(super) BTreeSet<DnsName>);

impl Server {
    pub(super) fn held(&self, owner: &DnsName) -> Holding {
        self.0.get(owner).cloned().unwrap_or_default()
    }

    pub(super) fn of(names: &[(&str, &[u8])]) -> Self {
        let addresses = |last: &[u8]| last.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last)).collect();
        let holding = |last: &[u8]| Holding { addresses: addresses(last), ttl: 60, ..Holding::default() };
        Self(
            names.iter().map(|(owner, last)| (owner.parse().expect("a name"), holding(last))).collect(),
            BTreeSet::new(),
        )
    }

    /// What it holds at the names of desire and ledger.
    pub(super) fn look(&self, desired: &Desired, book: &Book) -> BTreeMap<DnsName, Holding> {
        let names = desired.names.keys().chain(book.names().map(|(owner, _)| owner));
        names.map(|owner| (owner.clone(), self.held(owner))).collect()
    }

    /// Takes a message, all of it or nothing.
    pub(super) fn update(&mut self, changes: &[NameChange]) -> bool {
        let holds = |change: &NameChange| {
            let held = self.held(&change.owner);
            let is_free = held.obstacle.is_none() && !(change.is_unused && self.1.contains(&change.owner));
            held.addresses == change.before && (!change.before.is_empty() || is_free)
        };
        if !changes.iter().all(holds) {
            return false;
        }
        for change in changes {
            let held = self.0.entry(change.owner.clone()).or_default();
            held.addresses = change.after();
            if !change.add.is_empty() {
                held.ttl = change.ttl;
            }
        }
        true
    }
}
