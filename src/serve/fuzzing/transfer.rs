//! What other servers send: requests for transfers and answers to NOTIFY and SOA queries.

use std::net::SocketAddr;
use std::sync::Arc;

use super::super::query::{Step, take};
use super::super::secondaries::fuzzing as secondaries;
use super::world::{CATALOG, DEVICES, KEYS, WORLD, asker, key, name};

/// The client that may transfer by its address alone.
const SECONDARY: u8 = 3;

/// Takes octets for a request of a secondary, and for the answer of one.
pub(crate) fn check(octets: &[u8]) {
    let &[choice, how, ref message @ ..] = octets else { return };
    request(choice, how, message);
    let key = Arc::new(key(KEYS[0]));
    let publication = (choice & 4 != 0).then_some(&WORLD.generation.publication);
    for (origin, key) in [(DEVICES, None), (DEVICES, Some(&key)), (CATALOG, None)] {
        secondaries::answer(message, &name(origin), publication, key);
    }
}

/// A transfer ends, and every message of it can be read; nobody else gets one.
fn request(choice: u8, how: u8, message: &[u8]) {
    let serving = WORLD.serving(choice);
    for who in [SECONDARY, 0, 5] {
        let (client, asker) = asker(serving, who, how & 3);
        let mut out = Vec::new();
        let step = take(serving, &WORLD.counters, SocketAddr::new(client, 1024), asker, message, &mut out);
        match step {
            Step::Transfer(mut transfer) => {
                assert_eq!(who, SECONDARY, "only secondaries get zones");
                let mut messages = 0;
                while transfer.next(0, 16 * 1024, &mut out) {
                    super::readable(&out);
                    assert!(out.len() <= 16 * 1024);
                    messages += 1;
                    assert!(messages < 100, "it ends");
                }
                assert!(messages > 0);
            }
            Step::Answered(super::super::Outcome::Answered { .. }) => super::readable(&out),
            Step::Answered(_) | Step::Wait(_) => {}
        }
    }
}
