//! Signed requests: what verifies is what was signed, whatever happened to the octets on the way, and the
//! response to it is signed so that its sender accepts it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::super::query::{Step, take};
use super::super::{Asker, Outcome};
use super::world::{KEYS, WORLD, asker, key};
use crate::serve::message;
use crate::wire::tsig::{self, Reason, Verifier, sign_request};

/// Checks octets as they are, then signs what follows five octets, which choose the world, the client, how
/// it asks, the key and the number of changes; each change is three octets.
pub fn check(octets: &[u8]) {
    let keys = &WORLD.complete.transfers.keys;
    let now = super::super::query::seconds();
    refused(octets);
    let &[choice, who, how, which, changes, ref rest @ ..] = octets else { return };
    let Some((changes, message)) = rest.split_at_checked(3 * usize::from(changes & 7)) else { return };
    if message.len() < 12 || message.len() > 60_000 {
        return;
    }
    let key = Arc::new(key(KEYS[usize::from(which) % KEYS.len()]));
    let mut request = message.to_vec();
    let verifier = sign_request(&key, &mut request, now);
    let signed = request.clone();
    change(&mut request, changes);
    match tsig::verify(keys, &request, now) {
        Ok(verified) => {
            assert_eq!(verified.message, message, "what verifies is what was signed");
            assert_eq!(verified.key.name(), key.name());
        }
        Err(rejected) => {
            let is_whole = message::read(message).is_ok_and(|read| !read.signed);
            let is_last = tsig_is_last(message);
            assert!(request != signed || !is_whole || !is_last, "{}: {message:?}", rejected.reason);
            refused(&request);
        }
    }
    let serving = WORLD.serving(choice);
    let (client, asker) = asker(serving, who, how);
    respond(serving, (client, asker), &request, (request == signed).then_some(verifier), now);
}

/// Whether the octets behind the last record, if any, leave the signature the last thing in the message:
/// a reader of theirs ends where the counts say.
fn tsig_is_last(message: &[u8]) -> bool {
    let counts: Vec<u16> =
        (4..12).step_by(2).filter_map(|at| crate::wire::octets::number(message, at).ok()).collect();
    let mut at = 12;
    for _ in 0..counts.first().copied().unwrap_or_default() {
        let Ok(end) = crate::wire::octets::skip_name(message, at) else { return false };
        at = end + 4;
    }
    for _ in 0..counts.iter().skip(1).map(|count| u32::from(*count)).sum::<u32>() {
        let Ok(end) = crate::wire::octets::skip_name(message, at) else { return false };
        let Ok(length) = crate::wire::octets::number(message, end + 8) else { return false };
        at = end + 10 + usize::from(length);
    }
    // A full count cannot rise.
    at == message.len() && counts.get(3) != Some(&u16::MAX)
}

/// The response to a message that does not verify.
fn refused(request: &[u8]) {
    let keys = &WORLD.complete.transfers.keys;
    let Err(rejected) = tsig::verify(keys, request, super::super::query::seconds()) else { return };
    let mut response = b"left over".to_vec();
    rejected.respond(request, &mut response);
    if request.len() < 12 {
        return assert!(response.is_empty());
    }
    super::readable(&response);
    assert_eq!(response[..2], request[..2]);
    let rcode = if rejected.reason == Reason::Malformed { 1 } else { 9 };
    assert_eq!(response[3] & 0x0f, rcode);
    assert!(response.len() <= request.len() + 300, "no amplification");
}

fn change(request: &mut Vec<u8>, changes: &[u8]) {
    for change in changes.chunks_exact(3) {
        let &[place, what, value] = change else { continue };
        // From the end, where the signature is.
        let Some(at) = request.len().checked_sub(1 + usize::from(place)) else { continue };
        match what & 3 {
            0 => request[at] ^= value,
            1 => request.insert(at, value),
            2 => drop(request.remove(at)),
            _ => request.truncate(at),
        }
    }
}

/// The response of the server, which has to be signed where the request was.
fn respond(
    serving: &super::super::Serving,
    (client, asker): (IpAddr, Asker),
    request: &[u8],
    verifier: Option<Verifier>,
    now: u64,
) {
    let mut out = b"left over".to_vec();
    let mut all = Vec::new();
    match take(serving, &WORLD.counters, SocketAddr::new(client, 1024), asker, request, &mut out) {
        Step::Answered(Outcome::Answered { .. }) => all.push(out),
        Step::Transfer(mut transfer) => {
            while transfer.next(now, 16 * 1024, &mut out) {
                assert!(out.len() <= 17 * 1024);
                all.push(out.clone());
                assert!(all.len() < 100, "a transfer ends");
            }
            assert!(!all.is_empty());
        }
        Step::Answered(_) | Step::Wait(_) => return,
    }
    // What cannot be read, or ends before its signature, has none that could be checked.
    let mut verifier = verifier.filter(|_| message::read(request).is_ok_and(|read| read.signed));
    for mut message in all {
        super::readable(&message);
        if asker.transport == super::super::Transport::Udp {
            assert!(message.len() <= 1232.max(request.len() + 300), "{} octets", message.len());
        }
        assert_eq!(message[..2], request[..2], "the id");
        if let Some(verifier) = &mut verifier
            && message[3] & 0x0f != 1
        {
            assert_eq!(verifier.verify(&mut message, super::super::query::seconds()), Ok(()));
        }
    }
}
