//! UPDATE (RFC 2136): changes of a zone as octets, and what a server says to them.
//!
//! Every change of a name carries what the name has to hold for it to be made (section 2.4). So what
//! somebody else wrote meanwhile fails the whole message instead of being written over: a message is
//! taken as a whole or not at all (section 3).
//!
//! Octets and not messages of a library, because a message has to end where the next name would not fit,
//! and because TSIG signs octets.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use hickory_proto::op::ResponseCode;

use super::exchange::{Mismatch, check};
use super::gss::GssResponseError;
use super::octets::HEADER;
use super::tsig::{Refusal, ResponseError};
use crate::zones::DnsName;

const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;
const CLASS_NONE: u16 = 254;

/// Opcode UPDATE (RFC 2136 section 1.3).
const UPDATE: u8 = 5 << 3;

/// The greatest offset that a compressed name can point to (RFC 1035 section 4.1.4).
const FARTHEST: usize = 0x3fff;

/// Octets of a message, without its signature: what TCP carries, less the longest TSIG record.
pub const LONGEST: usize = 65_535 - 1_024 - 4_096;

/// What becomes of the A records of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    /// The name.
    pub owner: DnsName,
    /// The addresses that it has to have, no more and no less, for the change to be made. None: it must
    /// have neither an A record nor an alias.
    pub before: BTreeSet<Ipv4Addr>,
    /// The name has to have no records at all, of no type; `before` is empty then.
    pub is_unused: bool,
    /// Addresses that go.
    pub remove: BTreeSet<Ipv4Addr>,
    /// Addresses that come, or are written again.
    pub add: BTreeSet<Ipv4Addr>,
    /// The TTL of those, in seconds.
    pub ttl: u32,
}

impl NameChange {
    /// What the name has afterwards.
    #[must_use]
    pub fn after(&self) -> BTreeSet<Ipv4Addr> {
        let stays = self.before.iter().filter(|address| !self.remove.contains(address));
        stays.chain(&self.add).copied().collect()
    }
}

/// One message with the changes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update<'a> {
    /// The message; its id is zero until it is sent.
    pub octets: Vec<u8>,
    /// What it does.
    pub changes: &'a [NameChange],
}

/// The messages that make the changes of a zone, in their order: as few as hold them, each at most
/// `longest` octets unless one name alone has more. All changes of a name are in one message.
///
/// Names outside the zone would be refused by the server (NOTZONE).
#[must_use]
pub fn messages<'a>(zone: &DnsName, changes: &'a [NameChange], longest: usize) -> Vec<Update<'a>> {
    let mut updates = Vec::new();
    let mut builder = Builder::new(zone);
    let mut rest = changes;
    let mut taken = 0;
    while let Some(change) = rest.get(taken) {
        let before = builder.clone_lengths();
        builder.push(change);
        taken += 1;
        if builder.length() > longest && taken > 1 {
            builder.cut(before);
            taken -= 1;
            let (now, later) = rest.split_at(taken);
            updates.push(Update { octets: builder.finish(), changes: now });
            (builder, rest, taken) = (Builder::new(zone), later, 0);
        }
    }
    if taken > 0 {
        updates.push(Update { octets: builder.finish(), changes: rest });
    }
    updates
}

/// A message under construction. Prerequisites stand before all updates, so that the first place of
/// every name is known.
struct Builder {
    zone: DnsName,
    /// Header, zone section and prerequisites.
    head: Vec<u8>,
    updates: Vec<u8>,
    prerequisites_count: u16,
    updates_count: u16,
}

/// Where a message ends before a change.
#[derive(Clone, Copy)]
struct Lengths {
    head: usize,
    updates: usize,
    prerequisites_count: u16,
    updates_count: u16,
}

impl Builder {
    fn new(zone: &DnsName) -> Self {
        let mut head = vec![0, 0, UPDATE, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        head.extend(zone.to_wire());
        head.extend(TYPE_SOA.to_be_bytes());
        head.extend(CLASS_IN.to_be_bytes());
        Self { zone: zone.clone(), head, updates: Vec::new(), prerequisites_count: 0, updates_count: 0 }
    }

    const fn length(&self) -> usize {
        self.head.len() + self.updates.len()
    }

    const fn clone_lengths(&self) -> Lengths {
        Lengths {
            head: self.head.len(),
            updates: self.updates.len(),
            prerequisites_count: self.prerequisites_count,
            updates_count: self.updates_count,
        }
    }

    fn cut(&mut self, to: Lengths) {
        self.head.truncate(to.head);
        self.updates.truncate(to.updates);
        (self.prerequisites_count, self.updates_count) = (to.prerequisites_count, to.updates_count);
    }

    fn push(&mut self, change: &NameChange) {
        let full = owner(&self.zone, &change.owner);
        let at = self.head.len();
        // Afterwards a pointer to its first place, where one reaches.
        let short = match u16::try_from(at) {
            Ok(offset) if at <= FARTHEST => (0xc000 | offset).to_be_bytes().to_vec(),
            _ => full.clone(),
        };
        let mut name = &full;
        // Value dependent: the whole set (section 2.4.2).
        for address in &change.before {
            record(&mut self.head, name, TYPE_A, CLASS_IN, 0, &address.octets());
            self.prerequisites_count = self.prerequisites_count.saturating_add(1);
            name = &short;
        }
        if change.is_unused {
            // The name is not in use (section 2.4.5).
            record(&mut self.head, name, TYPE_ANY, CLASS_NONE, 0, &[]);
            self.prerequisites_count = self.prerequisites_count.saturating_add(1);
        } else if change.before.is_empty() {
            // The set does not exist (section 2.4.3). Beside an alias an address would be ignored in
            // silence (section 3.4.2.2).
            for kind in [TYPE_A, TYPE_CNAME] {
                record(&mut self.head, name, kind, CLASS_NONE, 0, &[]);
                self.prerequisites_count = self.prerequisites_count.saturating_add(1);
                name = &short;
            }
        }
        for address in &change.add {
            record(&mut self.updates, &short, TYPE_A, CLASS_IN, change.ttl, &address.octets());
        }
        for address in &change.remove {
            record(&mut self.updates, &short, TYPE_A, CLASS_NONE, 0, &address.octets());
        }
        let count = u16::try_from(change.add.len() + change.remove.len()).unwrap_or(u16::MAX);
        self.updates_count = self.updates_count.saturating_add(count);
    }

    fn finish(mut self) -> Vec<u8> {
        let counts = [(6, self.prerequisites_count), (8, self.updates_count)];
        for (at, count) in counts {
            if let Some(field) = self.head.get_mut(at..at + 2) {
                field.copy_from_slice(&count.to_be_bytes());
            }
        }
        self.head.extend(self.updates);
        self.head
    }
}

/// A name in wire format; the zone, which stands behind the header, is pointed to.
fn owner(zone: &DnsName, name: &DnsName) -> Vec<u8> {
    const ZONE: [u8; 2] = (0xc000 | HEADER as u16).to_be_bytes();
    if name == zone {
        return ZONE.to_vec();
    }
    let Some(prefix) = name.below(zone) else { return name.to_wire() };
    let mut wire = Vec::with_capacity(prefix.len() + 3);
    for label in prefix.split('.') {
        // A label has at most 63 octets: checked when the name was made.
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.extend(ZONE);
    wire
}

fn record(into: &mut Vec<u8>, name: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) {
    into.extend_from_slice(name);
    into.extend(kind.to_be_bytes());
    into.extend(class.to_be_bytes());
    into.extend(ttl.to_be_bytes());
    // Four octets, or none.
    into.extend((data.len() as u16).to_be_bytes());
    into.extend_from_slice(data);
}

/// What a server says to an UPDATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is done, all of it.
    Done,
    /// Nothing is done: a name holds something else than it should (section 3.2.5).
    Changed(String),
    /// Nothing is done, and will not be until somebody changes the server or our configuration.
    Refused {
        /// The RCODE.
        code: u8,
        /// What it is, and what to do.
        problem: String,
    },
    /// Nothing is known: the caller has to ask what the server holds.
    Unknown {
        /// Why.
        why: String,
        /// Something came back, so that the connection can be used further.
        answered: bool,
    },
}

/// Why a response proves nothing, of either kind of signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// The server refuses the signature of the request; it has done nothing.
    Refused(Refusal),
    /// It is not signed by the server: without a signature, or with ours.
    Unsigned(String),
    /// Its signature is wrong.
    Wrong(String),
}

impl From<ResponseError> for Unproven {
    fn from(error: ResponseError) -> Self {
        match error {
            ResponseError::Refused(refusal) => Self::Refused(refusal),
            ResponseError::Unsigned => Self::Unsigned(error.to_string()),
            error => Self::Wrong(error.to_string()),
        }
    }
}

impl From<GssResponseError> for Unproven {
    fn from(error: GssResponseError) -> Self {
        match error {
            GssResponseError::Refused(refusal) => Self::Refused(refusal),
            GssResponseError::Unsigned | GssResponseError::Echoed => Self::Unsigned(error.to_string()),
            error => Self::Wrong(error.to_string()),
        }
    }
}

/// Reads a response that was verified already, or why it proves nothing.
#[must_use]
pub fn reply(request: &[u8], response: &[u8], verified: Result<(), Unproven>) -> Reply {
    match check(request, response) {
        // Nothing here depends on the case of letters. A server may leave the zone section out.
        Ok(()) | Err(Mismatch::Case | Mismatch::Question) => {}
        Err(_) => return unverified("the response belongs to something else".to_owned()),
    }
    let code = response.get(3).map_or(0, |flags| flags & 0x0f);
    match verified {
        Ok(()) => {}
        Err(Unproven::Refused(refusal)) => return refusal_of(code, signature(refusal)),
        // Whoever refuses cannot sign always.
        Err(Unproven::Unsigned(_)) if !matches!(code, 0 | 3 | 6..=8) => {
            return refusal_of(code, refused(code, true));
        }
        Err(Unproven::Unsigned(why) | Unproven::Wrong(why)) => {
            return unverified(format!("{why}; it says {}", mnemonic(code)));
        }
    }
    match code {
        0 => Reply::Done,
        3 | 6..=8 => Reply::Changed(mnemonic(code)),
        _ => refusal_of(code, refused(code, false)),
    }
}

const fn unverified(why: String) -> Reply {
    Reply::Unknown { why, answered: true }
}

const fn refusal_of(code: u8, problem: String) -> Reply {
    Reply::Refused { code, problem }
}

/// What an RCODE says about us; `unsigned` when the request was signed and the answer is not.
fn refused(code: u8, unsigned: bool) -> String {
    let hint = match code {
        1 | 4 if unsigned => ": it may know no TSIG",
        2 => {
            ": it failed; its log says why (no disk space, a journal that it cannot write; Samba says so when the \
              account may not change a record)"
        }
        4 => ": it takes no updates; use another kind of target",
        5 => {
            ": it does not allow the update; let the key (or this host) change A records in the zone (BIND: \
             update-policy { grant KEY zonesub A; };)"
        }
        9 => {
            ": it is not the primary of the zone, or does not let it be changed; name its primary in servers"
        }
        10 => ": a name lies outside the zone",
        _ => "",
    };
    format!("{}{hint}", mnemonic(code))
}

fn signature(refusal: Refusal) -> String {
    format!("NOTAUTH: {refusal}{}", remedy(refusal))
}

/// What to do about a refused signature, to stand behind its text.
#[must_use]
pub const fn remedy(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BadKey => "; add the key to the server, with the same name and algorithm",
        Refusal::BadSig => "; give the server the same secret",
        Refusal::BadTime { .. } => "; set the clocks of both, best by NTP",
        Refusal::BadTrunc | Refusal::Other(_) => "",
    }
}

/// The mnemonic of an RCODE (RFC 6895 section 2.3).
#[must_use]
pub fn mnemonic(code: u8) -> String {
    let known = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET",
        "NOTAUTH", "NOTZONE",
    ];
    known
        .get(usize::from(code))
        .map_or_else(|| ResponseCode::from(0, code).to_string(), |name| (*name).to_owned())
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
