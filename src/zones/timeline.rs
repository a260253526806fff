//! The history by public name: when a name came, changed and went, and what differs between two
//! generations.
//!
//! Differences are kept by zone, for secondaries; people ask for names. A name may stand in several
//! zones, so what it has is the union over them, and a zone that comes or goes without it changes
//! nothing for the name. All is read backwards from the current generation, one difference undone
//! after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Difference, DnsName, Generation, public_suffix};

/// What a step of the history did to one public name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameChange {
    /// The public name.
    pub name: DnsName,
    /// Its addresses before; none when it came.
    pub old: BTreeSet<Ipv4Addr>,
    /// Its addresses afterwards; none when it went.
    pub new: BTreeSet<Ipv4Addr>,
}

/// How a zone differs between two generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneChange {
    /// The zone.
    pub origin: DnsName,
    /// Its serial before; nothing when it was not published.
    pub from: Option<u32>,
    /// Its serial afterwards; nothing when it is not published any more.
    pub to: Option<u32>,
    /// Address records that came.
    pub added: usize,
    /// Address records that went.
    pub removed: usize,
    /// TTLs, SOA, NS or the group of a catalog's members changed.
    pub apex: bool,
    /// Clients of some network see other addresses than before in place of the zone's.
    pub views: bool,
}

/// A generation as a step of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The generation's number.
    pub number: u64,
    /// When it was accepted.
    pub created: Timestamp,
    /// Why it differs from the one before.
    pub cause: String,
    /// The names that changed.
    pub names: Vec<NameChange>,
    /// The zones that changed.
    pub zones: Vec<ZoneChange>,
}

/// What differs between two generations, read from the first to the second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Between {
    /// The first.
    pub from: u64,
    /// The second; may be the earlier one.
    pub to: u64,
    /// The names that differ.
    pub names: Vec<NameChange>,
    /// The zones that differ, or changed in between and came back to what they were.
    pub zones: Vec<ZoneChange>,
}

/// A generation that cannot be told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownGeneration {
    /// The history does not reach back so far.
    #[error("generation {number} is not known any more; the oldest that is known is {oldest}")]
    Forgotten {
        /// The one asked for.
        number: u64,
        /// The oldest that is known.
        oldest: u64,
    },
    /// It is to come.
    #[error("there is no generation {number} yet; the latest is {latest}")]
    Future {
        /// The one asked for.
        number: u64,
        /// The current one.
        latest: u64,
    },
}

/// The public name that a record of a zone is about; nothing where it is about none.
fn public_name(rpz: Option<&DnsName>, origin: &DnsName, owner: &DnsName) -> Option<DnsName> {
    if owner == origin {
        return Some(owner.clone());
    }
    let below = owner.below(origin)?;
    match public_suffix(origin).filter(|_| rpz != Some(origin)) {
        Some(suffix) => suffix.prepend(below).ok(),
        // A policy zone, of now or of before.
        None => below.parse().ok(),
    }
}

/// Zone → the addresses that a name has there.
type Places = BTreeMap<DnsName, BTreeSet<Ipv4Addr>>;

/// The state at a point of the history, as far as anything was undone.
struct Past<'a> {
    generation: &'a Generation,
    names: BTreeMap<DnsName, Places>,
}

impl<'a> Past<'a> {
    const fn new(generation: &'a Generation) -> Self {
        Self { generation, names: BTreeMap::new() }
    }

    /// What a name has now: in its privatelink zones, in its own, in the policy zone.
    fn places(&self, name: &DnsName) -> Places {
        let zones = &self.generation.zones;
        let mut places = Places::new();
        let mut note = |origin: &DnsName, owner: Option<DnsName>| {
            let addresses = zones.get(origin).zip(owner).and_then(|(zone, o)| zone.addresses.get(&o));
            if let Some(addresses) = addresses {
                places.insert(origin.clone(), addresses.clone());
            }
        };
        note(name, Some(name.clone()));
        let mut suffix = name.parent();
        while let Some(here) = suffix {
            if let (Ok(zone), Some(below)) = (here.prepend("privatelink"), name.below(&here)) {
                note(&zone, zone.prepend(below).ok());
            }
            suffix = here.parent();
        }
        if let Some(rpz) = &self.generation.publication.rpz {
            note(rpz, rpz.prepend(name.as_str()).ok());
        }
        places
    }

    /// Undoes a difference; gives the names that it changed.
    fn undo(&mut self, difference: &Difference) -> Vec<NameChange> {
        let rpz = self.generation.publication.rpz.as_ref();
        let mut records = BTreeMap::<DnsName, Vec<(&DnsName, Ipv4Addr, bool)>>::new();
        for zone in difference.zones.iter() {
            let came = zone.added.iter().map(|record| (record, true));
            for ((owner, address), came) in came.chain(zone.removed.iter().map(|record| (record, false))) {
                if let Some(name) = public_name(rpz, &zone.origin, owner) {
                    records.entry(name).or_default().push((&zone.origin, *address, came));
                }
            }
        }
        let mut changes = Vec::new();
        for (name, records) in records {
            let undone = self.names.remove(&name);
            let mut places = undone.unwrap_or_else(|| self.places(&name));
            let new = union(&places);
            for (origin, address, came) in records {
                let addresses = places.entry(origin.clone()).or_default();
                if came {
                    addresses.remove(&address);
                } else {
                    addresses.insert(address);
                }
            }
            let old = union(&places);
            self.names.insert(name.clone(), places);
            if old != new {
                changes.push(NameChange { name, old, new });
            }
        }
        changes
    }
}

fn union(places: &Places) -> BTreeSet<Ipv4Addr> {
    places.values().flatten().copied().collect()
}

/// The history that led to `generation`, newest first.
pub fn entries<'a>(
    history: &'a VecDeque<Difference>,
    generation: &'a Generation,
) -> impl Iterator<Item = HistoryEntry> + 'a {
    let mut past = Past::new(generation);
    history.iter().rev().map(move |difference| HistoryEntry {
        number: difference.number,
        created: difference.created,
        cause: difference.cause.clone(),
        names: past.undo(difference),
        zones: difference
            .zones
            .iter()
            .map(|zone| ZoneChange {
                origin: zone.origin.clone(),
                from: zone.from,
                to: zone.to,
                added: zone.added.len(),
                removed: zone.removed.len(),
                apex: zone.apex,
                views: zone.views,
            })
            .collect(),
    })
}

/// The oldest generation whose content is known: the one before the oldest difference, 0 when that
/// made the first.
#[must_use]
pub fn oldest(history: &VecDeque<Difference>, generation: &Generation) -> u64 {
    history.front().map_or(generation.number, |difference| difference.number.saturating_sub(1))
}

/// What differs between generations `from` and `to`, in either order.
///
/// # Errors
/// When one of them is not known.
pub fn between(
    history: &VecDeque<Difference>,
    generation: &Generation,
    from: u64,
    to: u64,
) -> Result<Between, UnknownGeneration> {
    let (earlier, later) = (from.min(to), from.max(to));
    let oldest = oldest(history, generation);
    if earlier < oldest {
        return Err(UnknownGeneration::Forgotten { number: earlier, oldest });
    }
    if later > generation.number {
        return Err(UnknownGeneration::Future { number: later, latest: generation.number });
    }
    let (mut names, mut zones) = (BTreeMap::<DnsName, NameChange>::new(), BTreeMap::new());
    for entry in entries(history, generation) {
        if entry.number <= earlier {
            break;
        }
        if entry.number > later {
            continue;
        }
        for change in entry.names {
            names.entry(change.name.clone()).and_modify(|c| c.old.clone_from(&change.old)).or_insert(change);
        }
        for change in entry.zones {
            let known = zones.entry(change.origin.clone()).or_insert_with(|| change.clone());
            known.from = change.from;
            (known.apex, known.views) = (known.apex | change.apex, known.views | change.views);
        }
    }
    let records = net_records(history, earlier, later);
    let count = |origin: &DnsName, came: bool| {
        records.get(origin).map_or(0, |records| records.values().filter(|is| **is == came).count())
    };
    let is_back = from > to;
    // One that came and went again is no difference.
    let zones = zones.into_values().filter(|zone| zone.from.is_some() || zone.to.is_some());
    let zones = zones.map(|zone| {
        let (added, removed) = (count(&zone.origin, true), count(&zone.origin, false));
        let zone = ZoneChange { added, removed, ..zone };
        if is_back {
            ZoneChange { from: zone.to, to: zone.from, added: removed, removed: added, ..zone }
        } else {
            zone
        }
    });
    let names = names.into_values().filter(|change| change.old != change.new).map(|change| {
        if is_back { NameChange { old: change.new, new: change.old, ..change } } else { change }
    });
    Ok(Between { from, to, names: names.collect(), zones: zones.collect() })
}

/// By zone, the records that only one of two generations has, and whether it is the later one.
fn net_records(
    history: &VecDeque<Difference>,
    earlier: u64,
    later: u64,
) -> BTreeMap<&DnsName, BTreeMap<(&DnsName, Ipv4Addr), bool>> {
    let mut net = BTreeMap::<_, BTreeMap<_, bool>>::new();
    let within = history.iter().filter(|d| earlier < d.number && d.number <= later);
    for zone in within.flat_map(|difference| difference.zones.iter()) {
        let records = net.entry(&zone.origin).or_default();
        let went = zone.removed.iter().map(|record| (record, false));
        for ((owner, address), came) in went.chain(zone.added.iter().map(|record| (record, true))) {
            let key = (owner, *address);
            // What came and went again, or the reverse, is no difference.
            if records.remove(&key).is_none() {
                records.insert(key, came);
            }
        }
    }
    net
}
