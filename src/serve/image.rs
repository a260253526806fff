//! The image: a generation compiled for answering.
//!
//! Every name that exists is a key of one hash map, with its answer as finished wire bytes; an
//! answer is a look-up and a copy, whatever the size of the zones. An image never changes, so a
//! response cannot mix two generations (promise 6).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::iter::successors;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::apex;
pub(super) use super::apex::{TYPE_A, TYPE_NS, TYPE_SOA};
use super::counters::{Counters, ZoneCounters};
use super::views::{Records, Views};
use crate::zones::{DnsName, Form, Generation, Publication, ResourceId, Zone, public_suffix};

/// A pointer to the question's name, which always starts behind the 12 octets of the header
/// (RFC 1035 section 4.1.4).
const QUESTION_NAME: [u8; 2] = [0xc0, 12];

/// What an image holds beside its generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Every application of the configuration has been observed at least once. As long as it is
    /// not, nothing is denied: a name that is missing may belong to one of the others.
    pub complete: bool,
    /// Clients may ask for names of public DNS: names that are held are also answered under their
    /// public form.
    pub resolver: bool,
    /// A name that is missing in a zone of ours is asked of public DNS.
    pub fallback: bool,
    /// Required members that have no address yet, in lower case.
    pub expected: BTreeSet<String>,
}

/// An alias: a CNAME record without its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Where it leads, in lower-case wire format.
    pub(super) target: Box<[u8]>,
    /// TTL in seconds.
    pub(super) ttl: u32,
}

impl Link {
    /// Octets of the record with a pointer for its owner.
    pub(super) fn size(&self) -> usize {
        12 + self.target.len()
    }
}

/// A public name that leads to a privatelink name of ours.
pub(super) struct Alias {
    pub(super) link: Link,
    /// The privatelink name.
    pub(super) node: Node,
}

/// Octets of a finished A record.
pub(super) const ADDRESS: usize = 16;

/// A generation compiled for answering.
#[derive(Default)]
pub struct Image {
    /// Lower-case wire name → what is there.
    nodes: HashMap<Box<[u8]>, Node>,
    /// The most labels that a node has.
    deepest: usize,
    /// The zones, by [`Node::zone`].
    pub(super) zones: Vec<ZoneImage>,
    /// Zones that only secondaries see, lower-case wire name → index.
    hidden: HashMap<Box<[u8]>, u32>,
    /// Public names, lower-case wire format → where they lead; only for a resolver.
    aliases: HashMap<Box<[u8]>, Alias>,
    /// Names of members without an address → how often they were asked of public DNS.
    expected: HashMap<Box<[u8]>, Expected>,
    /// Finished answer records.
    records: Vec<u8>,
    /// Who gets other records.
    views: Views,
    pub(super) context: Context,
}

/// A name that should be ours.
struct Expected {
    member: String,
    asked: AtomicU64,
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

impl Node {
    /// The apex of a zone without addresses there.
    pub(super) const fn apex(zone: u32) -> Self {
        Self { zone, apex: true, start: 0, addresses: 0 }
    }
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
    pub fn compile(
        generation: &Generation,
        context: Context,
        counters: &Counters,
    ) -> Result<Self, ImageError> {
        let views = generation.publication.views();
        let mut image = Self {
            nodes: HashMap::with_capacity(2 * generation.names()),
            context,
            views: Views::new(&views)?,
            ..Self::default()
        };
        let mut origins = BTreeMap::new();
        for (origin, zone) in &generation.zones {
            let Some(serial) = generation.serial(origin) else { continue };
            let index = u32::try_from(image.zones.len()).map_err(|_| ImageError::TooLarge)?;
            let compiled = ZoneImage::compile(origin, zone, serial, &generation.publication, counters);
            image.zones.push(compiled);
            if zone.form.is_answered() {
                origins.insert(origin, index);
            } else {
                image.hidden.insert(origin.to_wire().into(), index);
            }
        }
        for (origin, zone) in &generation.zones {
            let Some(&index) = origins.get(origin) else { continue };
            image.add_above(origin, &origins);
            image.add(origin, Node::apex(index));
            let seen =
                (0..).zip(&views).filter_map(|(view, v)| Some((view, zone.view(v.prefixes.first()?)?)));
            let seen: Vec<_> = seen.collect();
            // A name belongs to the closest zone above it, as for every authoritative server.
            for (owner, addresses) in
                zone.addresses.iter().filter(|(owner, _)| closest(owner, &origins) == Some(index))
            {
                let ttl = generation.publication.ttl;
                let (start, count) = image.push_addresses(ttl, addresses)?;
                for (view, addresses) in seen.iter().filter_map(|(view, all)| Some((*view, all.get(owner)?)))
                {
                    let records = image.push_addresses(ttl, addresses)?;
                    image.views.add(view, start, records);
                }
                image.add_above(owner, &origins);
                image.add(owner, Node { zone: index, apex: owner == origin, start, addresses: count });
            }
        }
        if image.context.resolver {
            image.add_aliases(generation);
            image.add_expected(generation);
        }
        Ok(image)
    }

    /// Public names lead where public DNS would lead them. The application's own name has an alias
    /// only when it is switched on: its public chain decides.
    fn add_aliases(&mut self, generation: &Generation) {
        let publication = &generation.publication;
        for (_, public, placement) in generation.shares.values().flat_map(|share| share.placements()) {
            if placement.own_name && !publication.application_name {
                continue;
            }
            let Some(target) = placement.owner(public).map(|owner| owner.to_wire()) else { continue };
            let Some(node) = self.nodes.get(&*target).copied() else { continue };
            let link = Link { target: target.into(), ttl: publication.ttl };
            self.aliases.insert(public.to_wire().into(), Alias { link, node });
        }
    }

    /// The names that members without an address would have: in which zone is not known, so in each.
    fn add_expected(&mut self, generation: &Generation) {
        let zones = generation.shares.values().flat_map(|share| &share.zones);
        let origins: BTreeSet<DnsName> =
            zones.flat_map(|zone| public_suffix(zone).into_iter().chain([zone.clone()])).collect();
        for member in &self.context.expected {
            for name in origins.iter().filter_map(|origin| origin.prepend(member).ok()) {
                let expected = Expected { member: member.clone(), asked: AtomicU64::new(0) };
                self.expected.insert(name.to_wire().into(), expected);
            }
        }
    }

    fn push_addresses(&mut self, ttl: u32, addresses: &BTreeSet<Ipv4Addr>) -> Result<Records, ImageError> {
        let records = &mut self.records;
        let start = u32::try_from(records.len()).map_err(|_| ImageError::TooLarge)?;
        let count = u16::try_from(addresses.len()).map_err(|_| ImageError::TooLarge)?;
        for address in addresses {
            records.extend_from_slice(&QUESTION_NAME);
            records.extend_from_slice(&TYPE_A.to_be_bytes());
            records.extend_from_slice(&[0, 1]);
            records.extend_from_slice(&ttl.to_be_bytes());
            records.extend_from_slice(&[0, 4]);
            records.extend_from_slice(&address.octets());
        }
        Ok((start, count))
    }

    /// What leads from an apex to a name below it exists, without records of its own (RFC 4592
    /// section 2.2.2); also where that name is the apex of another zone.
    fn add_above(&mut self, name: &DnsName, origins: &Origins<'_>) {
        let Some(zone) = name.parent().and_then(|parent| closest(&parent, origins)) else { return };
        let between = successors(name.parent(), DnsName::parent).take_while(|n| !origins.contains_key(n));
        for name in between {
            let node = Node { zone, apex: false, start: 0, addresses: 0 };
            self.nodes.entry(name.to_wire().into()).or_insert(node);
            self.deepest = self.deepest.max(name.labels().count());
        }
    }

    /// Adds a name with records, in place of an empty non-terminal.
    fn add(&mut self, name: &DnsName, node: Node) {
        self.nodes.insert(name.to_wire().into(), node);
        self.deepest = self.deepest.max(name.labels().count());
    }

    /// A public name, in lower-case wire format, that leads to a name of ours.
    pub(super) fn alias(&self, name: &[u8]) -> Option<&Alias> {
        self.aliases.get(name)
    }

    /// A name with addresses, in lower-case wire format.
    pub(super) fn held(&self, name: &[u8]) -> Option<Node> {
        self.nodes.get(name).copied().filter(|node| node.addresses > 0)
    }

    /// Whether a name outside of all zones may belong to one that is not known yet: nothing was ever
    /// loaded, and the name has the label that every zone of ours starts with.
    pub(super) fn may_be_ours(&self, name: &[u8]) -> bool {
        const LABEL: &[u8] = b"\x0bprivatelink";
        !self.context.complete && !self.is_loaded() && name.windows(LABEL.len()).any(|part| part == LABEL)
    }

    /// Whether a name is missing in a zone of ours and may belong to an application that was never
    /// read.
    pub(super) fn is_unknown(&self, name: &[u8]) -> bool {
        !self.context.complete && matches!(self.find(name), Found::Missing(_))
    }

    /// Counts a name, in lower-case wire format, that public DNS was asked for although it should be
    /// ours; says whether it is one.
    pub(super) fn count_leak(&self, name: &[u8]) -> bool {
        let Some(expected) = self.expected.get(name) else { return false };
        expected.asked.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Takes over what an earlier image counted, for the members that still have no address.
    pub fn carry_leaks(&self, earlier: &BTreeMap<String, u64>) {
        for (member, asked) in earlier {
            if let Some(expected) = self.expected.values().find(|expected| expected.member == *member) {
                expected.asked.fetch_add(*asked, Ordering::Relaxed);
            }
        }
    }

    /// The members without an address whose names public DNS was asked for, with how often.
    #[must_use]
    pub fn leaks(&self) -> BTreeMap<String, u64> {
        let mut leaks = BTreeMap::new();
        for expected in self.expected.values() {
            let asked = expected.asked.load(Ordering::Relaxed);
            if asked > 0 {
                *leaks.entry(expected.member.clone()).or_default() += asked;
            }
        }
        leaks
    }

    /// Finds a name given in lower-case wire format.
    pub(super) fn find(&self, name: &[u8]) -> Found {
        let mut labels = labels(name);
        let mut rest = name;
        loop {
            // A name with more labels than any node is none; looking would cost a hash of it.
            if labels <= self.deepest
                && let Some(node) = self.nodes.get(rest)
            {
                return if rest.len() == name.len() { Found::Node(*node) } else { Found::Missing(node.zone) };
            }
            let Some(parent) = parent(rest) else { return Found::NotOurs };
            (rest, labels) = (parent, labels - 1);
        }
    }

    /// The view of a client, which its [`Asker`](super::Asker) carries: the longest prefix that holds
    /// its address decides. Nothing for clients outside all prefixes.
    #[must_use]
    pub fn view(&self, client: IpAddr) -> Option<u16> {
        self.views.of(client)
    }

    /// A node as a view shows it.
    pub(super) fn seen(&self, node: Node, view: Option<u16>) -> Node {
        match view.and_then(|view| self.views.records(view, node.start)) {
            Some((start, addresses)) if node.addresses > 0 => Node { start, addresses, ..node },
            _ => node,
        }
    }

    /// The A records of a node, ready to be copied behind the question.
    pub(super) fn addresses(&self, node: Node) -> &[u8] {
        let start = node.start as usize;
        self.records.get(start..start + ADDRESS * usize::from(node.addresses)).unwrap_or_default()
    }

    /// Whether there is anything to answer from.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// A zone that only secondaries see, by its lower-case wire name.
    pub(super) fn hidden(&self, name: &[u8]) -> Option<u32> {
        self.hidden.get(name).copied()
    }

    /// What it was compiled with.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Tells which applications' data is old; answers about their zones say so from now on.
    pub fn mark_stale(&self, applications: &BTreeSet<ResourceId>) {
        for zone in &self.zones {
            zone.stale.store(!zone.applications.is_disjoint(applications), Ordering::Relaxed);
        }
    }
}

/// A wire name without its first label; nothing for the root.
fn parent(name: &[u8]) -> Option<&[u8]> {
    match name {
        [0] | [] => None,
        [length, rest @ ..] => rest.get(usize::from(*length)..),
    }
}

/// Labels of a wire name, the root's not counted.
fn labels(name: &[u8]) -> usize {
    successors(parent(name), |name| parent(name)).count()
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
        let servers = apex::ns(publication, zone.form);
        // The configuration allows 13.
        let count = servers.len() as u16;
        let ns = servers.into_iter().flat_map(|server| [QUESTION_NAME.to_vec(), server].concat()).collect();
        let label = match zone.form {
            Form::PerName => "per-name",
            Form::Privatelink | Form::Catalog | Form::Rpz => origin.as_str(),
        };
        let negative_ttl = publication.ttl.min(publication.negative_ttl);
        Self {
            origin_length: origin.as_str().len() + 2,
            soa: [&QUESTION_NAME[..], &apex::soa(publication, serial, publication.ttl)].concat(),
            ns: (ns, count),
            negative: apex::soa(publication, serial, negative_ttl),
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
