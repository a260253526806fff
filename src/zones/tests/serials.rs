//! Serials and differences over random sequences of shares, with a clock that jumps.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use hickory_proto::rr::SerialNumber;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::generation::{APPS, HUBS, app_id, publication, share, shares};
use super::views::{CLIENTS, policy, seen};
use crate::zones::generation::{Shares, succeed};
use crate::zones::*;

/// The rows of one application's share; another application has the same hubs elsewhere.
const ROWS: [(u8, &str, &str); 6] = [
    (1, "app.azureiotcentral.com", "10.0.0.4"),
    (1, "a.azure-devices.net", "10.0.0.5"),
    (1, "a.azure-devices.net", "10.0.0.6"),
    (2, "a.azure-devices.net", "10.0.0.6"),
    (2, "b.azure-devices.net", "10.1.0.5"),
    (2, "c.azure-devices.net", "10.1.0.6"),
];

pub(super) fn some_shares() -> impl Strategy<Value = Shares> {
    let of = |number: u8| {
        (subsequence(vec![APPS, HUBS], 0..=2), subsequence(ROWS.to_vec(), 0..=6))
            .prop_map(move |(zones, rows)| share(number, &zones, &rows))
    };
    prop_oneof![
        1 => Just(Shares::new()),
        4 => of(1).prop_map(|one| shares([one])),
        4 => (of(1), of(2)).prop_map(|(one, two)| shares([one, two])),
    ]
}

pub(super) fn a_publication() -> impl Strategy<Value = Publication> {
    let ttl = prop_oneof![9 => Just(10), 1 => Just(60)];
    let policies = prop::collection::btree_map((1..=2_u8).prop_map(app_id), policy(), 0..=2);
    (prop::bool::weighted(0.9), any::<bool>(), any::<bool>(), ttl, policies).prop_map(
        |(privatelink_zones, per_name_zones, application_name, ttl, endpoints)| Publication {
            privatelink_zones,
            per_name_zones,
            application_name,
            ttl,
            endpoints,
            ..publication()
        },
    )
}

/// Seconds since 1970: everyday clocks, clocks of devices without a battery, the end of 32 bits.
fn clock() -> impl Strategy<Value = i64> {
    const WRAP: i64 = 1 << 32;
    prop_oneof![
        3 => 1_755_216_000..1_755_216_010i64,
        1 => -5..5i64,
        3 => WRAP - 5..WRAP + 5,
        1 => WRAP / 2 - 5..WRAP / 2 + 5,
        1 => 0..2 * WRAP,
    ]
}

type Records = BTreeSet<(DnsName, Ipv4Addr)>;

/// All that a secondary would see but the serial, and what each client sees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    records: Records,
    ttl: u32,
    clients: Vec<Addresses>,
}

fn content(generation: &Generation) -> BTreeMap<DnsName, Content> {
    let records = |zone: &Zone| {
        zone.addresses.iter().flat_map(|(owner, all)| all.iter().map(|a| (owner.clone(), *a))).collect()
    };
    let of = |zone: &Zone| Content {
        records: records(zone),
        ttl: generation.publication.ttl,
        clients: CLIENTS.iter().map(|client| seen(zone, client)).collect(),
    };
    generation.zones.iter().map(|(origin, zone)| (origin.clone(), of(zone))).collect()
}

fn step(old: Option<&Generation>, new: &Generation, difference: &Difference) -> Result<(), TestCaseError> {
    let before = old.map(content).unwrap_or_default();
    let after = content(new);
    prop_assert_eq!(new.number, old.map_or(1, |g| g.number + 1));
    prop_assert_eq!(difference.number, new.number);

    let origins: BTreeSet<&DnsName> = before.keys().chain(after.keys()).collect();
    for origin in origins {
        let told: Vec<_> = difference.zones.iter().filter(|z| z.origin == *origin).collect();
        let serial = |generation: Option<&Generation>| generation.and_then(|g| g.serial(origin));
        // Known from when the zone was published last, now or earlier.
        let last = old.and_then(|g| g.serials.get(origin)).map(|s| s.serial);
        if before.get(origin) == after.get(origin) {
            prop_assert_eq!(serial(old), serial(Some(new)));
            prop_assert!(told.is_empty());
            continue;
        }
        prop_assert_eq!(told.len(), 1);
        prop_assert_eq!((told[0].from, told[0].to), (serial(old), serial(Some(new))));
        match (last, serial(Some(new))) {
            (Some(last), Some(now)) => {
                let order = SerialNumber::new(now).partial_cmp(&SerialNumber::new(last));
                prop_assert_eq!(order, Some(Ordering::Greater), "{} after {}", now, last);
            }
            // Retired: remembered as it was.
            (last, None) => prop_assert_eq!(new.serials.get(origin).map(|s| s.serial), last),
            (None, Some(_)) => {}
        }

        // The difference turns the old zone into the new one, without a superfluous record.
        let old = before.get(origin).cloned().unwrap_or_default();
        let mut records = old.records;
        for record in &told[0].removed {
            prop_assert!(records.remove(record));
        }
        for record in &told[0].added {
            prop_assert!(records.insert(record.clone()));
        }
        let new = after.get(origin).cloned().unwrap_or_default();
        prop_assert_eq!(&records, &new.records);
        let both = before.contains_key(origin) && after.contains_key(origin);
        prop_assert_eq!(told[0].apex, both && old.ttl != new.ttl);
        // It says why the serial rose.
        let records = !told[0].added.is_empty() || !told[0].removed.is_empty();
        prop_assert!(told[0].views || told[0].apex || records || !both);
    }
    prop_assert!(
        difference.zones.iter().all(|z| before.contains_key(&z.origin) || after.contains_key(&z.origin))
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_serial_rises_exactly_when_the_zone_changes(
        steps in prop::collection::vec((some_shares(), a_publication(), clock()), 1..25)
    ) {
        let mut current: Option<Generation> = None;
        for (shares, publication, seconds) in steps {
            let now = Timestamp::from_second(seconds).expect("a time");
            let same = current.as_ref().is_some_and(|c| c.shares == shares && c.publication == publication);
            let next = succeed(current.as_ref(), shares, &publication, "a step", now);
            prop_assert_eq!(next.is_none(), same);
            if let Some((next, difference)) = next {
                step(current.as_ref(), &next, &difference)?;
                current = Some(next);
            }
        }
    }
}
