//! Reading queries: just what an authoritative answer needs, checked octet by octet.
//!
//! A full message parser would allocate for names and records that are thrown away again; here a
//! query is a look at its header, its one question and its OPT record, all borrowed.

use crate::wire::octets::{HEADER, Malformed, NAME, number, skip_name};

const TYPE_OPT: u16 = 41;
const TYPE_TSIG: u16 = 250;

/// A query that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// The question as sent; nothing when there is none, or more than one, which has no meaning
    /// (RFC 9619).
    pub(super) question: Option<Question<'a>>,
    /// The OPT record (RFC 6891); an error is told with one as well.
    pub(super) edns: Option<Edns>,
    /// The message ends with a TSIG record, or has one where none may be (RFC 8945 section 5.1).
    pub(super) signed: bool,
}

/// The one question of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question<'a> {
    /// Name, type and class as sent.
    pub(super) bytes: &'a [u8],
    /// QTYPE.
    pub(super) kind: u16,
    /// QCLASS.
    pub(super) class: u16,
}

impl<'a> Question<'a> {
    /// The name in wire format, as sent.
    pub(super) fn name(&self) -> &'a [u8] {
        &self.bytes[..self.bytes.len() - 4]
    }

    /// The name in lower case, written into a buffer; nothing when it does not fit, which reading it
    /// has ruled out.
    pub(super) fn lower<'b>(&self, buffer: &'b mut [u8; NAME]) -> Option<&'b [u8]> {
        let name = self.name();
        let lower = buffer.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        // Length octets are at most 63, below every letter, so this cannot touch them.
        lower.make_ascii_lowercase();
        Some(lower)
    }
}

/// What a query's OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edns {
    /// The UDP payload that the sender can take.
    pub(super) payload: u16,
    /// VERSION.
    pub(super) version: u8,
    /// The DO bit, which is sent back (RFC 3225 section 3).
    pub(super) dnssec_ok: bool,
}

/// Reads a message that is at least a header long.
pub(super) fn read(message: &[u8]) -> Result<Query<'_>, Malformed> {
    let counts: [u16; 4] = std::array::from_fn(|i| number(message, 4 + 2 * i).unwrap_or(0));
    let mut at = HEADER;
    let mut question = None;
    if counts[0] == 1 {
        let end = name_end(message, at)?;
        question = Some(Question {
            bytes: message.get(at..end + 4).ok_or(Malformed)?,
            kind: number(message, end)?,
            class: number(message, end + 2)?,
        });
        at = end + 4;
    } else {
        for _ in 0..counts[0] {
            at = skip_name(message, at)? + 4;
        }
    }
    let (mut edns, mut signed) = (None, false);
    for (section, count) in counts.into_iter().enumerate().skip(1) {
        for _ in 0..count {
            let owner = at;
            at = skip_name(message, at)?;
            let kind = number(message, at)?;
            let length = usize::from(number(message, at + 8)?);
            let data = message.get(at + 10..at + 10 + length).ok_or(Malformed)?;
            if kind == TYPE_OPT {
                // One, in the additional section, owned by the root (RFC 6891 section 6.1.1).
                if edns.is_some() || section != 3 || message[owner] != 0 {
                    return Err(Malformed);
                }
                check_options(data)?;
                edns = Some(Edns {
                    payload: number(message, at + 2)?,
                    version: message[at + 5],
                    dnssec_ok: message[at + 6] & 0x80 != 0,
                });
            }
            signed |= kind == TYPE_TSIG;
            at += 10 + length;
        }
    }
    Ok(Query { question, edns, signed })
}

/// The end of an uncompressed name; a question has nothing in front of it to point to.
fn name_end(message: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    loop {
        let length = *message.get(at).ok_or(Malformed)?;
        at += 1 + usize::from(length);
        if length > 63 || at - start > NAME {
            return Err(Malformed);
        }
        if length == 0 {
            return Ok(at);
        }
    }
}

fn check_options(mut data: &[u8]) -> Result<(), Malformed> {
    while !data.is_empty() {
        let length = usize::from(number(data, 2)?);
        data = data.get(4 + length..).ok_or(Malformed)?;
    }
    Ok(())
}
