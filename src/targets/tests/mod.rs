//! What targets promise, on real files.

pub(crate) mod inside;
mod tasks;
mod zone_files;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::writer::{Around, Writer};
use crate::config::{Target, TargetKind};
use crate::zones::{
    EndpointShare, Generation, Placement, Publication, ResourceId, Share, Shares, Source, generation,
};

const ENDPOINT: &str = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe";

pub(crate) fn id(text: &str) -> ResourceId {
    text.parse().expect("a resource id")
}

/// Public name, address, and whether it is the application's own.
pub(crate) type Row<'a> = (&'a str, &'a [[u8; 4]], bool);

/// A hub with two addresses, a namespace, and the application's own name.
pub(crate) const ROWS: [Row<'static>; 3] = [
    ("contoso.azureiotcentral.com", &[[10, 1, 0, 4]], true),
    ("iotc-1.azure-devices.net", &[[10, 1, 0, 5], [10, 2, 0, 5]], false),
    ("iothub-ns-1.servicebus.windows.net", &[[10, 1, 0, 6]], false),
];

pub(crate) fn shares(rows: &[Row<'_>]) -> Shares {
    let application = id("/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/contoso");
    let mut share = Share::empty(application.clone());
    let mut endpoint = EndpointShare::default();
    for (public, addresses, own_name) in rows {
        let (_, suffix) = public.split_once('.').expect("two labels");
        let zone: crate::zones::DnsName = format!("privatelink.{suffix}").parse().expect("a name");
        share.zones.insert(zone.clone());
        let placement = Placement {
            zone,
            member: None,
            interface: None,
            source: Source::CustomDns,
            own_name: *own_name,
            addresses: addresses.iter().map(|address| (*address).into()).collect::<BTreeSet<_>>(),
            since: Timestamp::UNIX_EPOCH,
        };
        endpoint.names.insert(public.parse().expect("a name"), placement);
    }
    share.endpoints.insert(id(ENDPOINT), endpoint);
    BTreeMap::from([(application, share.into())])
}

pub(crate) fn publication() -> Publication {
    Publication {
        privatelink_zones: true,
        per_name_zones: false,
        application_name: false,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec!["ns.example.net".parse().expect("a name")],
        hostmaster: "hostmaster.example.net".parse().expect("a name"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    }
}

/// A generation that follows another one, or nothing.
pub(crate) fn follow(before: Option<&Generation>, rows: &[Row<'_>], publication: &Publication) -> Generation {
    let seconds = 1_755_216_000 + before.map_or(0, |before| before.number as i64);
    let at = Timestamp::from_second(seconds).expect("a time");
    generation::succeed(before, shares(rows), publication, "a test", at).expect("a change").0
}

/// The generation of [`ROWS`].
pub(crate) fn generation() -> Generation {
    follow(None, &ROWS, &publication())
}

/// What writes a target that needs nothing beside its configuration.
pub(super) fn writer_of(kind: &TargetKind) -> Writer {
    let target = Target { name: "t".to_owned(), dry_run: false, kind: kind.clone() };
    Writer::new(
        &target,
        &Around { key: None, state: std::path::PathBuf::new(), counters: None, inside: None },
    )
}
