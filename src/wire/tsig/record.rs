//! The TSIG record on the wire (RFC 8945 section 4.2), and what of it is signed (section 4.3).

use aws_lc_rs::hmac;
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable};

use super::key::Key;
use crate::wire::octets::{HEADER, Malformed, number, skip_name};
use crate::zones::DnsName;

const TYPE_TSIG: u16 = 250;
const CLASS_ANY: u16 = 255;

/// A message's TSIG record.
#[derive(Debug)]
pub(in crate::wire) struct Found {
    /// The key's name in canonical wire format.
    pub(in crate::wire) owner: Vec<u8>,
    /// The algorithm's name in canonical wire format.
    pub(in crate::wire) algorithm: Vec<u8>,
    /// Its fields.
    pub(in crate::wire) data: TSIG,
    /// The message as its sender signed it: without the record, ARCOUNT lowered, with its original id.
    pub(in crate::wire) message: Vec<u8>,
}

impl Found {
    /// The key's name, if it is one that a key here can have.
    pub(super) fn name(&self) -> Option<DnsName> {
        let (mut text, mut rest) = (Vec::new(), &*self.owner);
        while let Some((length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            text.extend_from_slice(label);
            text.push(b'.');
            rest = after;
        }
        let name: DnsName = std::str::from_utf8(&text).ok()?.parse().ok()?;
        // A dot inside a label would make another name of it.
        (name.to_wire() == self.owner).then_some(name)
    }

    /// Whether the record says that it is made with this key.
    pub(super) fn is_by(&self, key: &Key) -> bool {
        self.owner == key.name().to_wire() && self.algorithm == key.algorithm().to_wire()
    }

    /// What the record adds to the digest.
    pub(in crate::wire) fn variables(&self) -> Variables<'_> {
        let data = &self.data;
        Variables {
            time: data.time,
            fudge: data.fudge,
            error: data.error.map_or(0, u16::from),
            other: &data.other,
        }
    }

    /// Whether the clocks agree (section 5.2.3).
    pub(in crate::wire) fn is_timely(&self, now: u64) -> bool {
        now.abs_diff(self.data.time) <= u64::from(self.data.fudge)
    }
}

/// Finds the TSIG record, which has to be the last thing in the message.
pub(in crate::wire) fn find(message: &[u8]) -> Result<Option<Found>, Malformed> {
    let mut counts = [0; 4];
    for (i, count) in counts.iter_mut().enumerate() {
        *count = number(message, 4 + 2 * i)?;
    }
    let mut at = HEADER;
    for _ in 0..counts[0] {
        at = skip_name(message, at)? + 4;
    }
    let records: u32 = counts[1..].iter().copied().map(u32::from).sum();
    for left in (0..records).rev() {
        let start = at;
        at = skip_name(message, at)?;
        let end = at + 10 + usize::from(number(message, at + 8)?);
        if message.len() < end {
            return Err(Malformed);
        }
        if number(message, at)? == TYPE_TSIG {
            let ttl = message.get(at + 4..at + 8).ok_or(Malformed)?;
            let is_last = left == 0 && counts[3] > 0 && end == message.len();
            if !is_last || number(message, at + 2)? != CLASS_ANY || ttl != [0; 4] {
                return Err(Malformed);
            }
            return read(message, start).map(Some);
        }
        at = end;
    }
    Ok(None)
}

/// Reads the record that begins at `start`.
fn read(message: &[u8], start: usize) -> Result<Found, Malformed> {
    let at = u16::try_from(start).map_err(|_| Malformed)?;
    let record = Record::read(&mut BinDecoder::new(message).clone(at)).map_err(|_| Malformed)?;
    let RData::TSIG(data) = record.data else { return Err(Malformed) };
    let wire = |name: &Name| name.to_lowercase().to_bytes().map_err(|_| Malformed);
    let (owner, algorithm) = (wire(&record.name)?, wire(&data.algorithm.to_name())?);
    let mut stripped = message.get(..start).ok_or(Malformed)?.to_vec();
    set_id(&mut stripped, data.oid);
    change_additionals(&mut stripped, |count| count.wrapping_sub(1));
    Ok(Found { owner, algorithm, data, message: stripped })
}

/// What is signed of a record beside its names: all fields but MAC and original id (section 4.3.3).
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct Variables<'a> {
    /// Seconds since 1970, of which 48 bits are sent.
    pub(in crate::wire) time: u64,
    /// Seconds.
    pub(in crate::wire) fudge: u16,
    /// The extended RCODE.
    pub(in crate::wire) error: u16,
    /// Other Data.
    pub(in crate::wire) other: &'a [u8],
}

impl Variables<'_> {
    /// Adds all of them to a digest.
    pub(super) fn digest(&self, key: &Key, digest: &mut hmac::Context) {
        let names = (&*key.name().to_wire(), &*key.algorithm().to_wire());
        self.octets(names, |octets| digest.update(octets));
    }

    /// Gives all of them with the names of key and algorithm, in the order in which they are signed.
    pub(in crate::wire) fn octets(&self, names: (&[u8], &[u8]), mut to: impl FnMut(&[u8])) {
        let (owner, algorithm) = names;
        to(owner);
        to(&CLASS_ANY.to_be_bytes());
        to(&[0; 4]);
        to(algorithm);
        to(&time48(self.time));
        to(&self.fudge.to_be_bytes());
        to(&self.error.to_be_bytes());
        to(&length(self.other));
        to(self.other);
    }

    /// Adds those that later messages of a chain sign (section 5.3.1).
    pub(super) fn digest_timers(&self, digest: &mut hmac::Context) {
        digest.update(&time48(self.time));
        digest.update(&self.fudge.to_be_bytes());
    }

    /// Adds a TSIG record to a message of at least a header.
    pub(in crate::wire) fn append(
        &self,
        message: &mut Vec<u8>,
        names: (&[u8], &[u8]),
        mac: &[u8],
        original_id: u16,
    ) {
        let (owner, algorithm) = names;
        message.extend_from_slice(owner);
        message.extend_from_slice(&TYPE_TSIG.to_be_bytes());
        message.extend_from_slice(&CLASS_ANY.to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        // Names have at most 255 octets, a MAC 64, and Other Data 6.
        let data = algorithm.len() + FIXED + mac.len() + self.other.len();
        message.extend_from_slice(&(data as u16).to_be_bytes());
        message.extend_from_slice(algorithm);
        message.extend_from_slice(&time48(self.time));
        message.extend_from_slice(&self.fudge.to_be_bytes());
        message.extend_from_slice(&length(mac));
        message.extend_from_slice(mac);
        message.extend_from_slice(&original_id.to_be_bytes());
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&length(self.other));
        message.extend_from_slice(self.other);
        change_additionals(message, |count| count.wrapping_add(1));
    }
}

/// Octets of a record's data beside algorithm name, MAC and Other Data.
const FIXED: usize = 6 + 2 + 2 + 2 + 2 + 2;

/// Octets of the record that a key makes, without Other Data.
pub(super) fn size(key: &Key) -> usize {
    let algorithm = key.algorithm();
    // A name's text has no root dot and no first length octet.
    key.name().as_str().len() + 2 + 10 + algorithm.as_str().len() + 2 + FIXED + algorithm.length()
}

/// A time as it is sent: 48 bits.
pub(super) fn time48(time: u64) -> [u8; 6] {
    let [_, _, octets @ ..] = time.to_be_bytes();
    octets
}

/// A field's length, of fields that are never longer than a message.
fn length(field: &[u8]) -> [u8; 2] {
    (field.len() as u16).to_be_bytes()
}

/// Sets the header's id.
pub(super) fn set_id(message: &mut [u8], id: u16) {
    if let Some(field) = message.first_chunk_mut() {
        *field = id.to_be_bytes();
    }
}

fn change_additionals(message: &mut [u8], change: impl FnOnce(u16) -> u16) {
    if let Ok(count) = number(message, 10)
        && let Some(field) = message.get_mut(10..HEADER)
    {
        field.copy_from_slice(&change(count).to_be_bytes());
    }
}
