//! Tests of signing and checking, alone and against the `domain` crate.

mod alone;

use std::sync::Arc;

use super::*;

const NOW: u64 = 1_700_000_000;

fn key(name: &str, algorithm: Algorithm) -> Key {
    Key::new(name.parse().expect("a name"), algorithm, &[7; 32]).expect("a key")
}

fn keys(keys: &[Key]) -> Keys {
    keys.iter().cloned().collect()
}

/// A query for the SOA of `Zone.example`, with an OPT record.
fn query() -> Vec<u8> {
    b"\x12\x34\x21\x10\0\x01\0\0\0\0\0\x01\x04Zone\x07example\0\0\x06\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"
        .to_vec()
}

/// A message of this text under the name of the query.
fn response(text: &str) -> Vec<u8> {
    let mut message =
        b"\x12\x34\x84\0\0\x01\0\x01\0\0\0\0\x04Zone\x07example\0\0\x06\0\x01\xc0\x0c\0\x10\0\x01\0\0\0\x05\0".to_vec();
    message.push(text.len() as u8 + 1);
    message.push(text.len() as u8);
    message.extend_from_slice(text.as_bytes());
    message
}

/// A signed query, its key, and what checks the responses.
fn signed(algorithm: Algorithm) -> (Arc<Key>, Vec<u8>, Verifier) {
    let key = Arc::new(key("Transfer.Example", algorithm));
    let mut message = query();
    let verifier = sign_request(&key, &mut message, NOW);
    (key, message, verifier)
}
