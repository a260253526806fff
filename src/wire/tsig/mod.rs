//! TSIG (RFC 8945): messages that are signed with a secret which both sides share.
//!
//! Pure: octets go in, octets come out, and the time is a value (seconds since 1970). A signature is
//! over the octets that are sent, so nothing here decodes a message and encodes it again. That is why
//! hickory-proto, which reads the fields of a record here, does not make the digests: it writes the
//! header anew and loses bits that it does not know. It has no digests either for the later messages of
//! a transfer (section 5.3.1).
//!
//! Server side: [`verify`] gives the message and a [`Signer`] for the responses, or a [`Rejected`] that
//! knows the response to send. Client side: [`sign_request`] gives a [`Verifier`] for the responses.
//!
//! HMAC-SHA256, -SHA384 and -SHA512, with MACs of full length only: nothing needs MD5, SHA-1 or cut
//! MACs any more.

mod client;
mod file;
mod key;
pub(super) mod record;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Refusal, ResponseError, Verifier, sign_request};
pub use file::KeyFileError;
pub use key::{Algorithm, Key, KeyError, Keys, UnknownAlgorithm};
pub use server::{Reason, Rejected, Signer, Verified, verify};

/// Seconds by which two clocks may differ, in what is signed here (section 10 recommends 300).
pub const FUDGE: u16 = 300;
