//! The ledger: which records on somebody else's server are ours.
//!
//! A server that stays primary has records of others, and nothing on it says whose a record is. What we
//! wrote or adopted stands here, and only that is ever changed or removed. It is on disk before a
//! message that changes something leaves (an intent), and is settled when it is known what became of
//! it: from the reply, or from what the server holds.
//!
//! Pure; [`super::file`] keeps it on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kerberos::Kerberos;
use super::plan::Plan;
use crate::config::{Rfc2136, ServerMode};
use crate::wire::update::NameChange;
use crate::zones::DnsName;

/// How long a message that nobody answered may still be under way in a server. That long a record that
/// it would have added is taken for ours when it appears.
const UNDER_WAY: Duration = Duration::from_secs(300);

/// The version of the format.
const VERSION: u32 = 1;

/// Everything that is known of one target's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    version: u32,
    /// How the server is reached, so that the records can be removed when the target is configured no
    /// more.
    pub(super) reach: Reach,
    /// What was written to each server; servers that hold the same share one book.
    pub(super) books: BTreeMap<String, Book>,
}

/// How a server is reached; no secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reach {
    pub(super) servers: Vec<SocketAddr>,
    /// All servers are written to, not one of them.
    pub(super) all: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) key: Option<DnsName>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) kerberos: Option<Kerberos>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) udp: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) find_primary: bool,
}

impl From<&Rfc2136> for Reach {
    fn from(settings: &Rfc2136) -> Self {
        Self {
            servers: settings.servers.clone(),
            all: settings.mode == ServerMode::All,
            key: settings.key.clone(),
            kerberos: settings.kerberos.clone().map(Into::into),
            udp: settings.udp,
            find_primary: settings.find_primary,
        }
    }
}

/// The records of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Book {
    names: BTreeMap<DnsName, Page>,
}

/// The records of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    /// The zone that they were written to.
    pub(super) zone: DnsName,
    /// The TTL that they were written with; none when all are adopted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) ttl: Option<u32>,
    pub(super) records: BTreeMap<Ipv4Addr, Entry>,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    pub(super) state: State,
    /// The generation that wanted it.
    pub(super) generation: u64,
    /// When it was last written or adopted, or was to be.
    pub(super) at: Timestamp,
}

/// How a record became ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Origin {
    /// We wrote it.
    Written,
    /// It was there with the value that we would have written.
    Adopted,
}

/// What is known of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// The server had it when it was last looked at or written.
    Held,
    /// An intent: a message that adds it may have left.
    Adding,
    /// An intent: a message that removes it may have left.
    Removing,
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// It is no ledger.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It is of a later release.
    #[error(
        "a later release wrote it: it has version {0} of the format, this release reads version {VERSION}. Nothing is \
         written to the target. Run that release again; or move the file away, then what the server has already is \
         adopted, and what should go from it has to be removed by hand"
    )]
    Version(u32),
}

impl Ledger {
    /// A ledger in which nothing is ours.
    pub(super) const fn new(reach: Reach) -> Self {
        Self { version: VERSION, reach, books: BTreeMap::new() }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(LedgerError::Version(version));
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Records that are ours, on all servers.
    pub(super) fn len(&self) -> usize {
        self.books.values().map(Book::len).sum()
    }
}

impl Book {
    /// The names with records of ours.
    pub(super) fn names(&self) -> impl Iterator<Item = (&DnsName, &Page)> {
        self.names.iter()
    }

    pub(super) fn page(&self, name: &DnsName) -> Option<&Page> {
        self.names.get(name)
    }

    /// How many records are ours.
    pub(super) fn len(&self) -> usize {
        self.names.values().map(|page| page.records.len()).sum()
    }

    /// Writes down what a plan is about to do. Has to be on disk before anything is sent.
    pub(super) fn intend(&mut self, plan: &Plan, generation: u64, now: Timestamp) {
        for (zone, owner, address) in &plan.adoptions {
            let page = self.open(zone, owner);
            let adopted = Entry { origin: Origin::Adopted, state: State::Held, generation, at: now };
            page.records.entry(*address).or_insert(adopted);
        }
        for (zone, changes) in &plan.changes {
            for change in changes {
                self.intend_change(zone, change, generation, now);
            }
        }
        for (owner, address) in &plan.forgotten {
            self.strike(owner, *address);
        }
    }

    fn intend_change(&mut self, zone: &DnsName, change: &NameChange, generation: u64, now: Timestamp) {
        let page = self.open(zone, &change.owner);
        for address in &change.add {
            let new = Entry { origin: Origin::Written, state: State::Adding, generation, at: now };
            // What is there already is written again; it does not stop being ours when that fails.
            let is_there = change.before.contains(address);
            match page.records.get_mut(address) {
                Some(entry) if is_there => (entry.generation, entry.at) = (generation, now),
                Some(entry) => *entry = Entry { origin: entry.origin, ..new },
                None => {
                    page.records.insert(*address, new);
                }
            }
        }
        if !change.add.is_empty() {
            page.ttl = Some(change.ttl);
        }
        for address in &change.remove {
            // A foreign record that is taken over is none of ours, before and after.
            if let Some(entry) = page.records.get_mut(address) {
                (entry.state, entry.at) = (State::Removing, now);
            }
        }
        self.tidy(&change.owner);
    }

    /// A change is done.
    pub(super) fn done(&mut self, change: &NameChange) {
        if let Some(page) = self.names.get_mut(&change.owner) {
            page.records.retain(|address, _| !change.remove.contains(address));
            for address in &change.add {
                if let Some(entry) = page.records.get_mut(address) {
                    entry.state = State::Held;
                }
            }
        }
        self.tidy(&change.owner);
    }

    /// A change is not done, which is certain.
    pub(super) fn refused(&mut self, change: &NameChange) {
        if let Some(page) = self.names.get_mut(&change.owner) {
            page.records.retain(|address, entry| {
                entry.state != State::Adding
                    || !change.add.contains(address)
                    || change.before.contains(address)
            });
            for entry in page.records.values_mut().filter(|entry| entry.state == State::Removing) {
                entry.state = State::Held;
            }
        }
        self.tidy(&change.owner);
    }

    /// Settles the intents at a name by what the server holds; says whether there were any.
    pub(super) fn settle(&mut self, owner: &DnsName, held: &BTreeSet<Ipv4Addr>, now: Timestamp) -> bool {
        let mut had = false;
        if let Some(page) = self.names.get_mut(owner) {
            had = page.records.values().any(|entry| entry.state != State::Held);
            page.records.retain(|address, entry| match (entry.state, held.contains(address)) {
                (State::Held, _) => true,
                (State::Adding | State::Removing, true) => {
                    entry.state = State::Held;
                    true
                }
                (State::Adding, false) => {
                    // The clock went back: the message is no older than that.
                    entry.at = entry.at.min(now);
                    let age = Duration::try_from(now.duration_since(entry.at)).unwrap_or_default();
                    age < UNDER_WAY
                }
                (State::Removing, false) => false,
            });
        }
        self.tidy(owner);
        had
    }

    fn open(&mut self, zone: &DnsName, owner: &DnsName) -> &mut Page {
        let page = self.names.entry(owner.clone()).or_insert_with(|| Page {
            zone: zone.clone(),
            ttl: None,
            records: BTreeMap::new(),
        });
        if page.zone != *zone {
            page.zone = zone.clone();
        }
        page
    }

    fn strike(&mut self, owner: &DnsName, address: Ipv4Addr) {
        if let Some(page) = self.names.get_mut(owner) {
            page.records.remove(&address);
        }
        self.tidy(owner);
    }

    /// A name without records is none of ours.
    fn tidy(&mut self, owner: &DnsName) {
        if self.names.get(owner).is_some_and(|page| page.records.is_empty()) {
            self.names.remove(owner);
        }
    }
}
