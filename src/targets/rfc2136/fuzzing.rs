//! What the fuzz targets reach of this room; see [`crate::fuzzing`].

use std::collections::BTreeSet;
use std::net::SocketAddr;

use hickory_proto::op::Message;
use jiff::Timestamp;

use super::ledger::{Ledger, LedgerError};
use super::session::{holding, zone_of};
use crate::wire::exchange::check;
use crate::wire::update::{self, Reply, Unproven};
use crate::zones::DnsName;

/// A ledger of any octets: read, or a reason; what is read is written and read again the same.
pub(crate) fn ledger(octets: &[u8]) {
    let mut ledger = match Ledger::from_bytes(octets) {
        Ok(ledger) => ledger,
        Err(error @ (LedgerError::Damaged(_) | LedgerError::Version(_))) => {
            return assert!(!error.to_string().is_empty());
        }
    };
    let written = serde_json::to_vec(&ledger).expect("JSON");
    assert_eq!(Ledger::from_bytes(&written).expect("what was written"), ledger);
    let before = ledger.len();
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    for book in ledger.books.values_mut() {
        let names: Vec<DnsName> = book.names().map(|(name, _)| name.clone()).collect();
        for name in names {
            book.settle(&name, &BTreeSet::new(), now);
        }
    }
    assert!(ledger.len() <= before, "nothing becomes ours by looking");
}

/// What a server answers, signed or not: read without a panic, and nothing that is no yes taken for one.
pub(crate) fn transfer(octets: &[u8]) {
    let Some((choice, message)) = octets.split_first() else { return };
    let server: SocketAddr = ([192, 0, 2, 1], 53).into();
    let name: DnsName = "a.b.example.net".parse().expect("a name");
    let id = message.first_chunk::<2>().copied().unwrap_or_default();
    let mut request = id.to_vec();
    request.extend([if choice & 1 == 0 { 0 } else { 5 << 3 }, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    request.extend(name.to_wire());
    request.extend([0, if choice & 2 == 0 { 1 } else { 6 }, 0, 1]);
    let verified = match choice >> 2 & 3 {
        0 => Ok(()),
        1 => Err(Unproven::Unsigned("unsigned".to_owned())),
        2 => Err(Unproven::Wrong("wrong".to_owned())),
        _ => Err(Unproven::Refused(crate::wire::tsig::Refusal::BadKey)),
    };
    let is_verified = verified.is_ok();
    let belongs = check(&request, message);
    match update::reply(&request, message, verified) {
        Reply::Done => {
            assert!(is_verified, "done only by a signed word");
            assert_eq!((message[3] & 0x0f, &message[..2]), (0, &id[..]));
        }
        Reply::Changed(why) => assert!(is_verified && !why.is_empty()),
        Reply::Refused { problem, .. } => assert!(!problem.is_empty()),
        Reply::Unknown { why, .. } => assert!(!why.is_empty()),
    }
    if belongs.is_err() {
        return;
    }
    let Ok(message) = Message::from_vec(message) else { return };
    if let Ok(Some((zone, _))) = zone_of(server, &name, &message) {
        assert!(name == zone || name.below(&zone).is_some(), "{zone}");
        assert!(zone.labels().count() > 1, "no top level domain");
    }
    if let Ok(holding) = holding(server, &name, &message) {
        assert!(message.metadata.authoritative || holding.addresses.is_empty());
    }
}
