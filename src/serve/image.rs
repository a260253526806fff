//! The image: a generation compiled for answering.
//!
//! Every name that exists is a key of one hash map, with its answer as finished wire bytes; an
//! answer is a look-up and a copy, whatever the size of the zones. An image never changes, so a
//! response cannot mix two generations (promise 6).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter::successors;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::counters::{Counters, ZoneCounters};
use crate::zones::{DnsName, Form, Generation, Publication, ResourceId, Zone};

/// TYPE codes (RFC 1035 section 3.2.2).
pub(super) const TYPE_A: u16 = 1;
pub(super) const TYPE_NS: u16 = 2;
pub(super) const TYPE_SOA: u16 = 6;

/// Seconds after which a secondary asks for the serial, retries, and gives the zone up.
const REFRESH: u32 = 300;
const RETRY: u32 = 60;
const EXPIRE: u32 = 14 * 24 * 3600;

/// A pointer to the question's name, which always starts behind the 12 octets of the header
/// (RFC 1035 section 4.1.4).
const QUESTION_NAME: [u8; 2] = [0xc0, 12];

/// A generation compiled for answering.
#[derive(Default)]
pub struct Image {
    /// Lower-case wire name → what is there.
    nodes: HashMap<Box<[u8]>, Node>,
    /// The zones, by [`Node::zone`].
    pub(super) zones: Vec<ZoneImage>,
    /// Finished answer records.
    records: Vec<u8>,
    /// Every application of the configuration has been observed at least once. As long as it is
    /// not, nothing is denied: a name that is missing may belong to one of the others.
    pub(super) complete: bool,
}

/// A name that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    /// Index of its zone.
    pub(super) zone: u32,
    /// Whether it is the zone's apex.
    pub(super) apex: bool,
    /// Where its A records start in the records.
    start: u32,
    /// How many A records it has; none for an empty non-terminal.
    pub(super) addresses: u16,
}

/// What a zone adds to answers about its names.
pub(super) struct ZoneImage {
    /// Length of the origin in wire format.
    pub(super) origin_length: usize,
    /// The answer to a question for the apex's SOA.
    pub(super) soa: Vec<u8>,
    /// The answer to a question for the apex's NS, and the number of records.
    pub(super) ns: (Vec<u8>, u16),
    /// The SOA record for negative answers, without its owner name (RFC 2308 section 3).
    pub(super) negative: Vec<u8>,
    /// Who feeds the zone.
    applications: BTreeSet<ResourceId>,
    /// Its data is older than the configuration allows. Set from outside: age is no content.
    stale: AtomicBool,
    /// Counts its responses.
    pub(super) counters: Arc<ZoneCounters>,
}

/// What the image knows of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The name exists.
    Node(Node),
    /// The name does not exist in the zone with this index.
    Missing(u32),
    /// The name lies in no zone of ours.
    NotOurs,
}

impl Image {
    /// Compiles a generation.
    ///
    /// # Errors
    /// When there is more of something than the image's numbers hold.
    pub fn compile(generation: &Generation, complete: bool, counters: &Counters) -> Result<Self, ImageError> {
        let mut image =
            Self { nodes: HashMap::with_capacity(2 * generation.names()), complete, ..Self::default() };
        let mut origins = BTreeMap::new();
        for (origin, zone) in &generation.zones {
            let Some(serial) = generation.serial(origin) else { continue };
            let index = u32::try_from(image.zones.len()).map_err(|_| ImageError::TooLarge)?;
            let compiled = ZoneImage::compile(origin, zone, serial, &generation.publication, counters);
            image.zones.push(compiled);
            origins.insert(origin, index);
        }
        for (origin, zone) in &generation.zones {
            let Some(&index) = origins.get(origin) else { continue };
            image.add_above(origin, &origins);
            image.add(origin, Node { zone: index, apex: true, start: 0, addresses: 0 });
            // A name belongs to the closest zone above it, as for every authoritative server.
            for (owner, addresses) in
                zone.addresses.iter().filter(|(owner, _)| closest(owner, &origins) == Some(index))
            {
                let start = u32::try_from(image.records.len()).map_err(|_| ImageError::TooLarge)?;
                let count = u16::try_from(addresses.len()).map_err(|_| ImageError::TooLarge)?;
                for address in addresses {
                    image.push_address(generation.publication.ttl, *address);
                }
                image.add_above(owner, &origins);
                image.add(owner, Node { zone: index, apex: owner == origin, start, addresses: count });
            }
        }
        Ok(image)
    }

    fn push_address(&mut self, ttl: u32, address: Ipv4Addr) {
        let records = &mut self.records;
        records.extend_from_slice(&QUESTION_NAME);
        records.extend_from_slice(&TYPE_A.to_be_bytes());
        records.extend_from_slice(&[0, 1]);
        records.extend_from_slice(&ttl.to_be_bytes());
        records.extend_from_slice(&[0, 4]);
        records.extend_from_slice(&address.octets());
    }

    /// What leads from an apex to a name below it exists, without records of its own (RFC 4592
    /// section 2.2.2); also where that name is the apex of another zone.
    fn add_above(&mut self, name: &DnsName, origins: &Origins<'_>) {
        let Some(zone) = name.parent().and_then(|parent| closest(&parent, origins)) else { return };
        let between = successors(name.parent(), DnsName::parent).take_while(|n| !origins.contains_key(n));
        for name in between {
            let node = Node { zone, apex: false, start: 0, addresses: 0 };
            self.nodes.entry(name.to_wire().into()).or_insert(node);
        }
    }

    /// Adds a name with records, in place of an empty non-terminal.
    fn add(&mut self, name: &DnsName, node: Node) {
        self.nodes.insert(name.to_wire().into(), node);
    }

    /// Finds a name given in lower-case wire format.
    pub(super) fn find(&self, name: &[u8]) -> Found {
        if let Some(node) = self.nodes.get(name) {
            return Found::Node(*node);
        }
        let mut rest = name;
        while let [length, tail @ ..] = rest {
            let Some(parent) = tail.get(usize::from(*length)..) else { break };
            if let Some(node) = self.nodes.get(parent) {
                return Found::Missing(node.zone);
            }
            rest = parent;
        }
        Found::NotOurs
    }

    /// The A records of a node, ready to be copied behind the question.
    pub(super) fn addresses(&self, node: Node) -> &[u8] {
        const RECORD: usize = 16;
        let start = node.start as usize;
        self.records.get(start..start + RECORD * usize::from(node.addresses)).unwrap_or_default()
    }

    /// Whether there is anything to answer from.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        !self.zones.is_empty()
    }

    /// Whether every application of the configuration has been observed at least once.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Tells which applications' data is old; answers about their zones say so from now on.
    pub fn mark_stale(&self, applications: &BTreeSet<ResourceId>) {
        for zone in &self.zones {
            zone.stale.store(!zone.applications.is_disjoint(applications), Ordering::Relaxed);
        }
    }
}

/// Where zones start, and their indices.
type Origins<'a> = BTreeMap<&'a DnsName, u32>;

/// The zone that a name belongs to.
fn closest(name: &DnsName, origins: &Origins<'_>) -> Option<u32> {
    successors(Some(name.clone()), DnsName::parent).find_map(|name| origins.get(&name).copied())
}

/// Why a generation cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// More zones, addresses or bytes than the image's numbers hold.
    #[error("the generation is too large to be served")]
    TooLarge,
}

impl ZoneImage {
    fn compile(
        origin: &DnsName,
        zone: &Zone,
        serial: u32,
        publication: &Publication,
        counters: &Counters,
    ) -> Self {
        let primary = publication.name_servers.first().unwrap_or(&publication.hostmaster);
        let mut soa = primary.to_wire();
        soa.extend(publication.hostmaster.to_wire());
        for number in [serial, REFRESH, RETRY, EXPIRE, publication.negative_ttl] {
            soa.extend(number.to_be_bytes());
        }
        let mut ns = Vec::new();
        for server in &publication.name_servers {
            ns.extend(QUESTION_NAME);
            ns.extend(record(TYPE_NS, publication.ttl, &server.to_wire()));
        }
        let label = match zone.form {
            Form::Privatelink => origin.as_str(),
            Form::PerName => "per-name",
        };
        Self {
            origin_length: origin.as_str().len() + 2,
            soa: [&QUESTION_NAME[..], &record(TYPE_SOA, publication.ttl, &soa)].concat(),
            // The configuration allows 13.
            ns: (ns, publication.name_servers.len() as u16),
            negative: record(TYPE_SOA, publication.ttl.min(publication.negative_ttl), &soa),
            applications: zone.applications.clone(),
            stale: AtomicBool::new(false),
            counters: counters.zone(label),
        }
    }

    /// Whether the zone's data is older than the configuration allows.
    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }
}

/// A record of class IN without its owner name.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(10 + data.len());
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    // Two names and five numbers at most: far below 65,536 octets.
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}
