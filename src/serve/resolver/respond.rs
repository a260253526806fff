//! From what public DNS said to a client's response.
//!
//! Pure: the same cached entry gives each client its own id, case, size limit and flags, and the image
//! of the moment decides whether a chain of aliases leads to a name of ours.

use std::time::Instant;

use super::entry::Entry;
use crate::serve::answer::{self, Asker, OPT, Reply, ede, rcode};
use crate::serve::image::Image;
use crate::serve::message::Query;
use crate::wire::octets::HEADER;

/// The bits of a header's fourth octet: AD and CD (RFC 4035 section 3.2).
const AUTHENTIC: u8 = 0x20;
const CHECKING_DISABLED: u8 = 0x10;

/// Writes the response to a query from an entry; gives its RCODE and the zone of ours that it led to.
pub(in crate::serve) fn respond(
    entry: &Entry,
    image: &Image,
    request: &[u8],
    query: Query<'_>,
    asker: Asker,
    now: Instant,
    out: &mut Vec<u8>,
) -> (u16, Option<u32>) {
    let kind = query.question.map_or(0, |question| question.kind);
    let reply = if entry.is_failure() {
        Some(Reply::error(rcode::SERVFAIL, Some(ede::NO_REACHABLE_AUTHORITY)))
    } else {
        ours(entry, image, kind, asker, now)
    };
    if let Some(reply) = reply {
        answer::write(request, query, &reply, asker, out);
        return (reply.rcode, reply.zone);
    }
    write(entry, request, query, asker, now, out);
    (u16::from(entry.rcode), None)
}

/// The reply from our own data, when the chain enters it.
fn ours<'a>(entry: &'a Entry, image: &'a Image, kind: u16, asker: Asker, now: Instant) -> Option<Reply<'a>> {
    for (i, link) in entry.chain.iter().enumerate() {
        if let Some(node) = image.held(&link.target) {
            let node = image.seen(node, asker.view);
            return Some(Reply::chain(image, entry.chain.get(..=i)?, entry.age(now), node, kind));
        }
        if image.may_be_ours(&link.target) || image.is_unknown(&link.target) {
            return Some(Reply::error(rcode::SERVFAIL, Some(ede::NOT_READY)));
        }
    }
    None
}

/// Hands on what public DNS said.
fn write(entry: &Entry, request: &[u8], query: Query<'_>, asker: Asker, now: Instant, out: &mut Vec<u8>) {
    let question = query.question.map_or(&[][..], |question| question.bytes);
    let opt = query.edns.map_or(0, |_| OPT);
    let size = HEADER + question.len() + entry.records.len() + opt;
    let truncated = size > answer::limit(asker, query.edns);
    // Who asks with DO or AD understands AD (RFC 6840 section 5.8).
    let understands = query.edns.is_some_and(|edns| edns.dnssec_ok) || request[3] & AUTHENTIC != 0;
    let authentic = if entry.authentic && understands { AUTHENTIC } else { 0 };
    let checking = request[3] & CHECKING_DISABLED;

    out.extend_from_slice(&request[..2]);
    out.extend_from_slice(&[
        0x80 | request[2] & 0x79 | if truncated { 0x02 } else { 0 },
        0x80 | authentic | checking | entry.rcode,
    ]);
    let [answers, authorities, additionals] = if truncated { [0; 3] } else { entry.counts };
    // Each section has fewer records than octets: one more cannot overflow.
    for count in [1, answers, authorities, additionals + u16::from(query.edns.is_some())] {
        out.extend_from_slice(&count.to_be_bytes());
    }
    out.extend_from_slice(question);
    if !truncated {
        entry.write_records(now, out);
    }
    if let Some(edns) = query.edns {
        answer::write_opt(edns, u16::from(entry.rcode), None, out);
    }
}
