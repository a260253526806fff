//! The answer: a pure function from an image and a query's octets to a response's octets.
//!
//! UDP, TCP, tests, benchmarks and fuzzers call the same function. It allocates nothing once the
//! buffer has grown to the size of a response.

use super::counters::Transport;
use super::image::{Found, Image, Node, TYPE_A, TYPE_NS, TYPE_SOA, ZoneImage};
use super::message::{self, Edns, HEADER, Query, Question};

/// The largest response over UDP: what passes everywhere without fragments (DNS Flag Day 2020).
pub const UDP_PAYLOAD: u16 = 1232;

const CLASS_IN: u16 = 1;

/// Octets of an OPT record without options, and of an Extended DNS Error without text.
const OPT: usize = 11;
const EDE: usize = 6;

/// Who asks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// How the query came.
    pub transport: Transport,
    /// The access list lets the client ask.
    pub allowed: bool,
    /// The rate limit wants a truncated answer, so that a real client comes back over TCP.
    pub truncate: bool,
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
}

/// RCODEs (RFC 6895 section 2.3).
mod rcode {
    pub(super) const NOERROR: u16 = 0;
    pub(super) const FORMERR: u16 = 1;
    pub(super) const SERVFAIL: u16 = 2;
    pub(super) const NXDOMAIN: u16 = 3;
    pub(super) const NOTIMP: u16 = 4;
    pub(super) const REFUSED: u16 = 5;
    pub(super) const BADVERS: u16 = 16;
}

/// Extended DNS Errors (RFC 8914 section 4).
mod ede {
    pub(super) const STALE_ANSWER: u16 = 3;
    pub(super) const NOT_READY: u16 = 14;
    pub(super) const PROHIBITED: u16 = 18;
    pub(super) const STALE_NXDOMAIN: u16 = 19;
    pub(super) const NOT_AUTHORITATIVE: u16 = 20;
    pub(super) const NOT_SUPPORTED: u16 = 21;
}

/// The sections of a response behind its question.
#[derive(Default)]
struct Reply<'a> {
    rcode: u16,
    authoritative: bool,
    answers: &'a [u8],
    answer_count: u16,
    /// The zone whose SOA stands in the authority section.
    negative: Option<&'a ZoneImage>,
    ede: Option<u16>,
    zone: Option<u32>,
}

impl Reply<'_> {
    fn error(rcode: u16, ede: Option<u16>) -> Self {
        Self { rcode, ede, ..Self::default() }
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
    let query = read.unwrap_or(Query { question: None, edns: None });
    let reply = match (opcode, read, query.question) {
        (1.., _, _) => Reply::error(rcode::NOTIMP, None),
        (0, Ok(_), Some(question)) => match query.edns {
            Some(edns) if edns.version > 0 => Reply::error(rcode::BADVERS, None),
            _ => lookup(image, question, asker),
        },
        // Not readable, no question, or more than one (RFC 9619).
        (0, _, _) => Reply::error(rcode::FORMERR, None),
    };
    write(request, query, &reply, asker, out);
    Outcome::Answered { rcode: reply.rcode, kind: query.question.map_or(0, |q| q.kind), zone: reply.zone }
}

fn lookup<'a>(image: &'a Image, question: Question<'_>, asker: Asker) -> Reply<'a> {
    if question.class != CLASS_IN {
        return Reply::error(rcode::REFUSED, Some(ede::NOT_SUPPORTED));
    }
    match question.kind {
        // OPT, TKEY and TSIG are no types to ask for.
        41 | 249 | 250 => return Reply::error(rcode::FORMERR, None),
        // MAILB and MAILA are obsolete.
        253 | 254 => return Reply::error(rcode::NOTIMP, None),
        _ => {}
    }
    if !asker.allowed {
        return Reply::error(rcode::REFUSED, Some(ede::PROHIBITED));
    }
    // IXFR and AXFR: no transfers to anybody.
    if matches!(question.kind, 251 | 252) {
        return Reply::error(rcode::REFUSED, Some(ede::NOT_SUPPORTED));
    }
    if asker.truncate {
        return Reply::default();
    }
    let mut buffer = [0; 255];
    let name = question.name();
    let Some(lower) = buffer.get_mut(..name.len()) else { return Reply::error(rcode::FORMERR, None) };
    lower.copy_from_slice(name);
    // Length octets are at most 63, below every letter, so this cannot touch them.
    lower.make_ascii_lowercase();
    let found = image.find(lower);
    // As long as an application was never read, a name without records may be one of its own.
    if !image.complete && !matches!(found, Found::Node(node) if node.apex || node.addresses > 0) {
        return Reply::error(rcode::SERVFAIL, Some(ede::NOT_READY));
    }
    match found {
        Found::Node(node) => positive(image, node, question.kind),
        Found::Missing(index) => {
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
        Found::NotOurs => Reply::error(rcode::REFUSED, Some(ede::NOT_AUTHORITATIVE)),
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
        255 if node.addresses > 0 => (image.addresses(node), node.addresses),
        255 if node.apex => (&zone.soa, 1),
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
    }
}

/// Writes header, question, sections and OPT; what does not fit is left out, with TC set.
fn write(request: &[u8], query: Query<'_>, reply: &Reply<'_>, asker: Asker, out: &mut Vec<u8>) {
    let question = query.question.map_or(&[][..], |q| q.bytes);
    let opt = query.edns.map_or(0, |_| OPT);
    // The SOA's owner is a pointer into the question's name, of which the origin is the end.
    let authority = reply.negative.map_or(0, |zone| 2 + zone.negative.len());
    let size = HEADER + question.len() + reply.answers.len() + authority + opt;
    let limit = limit(asker, query.edns);
    let truncated = asker.truncate && reply.rcode == rcode::NOERROR || size > limit;
    // An extended error goes before data does, and TC says so (RFC 8914 section 3).
    let ede = reply.ede.filter(|_| truncated || size + EDE <= limit);
    let cut = truncated || query.edns.is_some() && ede != reply.ede;

    out.extend_from_slice(&request[..2]);
    let flags =
        0x80 | request[2] & 0x79 | if reply.authoritative { 0x04 } else { 0 } | if cut { 0x02 } else { 0 };
    // RD and CD are the client's; RA, Z and AD are not set.
    out.extend_from_slice(&[flags, request[3] & 0x10 | (reply.rcode & 0x0f) as u8]);
    let (answers, negative) = if truncated { (0, None) } else { (reply.answer_count, reply.negative) };
    for count in [
        u16::from(query.question.is_some()),
        answers,
        u16::from(negative.is_some()),
        u16::from(query.edns.is_some()),
    ] {
        out.extend_from_slice(&count.to_be_bytes());
    }
    out.extend_from_slice(question);
    if answers > 0 {
        out.extend_from_slice(reply.answers);
    }
    if let Some(zone) = negative {
        // A name has at most 255 octets, so the pointer stays below 2^14.
        let origin = HEADER + question.len() - 4 - zone.origin_length;
        out.extend_from_slice(&(0xc000 | origin as u16).to_be_bytes());
        out.extend_from_slice(&zone.negative);
    }
    if let Some(edns) = query.edns {
        write_opt(edns, reply.rcode, ede, out);
    }
}

fn write_opt(edns: Edns, rcode: u16, ede: Option<u16>, out: &mut Vec<u8>) {
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
fn limit(asker: Asker, edns: Option<Edns>) -> usize {
    match (asker.transport, edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(edns)) => usize::from(edns.payload.clamp(512, UDP_PAYLOAD)),
        (Transport::Udp, None) => 512,
    }
}
