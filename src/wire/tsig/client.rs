//! The client's side: requests are signed, responses checked (RFC 8945 sections 5.1, 5.3 and 5.4).

use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};

use super::FUDGE;
use super::key::Key;
use super::record::{self, Variables};
use crate::wire::octets::{HEADER, number};

/// The most unsigned messages between two signed ones (section 5.3.1).
const MOST_UNSIGNED: u8 = 99;

/// What a server says about our signature (section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It computes another MAC: its secret is another one.
    #[error("BADSIG: its secret for this key is another one")]
    BadSig,
    /// It has no such key, or has it for another algorithm.
    #[error("BADKEY: it has no key of this name and algorithm")]
    BadKey,
    /// Its clock and ours differ.
    #[error("BADTIME: its clock differs from the one here")]
    BadTime {
        /// Its time, in seconds since 1970, when it said.
        server: Option<u64>,
    },
    /// It wants longer MACs.
    #[error("BADTRUNC: it wants longer signatures")]
    BadTrunc,
    /// Another code.
    #[error("TSIG error {0}")]
    Other(u16),
}

/// Why a response is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It has no signature where it needs one.
    #[error("the response is not signed")]
    Unsigned,
    /// It cannot be read, or its TSIG record is misplaced.
    #[error("the response or its TSIG record is malformed")]
    Malformed,
    /// It is signed with another key or algorithm.
    #[error("the response is signed with another key")]
    WrongKey,
    /// Its MAC is wrong or cut.
    #[error("the signature of the response is wrong")]
    BadSignature,
    /// It was signed at another time.
    #[error("the response was signed at {signed} and the time here is {now} (seconds since 1970)")]
    Time {
        /// When it says that it was signed, in seconds since 1970.
        signed: u64,
        /// The time here, in seconds since 1970.
        now: u64,
    },
    /// The server does not accept our signature. BADSIG and BADKEY come without a signature, so that
    /// anybody may have said so.
    #[error("the server refuses the signature of the request, {0}")]
    Refused(Refusal),
    /// More than 99 messages in a row without a signature.
    #[error("too many messages without a signature")]
    TooManyUnsigned,
}

/// Checks the responses to one signed request: one, or all messages of a transfer in their order.
#[derive(Debug, Clone)]
pub struct Verifier {
    key: Arc<Key>,
    /// Has taken the MAC of the request, later that of the signed message before and the unsigned
    /// messages since.
    digest: hmac::Context,
    first: bool,
    unsigned: u8,
}

/// Signs a request: adds its TSIG record. `now` is in seconds since 1970.
///
/// What is no message, less than 12 octets, is left as it is.
pub fn sign_request(key: &Arc<Key>, message: &mut Vec<u8>, now: u64) -> Verifier {
    let variables = Variables { time: now, fudge: FUDGE, error: 0, other: &[] };
    let mut digest = key.digest();
    digest.update(message);
    variables.digest(key, &mut digest);
    let mac = digest.sign();
    if message.len() >= HEADER {
        let id = number(message, 0).unwrap_or_default();
        let names = (&*key.name().to_wire(), &*key.algorithm().to_wire());
        variables.append(message, names, mac.as_ref(), id);
    }
    Verifier { digest: key.digest_after(mac.as_ref()), key: Arc::clone(key), first: true, unsigned: 0 }
}

impl Verifier {
    /// Checks the next message and takes its TSIG off; its id becomes the one that was signed.
    ///
    /// The first message has to be signed; later ones may be unsigned, at most 99 in a row, which
    /// [`finish`](Self::finish) and the next signed message settle (section 5.3.1). An error changes
    /// neither the message nor what is expected next, so that over UDP a forged response does not end
    /// the wait for the right one (section 5.4).
    ///
    /// # Errors
    /// Why the message is not accepted.
    pub fn verify(&mut self, message: &mut Vec<u8>, now: u64) -> Result<(), ResponseError> {
        let found = record::find(message).map_err(|_| ResponseError::Malformed)?;
        let Some(found) = found else { return self.pass_unsigned(message) };
        let refused = found.data.error.map(|code| Refusal::new(code.into(), &found.data.other));
        let mac = &found.data.mac;
        if let (true, Some(refusal)) = (mac.is_empty(), refused) {
            return Err(ResponseError::Refused(refusal));
        }
        if !found.is_by(&self.key) {
            return Err(ResponseError::WrongKey);
        }
        let mut digest = self.digest.clone();
        digest.update(&found.message);
        if self.first {
            found.variables().digest(&self.key, &mut digest);
        } else {
            found.variables().digest_timers(&mut digest);
        }
        constant_time::verify_slices_are_equal(digest.sign().as_ref(), mac)
            .map_err(|_| ResponseError::BadSignature)?;
        if let Some(refusal) = refused {
            return Err(ResponseError::Refused(refusal));
        }
        if !found.is_timely(now) {
            return Err(ResponseError::Time { signed: found.data.time, now });
        }
        self.digest = self.key.digest_after(mac);
        self.first = false;
        self.unsigned = 0;
        *message = found.message;
        Ok(())
    }

    fn pass_unsigned(&mut self, message: &[u8]) -> Result<(), ResponseError> {
        if self.first {
            return Err(ResponseError::Unsigned);
        }
        if self.unsigned == MOST_UNSIGNED {
            return Err(ResponseError::TooManyUnsigned);
        }
        self.digest.update(message);
        self.unsigned += 1;
        Ok(())
    }

    /// Whether all that was accepted is covered by a signature. To be asked after the last message, whose
    /// signature also covers the unsigned ones before it.
    ///
    /// # Errors
    /// [`ResponseError::Unsigned`] when the last message was not signed, or there was none.
    pub const fn finish(&self) -> Result<(), ResponseError> {
        if self.first || self.unsigned > 0 { Err(ResponseError::Unsigned) } else { Ok(()) }
    }
}

impl Refusal {
    /// What the error field of a TSIG record and its Other Data say.
    pub(in crate::wire) fn new(code: u16, other: &[u8]) -> Self {
        match code {
            16 => Self::BadSig,
            17 => Self::BadKey,
            18 => {
                let time = <[u8; 6]>::try_from(other).ok();
                Self::BadTime {
                    server: time.map(|t| t.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))),
                }
            }
            22 => Self::BadTrunc,
            code => Self::Other(code),
        }
    }
}
