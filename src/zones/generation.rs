//! Generations: the numbered, accepted states of all zones, and how one follows another.
//!
//! Everything that leaves the daemon, answers, transfers and files alike, is a pure function of
//! one generation (promise 6).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::views::{self, Record, records};
use super::{DnsName, Prefix, Publication, ResourceId, Share};

/// How many differences are kept behind the current generation.
pub const HISTORY: usize = 32;

/// Serials of zones that are not published any more are kept for this many zones.
const RETIRED_SERIALS: usize = 4096;

/// What all generations are made of: each application's accepted share.
pub type Shares = BTreeMap<ResourceId, Arc<Share>>;

/// Owner name → addresses.
pub type Addresses = BTreeMap<DnsName, BTreeSet<Ipv4Addr>>;

/// A numbered, accepted state of all zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Counts accepted changes from 1.
    pub number: u64,
    /// When it was accepted.
    pub created: Timestamp,
    /// Why it differs from the one before.
    pub cause: String,
    /// How the zones were made.
    pub publication: Publication,
    /// What the applications contribute.
    pub shares: Shares,
    /// The zones by origin.
    pub zones: BTreeMap<DnsName, Zone>,
    /// The serial of every zone, published or retired.
    pub serials: BTreeMap<DnsName, ZoneSerial>,
}

/// The serial of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneSerial {
    /// The SOA serial (RFC 1982 arithmetic).
    pub serial: u32,
    /// When the zone's content last changed.
    pub changed: Timestamp,
}

/// Which form of publication a zone belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A required `privatelink.*` zone.
    Privatelink,
    /// A zone for one public name, with its A records at the apex.
    PerName,
}

/// One zone; SOA and NS at the apex follow from [`Publication`] and the serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its form.
    pub form: Form,
    /// Owner name → addresses, for clients outside all prefixes; what transfers and files hold.
    pub addresses: Addresses,
    /// Client prefix → the names with other addresses than in `addresses`, of which there may be
    /// none. Only prefixes whose clients see something else than those of the prefix around them;
    /// the longest one counts.
    pub views: BTreeMap<Prefix, Arc<Addresses>>,
    /// The applications that require it or have names in it.
    pub applications: BTreeSet<ResourceId>,
}

/// How a generation differs from the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The generation's number.
    pub number: u64,
    /// When it was accepted.
    pub created: Timestamp,
    /// Why.
    pub cause: String,
    /// The zones whose content changed.
    pub zones: Vec<ZoneDifference>,
}

/// How one zone changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneDifference {
    /// The zone.
    pub origin: DnsName,
    /// Its serial before; nothing when it was not published.
    pub from: Option<u32>,
    /// Its serial now; nothing when it is not published any more.
    pub to: Option<u32>,
    /// Address records that came.
    pub added: Vec<(DnsName, Ipv4Addr)>,
    /// Address records that went.
    pub removed: Vec<(DnsName, Ipv4Addr)>,
    /// TTLs, SOA or NS changed.
    pub apex: bool,
    /// Clients of some network see other addresses in place of those of the zone than before.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub views: bool,
}

/// Makes the zones of all shares.
#[must_use]
pub fn zones(shares: &Shares, publication: &Publication) -> BTreeMap<DnsName, Zone> {
    let mut zones = BTreeMap::<DnsName, Zone>::new();
    let mut zone = |origin: &DnsName, form: Form, application: &ResourceId, record: Option<Record<'_>>| {
        let zone = match zones.get_mut(origin) {
            Some(zone) => zone,
            None => zones.entry(origin.clone()).or_insert_with(|| Zone {
                form,
                addresses: BTreeMap::new(),
                views: BTreeMap::new(),
                applications: BTreeSet::new(),
            }),
        };
        if !zone.applications.contains(application) {
            zone.applications.insert(application.clone());
        }
        if let Some(record) = record {
            zone.addresses.entry(record.owner).or_default().extend(record.addresses);
        }
    };
    for share in shares.values() {
        if publication.privatelink_zones {
            for origin in &share.zones {
                zone(origin, Form::Privatelink, &share.application, None);
            }
        }
        let preferred = publication.preferred(&share.application, None);
        for (endpoint, public, placement) in share.placements() {
            for record in records(publication, share, preferred, endpoint, public, placement) {
                zone(record.origin, record.form, &share.application, Some(record));
            }
        }
    }
    views::add(&mut zones, shares, publication);
    zones
}

/// The generation that follows `current`, or nothing when nothing would change.
///
/// The first generation follows nothing. A zone's serial rises exactly when its content changes:
/// to the time of the change in seconds, or by one where the serial is there already, so that a
/// lost state directory does not take it back.
#[must_use]
pub fn succeed(
    current: Option<&Generation>,
    shares: Shares,
    publication: &Publication,
    cause: &str,
    now: Timestamp,
) -> Option<(Generation, Difference)> {
    if current.is_some_and(|c| c.shares == shares && c.publication == *publication) {
        return None;
    }
    let new = zones(&shares, publication);
    let nothing = BTreeMap::new();
    let old = current.map_or(&nothing, |c| &c.zones);
    let mut serials = current.map(|c| c.serials.clone()).unwrap_or_default();
    let apex = current.is_some_and(|c| !same_apex(&c.publication, publication));
    let mut differences = Vec::new();
    for origin in old.keys().chain(new.keys().filter(|o| !old.contains_key(*o))) {
        let (before, after) = (old.get(origin), new.get(origin));
        let (added, removed) = compare(before, after);
        let apex = apex && before.is_some() && after.is_some();
        let views = before.zip(after).is_some_and(|(before, after)| before.views != after.views);
        let same = added.is_empty() && removed.is_empty() && !apex && !views;
        if before.is_some() == after.is_some() && same {
            continue;
        }
        let last = serials.get(origin).map(|s| s.serial);
        let to = after.map(|_| next_serial(last, now));
        if let Some(serial) = to {
            serials.insert(origin.clone(), ZoneSerial { serial, changed: now });
        }
        differences.push(ZoneDifference {
            origin: origin.clone(),
            from: before.and(last),
            to,
            added,
            removed,
            apex,
            views,
        });
    }
    forget_retired(&mut serials, &new);
    let number = current.map_or(1, |c| c.number + 1);
    let difference = Difference { number, created: now, cause: cause.to_owned(), zones: differences };
    let generation = Generation {
        number,
        created: now,
        cause: cause.to_owned(),
        publication: publication.clone(),
        shares,
        zones: new,
        serials,
    };
    Some((generation, difference))
}

impl Generation {
    /// The published serial of a zone.
    #[must_use]
    pub fn serial(&self, origin: &DnsName) -> Option<u32> {
        if self.zones.contains_key(origin) { self.serials.get(origin).map(|s| s.serial) } else { None }
    }

    /// The number of published names, each form counted once.
    #[must_use]
    pub fn names(&self) -> usize {
        self.shares.values().map(|share| share.names().len()).sum()
    }
}

/// The serial after `last`.
fn next_serial(last: Option<u32>, now: Timestamp) -> u32 {
    // Seconds since 1970 modulo 2^32, as RFC 1982 arithmetic wants.
    let time = now.as_second() as u32;
    match last {
        // Greater in the sense of RFC 1982 section 3.2.
        Some(last) if time.wrapping_sub(last).wrapping_sub(1) >= 0x7fff_ffff => last.wrapping_add(1),
        _ => time,
    }
}

fn same_apex(a: &Publication, b: &Publication) -> bool {
    (a.ttl, a.negative_ttl, &a.name_servers, &a.hostmaster)
        == (b.ttl, b.negative_ttl, &b.name_servers, &b.hostmaster)
}

type Records = Vec<(DnsName, Ipv4Addr)>;

/// Records that came and records that went.
fn compare(before: Option<&Zone>, after: Option<&Zone>) -> (Records, Records) {
    let only_in = |a: Option<&Zone>, b: Option<&Zone>| {
        let mut records = Vec::new();
        for (owner, addresses) in a.into_iter().flat_map(|zone| &zone.addresses) {
            let other = b.and_then(|zone| zone.addresses.get(owner));
            for address in addresses {
                if other.is_none_or(|other| !other.contains(address)) {
                    records.push((owner.clone(), *address));
                }
            }
        }
        records
    };
    (only_in(after, before), only_in(before, after))
}

/// Bounds the memory of zones that came and went over the years, oldest change first.
fn forget_retired(serials: &mut BTreeMap<DnsName, ZoneSerial>, zones: &BTreeMap<DnsName, Zone>) {
    let mut retired: Vec<(Timestamp, DnsName)> = serials
        .iter()
        .filter(|(origin, _)| !zones.contains_key(*origin))
        .map(|(origin, serial)| (serial.changed, origin.clone()))
        .collect();
    if retired.len() > RETIRED_SERIALS {
        retired.sort();
        for (_, origin) in &retired[..retired.len() - RETIRED_SERIALS] {
            serials.remove(origin);
        }
    }
}
