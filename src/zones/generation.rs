//! Generations: the numbered, accepted states of all zones, and how one follows another.
//!
//! Everything that leaves the daemon, answers, transfers and files alike, is a pure function of
//! one generation (promise 6).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::views::{self, Record, records};
use super::{DnsName, Placement, Prefix, Publication, ResourceId, Share};

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
    /// The list of all zones of the forms above, for secondaries (RFC 9432).
    Catalog,
    /// The public names as a response policy zone, for resolvers.
    Rpz,
}

impl Form {
    /// Whether clients get answers from zones of this form. The others are there for transfers.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Privatelink | Self::PerName)
    }
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
    /// The zones whose content changed. Shared: with every change the history is copied, by whoever still has the
    /// one before and for the state file, and it can hold 100,000 records.
    #[serde(serialize_with = "slice", deserialize_with = "shared")]
    pub zones: Arc<[ZoneDifference]>,
}

fn slice<S: Serializer>(zones: &Arc<[ZoneDifference]>, serializer: S) -> Result<S::Ok, S::Error> {
    zones.as_ref().serialize(serializer)
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[ZoneDifference]>, D::Error> {
    Vec::deserialize(deserializer).map(Arc::from)
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
    /// Zones that joined a catalog.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub joined: Vec<DnsName>,
    /// Zones that left it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left: Vec<DnsName>,
    /// TTLs, SOA, NS or the group of a catalog's members changed.
    pub apex: bool,
    /// Clients of some network see other addresses in place of those of the zone than before.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub views: bool,
}

/// Makes the zones of all shares.
#[must_use]
pub fn zones(shares: &Shares, publication: &Publication) -> BTreeMap<DnsName, Zone> {
    let mut zones = BTreeMap::<DnsName, Zone>::new();
    // They are there even with nothing in them.
    let catalog = publication.catalog.as_ref().map(|catalog| (&catalog.origin, Form::Catalog));
    for (origin, form) in catalog.into_iter().chain(publication.rpz.as_ref().map(|rpz| (rpz, Form::Rpz))) {
        zones.insert(origin.clone(), Zone::empty(form));
    }
    let mut zone = |origin: &DnsName, form: Form, application: &ResourceId, record: Option<Record<'_>>| {
        let zone = match zones.get_mut(origin) {
            Some(zone) => zone,
            None => zones.entry(origin.clone()).or_insert_with(|| Zone::empty(form)),
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

impl Zone {
    fn empty(form: Form) -> Self {
        Self { form, addresses: BTreeMap::new(), views: BTreeMap::new(), applications: BTreeSet::new() }
    }
}

impl ZoneDifference {
    /// No difference yet.
    fn of(origin: &DnsName) -> Self {
        Self {
            origin: origin.clone(),
            from: None,
            to: None,
            added: Vec::new(),
            removed: Vec::new(),
            joined: Vec::new(),
            left: Vec::new(),
            apex: false,
            views: false,
        }
    }

    /// Whether nothing changed but maybe the serial.
    const fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.joined.is_empty()
            && self.left.is_empty()
            && !self.apex
            && !self.views
    }
}

impl Publication {
    /// A serial, or the lowest that is allowed when that is greater.
    fn floor(&self, serial: u32) -> u32 {
        self.serial_at_least.filter(|least| is_greater(*least, serial)).unwrap_or(serial)
    }
}

/// The generation that follows `current`, or nothing when nothing would change.
///
/// The first generation follows nothing. A zone's serial rises exactly when its content changes:
/// to the time of the change in seconds, or by one where the serial is there already, so that a
/// lost state directory does not take it back.
///
/// Two things raise a serial without a change: a higher `serial_at_least`, and [`raise`].
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
    let group = current.is_some_and(|c| c.publication.catalog != publication.catalog);
    let mut differences = Vec::new();
    for origin in old.keys().chain(new.keys().filter(|o| !old.contains_key(*o))) {
        let (before, after) = (old.get(origin), new.get(origin));
        let last = serials.get(origin).map(|s| s.serial);
        let mut difference = ZoneDifference {
            from: before.and(last),
            apex: before.zip(after).is_some_and(|(before, after)| {
                apex || before.form != after.form || group && after.form == Form::Catalog
            }),
            views: before.zip(after).is_some_and(|(before, after)| before.views != after.views),
            ..ZoneDifference::of(origin)
        };
        (difference.added, difference.removed) = compare(before, after);
        if [before, after].into_iter().flatten().any(|zone| zone.form == Form::Catalog) {
            (difference.joined, difference.left) = (only_in(&new, old), only_in(old, &new));
        }
        let low = last.is_some_and(|last| publication.floor(last) != last);
        if before.is_some() == after.is_some() && difference.is_empty() && !low {
            continue;
        }
        if after.is_some() {
            let serial = publication.floor(next_serial(last, now));
            serials.insert(origin.clone(), ZoneSerial { serial, changed: now });
            difference.to = Some(serial);
        } else if let Some(retired) = serials.get_mut(origin) {
            // Going away is a change: the last to go is the last to be forgotten.
            retired.changed = now;
        }
        differences.push(difference);
    }
    forget_retired(&mut serials, &new);
    let number = current.map_or(1, |c| c.number + 1);
    let difference = Difference { number, created: now, cause: cause.to_owned(), zones: differences.into() };
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

/// The same generation with a higher serial for one zone: greater than `seen`, which a secondary has
/// of an earlier primary and would wait for. Nothing when the serial is greater already.
///
/// To the time, where that is greater: another secondary may have the serial that follows the one seen, with
/// another content, when both have what was lost with the state.
#[must_use]
pub fn raise(
    current: &Generation,
    origin: &DnsName,
    seen: u32,
    cause: &str,
    now: Timestamp,
) -> Option<(Generation, Difference)> {
    let from = current.serial(origin).filter(|serial| *serial == seen || is_greater(seen, *serial))?;
    let serial = next_serial(Some(seen), now);
    let mut generation = current.clone();
    generation.number += 1;
    generation.created = now;
    cause.clone_into(&mut generation.cause);
    generation.serials.insert(origin.clone(), ZoneSerial { serial, changed: now });
    let zone = ZoneDifference { from: Some(from), to: Some(serial), ..ZoneDifference::of(origin) };
    let difference =
        Difference { number: generation.number, created: now, cause: cause.to_owned(), zones: [zone].into() };
    Some((generation, difference))
}

impl Generation {
    /// The published serial of a zone.
    #[must_use]
    pub fn serial(&self, origin: &DnsName) -> Option<u32> {
        if self.zones.contains_key(origin) { self.serials.get(origin).map(|s| s.serial) } else { None }
    }

    /// Whether there is a zone that clients get answers from.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.zones.values().any(|zone| zone.form.is_answered())
    }

    /// The members of the catalog: the zones that clients get answers from.
    pub fn members(&self) -> impl Iterator<Item = &DnsName> {
        self.zones.iter().filter(|(_, zone)| zone.form.is_answered()).map(|(origin, _)| origin)
    }

    /// The names under which a public name is answered, with the zone of each: in its privatelink zone, and
    /// in a zone of its own.
    pub fn owners<'a>(
        &'a self,
        public: &'a DnsName,
        placement: &'a Placement,
    ) -> impl Iterator<Item = (&'a DnsName, DnsName)> {
        let is = |origin: &DnsName, form| self.zones.get(origin).is_some_and(|zone| zone.form == form);
        let privatelink = placement.owner(public).filter(|_| is(&placement.zone, Form::Privatelink));
        let per_name = is(public, Form::PerName).then(|| (public, public.clone()));
        privatelink.map(|owner| (&placement.zone, owner)).into_iter().chain(per_name)
    }

    /// What clients get for a public name: first those outside of all client prefixes, then those who see
    /// something else. Each answer once.
    #[must_use]
    pub fn answers(&self, public: &DnsName, placement: &Placement) -> Vec<BTreeSet<Ipv4Addr>> {
        let mut answers = Vec::new();
        for (origin, owner) in self.owners(public, placement) {
            let Some(zone) = self.zones.get(origin) else { continue };
            let views = zone.views.values().filter_map(|view| view.get(&owner));
            for answer in zone.addresses.get(&owner).into_iter().chain(views) {
                if !answers.contains(answer) {
                    answers.push(answer.clone());
                }
            }
        }
        answers
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
        Some(last) if !is_greater(time, last) => last.wrapping_add(1),
        _ => time,
    }
}

/// Whether a serial is greater than another (RFC 1982 section 3.2).
#[must_use]
pub const fn is_greater(serial: u32, other: u32) -> bool {
    serial.wrapping_sub(other).wrapping_sub(1) < 0x7fff_ffff
}

fn same_apex(a: &Publication, b: &Publication) -> bool {
    (a.ttl, a.negative_ttl, &a.name_servers, &a.hostmaster)
        == (b.ttl, b.negative_ttl, &b.name_servers, &b.hostmaster)
}

/// The members of a catalog that only one of two states has.
fn only_in(these: &BTreeMap<DnsName, Zone>, those: &BTreeMap<DnsName, Zone>) -> Vec<DnsName> {
    let is_member =
        |zones: &BTreeMap<DnsName, Zone>, o: &DnsName| zones.get(o).is_some_and(|z| z.form.is_answered());
    these.keys().filter(|o| is_member(these, o) && !is_member(those, o)).cloned().collect()
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
