//! From a request to a transfer, or to the reason why there is none.

use std::net::IpAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::RData;

use super::stream::{Body, Transfer};
use crate::serve::Serving;
use crate::serve::answer::{TYPE_AXFR, TYPE_IXFR, ede, rcode};
use crate::serve::counters::Transport;
use crate::serve::message;
use crate::wire::octets::NAME;
use crate::zones::journal::{Since, since};
use crate::zones::{DnsName, Form, Generation};

/// Why there is no transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) struct Refusal {
    pub(in crate::serve) rcode: u16,
    pub(in crate::serve) ede: Option<u16>,
}

impl Refusal {
    const fn of(rcode: u16, ede: Option<u16>) -> Self {
        Self { rcode, ede }
    }
}

/// Begins the transfer that a request without its signature asks for. `key` is what it was signed
/// with.
pub(in crate::serve) fn begin(
    serving: &Serving,
    request: &[u8],
    client: IpAddr,
    transport: Transport,
    key: Option<&DnsName>,
) -> Result<Transfer, Refusal> {
    let client = client.to_canonical();
    let refused = Refusal::of(rcode::REFUSED, Some(ede::PROHIBITED));
    let secondary = serving.transfers.secondary(client, key).ok_or(refused)?;
    let query = message::read(request).ok();
    let (query, question) =
        query.and_then(|query| Some((query, query.question?))).ok_or(Refusal::of(rcode::FORMERR, None))?;
    // A zone takes many messages, which only streams carry in order (RFC 5936 section 4.2).
    if transport == Transport::Https || transport == Transport::Udp && question.kind == TYPE_AXFR {
        return Err(Refusal::of(rcode::REFUSED, Some(ede::NOT_SUPPORTED)));
    }
    let Some(source) = serving.source.clone() else {
        return Err(Refusal::of(rcode::SERVFAIL, Some(ede::NOT_READY)));
    };
    let generation = &source.generation;
    let zone = question.lower(&mut [0; NAME]).and_then(|name| find(generation, name));
    let Some((serial, origin)) = zone.and_then(|origin| Some((generation.serial(&origin)?, origin))) else {
        return Err(Refusal::of(rcode::NOTAUTH, Some(ede::NOT_AUTHORITATIVE)));
    };
    let body = if question.kind == TYPE_IXFR {
        let held = held(request).ok_or(Refusal::of(rcode::FORMERR, None))?;
        // A datagram without a signature may come from anywhere: nothing is believed of it, and what it
        // gets is no more than it asked with. The SOA alone leads to TCP (RFC 1995 section 2).
        let since = if key.is_some() || transport != Transport::Udp {
            serving.transfers.records.asked(&secondary.name, &origin, Some(held));
            since(&source.history, generation, &origin, held)
        } else {
            Since::Current
        };
        match since {
            Since::Current => Body::Current,
            Since::Changes { removed, added } => {
                let zone = generation.zones.get(&origin);
                let all = zone.map_or(0, |zone| match zone.form {
                    Form::Catalog => generation.members().count(),
                    _ => zone.addresses.values().map(std::collections::BTreeSet::len).sum(),
                });
                // More changes than records: the zone is the shorter answer (RFC 1995 section 4).
                if removed.len() + added.len() > all + 8 {
                    Body::Whole
                } else {
                    Body::Changes { from: held, removed, added }
                }
            }
            Since::Unknown => Body::Whole,
        }
    } else {
        serving.transfers.records.asked(&secondary.name, &origin, None);
        Body::Whole
    };
    let records = serving.transfers.records.clone();
    Ok(Transfer::new(
        source,
        origin,
        serial,
        body,
        (request, query, question),
        (secondary.name.clone(), records),
    ))
}

/// The zone with this lower-case wire name.
fn find(generation: &Generation, name: &[u8]) -> Option<DnsName> {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let [length, following @ ..] = rest
        && *length > 0
    {
        let (label, after) = following.split_at_checked(usize::from(*length))?;
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(std::str::from_utf8(label).ok()?);
        rest = after;
    }
    let origin: DnsName = text.parse().ok()?;
    // A dot inside a label would have become a border of labels.
    (origin.to_wire() == name && generation.zones.contains_key(&origin)).then_some(origin)
}

/// The serial that the client holds: that of the SOA in the authority section (RFC 1995 section 3).
fn held(request: &[u8]) -> Option<u32> {
    let message = Message::from_vec(request).ok()?;
    message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}
