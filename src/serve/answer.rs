//! The answer: a pure function from an image and a query's octets to a response's octets.
//!
//! UDP, TCP, tests, benchmarks and fuzzers call the same function. It allocates nothing once the
//! buffer has grown to the size of a response. What only public DNS knows it leaves to the resolver.

use super::counters::Transport;
use super::image::{ADDRESS, Found, Image, Link, Node, TYPE_A, TYPE_NS, TYPE_SOA, ZoneImage};
use super::message::{self, Edns, Query, Question};
use crate::wire::octets::{HEADER, NAME};

/// The largest response over UDP: what passes everywhere without fragments (DNS Flag Day 2020).
pub const UDP_PAYLOAD: u16 = 1232;

const CLASS_IN: u16 = 1;

/// Octets of an OPT record without options, and of an Extended DNS Error without text.
pub(super) const OPT: usize = 11;
const EDE: usize = 6;

/// Who asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// How the query came.
    pub transport: Transport,
    /// The access list lets the client ask.
    pub allowed: bool,
    /// The client may ask for names of public DNS as well, and there is a resolver for them.
    pub recursion: bool,
    /// The rate limit wants a truncated answer, so that a real client comes back over TCP.
    pub truncate: bool,
    /// What the client's network sees; see [`Image::view`].
    pub view: Option<u16>,
    /// The client is a secondary: it may ask for the SOA of zones that are only transferred.
    pub secondary: bool,
    /// Octets that a signature will add to the response.
    pub reserve: u16,
}

/// What became of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No answer: shorter than a header, or a response itself.
    Ignored,
    /// The response is in the buffer.
    Answered {
        /// RCODE with its extension (RFC 6891 section 6.1.3).
        rcode: u16,
        /// QTYPE, 0 without a question.
        kind: u16,
        /// Index of the zone among the image's.
        zone: Option<u32>,
    },
    /// No answer yet: public DNS has to be asked.
    Forward {
        /// QTYPE.
        kind: u16,
        /// Index of the zone in which the name is missing.
        zone: Option<u32>,
    },
    /// No answer yet: the query is signed, which has to be checked first (RFC 8945).
    Signed,
    /// No answer yet: a zone is to be transferred, which takes more than one message.
    Transfer,
}

/// RCODEs (RFC 6895 section 2.3).
pub(super) mod rcode {
    pub(in crate::serve) const NOERROR: u16 = 0;
    pub(in crate::serve) const FORMERR: u16 = 1;
    pub(in crate::serve) const SERVFAIL: u16 = 2;
    pub(in crate::serve) const NXDOMAIN: u16 = 3;
    pub(in crate::serve) const NOTIMP: u16 = 4;
    pub(in crate::serve) const REFUSED: u16 = 5;
    pub(in crate::serve) const NOTAUTH: u16 = 9;
    pub(in crate::serve) const BADVERS: u16 = 16;
}

/// Extended DNS Errors (RFC 8914 section 4).
pub(super) mod ede {
    pub(in crate::serve) const STALE_ANSWER: u16 = 3;
    pub(in crate::serve) const NOT_READY: u16 = 14;
    pub(in crate::serve) const PROHIBITED: u16 = 18;
    pub(in crate::serve) const STALE_NXDOMAIN: u16 = 19;
    pub(in crate::serve) const NOT_AUTHORITATIVE: u16 = 20;
    pub(in crate::serve) const NOT_SUPPORTED: u16 = 21;
    pub(in crate::serve) const NO_REACHABLE_AUTHORITY: u16 = 22;
}

const TYPE_CNAME: u16 = 5;
pub(super) const TYPE_IXFR: u16 = 251;
pub(super) const TYPE_AXFR: u16 = 252;
const TYPE_ANY: u16 = 255;

/// The sections of a response behind its question.
#[derive(Default)]
pub(super) struct Reply<'a> {
    pub(super) rcode: u16,
    authoritative: bool,
    /// Aliases in front of the answers, from the question's name on.
    chain: &'a [Link],
    /// Seconds by which the aliases' TTLs are counted down.
    age: u32,
    answers: &'a [u8],
    answer_count: u16,
    /// The zone whose SOA stands in the authority section.
    negative: Option<&'a ZoneImage>,
    ede: Option<u16>,
    pub(super) zone: Option<u32>,
}

impl<'a> Reply<'a> {
    pub(super) fn error(rcode: u16, ede: Option<u16>) -> Self {
        Self { rcode, ede, ..Self::default() }
    }

    /// A chain of aliases that ends at a name of ours, for a question of a type.
    pub(super) fn chain(image: &'a Image, chain: &'a [Link], age: u32, node: Node, kind: u16) -> Self {
        let zone = &image.zones[node.zone as usize];
        let (answers, answer_count): (&[u8], u16) = match kind {
            TYPE_A => (image.addresses(node), node.addresses),
            _ => (&[], 0),
        };
        // A question for aliases is answered by them.
        let negative = (answer_count == 0 && !matches!(kind, TYPE_CNAME | TYPE_ANY)).then_some(zone);
        Self {
            chain,
            age,
            answers,
            answer_count,
            negative,
            ede: zone.is_stale().then_some(ede::STALE_ANSWER),
            zone: Some(node.zone),
            ..Self::default()
        }
    }
}

/// Answers a query into `out`, whose content is replaced.
pub fn answer(image: &Image, request: &[u8], asker: Asker, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    if request.len() < HEADER || request[2] & 0x80 != 0 {
        return Outcome::Ignored;
    }
    let opcode = request[2] >> 3 & 0x0f;
    let read = message::read(request);
    let query = read.unwrap_or(Query { question: None, edns: None, signed: false });
    if query.signed {
        return Outcome::Signed;
    }
    let kind = query.question.map_or(0, |question| question.kind);
    let reply = match (opcode, read, query.question) {
        (1.., _, _) => Reply::error(rcode::NOTIMP, None),
        (0, Ok(_), Some(question)) => match query.edns {
            Some(edns) if edns.version > 0 => Reply::error(rcode::BADVERS, None),
            _ => match lookup(image, question, request[2] & 0x01 != 0, asker) {
                Lookup::Ours(reply) => reply,
                Lookup::Public(zone) => return Outcome::Forward { kind, zone },
                Lookup::Transfer => return Outcome::Transfer,
            },
        },
        // Not readable, no question, or more than one (RFC 9619).
        (0, _, _) => Reply::error(rcode::FORMERR, None),
    };
    write(request, query, &reply, asker, out);
    Outcome::Answered { rcode: reply.rcode, kind, zone: reply.zone }
}

/// Who knows the answer to a question.
enum Lookup<'a> {
    /// The image.
    Ours(Reply<'a>),
    /// Public DNS; with the zone of ours in which the name is missing.
    Public(Option<u32>),
    /// The zones as a whole: IXFR or AXFR is asked for.
    Transfer,
}

impl<'a> From<Reply<'a>> for Lookup<'a> {
    fn from(reply: Reply<'a>) -> Self {
        Self::Ours(reply)
    }
}

fn lookup<'a>(image: &'a Image, question: Question<'_>, desired: bool, asker: Asker) -> Lookup<'a> {
    if let Some(reply) = without_name(question, asker) {
        return Lookup::Ours(reply);
    }
    if matches!(question.kind, TYPE_IXFR | TYPE_AXFR) {
        return Lookup::Transfer;
    }
    let mut buffer = [0; NAME];
    let Some(name) = question.lower(&mut buffer) else {
        return Lookup::Ours(Reply::error(rcode::FORMERR, None));
    };
    if asker.secondary
        && let Some(zone) = image.hidden(name)
    {
        return Lookup::Ours(match question.kind {
            TYPE_SOA | TYPE_NS => positive(image, Node::apex(zone), question.kind),
            _ => Reply::error(rcode::REFUSED, Some(ede::PROHIBITED)),
        });
    }
    let found = image.find(name);
    if let Found::Node(node) = found
        && (image.context.complete || node.apex || node.addresses > 0)
    {
        return Lookup::Ours(positive(image, image.seen(node, asker.view), question.kind));
    }
    if asker.recursion
        && let Some(alias) = image.alias(name)
    {
        let (chain, node) = (std::slice::from_ref(&alias.link), image.seen(alias.node, asker.view));
        return Lookup::Ours(Reply::chain(image, chain, 0, node, question.kind));
    }
    Lookup::Ours(match found {
        Found::NotOurs if asker.recursion && desired && !image.may_be_ours(name) => {
            return Lookup::Public(None);
        }
        // As long as an application was never read, a name without records may be one of its own.
        Found::NotOurs if !image.context.complete => Reply::error(rcode::SERVFAIL, Some(ede::NOT_READY)),
        Found::Node(Node { zone, .. }) | Found::Missing(zone) if !image.context.complete => {
            Reply { zone: Some(zone), ..Reply::error(rcode::SERVFAIL, Some(ede::NOT_READY)) }
        }
        Found::Missing(index) if image.context.fallback && asker.recursion => {
            return Lookup::Public(Some(index));
        }
        Found::Missing(_) if image.context.fallback => Reply::error(rcode::REFUSED, Some(ede::PROHIBITED)),
        Found::Missing(index) => missing(image, index),
        Found::NotOurs => Reply::error(rcode::REFUSED, Some(ede::NOT_AUTHORITATIVE)),
        // Complete, or it would have been answered above.
        Found::Node(node) => positive(image, node, question.kind),
    })
}

/// The reply to a question that needs no look at its name.
fn without_name<'a>(question: Question<'_>, asker: Asker) -> Option<Reply<'a>> {
    if question.class != CLASS_IN {
        return Some(Reply::error(rcode::REFUSED, Some(ede::NOT_SUPPORTED)));
    }
    match question.kind {
        // OPT, TKEY and TSIG are no types to ask for.
        41 | 249 | 250 => return Some(Reply::error(rcode::FORMERR, None)),
        // MAILB and MAILA are obsolete.
        253 | 254 => return Some(Reply::error(rcode::NOTIMP, None)),
        _ => {}
    }
    if !asker.allowed && !asker.recursion {
        return Some(Reply::error(rcode::REFUSED, Some(ede::PROHIBITED)));
    }
    asker.truncate.then(Reply::default)
}

/// The name does not exist in the zone with this index.
fn missing(image: &Image, index: u32) -> Reply<'_> {
    let zone = &image.zones[index as usize];
    Reply {
        rcode: rcode::NXDOMAIN,
        authoritative: true,
        negative: Some(zone),
        ede: zone.is_stale().then_some(ede::STALE_NXDOMAIN),
        zone: Some(index),
        ..Reply::default()
    }
}

/// The name exists: its records, or NODATA.
fn positive(image: &Image, node: Node, kind: u16) -> Reply<'_> {
    let zone = &image.zones[node.zone as usize];
    let (answers, answer_count): (&[u8], u16) = match kind {
        TYPE_A => (image.addresses(node), node.addresses),
        TYPE_SOA if node.apex => (&zone.soa, 1),
        TYPE_NS if node.apex => (&zone.ns.0, zone.ns.1),
        // One RRset is enough for ANY (RFC 8482 section 4.1).
        TYPE_ANY if node.addresses > 0 => (image.addresses(node), node.addresses),
        TYPE_ANY if node.apex => (&zone.soa, 1),
        _ => (&[], 0),
    };
    Reply {
        rcode: rcode::NOERROR,
        authoritative: true,
        answers,
        answer_count,
        negative: (answer_count == 0).then_some(zone),
        ede: zone.is_stale().then_some(ede::STALE_ANSWER),
        zone: Some(node.zone),
        ..Reply::default()
    }
}

/// Writes header, question, sections and OPT; what does not fit is left out, with TC set.
pub(super) fn write(request: &[u8], query: Query<'_>, reply: &Reply<'_>, asker: Asker, out: &mut Vec<u8>) {
    let question = query.question.map_or(&[][..], |q| q.bytes);
    let opt = query.edns.map_or(0, |_| OPT);
    let chain: usize = reply.chain.iter().map(Link::size).sum();
    // The SOA's owner is a pointer into the name in front of it, of which the origin is the end.
    let authority = reply.negative.map_or(0, |zone| 2 + zone.negative.len());
    let size = HEADER + question.len() + chain + reply.answers.len() + authority + opt;
    let limit = limit(asker, query.edns);
    let truncated = asker.truncate && reply.rcode == rcode::NOERROR || size > limit;
    // An extended error goes before data does, and TC says so (RFC 8914 section 3).
    let ede = reply.ede.filter(|_| truncated || size + EDE <= limit);
    let cut = truncated || query.edns.is_some() && ede != reply.ede;

    out.extend_from_slice(&request[..2]);
    let flags =
        0x80 | request[2] & 0x79 | if reply.authoritative { 0x04 } else { 0 } | if cut { 0x02 } else { 0 };
    // RD and CD are the client's; Z and AD are not set.
    let available = if asker.recursion { 0x80 } else { 0 };
    out.extend_from_slice(&[flags, request[3] & 0x10 | available | (reply.rcode & 0x0f) as u8]);
    let aliases = reply.chain.len() as u16;
    let (answers, negative) =
        if truncated { (0, None) } else { (aliases + reply.answer_count, reply.negative) };
    for count in [
        u16::from(query.question.is_some()),
        answers,
        u16::from(negative.is_some()),
        u16::from(query.edns.is_some()),
    ] {
        out.extend_from_slice(&count.to_be_bytes());
    }
    out.extend_from_slice(question);
    if !truncated {
        write_sections(reply, HEADER + question.len() - 4.min(question.len()), out);
    }
    if let Some(edns) = query.edns {
        write_opt(edns, reply.rcode, ede, out);
    }
}

/// Writes the records. `end` is where the question's name ends.
fn write_sections(reply: &Reply<'_>, mut end: usize, out: &mut Vec<u8>) {
    // Names stand at the start of the message, at most a chain of aliases behind the header, so
    // every pointer stays below 2^14.
    let mut owner = HEADER;
    for link in reply.chain {
        write_pointer(owner, out);
        out.extend_from_slice(&[0, 5, 0, 1]);
        out.extend_from_slice(&link.ttl.saturating_sub(reply.age).to_be_bytes());
        out.extend_from_slice(&(link.target.len() as u16).to_be_bytes());
        owner = out.len();
        out.extend_from_slice(&link.target);
        end = out.len();
    }
    let start = out.len();
    out.extend_from_slice(reply.answers);
    if !reply.chain.is_empty() {
        // The finished records are owned by the question's name.
        for record in out[start..].chunks_exact_mut(ADDRESS) {
            record[..2].copy_from_slice(&pointer(owner));
        }
    }
    if let Some(zone) = reply.negative {
        write_pointer(end - zone.origin_length, out);
        out.extend_from_slice(&zone.negative);
    }
}

/// A pointer to a name that stands earlier in the message (RFC 1035 section 4.1.4).
const fn pointer(at: usize) -> [u8; 2] {
    (0xc000 | at as u16).to_be_bytes()
}

fn write_pointer(at: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&pointer(at));
}

pub(super) fn write_opt(edns: Edns, rcode: u16, ede: Option<u16>, out: &mut Vec<u8>) {
    let [payload_high, payload_low] = UDP_PAYLOAD.to_be_bytes();
    let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
    out.extend_from_slice(&[0, 0, 41, payload_high, payload_low, (rcode >> 4) as u8, 0, dnssec_ok, 0]);
    match ede {
        Some(code) => {
            let [high, low] = code.to_be_bytes();
            out.extend_from_slice(&[0, 6, 0, 15, 0, 2, high, low]);
        }
        None => out.extend_from_slice(&[0, 0]),
    }
}

/// The largest response that the client takes.
pub(super) fn limit(asker: Asker, edns: Option<Edns>) -> usize {
    let limit = match (asker.transport, edns) {
        (Transport::Udp, Some(edns)) => edns.payload.clamp(512, UDP_PAYLOAD),
        (Transport::Udp, None) => 512,
        (Transport::Tcp | Transport::Tls | Transport::Https, _) => u16::MAX,
    };
    usize::from(limit.saturating_sub(asker.reserve))
}
