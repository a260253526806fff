//! TSIG records with MICs of a context (RFC 3645 sections 5.1 and 5.2): what is signed is the same as with
//! a shared secret, RFC 8945 section 4.3.
//!
//! Pure: the context comes in as a function, so that tests need none.

use super::library::Failure;
use super::tkey::ALGORITHM;
use crate::wire::octets::{HEADER, number};
use crate::wire::tsig::record::{self, Variables};
use crate::wire::tsig::{FUDGE, Refusal};

/// Why the signature of a response proves nothing. Whether the server did what it was asked for is then
/// unknown: ask it what it holds, and do not send the request again blindly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GssResponseError {
    /// It has no signature.
    #[error("the response is not signed")]
    Unsigned,
    /// It cannot be read, or its TSIG record is misplaced.
    #[error("the response or its TSIG record is malformed")]
    Malformed,
    /// It carries our own signature of the request. Windows does so when it refuses an update, and for names
    /// and types that it does not sign; its response code may be right all the same.
    #[error("the response repeats the signature of the request, as Windows does when it does not sign")]
    Echoed,
    /// Its signature is wrong, of another context, or was seen before. Samba before 4.19.8 and
    /// 4.20.2 signs all its responses wrongly (bug 13019).
    #[error("the signature of the response is wrong (Samba's DNS server before 4.19.8 always signs so)")]
    BadSignature,
    /// It was signed at another time.
    #[error("the response was signed at {signed} and the time here is {now} (seconds since 1970)")]
    Time {
        /// When it says that it was signed, in seconds since 1970.
        signed: u64,
        /// The time here, in seconds since 1970.
        now: u64,
    },
    /// The server does not accept our signature, and has done nothing, if it is the server who says so:
    /// such a response is mostly unsigned. [`Refusal::BadKey`] means that it has forgotten the context, as
    /// after a restart: negotiate anew.
    #[error("the server refuses the signature of the request, {0}")]
    Refused(Refusal),
}

/// Knows the response to one signed request.
#[derive(Debug, Clone)]
pub struct GssVerifier {
    mac: Vec<u8>,
}

/// Signs a request: adds its TSIG record. What is no message, less than 12 octets, is left as it is.
pub(super) fn sign(
    owner: &[u8],
    message: &mut Vec<u8>,
    now: u64,
    mic: impl FnOnce(&[u8]) -> Result<Vec<u8>, Failure>,
) -> Result<GssVerifier, Failure> {
    let names = (owner, ALGORITHM);
    let variables = Variables { time: now, fudge: FUDGE, error: 0, other: &[] };
    let mut signed = message.clone();
    variables.octets(names, |octets| signed.extend_from_slice(octets));
    let mac = mic(&signed)?;
    if message.len() >= HEADER {
        let id = number(message, 0).unwrap_or_default();
        variables.append(message, names, &mac, id);
    }
    Ok(GssVerifier { mac })
}

/// Checks a response and takes its TSIG off. Without a `request`, which is so for the end of a negotiation,
/// no earlier MAC is signed with it. `is_mic` says whether something is the MIC of some octets.
///
/// An error leaves the message as it is.
pub(super) fn verify(
    owner: &[u8],
    request: Option<&GssVerifier>,
    message: &mut Vec<u8>,
    now: u64,
    is_mic: impl FnOnce(&[u8], &[u8]) -> bool,
) -> Result<(), GssResponseError> {
    let found = record::find(message).map_err(|_| GssResponseError::Malformed)?;
    let found = found.ok_or(GssResponseError::Unsigned)?;
    let mac = &found.data.mac;
    let refused =
        found.data.error.map(|code| GssResponseError::Refused(Refusal::new(code.into(), &found.data.other)));
    if mac.is_empty() {
        return Err(refused.unwrap_or(GssResponseError::BadSignature));
    }
    if request.is_some_and(|request| request.mac == *mac) {
        return Err(GssResponseError::Echoed);
    }
    if found.owner != owner || found.algorithm != ALGORITHM {
        return Err(GssResponseError::BadSignature);
    }
    let mut signed = Vec::new();
    if let Some(GssVerifier { mac }) = request {
        // A MAC has some dozens of octets.
        signed.extend_from_slice(&(mac.len() as u16).to_be_bytes());
        signed.extend_from_slice(mac);
    }
    signed.extend_from_slice(&found.message);
    found.variables().octets((owner, ALGORITHM), |octets| signed.extend_from_slice(octets));
    if !is_mic(&signed, mac) {
        return Err(GssResponseError::BadSignature);
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    if !found.is_timely(now) {
        return Err(GssResponseError::Time { signed: found.data.time, now });
    }
    *message = found.message;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;
    const OWNER: &[u8] = b"\x015\x03sig\0";
    const REQUEST: &[u8] = b"\x12\x34\x28\0\0\0\0\0\0\0\0\0";
    const RESPONSE: &[u8] = b"\x12\x34\xa8\x05\0\0\0\0\0\0\0\0";

    /// A MIC that shows what it is of.
    fn mic(side: u8, octets: &[u8]) -> Vec<u8> {
        [&[side], octets].concat()
    }

    fn request() -> (Vec<u8>, GssVerifier) {
        let mut message = REQUEST.to_vec();
        let verifier = sign(OWNER, &mut message, NOW, |octets| Ok(mic(b'c', octets))).expect("signed");
        (message, verifier)
    }

    /// A TSIG record, written straight from RFC 8945 section 4.2.
    fn with_record(message: &[u8], owner: &[u8], mac: &[u8], error: u8) -> Vec<u8> {
        let mut message = message.to_vec();
        message[11] += 1;
        message.extend_from_slice(owner);
        message.extend_from_slice(b"\0\xfa\0\xff\0\0\0\0");
        message.extend_from_slice(&(26 + mac.len() as u16).to_be_bytes());
        message.extend_from_slice(b"\x08gss-tsig\0\0\0\x65\x53\xf1\0\x01\x2c");
        message.extend_from_slice(&(mac.len() as u16).to_be_bytes());
        message.extend_from_slice(mac);
        message.extend_from_slice(&[0x12, 0x34, 0, error, 0, 0]);
        message
    }

    /// What is signed, written straight from section 4.3.
    fn signed(prior: Option<&[u8]>, message: &[u8], error: u8) -> Vec<u8> {
        let mut signed = Vec::new();
        if let Some(mac) = prior {
            signed.extend_from_slice(&(mac.len() as u16).to_be_bytes());
            signed.extend_from_slice(mac);
        }
        signed.extend_from_slice(message);
        signed.extend_from_slice(OWNER);
        signed.extend_from_slice(b"\0\xff\0\0\0\0\x08gss-tsig\0\0\0\x65\x53\xf1\0\x01\x2c\0");
        signed.extend_from_slice(&[error, 0, 0]);
        signed
    }

    fn check(response: &mut Vec<u8>, now: u64) -> Result<(), GssResponseError> {
        let (_, verifier) = request();
        verify(OWNER, Some(&verifier), response, now, |octets, given| mic(b's', octets) == given)
    }

    #[test]
    fn requests_are_signed_as_rfc_8945_says() {
        let (message, verifier) = request();
        let mac = mic(b'c', &signed(None, REQUEST, 0));
        assert_eq!(verifier.mac, mac);
        assert_eq!(message, with_record(REQUEST, OWNER, &mac, 0));
    }

    #[test]
    fn a_signed_response_is_accepted_and_its_record_taken_off() {
        let (_, verifier) = request();
        let mac = mic(b's', &signed(Some(&verifier.mac), RESPONSE, 0));
        let mut response = with_record(RESPONSE, OWNER, &mac, 0);
        assert_eq!(check(&mut response, NOW + 300), Ok(()));
        assert_eq!(response, RESPONSE);

        let mac = mic(b's', &signed(None, RESPONSE, 0));
        let mut response = with_record(RESPONSE, OWNER, &mac, 0);
        let checked = verify(OWNER, None, &mut response, NOW, |octets, given| mic(b's', octets) == given);
        assert_eq!((checked, &*response), (Ok(()), RESPONSE), "at the end of a negotiation");
    }

    #[test]
    fn every_fault_of_a_response_has_its_name() {
        use GssResponseError::{BadSignature, Echoed, Malformed, Refused, Time, Unsigned};
        let (_, verifier) = request();
        let right = |error| mic(b's', &signed(Some(&verifier.mac), RESPONSE, error));
        let without_length = [&verifier.mac, &*signed(None, RESPONSE, 0)].concat();
        for (response, now, fault) in [
            (RESPONSE.to_vec(), NOW, Unsigned),
            (RESPONSE[..11].to_vec(), NOW, Malformed),
            (with_record(RESPONSE, OWNER, &verifier.mac, 0), NOW, Echoed),
            (with_record(RESPONSE, OWNER, &mic(b's', &without_length), 0), NOW, BadSignature),
            (with_record(RESPONSE, OWNER, &mic(b's', &signed(None, RESPONSE, 0)), 0), NOW, BadSignature),
            (with_record(RESPONSE, b"\x016\x03sig\0", &right(0), 0), NOW, BadSignature),
            (with_record(RESPONSE, OWNER, b"", 0), NOW, BadSignature),
            (with_record(RESPONSE, OWNER, &right(0), 0), NOW + 301, Time { signed: NOW, now: NOW + 301 }),
            (with_record(RESPONSE, OWNER, b"", 17), NOW, Refused(Refusal::BadKey)),
            (with_record(RESPONSE, OWNER, b"", 16), NOW, Refused(Refusal::BadSig)),
            (with_record(RESPONSE, OWNER, &right(18), 18), NOW, Refused(Refusal::BadTime { server: None })),
            (with_record(RESPONSE, OWNER, b"x", 18), NOW, BadSignature),
        ] {
            let mut message = response.clone();
            assert_eq!(check(&mut message, now), Err(fault));
            assert_eq!(message, response, "left alone");
        }
    }

    proptest! {
        #[test]
        fn changed_responses_are_never_accepted_and_never_panic(at in 0usize..200, by in 1u8..) {
            let (_, verifier) = request();
            let mac = mic(b's', &signed(Some(&verifier.mac), RESPONSE, 0));
            let mut response = with_record(RESPONSE, OWNER, &mac, 0);
            let at = at % response.len();
            response[at] ^= by;
            // The id is that of the request by the time that somebody looks at the signature, and names
            // are the same in any case.
            if at > 1 && check(&mut response, NOW).is_ok() {
                prop_assert_eq!(by, 0x20);
            }
        }
    }
}
