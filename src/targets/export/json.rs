//! Names and zones for scripts.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::Serialize;

use crate::zones::{DnsName, Form, Generation};

#[derive(Serialize)]
struct Export<'a> {
    generation: u64,
    created: Timestamp,
    ttl: u32,
    names: Vec<Name>,
    zones: Vec<Zone<'a>>,
}

#[derive(Serialize)]
struct Name {
    name: DnsName,
    aliases: BTreeSet<DnsName>,
    addresses: BTreeSet<Ipv4Addr>,
}

#[derive(Serialize)]
struct Zone<'a> {
    origin: &'a DnsName,
    form: Form,
    serial: u32,
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
struct Record<'a> {
    name: &'a DnsName,
    addresses: &'a BTreeSet<Ipv4Addr>,
}

/// Public names that may be overridden, and the zones that clients get answers from.
pub(super) fn text(generation: &Generation) -> String {
    let zones = generation.zones.iter().filter(|(_, zone)| zone.form.is_answered());
    let export = Export {
        generation: generation.number,
        created: generation.created,
        ttl: generation.publication.ttl,
        names: generation
            .overrides()
            .into_iter()
            .map(|(name, found)| Name { name, aliases: found.aliases, addresses: found.addresses })
            .collect(),
        zones: zones
            .filter_map(|(origin, zone)| {
                let records =
                    zone.addresses.iter().map(|(name, addresses)| Record { name, addresses }).collect();
                Some(Zone { origin, form: zone.form, serial: generation.serial(origin)?, records })
            })
            .collect(),
    };
    // Names, numbers and lists: nothing in it can fail.
    serde_json::to_string_pretty(&export).map(|text| text + "\n").unwrap_or_default()
}
