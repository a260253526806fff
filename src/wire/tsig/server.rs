//! The server's side: requests are checked, responses signed (RFC 8945 sections 5.2 and 5.3).

use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};

use super::FUDGE;
use super::key::{Key, Keys};
use super::record::{self, Found, Variables, time48};
use crate::wire::octets::{HEADER, Malformed, NAME, number};
use crate::zones::DnsName;

const FORMERR: u8 = 1;
const NOTAUTH: u8 = 9;
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;

/// A request whose signature is right.
#[derive(Debug)]
pub struct Verified {
    /// The request without its TSIG: ARCOUNT lowered, original id restored.
    pub message: Vec<u8>,
    /// The key that signed it.
    pub key: Arc<Key>,
    /// Signs what is sent back.
    pub signer: Signer,
}

/// Why a signed request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The message cannot be read; its TSIG is missing, not last, not the only one, of a wrong class or
    /// TTL, or has a MAC of a length that no sender may use. FORMERR.
    #[error("the message or its TSIG record is malformed")]
    Malformed,
    /// No key of that name and algorithm.
    #[error("no such key (BADKEY)")]
    BadKey,
    /// The MAC is not that of the message: another secret, or a changed message.
    #[error("the signature is wrong (BADSIG)")]
    BadSig,
    /// Signed too long ago, or in the future: the clocks differ, or somebody repeats a message.
    #[error("the time of signing is too far from the time here (BADTIME)")]
    BadTime,
    /// The MAC is right and cut, which this server does not take.
    #[error("the signature is truncated (BADTRUNC)")]
    BadTrunc,
}

/// A signed request that is not accepted, with the response to it.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// The key's name as the request says, when it can be the name of a key here.
    pub key: Option<DnsName>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// Without TSIG.
    Formerr,
    /// With a TSIG that has no MAC: names of key and algorithm, error, time.
    Unsigned { owner: Vec<u8>, algorithm: Vec<u8>, error: u16, original_id: u16, now: u64 },
    /// With a TSIG of this time, error and Other Data.
    Signed { signer: Box<Signer>, time: u64, error: u16, other: Vec<u8> },
}

/// Checks a signed request: key, MAC, time, and that the MAC is not cut, in this order (section 5.2).
///
/// `now` is in seconds since 1970. A message without TSIG is [`Reason::Malformed`]; whether there is
/// one is for the caller to know.
///
/// # Errors
/// The reason, with the response to send.
pub fn verify(keys: &Keys, message: &[u8], now: u64) -> Result<Verified, Rejected> {
    let malformed = || Rejected { reason: Reason::Malformed, key: None, answer: Answer::Formerr };
    let Ok(Some(found)) = record::find(message) else { return Err(malformed()) };
    let name = found.name();
    let original_id = found.data.oid;
    let unsigned = |reason, error, name| {
        let (owner, algorithm) = (found.owner.clone(), found.algorithm.clone());
        let answer = Answer::Unsigned { owner, algorithm, error, original_id, now };
        Rejected { reason, key: name, answer }
    };

    let known = name.as_ref().and_then(|name| keys.get(name));
    let Some(key) = known.filter(|key| found.is_by(key)) else {
        return Err(unsigned(Reason::BadKey, BADKEY, name));
    };

    let mac = &found.data.mac;
    let full = key.algorithm().length();
    if mac.len() > full || mac.len() < 10.max(full / 2) {
        return Err(Rejected { key: name, ..malformed() });
    }
    if !is_mac(&found, key) {
        return Err(unsigned(Reason::BadSig, BADSIG, name));
    }

    let id = number(message, 0).map_err(|Malformed| malformed())?;
    let signer = Signer { digest: key.digest_after(mac), key: Arc::clone(key), first: true, original_id, id };
    let (reason, time, error, other) = if !found.is_timely(now) {
        (Reason::BadTime, found.data.time, BADTIME, time48(now).to_vec())
    } else if mac.len() < full {
        (Reason::BadTrunc, now, BADTRUNC, Vec::new())
    } else {
        return Ok(Verified { message: found.message, key: Arc::clone(key), signer });
    };
    Err(Rejected {
        reason,
        key: name,
        answer: Answer::Signed { signer: Box::new(signer), time, error, other },
    })
}

/// Whether a request's MAC, cut or not, is the right one.
fn is_mac(found: &Found, key: &Key) -> bool {
    let mut digest = key.digest();
    digest.update(&found.message);
    found.variables().digest(key, &mut digest);
    let tag = digest.sign();
    let mac = &found.data.mac;
    tag.as_ref().get(..mac.len()).is_some_and(|tag| constant_time::verify_slices_are_equal(tag, mac).is_ok())
}

impl Rejected {
    /// Writes the response over `out`: header and question of `request`, which is the rejected message;
    /// RCODE FORMERR, or NOTAUTH with a TSIG record that has the error (sections 5.2 and 5.3.2).
    ///
    /// BADTIME and BADTRUNC are signed; BADTIME has the client's time as Time Signed and the server's
    /// in Other Data. Nothing is written when the request has no header.
    pub fn respond(&self, request: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let Some(&[id0, id1, flags, more, ..]) = request.first_chunk::<HEADER>() else { return };
        let rcode = if self.reason == Reason::Malformed { FORMERR } else { NOTAUTH };
        // QR with the request's opcode and RD; the request's CD.
        let header = [id0, id1, 0x80 | flags & 0x79, more & 0x10 | rcode, 0, 0, 0, 0, 0, 0, 0, 0];
        out.extend_from_slice(&header);
        if let Some(question) = question(request) {
            out.extend_from_slice(question);
            out[5] = 1;
        }
        match &self.answer {
            Answer::Formerr => {}
            Answer::Unsigned { owner, algorithm, error, original_id, now } => {
                let variables = Variables { time: *now, fudge: FUDGE, error: *error, other: &[] };
                variables.append(out, (owner, algorithm), &[], *original_id);
            }
            Answer::Signed { signer, time, error, other } => {
                let variables = Variables { time: *time, fudge: FUDGE, error: *error, other };
                Signer::clone(signer).sign_with(out, &variables);
            }
        }
    }
}

/// The one question, whose name has nothing in front of it to point to.
fn question(request: &[u8]) -> Option<&[u8]> {
    let mut at = HEADER;
    loop {
        match *request.get(at)? {
            0 => break,
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    let is_name = at + 1 - HEADER <= NAME;
    (number(request, 4) == Ok(1) && is_name).then(|| request.get(HEADER..at + 5))?
}

/// Signs the responses to one verified request: one, or all messages of a transfer in their order.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<Key>,
    /// Has taken the MAC of the request, later that of the message before.
    digest: hmac::Context,
    first: bool,
    original_id: u16,
    /// The request's id on its last way, which a forwarder may have changed (section 5.5).
    id: u16,
}

impl Signer {
    /// Signs the next message: adds its TSIG record and sets its id to that of the request.
    ///
    /// The first is signed with all TSIG variables, a later one with its time only (section 5.3.1).
    /// `now` is in seconds since 1970. The message must have room for [`overhead`](Self::overhead)
    /// more octets below 65,535; what is no message, less than 12 octets, is left as it is.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        self.sign_with(message, &Variables { time: now, fudge: FUDGE, error: 0, other: &[] });
    }

    /// The octets that [`sign`](Self::sign) adds.
    #[must_use]
    pub fn overhead(&self) -> usize {
        record::size(&self.key)
    }

    fn sign_with(&mut self, message: &mut Vec<u8>, variables: &Variables<'_>) {
        if message.len() < HEADER {
            return;
        }
        record::set_id(message, self.original_id);
        let mut digest = self.digest.clone();
        digest.update(message);
        if self.first {
            variables.digest(&self.key, &mut digest);
        } else {
            variables.digest_timers(&mut digest);
        }
        let mac = digest.sign();
        let names = (&*self.key.name().to_wire(), &*self.key.algorithm().to_wire());
        variables.append(message, names, mac.as_ref(), self.original_id);
        record::set_id(message, self.id);
        self.digest = self.key.digest_after(mac.as_ref());
        self.first = false;
    }
}
