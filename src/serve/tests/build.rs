//! Generations, images and queries, made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::{Asker, Context, Counters, Image, Transport, answer};
use crate::zones::generation::succeed;
use crate::zones::{DnsName, EndpointShare, Generation, Placement, Publication, ResourceId, Share, Source};

/// The serial of zones made at [`NOW`].
pub(super) const SERIAL: u32 = 1_700_000_000;

/// TYPE codes.
pub(super) const A: u16 = 1;
pub(super) const NS: u16 = 2;
pub(super) const SOA: u16 = 6;
pub(super) const AAAA: u16 = 28;
pub(super) const ANY: u16 = 255;

/// A public name, the privatelink zone that holds it, its addresses.
pub(super) type Name<'a> = (&'a str, &'a str, Vec<Ipv4Addr>);

/// Asks over UDP without a limit.
pub(super) const UDP: Asker = Asker {
    transport: Transport::Udp,
    allowed: true,
    recursion: false,
    truncate: false,
    view: None,
    secondary: false,
    reserve: 0,
};
/// Asks over TCP.
pub(super) const TCP: Asker = Asker { transport: Transport::Tcp, ..UDP };

pub(super) fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

pub(super) fn application(number: u8) -> ResourceId {
    format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.IoTCentral/iotApps/app-{number}")
        .parse()
        .expect("a resource id")
}

/// Both forms, TTL 10, negative TTL 5, one name server.
pub(super) fn publication() -> Publication {
    Publication {
        privatelink_zones: true,
        per_name_zones: true,
        application_name: true,
        ttl: 10,
        negative_ttl: 5,
        name_servers: vec![name("ns1.example.net")],
        hostmaster: name("hostmaster.example.net"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    }
}

/// The same without zones for single names and without an alias for an application's own name.
pub(super) fn privatelink() -> Publication {
    Publication { per_name_zones: false, application_name: false, ..publication() }
}

/// What application `number` contributes.
pub(super) fn share(number: u8, zones: &[&str], names: &[Name<'_>]) -> Share {
    let now = Timestamp::from_second(i64::from(SERIAL)).expect("a time");
    let names = names
        .iter()
        .map(|(public, zone, addresses)| {
            let placement = Placement {
                zone: name(zone),
                member: None,
                interface: None,
                source: Source::Interface,
                own_name: false,
                addresses: addresses.iter().copied().collect(),
                since: now,
            };
            (name(public), placement)
        })
        .collect();
    let endpoint = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/e";
    Share {
        application: application(number),
        zones: zones.iter().map(|zone| name(zone)).collect::<BTreeSet<_>>(),
        endpoints: BTreeMap::from([(
            endpoint.parse().expect("a resource id"),
            EndpointShare { subnet: None, names },
        )]),
    }
}

/// The first generation, accepted at [`SERIAL`] seconds.
pub(super) fn generation(publication: &Publication, shares: Vec<Share>) -> Generation {
    let shares = shares.into_iter().map(|share| (share.application.clone(), Arc::new(share))).collect();
    let now = Timestamp::from_second(i64::from(SERIAL)).expect("a time");
    succeed(None, shares, publication, "test", now).expect("a first generation").0
}

pub(super) fn compile(generation: &Generation, complete: bool) -> Image {
    compile_with(generation, Context { complete, ..Context::default() })
}

pub(super) fn compile_with(generation: &Generation, context: Context) -> Image {
    Image::compile(generation, context, &Counters::new().expect("counters")).expect("an image")
}

/// Two applications. The first has a name with one address and one with two; the second a name of
/// two labels, which leaves an empty non-terminal.
pub(super) fn sample_shares() -> Vec<Share> {
    let devices = "privatelink.azure-devices.net";
    let bus = "privatelink.servicebus.windows.net";
    vec![
        share(
            1,
            &[devices],
            &[
                ("iotc-1.azure-devices.net", devices, vec![[10, 0, 0, 4].into()]),
                ("iotc-2.azure-devices.net", devices, vec![[10, 0, 0, 5].into(), [10, 0, 1, 5].into()]),
            ],
        ),
        share(2, &[bus], &[("a.b.servicebus.windows.net", bus, vec![[10, 0, 0, 6].into()])]),
    ]
}

pub(super) fn sample() -> Image {
    compile(&generation(&publication(), sample_shares()), true)
}

/// A name in wire format, case kept.
pub(super) fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

/// A question of class IN.
pub(super) fn question(name: &str, kind: u16) -> Vec<u8> {
    [&wire(name)[..], &kind.to_be_bytes(), &[0, 1]].concat()
}

/// A query with id 0x1234, RD set, no EDNS.
pub(super) fn query(name: &str, kind: u16) -> Vec<u8> {
    let header = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], &question(name, kind)].concat()
}

/// Appends an OPT record.
pub(super) fn with_opt(mut query: Vec<u8>, payload: u16, version: u8, flags: u16, options: &[u8]) -> Vec<u8> {
    query.extend([0, 0, 41]);
    query.extend(payload.to_be_bytes());
    query.extend([0, version]);
    query.extend(flags.to_be_bytes());
    query.extend((options.len() as u16).to_be_bytes());
    query.extend(options);
    query[11] += 1;
    query
}

/// A query with EDNS and a payload of 1232.
pub(super) fn edns(name: &str, kind: u16) -> Vec<u8> {
    with_opt(query(name, kind), 1232, 0, 0, &[])
}

/// The response, or nothing when the request is ignored.
pub(super) fn respond(image: &Image, request: &[u8], asker: Asker) -> Option<Vec<u8>> {
    let mut out = b"left over from the query before".to_vec();
    match answer(image, request, asker, &mut out) {
        super::super::Outcome::Ignored
        | super::super::Outcome::Forward { .. }
        | super::super::Outcome::Signed
        | super::super::Outcome::Transfer => None,
        super::super::Outcome::Answered { .. } => Some(out),
    }
}
