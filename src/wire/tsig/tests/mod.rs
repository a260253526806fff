//! Tests of signing and checking: against the letter of the RFC, and against the `domain` crate.

mod chains;
mod faults;
mod independent;

use std::sync::Arc;

use aws_lc_rs::hmac;

use super::*;

const NOW: u64 = 1_700_000_000;

const SECRET: [u8; 32] = [7; 32];

const ALGORITHMS: [Algorithm; 3] = [Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512];

fn key(name: &str, algorithm: Algorithm) -> Arc<Key> {
    Arc::new(Key::new(name.parse().expect("a name"), algorithm, &SECRET).expect("a key"))
}

/// The key of most tests, and the only one that their server has.
fn transfer_key() -> Arc<Key> {
    key("Transfer.example", Algorithm::HmacSha256)
}

fn only(key: &Key) -> Keys {
    [key.clone()].into_iter().collect()
}

/// A query for the SOA of `Zone.example`, with an OPT record; RD and CD are set.
fn query() -> Vec<u8> {
    b"\x12\x34\x01\x10\0\x01\0\0\0\0\0\x01\x04Zone\x07example\0\0\x06\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"
        .to_vec()
}

/// A response with a TXT record.
fn response(text: &str) -> Vec<u8> {
    let header = b"\x12\x34\x84\0\0\x01\0\x01\0\0\0\0\x04Zone\x07example\0\0\x06\0\x01";
    let mut message = [&header[..], b"\xc0\x0c\0\x10\0\x01\0\0\0\x05\0"].concat();
    message.extend([text.len() as u8 + 1, text.len() as u8]);
    message.extend_from_slice(text.as_bytes());
    message
}

/// A TSIG record and its digest, written straight from RFC 8945 sections 4.2 and 4.3 and by no code of
/// the module.
#[derive(Clone)]
struct Forge {
    owner: &'static [u8],
    algorithm: &'static [u8],
    time: u64,
    fudge: u16,
    error: u16,
    other: Vec<u8>,
    /// The digest begins with it.
    prior: Vec<u8>,
    /// Unsigned messages before this one.
    unsigned: Vec<Vec<u8>>,
    timers_only: bool,
    /// Octets of the MAC that are sent.
    cut: usize,
}

impl Default for Forge {
    fn default() -> Self {
        Self {
            owner: b"\x08transfer\x07example\0",
            algorithm: b"\x0bhmac-sha256\0",
            time: NOW,
            fudge: 300,
            error: 0,
            other: Vec::new(),
            prior: Vec::new(),
            unsigned: Vec::new(),
            timers_only: false,
            cut: 32,
        }
    }
}

impl Forge {
    /// Signs as a later message of a chain.
    fn later(prior: &[u8]) -> Self {
        Self { prior: prior.to_vec(), timers_only: true, ..Self::default() }
    }

    fn mac(&self, message: &[u8]) -> Vec<u8> {
        let mut digest = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET));
        if !self.prior.is_empty() {
            digest.update(&[0, self.prior.len() as u8]);
            digest.update(&self.prior);
        }
        self.unsigned.iter().for_each(|message| digest.update(message));
        digest.update(message);
        let timers = [&self.time.to_be_bytes()[2..], &self.fudge.to_be_bytes()].concat();
        if self.timers_only {
            digest.update(&timers);
        } else {
            digest.update(&self.owner.to_ascii_lowercase());
            digest.update(b"\0\xff\0\0\0\0");
            digest.update(&self.algorithm.to_ascii_lowercase());
            digest.update(&timers);
            digest.update(&self.error.to_be_bytes());
            digest.update(&[0, self.other.len() as u8]);
            digest.update(&self.other);
        }
        let mut mac = digest.sign().as_ref().to_vec();
        mac.resize(self.cut, 0);
        mac
    }

    fn record(&self, id: &[u8], mac: &[u8]) -> Vec<u8> {
        let data = [
            self.algorithm,
            &self.time.to_be_bytes()[2..],
            &self.fudge.to_be_bytes(),
            &[0, mac.len() as u8],
            mac,
            id,
            &self.error.to_be_bytes(),
            &[0, self.other.len() as u8],
            &self.other,
        ]
        .concat();
        [self.owner, b"\0\xfa\0\xff\0\0\0\0\0", &[data.len() as u8], &data].concat()
    }

    /// The signed message.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signed = [message, &self.record(&message[..2], &self.mac(message))].concat();
        signed[11] += 1;
        signed
    }
}

/// A query that is signed with the key of most tests, its MAC, and what checks the responses.
fn signed_query() -> (Vec<u8>, Vec<u8>, Verifier) {
    let mut message = query();
    let verifier = sign_request(&transfer_key(), &mut message, NOW);
    (message, Forge::default().mac(&query()), verifier)
}

/// Where a flipped bit makes no other message: in the header's id, which the original id replaces, and
/// in the case of letters in the two names of the record that begins at `record`.
fn is_the_same(message: &[u8], record: usize, bit: usize) -> bool {
    let names = [record..record + 18, record + 28..record + 41];
    let octet = bit / 8;
    let is_case = bit % 8 == 5 && message[octet].is_ascii_alphabetic();
    octet < 2 || is_case && names.iter().any(|name| name.contains(&octet))
}
