//! What the fuzz targets reach of this room; see [`crate::fuzzing`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use domain::base::Serial;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};
use jiff::Timestamp;

use super::export::{Format, export, zone_files};
use super::hosts::merge;
pub(crate) use super::rfc2136::fuzzing::{ledger, transfer};
use crate::fuzzing::Octets;
use crate::zones::{
    Catalog, DnsName, EndpointShare, Form, Generation, Placement, Publication, Share, Source, generation,
};

/// A hosts file of any octets: only the block changes, twice is as good as once, and without lines of ours
/// everything else is as it was. The octets up to the first two NUL become lines.
pub fn hosts(octets: &[u8]) {
    let mut parts = octets.splitn(3, |octet| *octet == 0);
    let mut lines = || -> Vec<String> {
        let text = parts.next().unwrap_or_default();
        // Lines of ours are addresses and names.
        let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b". -_:".contains(octet);
        let lines = text.split(|octet| *octet == b'\n').filter(|line| line.iter().all(is_plain));
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    };
    let (first, second) = (lines(), lines());
    let Some(file) = parts.next() else { return };
    let merged = match merge(file, &first) {
        Ok(merged) => merged,
        Err(broken) => {
            assert!(!broken.to_string().is_empty());
            return assert_eq!(merge(file, &second), Err(broken), "whatever is to be written");
        }
    };
    let foreign = outside(file);
    assert_eq!(merge(&merged, &first).as_deref(), Ok(&*merged), "twice is as good as once");
    let had_block = foreign != file;
    let kept = outside(&merged);
    if had_block {
        assert_eq!(kept, foreign, "not one octet outside the block");
    } else {
        let rest = kept.strip_prefix(file).expect("what was there");
        assert!(matches!(rest, b"" | b"\n" | b"\r\n"), "no more than an end for the last line");
    }
    let other = merge(&merged, &second).expect("a whole block");
    assert_eq!(outside(&other), kept, "not one octet outside the block");
    assert_eq!(merge(&other, &first).as_deref(), Ok(&*merged), "and back");
    let text = String::from_utf8_lossy(&merged);
    for line in &first {
        assert!(text.contains(line.as_str()), "{line}");
    }
}

/// The lines that are not between two markers, by another reading than that of the product.
fn outside(file: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut inside = false;
    for (number, line) in file.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let mark: &[u8] = if number == 0 && line.starts_with(b"\xef\xbb\xbf") { &line[..3] } else { b"" };
        let text: String = line[mark.len()..]
            .iter()
            .filter(|octet| !octet.is_ascii_whitespace())
            .map(|octet| char::from(octet.to_ascii_lowercase()))
            .collect();
        let (begins, ends) = (text == "#beginprivatelink-dns", text == "#endprivatelink-dns");
        inside |= begins;
        if begins {
            kept.extend_from_slice(mark);
        } else if !inside {
            kept.extend_from_slice(line);
        }
        inside &= !ends;
    }
    kept
}

/// Any generation as zone files and as policy zone: another library reads the same records from the text.
pub fn zonefile(octets: &[u8]) {
    let Some(generation) = any_generation(&mut Octets(octets)) else { return };
    for file in zone_files(&generation) {
        same(&generation, &file.origin, &file.text);
        assert!(!file.name.contains('/'), "it stays in its directory");
    }
    let policy = generation.zones.iter().find(|(_, zone)| zone.form == Form::Rpz).map(|(origin, _)| origin);
    if let Some(origin) = policy {
        same(&generation, origin, &export(&generation, Format::Rpz));
    }
    for format in Format::ALL {
        let text = export(&generation, format);
        assert!(text.is_empty() || text.ends_with('\n'), "{format:?}");
    }
}

/// Owner, type and data, as text.
type Line = (String, String);

fn same(generation: &Generation, origin: &DnsName, text: &str) {
    let publication = &generation.publication;
    let zone = &generation.zones[origin];
    let mut read = BTreeSet::<Line>::new();
    let mut count = 0;
    // Something else around it changes nothing.
    let mut file = Zonefile::from(format!("$ORIGIN elsewhere.\n$TTL 77\n{text}").as_bytes());
    while let Some(entry) = file.next_entry().expect("a zone file") {
        let Entry::Record(record) = entry else { panic!("only records") };
        assert_eq!(record.ttl().as_secs(), publication.ttl);
        let data = match record.data() {
            ZoneRecordData::Soa(soa) => {
                let serial = generation.serial(origin).expect("a serial");
                assert_eq!(soa.serial(), Serial(serial));
                assert_eq!(soa.minimum().as_secs(), publication.negative_ttl);
                format!("SOA {} {}", soa.mname(), soa.rname())
            }
            ZoneRecordData::Ns(server) => format!("NS {}", server.nsdname()),
            ZoneRecordData::A(address) => format!("A {}", address.addr()),
            other => panic!("{other:?}"),
        };
        read.insert((record.owner().to_string().to_ascii_lowercase(), data));
        count += 1;
    }
    let mut expected = BTreeSet::<Line>::new();
    let apex = origin.to_string();
    let soa = format!("SOA {} {}", publication.primary(), publication.hostmaster);
    expected.insert((apex.clone(), soa));
    expected.extend(publication.name_servers.iter().map(|server| (apex.clone(), format!("NS {server}"))));
    for (owner, addresses) in &zone.addresses {
        expected.extend(addresses.iter().map(|address| (owner.to_string(), format!("A {address}"))));
    }
    assert_eq!(read, expected);
    assert_eq!(count, expected.len(), "each record once");
}

/// Zones, names and addresses that the octets choose; what cannot be a name is left out.
fn any_generation(octets: &mut Octets<'_>) -> Option<Generation> {
    let flags = octets.next()?;
    let suffixes = ["azure-devices.net", "servicebus.windows.net", "x", "a.b.c.d.e.f"];
    let zone: DnsName = format!("privatelink.{}", suffixes[usize::from(flags & 3)]).parse().ok()?;
    let suffix = zone.as_str().strip_prefix("privatelink.")?;
    let mut names = BTreeMap::new();
    while let Some(count) = octets.next() {
        let mut label = octets.text();
        label.push('.');
        label.push_str(suffix);
        let Ok(public) = label.parse::<DnsName>() else { continue };
        let addresses: BTreeSet<Ipv4Addr> = (0..=count % 4)
            .map(|_| std::array::from_fn(|_| octets.next().unwrap_or_default()))
            .map(|four: [u8; 4]| four.into())
            .collect();
        let placement = Placement {
            zone: zone.clone(),
            member: None,
            interface: None,
            source: Source::CustomDns,
            own_name: count & 64 != 0,
            addresses,
            since: Timestamp::UNIX_EPOCH,
        };
        // `derive` places nothing without an owner name in the zone.
        if placement.owner(&public).is_some() {
            names.insert(public, placement);
        }
    }
    let id = |text: &str| format!("/subscriptions/s/resourceGroups/g/providers/{text}").parse().ok();
    let application = id("Microsoft.IoTCentral/iotApps/a")?;
    let endpoint = id("Microsoft.Network/privateEndpoints/e")?;
    let share = Share {
        application,
        zones: BTreeSet::from([zone]),
        endpoints: BTreeMap::from([(endpoint, EndpointShare { subnet: None, names })]),
    };
    let name = |text: &str| text.parse::<DnsName>().ok();
    let publication = Publication {
        privatelink_zones: flags & 4 == 0,
        per_name_zones: flags & 8 != 0,
        application_name: flags & 16 != 0,
        ttl: u32::from(flags),
        negative_ttl: 5,
        name_servers: vec![name("ns1.example.net")?, name("ns2.example.net")?],
        hostmaster: name("hostmaster.example.net")?,
        endpoints: BTreeMap::new(),
        catalog: (flags & 32 != 0).then_some(Catalog { origin: name("catalog.example.net")?, group: None }),
        rpz: (flags & 64 != 0).then_some(name("rpz.example.net")?),
        serial_at_least: None,
    };
    let shares = BTreeMap::from([(share.application.clone(), Arc::new(share))]);
    Some(generation::succeed(None, shares, &publication, "fuzzing", Timestamp::UNIX_EPOCH)?.0)
}
