//! Zones as zone files.

use super::file_name;
use crate::wire::zone_file::{Data, Soa, record};
use crate::zones::{DnsName, Form, Generation, Publication, Zone};

/// How every zone file of ours begins. A file that begins otherwise is somebody else's.
pub(in crate::targets) const SIGN: &str = "; Written by privatelink-dns.";

/// The rest of the first line: which kind of target a file is of, also when both write into one directory.
pub(in crate::targets) const OF_A_ZONE: &str = " It replaces this file whenever the zone changes.";
const OF_THE_POLICY: &str = " It replaces this file whenever the policy zone changes.";

/// The file of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    /// The zone.
    pub origin: DnsName,
    /// The file's name, without a directory.
    pub name: String,
    /// The whole zone.
    pub text: String,
    /// Its address records.
    pub records: usize,
}

/// The files of all zones that clients get answers from, sorted by name.
#[must_use]
pub fn zone_files(generation: &Generation) -> Vec<ZoneFile> {
    let zones = generation.zones.iter().filter(|(_, zone)| zone.form.is_answered());
    zones
        .filter_map(|(origin, zone)| {
            let (text, records) =
                self::zone(&generation.publication, origin, zone, generation.serial(origin)?);
            Some(ZoneFile { origin: origin.clone(), name: file_name(origin), text, records })
        })
        .collect()
}

/// The text of a zone, and how many address records are in it.
pub(in crate::targets) fn zone(
    publication: &Publication,
    origin: &DnsName,
    zone: &Zone,
    serial: u32,
) -> (String, usize) {
    let ttl = publication.ttl;
    let rest = if zone.form == Form::Rpz { OF_THE_POLICY } else { OF_A_ZONE };
    let mut text = format!("{SIGN}{rest}\n");
    let soa = Soa {
        primary: publication.primary(),
        hostmaster: &publication.hostmaster,
        serial,
        refresh: Publication::REFRESH,
        retry: Publication::RETRY,
        expire: Publication::EXPIRE,
        minimum: publication.negative_ttl,
    };
    record(&mut text, origin, ttl, Data::Soa(soa));
    for server in &publication.name_servers {
        record(&mut text, origin, ttl, Data::Ns(server));
    }
    let mut records = 0;
    for (owner, addresses) in &zone.addresses {
        for address in addresses {
            record(&mut text, owner, ttl, Data::A(*address));
            records += 1;
        }
    }
    (text, records)
}
