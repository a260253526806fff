//! NOTIFY and SOA queries as octets, and what their answers say.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData};

use super::super::apex::{TYPE_SOA, soa};
use super::schedule::Outcome;
use crate::wire::exchange::{Mismatch, check};
use crate::wire::tsig::{Refusal, ResponseError, Verifier};
use crate::zones::{DnsName, Publication};

/// Opcode NOTIFY with AA (RFC 1996 section 3.3), and a query that wants no recursion.
const NOTIFY: u8 = 4 << 3 | 0x04;
const QUERY: u8 = 0;

/// A NOTIFY of a zone's serial, with the SOA record as a hint (RFC 1996 section 3.7).
pub(super) fn notify(id: [u8; 2], origin: &DnsName, publication: &Publication, serial: u32) -> Vec<u8> {
    let mut message = question(id, NOTIFY, 1, origin);
    // The question's name.
    message.extend([0xc0, 12]);
    message.extend(soa(publication, serial, publication.ttl));
    message
}

/// A query for a zone's SOA.
pub(super) fn probe(id: [u8; 2], origin: &DnsName) -> Vec<u8> {
    question(id, QUERY, 0, origin)
}

fn question(id: [u8; 2], flags: u8, answers: u8, origin: &DnsName) -> Vec<u8> {
    let mut message = id.to_vec();
    message.extend([flags, 0, 0, 1, 0, answers, 0, 0, 0, 0]);
    message.extend(origin.to_wire());
    message.extend(TYPE_SOA.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// Why a message is no answer; there may be a right one behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    Mismatch(Mismatch),
    /// Not by whom it should be.
    Signature(ResponseError),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mismatch(_) => f.write_str("the answer belongs to something else"),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

/// A response that belongs to the request and is signed as it has to be. One that refuses needs no
/// signature: who does not know the key, or TSIG, has none.
///
/// The outcome when it refuses.
pub(super) fn accept(
    request: &[u8],
    response: &mut Vec<u8>,
    verifier: Option<&mut Verifier>,
    now: u64,
) -> Result<Result<(), Outcome>, NoAnswer> {
    match check(request, response) {
        // Nothing here depends on the case of letters.
        Ok(()) | Err(Mismatch::Case) => {}
        Err(mismatch) => return Err(NoAnswer::Mismatch(mismatch)),
    }
    let rcode = response.get(3).map_or(0, |flags| flags & 0x0f);
    let verified = verifier.map_or(Ok(()), |verifier| verifier.verify(response, now));
    match verified {
        Ok(()) if rcode == 0 => Ok(Ok(())),
        Err(ResponseError::Refused(refusal)) => Ok(Err(Outcome::Refused(signature_refused(rcode, refusal)))),
        Ok(()) => Ok(Err(Outcome::Refused(refused(rcode, false)))),
        Err(ResponseError::Unsigned) if rcode != 0 => Ok(Err(Outcome::Refused(refused(rcode, true)))),
        Err(error) => Err(NoAnswer::Signature(error)),
    }
}

/// What an RCODE says about us; `unsigned` when the request was signed and the answer is not.
fn refused(rcode: u8, unsigned: bool) -> String {
    let name = ResponseCode::from(0, rcode);
    let hint = match rcode {
        1 | 4 if unsigned => {
            ": it may know no TSIG; if so, set notify = \"unsigned\" for it, as Unbound needs it"
        }
        4 => ": it takes no NOTIFY; set notify = \"off\" for it if it is to be so",
        5 => ": it does not allow this from here, or does not have the zone",
        9 => ": it is not a secondary of the zone, or not of this server",
        _ => "",
    };
    format!("{}{hint}", code(rcode, &name))
}

fn signature_refused(rcode: u8, refusal: Refusal) -> String {
    let hint = match refusal {
        Refusal::BadKey => "; add the key to it, with the same name and algorithm",
        Refusal::BadSig => "; give it the same secret",
        Refusal::BadTime { .. } => "; set the clocks of both, best by NTP",
        Refusal::BadTrunc | Refusal::Other(_) => "",
    };
    format!("{}: {refusal}{hint}", code(rcode, &ResponseCode::from(0, rcode)))
}

/// The mnemonic (RFC 6895 section 2.3).
fn code(rcode: u8, name: &ResponseCode) -> String {
    match rcode {
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        9 => "NOTAUTH".to_owned(),
        10 => "NOTZONE".to_owned(),
        _ => name.to_string(),
    }
}

/// What the answer to a probe says: the serial, when its sender is authoritative. A resolver that does
/// not have the zone may give that of another in its cache.
pub(super) fn serial(response: &[u8], origin: &DnsName) -> Outcome {
    let Ok(message) = Message::from_vec(response) else {
        return Outcome::Error("the answer cannot be read".to_owned());
    };
    if !message.metadata.authoritative {
        return Outcome::Refused("it does not have the zone".to_owned());
    }
    let mut name = Name::from_ascii(origin.as_str()).unwrap_or_default();
    name.set_fqdn(true);
    let soa = message
        .answers
        .iter()
        .filter(|record| record.name == name)
        .find_map(|record| if let RData::SOA(soa) = &record.data { Some(soa.serial) } else { None });
    soa.map_or_else(|| Outcome::Refused("it has no SOA of the zone".to_owned()), Outcome::Seen)
}
