//! TKEY (RFC 2930): how the two sides of a negotiation pass each other tokens (RFC 3645 sections 3.1
//! and 4.1).
//!
//! hickory-proto has no such type, and of it only one mode is needed here.

use crate::wire::exchange;
use crate::wire::octets::{HEADER, Malformed, number, skip_name};

/// `gss-tsig.` in canonical wire format: the name of the algorithm.
pub(super) const ALGORITHM: &[u8] = b"\x08gss-tsig\0";

const TYPE: u16 = 249;
const CLASS_ANY: u16 = 255;
/// GSS-API negotiation (RFC 2930 section 2.5).
const MODE: u16 = 3;
/// What is asked for; servers decide by themselves.
const LIFETIME: u32 = 86_400;
/// The longest token, so that the query is a message in any case.
pub(super) const LONGEST_TOKEN: usize = 60_000;

/// A query with a token. `owner` is the name of the key to be, in wire format.
pub(super) fn query(id: u16, owner: &[u8], token: &[u8], now: u64) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    // No flags, one question, one additional record.
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for section in [0, 1] {
        message.extend_from_slice(owner);
        message.extend_from_slice(&TYPE.to_be_bytes());
        message.extend_from_slice(&CLASS_ANY.to_be_bytes());
        if section == 1 {
            message.extend_from_slice(&[0; 4]);
        }
    }
    // The low 32 bits, as RFC 2930 section 2.3 wants.
    let now = now as u32;
    let token = token.get(..LONGEST_TOKEN).unwrap_or(token);
    let mut data = ALGORITHM.to_vec();
    data.extend_from_slice(&now.to_be_bytes());
    data.extend_from_slice(&now.wrapping_add(LIFETIME).to_be_bytes());
    data.extend_from_slice(&MODE.to_be_bytes());
    data.extend_from_slice(&[0, 0]);
    data.extend_from_slice(&(token.len() as u16).to_be_bytes());
    data.extend_from_slice(token);
    data.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&(data.len() as u16).to_be_bytes());
    message.extend_from_slice(&data);
    message
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    /// The error of the record or, without one, the response code; 0 is none.
    pub(super) error: u16,
    /// Its token, empty for none.
    pub(super) token: Vec<u8>,
    /// Seconds between inception and expiration; nothing when it says nothing of use.
    pub(super) lifetime: Option<u32>,
}

/// Reads the response to a query.
pub(super) fn response(query: &[u8], owner: &[u8], message: &[u8]) -> Result<Response, Malformed> {
    exchange::check_header(query, message).map_err(|_| Malformed)?;
    let rcode = number(message, 2)? & 0xf;
    let mut at = HEADER;
    for _ in 0..number(message, 4)? {
        at = skip_name(message, at)? + 4;
    }
    for _ in 0..number(message, 6)? {
        let name = at;
        at = skip_name(message, at)?;
        let data = at + 10;
        let end = data + usize::from(number(message, at + 8)?);
        if number(message, at)? == TYPE {
            let data = message.get(data..end).ok_or(Malformed)?;
            return if is_name(message, name, owner) { read(data, rcode) } else { Err(Malformed) };
        }
        at = end;
    }
    match rcode {
        0 => Err(Malformed),
        error => Ok(Response { error, token: Vec::new(), lifetime: None }),
    }
}

fn read(data: &[u8], rcode: u16) -> Result<Response, Malformed> {
    // The name of the algorithm is never compressed (RFC 3597 section 4).
    let at = skip_name(data, 0)?;
    let seconds = |at| match data.get(at..at + 4) {
        Some(&[a, b, c, d]) => Ok(u32::from_be_bytes([a, b, c, d])),
        _ => Err(Malformed),
    };
    let lifetime = seconds(at + 4)?.wrapping_sub(seconds(at)?);
    let error = number(data, at + 10)?;
    let token = at + 14..at + 14 + usize::from(number(data, at + 12)?);
    Ok(Response {
        error: if error == 0 { rcode } else { error },
        token: data.get(token).ok_or(Malformed)?.to_vec(),
        lifetime: (1..=i32::MAX as u32).contains(&lifetime).then_some(lifetime),
    })
}

/// Whether the name at `start`, compressed or not, is this one, in any case.
fn is_name(message: &[u8], start: usize, name: &[u8]) -> bool {
    let (mut at, mut rest, mut jumps) = (start, name, 0);
    loop {
        match message.get(at..) {
            Some(&[high @ 0xc0..=0xff, low, ..]) if jumps < 2 => {
                at = usize::from(high & 0x3f) << 8 | usize::from(low);
                jumps += 1;
            }
            Some(&[length @ 0..=63, ..]) => {
                let label = 1 + usize::from(length);
                let (Some(found), Some((wanted, after))) =
                    (message.get(at..at + label), rest.split_at_checked(label))
                else {
                    return false;
                };
                if !found.eq_ignore_ascii_case(wanted) || length == 0 {
                    return found == wanted && after.is_empty();
                }
                (at, rest) = (at + label, after);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWNER: &[u8] = b"\x011\x07sig-dc1\x04corp\0";

    /// The response of a server that repeats the question and points to its name.
    fn answer(data: &[u8]) -> Vec<u8> {
        let mut message = b"\0\x07\x80\0\0\x01\0\x01\0\0\0\0".to_vec();
        message.extend_from_slice(b"\x011\x07SIG-dc1\x04corp\0\0\xf9\0\xff");
        message.extend_from_slice(b"\xc0\x0c\0\xf9\0\xff\0\0\0\0");
        message.extend_from_slice(&(data.len() as u16).to_be_bytes());
        message.extend_from_slice(data);
        message
    }

    fn data(error: u8, token: &[u8]) -> Vec<u8> {
        let mut data = b"\x08gss-tsig\0\0\0\0\x10\0\0\x0e\x20\0\x03\0".to_vec();
        data.extend([error, 0, token.len() as u8]);
        data.extend_from_slice(token);
        data.extend([0, 0]);
        data
    }

    fn read(message: &[u8]) -> Result<Response, Malformed> {
        response(&query(7, OWNER, b"ours", 1), OWNER, message)
    }

    #[test]
    fn a_query_has_the_record_that_rfc_2930_describes() {
        let mut expected = b"\0\x07\0\0\0\x01\0\0\0\0\0\x01".to_vec();
        expected.extend_from_slice(b"\x011\x07sig-dc1\x04corp\0\0\xf9\0\xff");
        expected.extend_from_slice(b"\x011\x07sig-dc1\x04corp\0\0\xf9\0\xff\0\0\0\0\0\x1e");
        expected.extend_from_slice(b"\x08gss-tsig\0\0\0\0\x01\0\x01\x51\x81\0\x03\0\0\0\x04ours\0\0");
        assert_eq!(query(7, OWNER, b"ours", (1 << 32) + 1), expected);
    }

    #[test]
    fn a_response_gives_token_lifetime_and_error() {
        let said = Response { error: 0, token: b"theirs".to_vec(), lifetime: Some(3600) };
        assert_eq!(read(&answer(&data(0, b"theirs"))), Ok(said));
        let said = Response { error: 17, token: Vec::new(), lifetime: Some(3600) };
        assert_eq!(read(&answer(&data(17, b""))), Ok(said));
        let mut never = data(0, b"");
        never[10..18].fill(0);
        assert_eq!(read(&answer(&never)).expect("read").lifetime, None);

        let refused = b"\0\x07\x80\x05\0\0\0\0\0\0\0\0";
        let said = Response { error: 5, token: Vec::new(), lifetime: None };
        assert_eq!(read(refused), Ok(said));
    }

    #[test]
    fn what_answers_nothing_is_malformed() {
        assert_eq!(read(b"\0\x07\x80\0\0\0\0\0\0\0\0\0"), Err(Malformed), "nothing in it");
        let mut other = answer(&data(0, b""));
        other[13] = b'2';
        assert_eq!(read(&other), Err(Malformed), "another name");
        let whole = answer(&data(0, b"theirs"));
        // Without the Other Data, which nobody reads, it is whole for us.
        for length in 0..whole.len() - 2 {
            assert_eq!(read(&whole[..length]), Err(Malformed), "{length} octets");
        }
        let mut looping = answer(&data(0, b""));
        let pointer = looping.iter().position(|octet| *octet == 0xc0).expect("a pointer");
        looping[pointer + 1] = pointer as u8;
        assert_eq!(read(&looping), Err(Malformed), "a pointer to itself");
    }

    proptest! {
        #[test]
        fn cut_and_changed_responses_never_panic(cut in 0usize..90, at in 0usize..90, to: u8) {
            let mut message = answer(&data(0, b"theirs"));
            if let Some(octet) = message.get_mut(at) {
                *octet = to;
            }
            message.truncate(cut);
            let _ = read(&message);
        }

        #[test]
        fn any_octets_never_panic(message: Vec<u8>) {
            let _ = response(&message, &message, &message);
        }
    }
}
