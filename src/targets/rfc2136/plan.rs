//! What has to be done at a server, from what is desired, what is ours, and what it holds. Pure.
//!
//! The rules, which the tests hold for whatever they are given:
//! * A record that is not in the ledger is neither removed nor changed, unless it is to be taken over.
//! * A name that is desired never loses its last address.
//! * When a plan was carried out, the next one is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;

use super::ledger::{Book, Origin, Page, State};
use crate::wire::update::NameChange;
use crate::zones::{DnsName, Generation};

/// What a server holds at a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Holding {
    pub(super) addresses: BTreeSet<Ipv4Addr>,
    /// The TTL of the addresses; 0 without any.
    pub(super) ttl: u32,
    /// Why the name cannot have an address.
    pub(super) obstacle: Option<Obstacle>,
    /// Nobody has looked: it is taken for a name that is not in use.
    pub(super) is_guess: bool,
}

/// Why a name cannot have an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It is an alias of this name.
    Alias(String),
    /// It lies in a zone that another server has.
    Delegated,
}

/// What a server should hold, of all zones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Desired {
    /// Name → addresses, each in one of the zones of a generation.
    pub(super) names: BTreeMap<DnsName, BTreeSet<Ipv4Addr>>,
    /// The zones of the generation → how many names are in each.
    pub(super) origins: BTreeMap<DnsName, usize>,
    pub(super) ttl: u32,
    pub(super) generation: u64,
}

impl From<&Generation> for Desired {
    fn from(generation: &Generation) -> Self {
        let mut desired =
            Self { ttl: generation.publication.ttl, generation: generation.number, ..Self::default() };
        for (origin, zone) in generation.zones.iter().filter(|(_, zone)| zone.form.is_answered()) {
            desired.origins.insert(origin.clone(), zone.addresses.len());
            for (owner, addresses) in &zone.addresses {
                desired.names.entry(owner.clone()).or_default().extend(addresses);
            }
        }
        desired
    }
}

/// The zones that a server really has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hosted {
    pub(super) zones: BTreeSet<DnsName>,
    /// Names of which nobody knows now in which zone they lie, with why.
    pub(super) broken: BTreeMap<DnsName, String>,
}

impl Hosted {
    /// Whether it lies in a zone that has a problem now.
    pub(super) fn is_broken(&self, name: &DnsName) -> bool {
        self.broken.keys().any(|broken| name == broken || name.below(broken).is_some())
    }

    /// The longest zone that a name lies in, when that is certain.
    pub(super) fn zone_of(&self, name: &DnsName) -> Option<&DnsName> {
        let mut at = Some(name.as_str());
        while let Some(zone) = at {
            if self.broken.contains_key(zone) {
                return None;
            }
            if let Some(found) = self.zones.get(zone) {
                return Some(found);
            }
            at = zone.split_once('.').map(|(_, rest)| rest);
        }
        None
    }
}

/// How plans are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Foreign records at our names are replaced.
    pub(super) take_over: bool,
    /// Records that were written longer ago are written again.
    pub(super) refresh: Option<Duration>,
    pub(super) now: Timestamp,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    /// Zone → what is to be sent, names that get addresses first.
    pub(super) changes: BTreeMap<DnsName, Vec<NameChange>>,
    /// Zone, name and address of foreign records that are what we would have written.
    pub(super) adoptions: Vec<(DnsName, DnsName, Ipv4Addr)>,
    /// Foreign records that go, with `take_over`.
    pub(super) taken_over: Vec<(DnsName, Ipv4Addr)>,
    pub(super) conflicts: Vec<Conflict>,
    /// Records of ours that somebody else removed; they are written again.
    pub(super) drift: Vec<Drift>,
    /// Records of ours that are gone and not desired any more.
    pub(super) forgotten: Vec<(DnsName, Ipv4Addr)>,
}

/// A name that is left alone, or partly so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conflict {
    pub(super) owner: DnsName,
    pub(super) wanted: BTreeSet<Ipv4Addr>,
    /// What somebody else has there.
    pub(super) found: String,
}

/// A record of ours that was gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drift {
    pub(super) owner: DnsName,
    pub(super) address: Ipv4Addr,
    /// What is there instead.
    pub(super) found: BTreeSet<Ipv4Addr>,
}

/// The names that cannot be left as they are, judged by the ledger alone.
pub(super) fn concerned(desired: &Desired, book: &Book, rules: Rules) -> BTreeSet<DnsName> {
    let wanted = desired.names.iter().filter(|(owner, addresses)| match book.page(owner) {
        None => true,
        Some(page) => !is_settled(page, addresses, desired.ttl, rules),
    });
    let unwanted = book.names().filter(|(owner, _)| !desired.names.contains_key(*owner));
    wanted.map(|(owner, _)| owner).chain(unwanted.map(|(owner, _)| owner)).cloned().collect()
}

/// What a name most likely holds, where it does no harm to be wrong: the update says it too, and fails. Not of
/// names with intents, and of new ones only directly below the zone: others may lie below a delegation,
/// which no prerequisite tells.
pub(super) fn guess(owner: &DnsName, hosted: &Hosted, book: &Book) -> Option<Holding> {
    match book.page(owner) {
        None => {
            let is_direct = owner.parent().is_some_and(|parent| hosted.zones.contains(&parent));
            (is_direct && hosted.zone_of(owner).is_some_and(|zone| zone != owner))
                .then(|| Holding { is_guess: true, ..Holding::default() })
        }
        Some(page) => page
            .records
            .values()
            .all(|entry| entry.state == State::Held)
            .then(|| Holding { addresses: page.records.keys().copied().collect(), ..Holding::default() }),
    }
}

fn is_settled(page: &Page, addresses: &BTreeSet<Ipv4Addr>, ttl: u32, rules: Rules) -> bool {
    page.records.keys().eq(addresses)
        && page.records.values().all(|entry| entry.state == State::Held)
        && !has_other_ttl(page, addresses, ttl)
        && !is_due(page, addresses, rules)
}

/// Whether the records were written with another TTL. What is adopted keeps that of its author.
fn has_other_ttl(page: &Page, wanted: &BTreeSet<Ipv4Addr>, ttl: u32) -> bool {
    page.ttl.is_some_and(|written| written != ttl) && is_written(page, wanted)
}

fn is_due(page: &Page, wanted: &BTreeSet<Ipv4Addr>, rules: Rules) -> bool {
    let Some(refresh) = rules.refresh.filter(|_| is_written(page, wanted)) else { return false };
    // From a time to come: the clock went back, and the age is not known.
    let is_old =
        |at: Timestamp| Duration::try_from(rules.now.duration_since(at)).is_ok_and(|age| age >= refresh);
    page.records.values().any(|entry| entry.at > rules.now || is_old(entry.at))
}

/// Whether what stays of a name was written by us.
fn is_written(page: &Page, wanted: &BTreeSet<Ipv4Addr>) -> bool {
    let stays = page.records.iter().filter(|(address, _)| wanted.contains(address));
    stays.clone().all(|(_, entry)| entry.origin == Origin::Written) && stays.count() > 0
}

/// What has to be done about the names that were looked at.
///
/// The intents of these names have to be settled before.
pub(super) fn plan(
    desired: &Desired,
    book: &Book,
    hosted: &Hosted,
    held: &BTreeMap<DnsName, Holding>,
    rules: Rules,
) -> Plan {
    let mut plan = Plan::default();
    let nothing = BTreeSet::new();
    for (owner, holding) in held {
        let Some(zone) = hosted.zone_of(owner) else { continue };
        let wanted = desired.names.get(owner).unwrap_or(&nothing);
        let page = book.page(owner);
        let name = Name { owner, zone, wanted, page, holding, ttl: desired.ttl };
        name.plan(&mut plan, rules);
    }
    for changes in plan.changes.values_mut() {
        // Whatever a crash leaves of several messages is better with an address too many.
        changes.sort_by_key(|change| change.add.is_empty());
    }
    plan
}

/// One name and all that is known of it.
struct Name<'a> {
    owner: &'a DnsName,
    zone: &'a DnsName,
    wanted: &'a BTreeSet<Ipv4Addr>,
    page: Option<&'a Page>,
    holding: &'a Holding,
    ttl: u32,
}

impl Name<'_> {
    fn is_ours(&self, address: &Ipv4Addr) -> bool {
        self.page.is_some_and(|page| page.records.contains_key(address))
    }

    fn plan(&self, plan: &mut Plan, rules: Rules) {
        let held = &self.holding.addresses;
        self.tell_drift(plan);
        self.forget(plan);
        if let Some(obstacle) = &self.holding.obstacle {
            if !self.wanted.is_empty() {
                self.conflict(plan, obstacle.to_string());
            }
            return;
        }
        let stale: BTreeSet<Ipv4Addr> =
            held.iter().filter(|a| self.is_ours(a) && !self.wanted.contains(a)).copied().collect();
        let foreign: BTreeSet<Ipv4Addr> =
            held.iter().filter(|a| !self.is_ours(a) && !self.wanted.contains(a)).copied().collect();
        if self.wanted.is_empty() {
            self.change(plan, stale, BTreeSet::new());
            return;
        }
        let missing: BTreeSet<Ipv4Addr> = self.wanted.difference(held).copied().collect();
        if rules.take_over {
            plan.taken_over.extend(foreign.iter().map(|address| (self.owner.clone(), *address)));
            self.adopt(plan);
            self.change(plan, stale.into_iter().chain(foreign).collect(), self.with_rewrites(missing, rules));
            return;
        }
        if !foreign.is_empty() {
            self.conflict(plan, list(&foreign));
            // Nothing of ours is there: the name is somebody else's.
            if !held.iter().any(|address| self.is_ours(address)) {
                return;
            }
            self.adopt(plan);
            // No rewriting, which would change the TTL of what is foreign.
            self.change(plan, stale, missing);
            return;
        }
        self.adopt(plan);
        self.change(plan, stale, self.with_rewrites(missing, rules));
    }

    /// What was ours and is not there any more though nobody here wanted that.
    fn tell_drift(&self, plan: &mut Plan) {
        let Some(page) = self.page else { return };
        let held = &self.holding.addresses;
        for (address, entry) in &page.records {
            if entry.state == State::Held && self.wanted.contains(address) && !held.contains(address) {
                let drift = Drift { owner: self.owner.clone(), address: *address, found: held.clone() };
                plan.drift.push(drift);
            }
        }
    }

    fn forget(&self, plan: &mut Plan) {
        let Some(page) = self.page else { return };
        for (address, entry) in &page.records {
            // An intent is settled by its age.
            let is_over = entry.state == State::Held && !self.wanted.contains(address);
            if is_over && !self.holding.addresses.contains(address) {
                plan.forgotten.push((self.owner.clone(), *address));
            }
        }
    }

    fn adopt(&self, plan: &mut Plan) {
        for address in self.wanted.intersection(&self.holding.addresses).filter(|a| !self.is_ours(a)) {
            plan.adoptions.push((self.zone.clone(), self.owner.clone(), *address));
        }
    }

    fn conflict(&self, plan: &mut Plan, found: String) {
        plan.conflicts.push(Conflict { owner: self.owner.clone(), wanted: self.wanted.clone(), found });
    }

    /// Also what is there and ours, when it is written again for its TTL or its age.
    fn with_rewrites(&self, missing: BTreeSet<Ipv4Addr>, rules: Rules) -> BTreeSet<Ipv4Addr> {
        match self.page {
            Some(page) if has_other_ttl(page, self.wanted, self.ttl) || is_due(page, self.wanted, rules) => {
                let ours = self.wanted.iter().filter(|address| self.is_ours(address)).copied();
                missing.into_iter().chain(ours).collect()
            }
            _ => missing,
        }
    }

    fn change(&self, plan: &mut Plan, remove: BTreeSet<Ipv4Addr>, add: BTreeSet<Ipv4Addr>) {
        if remove.is_empty() && add.is_empty() {
            return;
        }
        // A set has one TTL (RFC 2181 section 5.2): what is foreign and stays keeps its own.
        let stays = |address: &Ipv4Addr| !remove.contains(address) && !self.is_ours(address);
        let is_shared = self.holding.addresses.iter().any(stays);
        let change = NameChange {
            owner: self.owner.clone(),
            before: self.holding.addresses.clone(),
            is_unused: self.holding.is_guess,
            remove,
            add,
            ttl: if is_shared { self.holding.ttl } else { self.ttl },
        };
        plan.changes.entry(self.zone.clone()).or_default().push(change);
    }
}

impl Plan {
    /// Whether nothing has to be sent or written down.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.adoptions.is_empty() && self.forgotten.is_empty()
    }

    /// The plan as sorted lines, which a person reads and a hash is made of.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (zone, changes) in &self.changes {
            for change in changes {
                for address in &change.add {
                    let again = if change.before.contains(address) { ", written again" } else { "" };
                    lines.push(format!("+ {} {} A {address} (zone {zone}{again})", change.owner, change.ttl));
                }
                for address in &change.remove {
                    let foreign = self.taken_over.contains(&(change.owner.clone(), *address));
                    let note = if foreign { ", taken over from somebody else" } else { "" };
                    lines.push(format!("- {} A {address} (zone {zone}{note})", change.owner));
                }
            }
        }
        for (zone, owner, address) in &self.adoptions {
            lines.push(format!("= {owner} A {address} (zone {zone}, adopted: it is there with this value)"));
        }
        for conflict in &self.conflicts {
            lines.push(format!("! {conflict}"));
        }
        lines.sort();
        lines
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} should be {} and is {}, not ours", self.owner, list(&self.wanted), self.found)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(of) => write!(f, "an alias of {of}"),
            Self::Delegated => f.write_str("delegated to another server"),
        }
    }
}

/// Addresses with commas between them.
pub(super) fn list(addresses: &BTreeSet<Ipv4Addr>) -> String {
    let mut text = String::new();
    for address in addresses {
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a text does not fail.
        let _ = write!(text, "{address}");
    }
    text
}
