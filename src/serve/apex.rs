//! What stands at the apex of a zone: its SOA and NS records, for answers and transfers alike.

use std::time::Duration;

use crate::zones::{DnsName, Form, Publication};

/// TYPE codes (RFC 1035 section 3.2.2).
pub(super) const TYPE_A: u16 = 1;
pub(super) const TYPE_NS: u16 = 2;
pub(super) const TYPE_SOA: u16 = 6;

/// The time after which a secondary asks for the serial by itself.
pub(super) const REFRESH: Duration = Duration::from_secs(Publication::REFRESH as u64);

/// The SOA record without its owner name.
pub(super) fn soa(publication: &Publication, serial: u32, ttl: u32) -> Vec<u8> {
    let mut data = publication.primary().to_wire();
    data.extend(publication.hostmaster.to_wire());
    let timers = [Publication::REFRESH, Publication::RETRY, Publication::EXPIRE];
    for number in [serial].into_iter().chain(timers).chain([publication.negative_ttl]) {
        data.extend(number.to_be_bytes());
    }
    record(TYPE_SOA, ttl, &data)
}

/// The NS records, each without its owner name. Nobody looks for the servers of a catalog (RFC 9432
/// section 4.2.1).
pub(super) fn ns(publication: &Publication, form: Form) -> Vec<Vec<u8>> {
    const INVALID: &[u8] = b"\x07invalid\0";
    match form {
        Form::Catalog => vec![record(TYPE_NS, publication.ttl, INVALID)],
        _ => {
            let servers = publication.name_servers.iter().map(DnsName::to_wire);
            servers.map(|server| record(TYPE_NS, publication.ttl, &server)).collect()
        }
    }
}

/// A record of class IN without its owner name.
pub(super) fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(10 + data.len());
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    // Two names and five numbers at most: far below 65,536 octets.
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}
