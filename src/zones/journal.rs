//! The journal: how a zone came from an earlier serial to its current one.
//!
//! Secondaries ask for what has changed since the serial that they hold (RFC 1995). Several
//! differences in between are told as one, in which a record that came and went again does not
//! occur; where the journal does not reach back, they get the whole zone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use super::generation::is_greater;
use super::{Difference, DnsName, Generation, ZoneDifference};

/// How many differences are kept of every zone at least.
const ZONE: usize = 24;

/// How many differences are kept whatever zones they are of.
const LEAST: usize = 32;

/// How many are kept at most, so that a zone that seldom changes does not keep those of all others.
const MOST: usize = 1024;

/// How many records all differences together hold at most, the newest one aside: what is kept is
/// written with every change, and put together for every secondary that asks.
const RECORDS: usize = 100_000;

/// A record that comes and goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// An address of a name.
    Address(DnsName, Ipv4Addr),
    /// A member of a catalog.
    Member(DnsName),
}

/// What a secondary lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Nothing; it may even be ahead.
    Current,
    /// These records went and came.
    Changes {
        /// Records that went.
        removed: BTreeSet<Datum>,
        /// Records that came.
        added: BTreeSet<Datum>,
    },
    /// The journal does not tell.
    Unknown,
}

/// What changed in a zone since a serial that a secondary holds. `history` are the differences that
/// led to `generation`, oldest first.
#[must_use]
pub fn since(
    history: &VecDeque<Difference>,
    generation: &Generation,
    origin: &DnsName,
    serial: u32,
) -> Since {
    let Some(current) = generation.serial(origin) else { return Since::Unknown };
    if current == serial || is_greater(serial, current) {
        return Since::Current;
    }
    let (mut removed, mut added) = (BTreeSet::new(), BTreeSet::new());
    let mut at = None;
    for difference in history.iter().flat_map(|d| d.zones.iter()).filter(|zone| zone.origin == *origin) {
        if at.is_none() && difference.from != Some(serial) {
            continue;
        }
        // A zone that was not there for a while, or whose TTLs changed, is told as a whole.
        if at.is_some_and(|at| difference.from != Some(at)) || difference.apex {
            return Since::Unknown;
        }
        let Some(to) = difference.to else { return Since::Unknown };
        at = Some(to);
        let address = |(owner, address): &(DnsName, Ipv4Addr)| Datum::Address(owner.clone(), *address);
        let went = difference.removed.iter().map(address);
        for datum in went.chain(difference.left.iter().cloned().map(Datum::Member)) {
            if !added.remove(&datum) {
                removed.insert(datum);
            }
        }
        let came = difference.added.iter().map(address);
        for datum in came.chain(difference.joined.iter().cloned().map(Datum::Member)) {
            if !removed.remove(&datum) {
                added.insert(datum);
            }
        }
    }
    if at == Some(current) { Since::Changes { removed, added } } else { Since::Unknown }
}

/// Forgets the oldest differences that no zone needs any more.
pub fn trim(history: &mut VecDeque<Difference>) {
    let mut records: usize = history.iter().map(records).sum();
    while records > RECORDS
        && history.len() > 1
        && let Some(oldest) = history.pop_front()
    {
        records -= self::records(&oldest);
    }
    let mut kept = BTreeMap::<DnsName, usize>::new();
    for zone in history.iter().flat_map(|difference| difference.zones.iter()) {
        *kept.entry(zone.origin.clone()).or_default() += 1;
    }
    while history.len() > LEAST
        && let Some(oldest) = history.front()
    {
        let is_spare = |zone: &DnsName| kept.get(zone).is_some_and(|count| *count > ZONE);
        if history.len() <= MOST && !oldest.zones.iter().all(|zone| is_spare(&zone.origin)) {
            break;
        }
        for zone in oldest.zones.iter() {
            kept.entry(zone.origin.clone()).and_modify(|count| *count -= 1);
        }
        history.pop_front();
    }
}

/// How many records came and went.
fn records(difference: &Difference) -> usize {
    let of =
        |zone: &ZoneDifference| zone.added.len() + zone.removed.len() + zone.joined.len() + zone.left.len();
    difference.zones.iter().map(of).sum()
}
