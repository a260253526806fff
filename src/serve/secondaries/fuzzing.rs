//! What the fuzz targets reach of this room; see [`crate::fuzzing`].

use std::sync::Arc;

use super::message::{accept, notify, probe, serial};
use super::schedule::Outcome;
use crate::wire::tsig::{Key, sign_request};
use crate::zones::{DnsName, Publication};

/// Reads the answer of a secondary to a query for a zone's SOA, or to a NOTIFY where there is a publication.
/// Nothing that is unsigned is taken for a yes where the query was signed.
pub(in crate::serve) fn answer(
    answer: &[u8],
    origin: &DnsName,
    publication: Option<&Publication>,
    key: Option<&Arc<Key>>,
) {
    // The id that the answer has, so that it comes past the first comparison.
    let id = answer.first_chunk::<2>().copied().unwrap_or_default();
    let mut query = match publication {
        Some(publication) => notify(id, origin, publication, 7),
        None => probe(id, origin),
    };
    let now = crate::serve::query::seconds();
    let mut verifier = key.map(|key| sign_request(key, &mut query, now));
    let (mut response, is_signed) = (answer.to_vec(), verifier.is_some());
    match accept(&query, &mut response, verifier.as_mut(), now) {
        Ok(Ok(())) => {
            assert!(!is_signed, "nobody has the key");
            let seen = serial(&response, origin);
            if let Outcome::Seen(_) = seen {
                assert!(response[2] & 0x84 == 0x84, "only a server that is authoritative has a serial");
            }
        }
        Ok(Err(outcome)) => assert!(matches!(outcome, Outcome::Refused(_))),
        Err(no_answer) => assert!(!no_answer.to_string().is_empty()),
    }
}
