//! A target of the simulation: real plans and a real ledger against the model of a server, with others who
//! write to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::server::Server;
use crate::targets::rfc2136::ledger::Book;
use crate::targets::rfc2136::plan::{Desired, Hosted, Plan, Rules, concerned, guess, plan};
use crate::zones::{DnsName, Generation};

/// What becomes of the message of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered,
    /// It is lost, and nobody knows.
    Lost,
    /// It is carried out, and the answer is lost.
    Unanswered,
    /// The daemon dies before it leaves.
    DiesBefore,
    /// The daemon dies when it is carried out.
    DiesAfter,
}

/// A server that stays primary, and the ledger of what is ours there.
#[derive(Default)]
pub(crate) struct SimulatedTarget {
    server: Server,
    /// In the daemon's memory, and on its disk.
    book: Book,
    disk: Book,
    /// Records of others.
    foreign: BTreeSet<(DnsName, Ipv4Addr)>,
}

impl SimulatedTarget {
    /// The daemon starts again.
    pub(crate) fn restart(&mut self) {
        self.book = self.disk.clone();
    }

    /// The ledger is lost: what it knew is somebody's now.
    pub(crate) fn lose_ledger(&mut self) {
        self.disk = Book::default();
        self.restart();
        let all = |(owner, holding): (&DnsName, &crate::targets::rfc2136::plan::Holding)| {
            holding.addresses.iter().map(|address| (owner.clone(), *address)).collect::<Vec<_>>()
        };
        self.foreign = self.server.0.iter().flat_map(all).collect();
    }

    /// Somebody adds a record.
    pub(crate) fn add(&mut self, owner: DnsName, address: Ipv4Addr) {
        let held = self.server.0.entry(owner.clone()).or_default();
        if held.addresses.insert(address)
            && self.book.page(&owner).is_none_or(|p| !p.records.contains_key(&address))
        {
            self.foreign.insert((owner, address));
        }
    }

    /// Somebody removes all records of a name.
    pub(crate) fn steal(&mut self, owner: &DnsName) {
        self.server.0.remove(owner);
        self.foreign.retain(|(name, _)| name != owner);
    }

    /// Brings the server to a generation, as a run does: what has changed first, then all the rest. Says
    /// whether the daemon has died.
    pub(crate) fn push(
        &mut self,
        generation: &Generation,
        fate: Fate,
        now: Timestamp,
    ) -> Result<bool, String> {
        let desired = Desired::from(generation);
        // It has every zone that was ever written to.
        let written = self.book.names().map(|(_, page)| &page.zone);
        let zones = desired.origins.keys().chain(written).cloned().collect();
        let hosted = Hosted { zones, broken: BTreeMap::new() };
        let rules = Rules { take_over: false, refresh: None, now };
        let names = concerned(&desired, &self.book, rules).into_iter();
        let held =
            names.filter_map(|owner| Some((owner.clone(), guess(&owner, &hosted, &self.book)?))).collect();
        let guessed = plan(&desired, &self.book, &hosted, &held, rules);
        if self.carry_out(&guessed, &desired, fate, now)? {
            return Ok(true);
        }
        // With the first message gone astray the rest goes well.
        let fate = if guessed.changes.is_empty() { fate } else { Fate::Answered };
        let held = self.server.look(&desired, &self.book);
        for (owner, holding) in &held {
            self.book.settle(owner, &holding.addresses, now);
        }
        let looked = plan(&desired, &self.book, &hosted, &held, rules);
        self.carry_out(&looked, &desired, fate, now)
    }

    fn carry_out(
        &mut self,
        plan: &Plan,
        desired: &Desired,
        fate: Fate,
        now: Timestamp,
    ) -> Result<bool, String> {
        let known = self.book.clone();
        self.book.intend(plan, desired.generation, now);
        self.disk = self.book.clone();
        let ours = &self.book;
        self.foreign
            .retain(|(owner, address)| ours.page(owner).is_none_or(|p| !p.records.contains_key(address)));
        for changes in plan.changes.values() {
            if fate == Fate::DiesBefore {
                self.restart();
                return Ok(true);
            }
            for change in changes {
                let is_ours = |gone: &&Ipv4Addr| {
                    known.page(&change.owner).is_some_and(|p| p.records.contains_key(*gone))
                };
                if let Some(gone) = change.remove.iter().find(|gone| !is_ours(gone)) {
                    return Err(format!("{} A {gone}, not ours, would be removed", change.owner));
                }
            }
            let had = |server: &Server, owner: &DnsName| !server.held(owner).addresses.is_empty();
            let living: Vec<&DnsName> =
                desired.names.keys().filter(|owner| had(&self.server, owner)).collect();
            let done = fate != Fate::Lost && self.server.update(changes);
            if let Some(owner) = living.into_iter().find(|owner| !had(&self.server, owner)) {
                return Err(format!("{owner} has no address at the server any more"));
            }
            match fate {
                Fate::DiesAfter => {
                    self.restart();
                    return Ok(true);
                }
                Fate::Lost | Fate::Unanswered => {}
                _ if done => changes.iter().for_each(|change| self.book.done(change)),
                _ => changes.iter().for_each(|change| self.book.refused(change)),
            }
        }
        self.disk = self.book.clone();
        self.check()?;
        Ok(false)
    }

    /// Whether all records of others are still there.
    fn check(&self) -> Result<(), String> {
        match self
            .foreign
            .iter()
            .find(|(owner, address)| !self.server.held(owner).addresses.contains(address))
        {
            Some((owner, address)) => Err(format!("{owner} A {address} of somebody else is gone")),
            None => Ok(()),
        }
    }

    /// Whether the server has what is desired, but for names that somebody else has.
    pub(crate) fn agrees(&self, generation: &Generation) -> Result<(), String> {
        let desired = Desired::from(generation);
        for (owner, wanted) in &desired.names {
            let held = self.server.held(owner).addresses;
            let is_foreign = held.iter().any(|address| self.foreign.contains(&(owner.clone(), *address)));
            if held != *wanted && !is_foreign {
                return Err(format!("{owner} is {held:?} at the server, not {wanted:?}"));
            }
        }
        let ours = self.book.names().flat_map(|(owner, page)| page.records.keys().map(move |a| (owner, a)));
        for (owner, address) in ours {
            if desired.names.get(owner).is_none_or(|wanted| !wanted.contains(address)) {
                return Err(format!("{owner} A {address} is in the ledger, and nobody wants it"));
            }
        }
        Ok(())
    }
}
