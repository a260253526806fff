//! Catalog, policy zone, and what a secondary is told of its changes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;

use super::build::{at, name};
use super::generation::{APPS, HUBS, publication, share, shares};
use super::serials::{a_publication, some_shares};
use crate::zones::generation::{raise, succeed, zones};
use crate::zones::journal::{Datum, Since, since, trim};
use crate::zones::*;

const CATALOG: &str = "catalog.example.net";
const RPZ: &str = "rpz.example.net";

fn with_both() -> Publication {
    let catalog = Catalog { origin: name(CATALOG), group: None };
    Publication { catalog: Some(catalog), rpz: Some(name(RPZ)), ..publication() }
}

/// What a secondary holds of a zone.
fn content(generation: &Generation, origin: &DnsName) -> BTreeSet<Datum> {
    let Some(zone) = generation.zones.get(origin) else { return BTreeSet::new() };
    let addresses = zone.addresses.iter();
    let addresses = addresses.flat_map(|(o, all)| all.iter().map(move |a| Datum::Address(o.clone(), *a)));
    let members = generation.members().filter(|_| zone.form == Form::Catalog);
    addresses.chain(members.cloned().map(Datum::Member)).collect()
}

#[test]
fn the_policy_zone_has_the_public_names_and_only_those_that_may_be_overridden() {
    let rows = [(1, "app.azureiotcentral.com", "10.0.0.4"), (1, "hub.azure-devices.net", "10.0.0.5")];
    let shares = shares([share(1, &[APPS, HUBS], &rows)]);
    let owners = |publication: &Publication| -> Vec<String> {
        zones(&shares, publication)[&name(RPZ)].addresses.keys().map(ToString::to_string).collect()
    };
    assert_eq!(owners(&with_both()), ["hub.azure-devices.net.rpz.example.net"]);
    let all = Publication { application_name: true, ..with_both() };
    assert_eq!(
        owners(&all),
        ["app.azureiotcentral.com.rpz.example.net", "hub.azure-devices.net.rpz.example.net"]
    );
}

#[test]
fn catalog_and_policy_zone_are_there_with_nothing_in_them() {
    let (generation, _) = succeed(None, Shares::new(), &with_both(), "start", at(0)).expect("one");
    assert_eq!(generation.zones.len(), 2);
    assert!(!generation.is_answered());
    assert_eq!(generation.members().count(), 0);
}

#[test]
fn a_catalog_changes_with_its_members_only() {
    let rows = [(1, "hub.azure-devices.net", "10.0.0.5")];
    let (one, _) = succeed(None, shares([share(1, &[HUBS], &rows)]), &with_both(), "1", at(0)).expect("one");
    let moved = [(1, "hub.azure-devices.net", "10.0.0.6")];
    let (two, _) =
        succeed(Some(&one), shares([share(1, &[HUBS], &moved)]), &with_both(), "2", at(1)).expect("two");
    assert_eq!(two.serial(&name(CATALOG)), one.serial(&name(CATALOG)));
    let (three, difference) =
        succeed(Some(&two), shares([share(1, &[APPS, HUBS], &moved)]), &with_both(), "3", at(2))
            .expect("three");
    let of_catalog = difference.zones.iter().find(|zone| zone.origin == name(CATALOG)).expect("the catalog");
    assert_eq!((of_catalog.joined.as_slice(), of_catalog.left.as_slice()), (&[name(APPS)][..], &[][..]));
    assert_eq!(of_catalog.to, three.serial(&name(CATALOG)));
    let group = Some(Catalog { origin: name(CATALOG), group: Some("iot".to_owned()) });
    let publication = Publication { catalog: group, ..with_both() };
    let (four, _) = succeed(Some(&three), three.shares.clone(), &publication, "4", at(3)).expect("four");
    assert_ne!(four.serial(&name(CATALOG)), three.serial(&name(CATALOG)), "its group is content");
    assert_eq!(four.serial(&name(APPS)), three.serial(&name(APPS)));
}

#[test]
fn a_serial_is_overtaken_whether_set_or_seen() {
    let shares = shares([share(1, &[HUBS], &[])]);
    let (low, _) = succeed(None, shares.clone(), &publication(), "1", at(0)).expect("one");
    let serial = low.serial(&name(HUBS)).expect("a serial");
    let least = Publication { serial_at_least: Some(serial + 1000), ..publication() };
    let (set, difference) = succeed(Some(&low), shares.clone(), &least, "2", at(1)).expect("two");
    assert_eq!(set.serial(&name(HUBS)), Some(serial + 1000));
    assert_eq!(difference.zones[0].to, Some(serial + 1000));
    let again = succeed(Some(&set), shares, &least, "3", at(2));
    assert!(again.is_none(), "it is raised once");

    let (raised, difference) = raise(&set, &name(HUBS), serial + 5000, "seen", at(3)).expect("raised");
    assert_eq!(raised.serial(&name(HUBS)), Some(serial + 5001));
    assert!(raise(&raised, &name(HUBS), serial + 5000, "seen", at(4)).is_none(), "greater already");
    assert!(raise(&raised, &name(APPS), serial + 9000, "seen", at(4)).is_none(), "no such zone");
    let history = VecDeque::from([difference]);
    let nothing = Since::Changes { removed: BTreeSet::new(), added: BTreeSet::new() };
    assert_eq!(since(&history, &raised, &name(HUBS), serial + 1000), nothing);
}

/// Two secondaries have serials of state that was lost. The one that follows the lower one may be the other
/// one's, with another content: that one would never ask again.
#[test]
fn a_serial_is_raised_to_the_time_where_that_is_greater() {
    let of = shares([share(1, &[HUBS], &[])]);
    let (first, _) = succeed(None, of, &publication(), "x", at(0)).expect("one");
    let seen = first.serial(&name(HUBS)).expect("a serial") + 100;
    let (raised, _) = raise(&first, &name(HUBS), seen, "seen", at(300)).expect("raised");
    assert_eq!(raised.serial(&name(HUBS)), Some(at(300).as_second() as u32));
    let (raised, _) = raise(&first, &name(HUBS), seen, "seen", at(50)).expect("raised");
    assert_eq!(raised.serial(&name(HUBS)), Some(seen + 1), "the clock is behind");
}

#[test]
fn of_all_zones_that_went_the_last_one_is_remembered_longest() {
    let there = shares([share(1, &[HUBS], &[])]);
    let (first, _) = succeed(None, there.clone(), &publication(), "1", at(0)).expect("one");
    let seen = first.serial(&name(HUBS)).expect("a serial") + 1_000_000;
    let (mut raised, _) = raise(&first, &name(HUBS), seen, "seen", at(1)).expect("raised");
    // Zones that came, changed and went while this one stayed as it was.
    let others =
        (0..4096).map(|n| (name(&format!("zone-{n}.example")), ZoneSerial { serial: seen, changed: at(2) }));
    raised.serials.extend(others);
    let (gone, _) = succeed(Some(&raised), shares([]), &publication(), "gone", at(3)).expect("gone");
    let (back, _) = succeed(Some(&gone), there, &publication(), "back", at(4)).expect("back");
    assert_eq!(back.serial(&name(HUBS)), Some(seen + 2), "not back to the time");
}

#[test]
fn every_zone_keeps_its_differences_beside_busier_ones() {
    let zone = |origin: &str, number: u32| -> Difference {
        let rows = [(1, "hub.azure-devices.net", "10.0.0.5")];
        let of = shares([share(1, &[HUBS], &rows)]);
        let (_, mut difference) = succeed(None, of, &publication(), "x", at(0)).expect("one");
        difference.number = u64::from(number);
        Arc::make_mut(&mut difference.zones)[0].origin = name(origin);
        difference
    };
    let mut history: VecDeque<Difference> = (0..20).map(|n| zone("rare.example", n)).collect();
    for number in 20..400 {
        history.push_back(zone("busy.example", number));
        trim(&mut history);
    }
    let of = |origin: &str| history.iter().filter(|d| d.zones[0].origin == name(origin)).count();
    assert_eq!(of("rare.example"), 20);
    for number in 400..3000 {
        history.push_back(zone("busy.example", number));
        trim(&mut history);
    }
    assert!(history.len() <= 1024, "{} differences", history.len());
}

#[test]
fn large_differences_do_not_pile_up() {
    let names: Vec<String> = (0..10_000).map(|n| format!("hub-{n}.azure-devices.net")).collect();
    let at_address = |address: &'static str| {
        let rows: Vec<_> = names.iter().map(|name| (1, name.as_str(), address)).collect();
        shares([share(1, &[HUBS], &rows)])
    };
    let places = [at_address("10.0.0.1"), at_address("10.0.0.2")];
    let mut history = VecDeque::new();
    let (mut current, first) = succeed(None, places[0].clone(), &publication(), "0", at(0)).expect("one");
    history.push_back(first);
    for (number, place) in (1..12).zip(places.iter().cycle().skip(1)) {
        let before = current.serial(&name(HUBS)).expect("a serial");
        let next = succeed(Some(&current), place.clone(), &publication(), "moved", at(number));
        let (generation, difference) = next.expect("another");
        history.push_back(difference);
        trim(&mut history);
        current = generation;
        assert_ne!(since(&history, &current, &name(HUBS), before), Since::Unknown, "the last one is there");
    }
    let records = |d: &Difference| -> usize { d.zones.iter().map(|z| z.added.len() + z.removed.len()).sum() };
    let all: usize = history.iter().map(records).sum();
    assert!(all <= 100_000, "{all} records in {} differences", history.len());
}

proptest! {
    #[test]
    fn changes_take_every_earlier_serial_to_the_current_content(
        steps in prop::collection::vec((some_shares(), a_publication()), 1..30),
    ) {
        let (mut history, mut earlier) = (VecDeque::new(), Vec::<Generation>::new());
        for (number, (shares, publication)) in (0..).zip(steps) {
            let both = with_both();
            let publication = Publication { catalog: both.catalog, rpz: both.rpz, ..publication };
            let Some((generation, difference)) =
                succeed(earlier.last(), shares, &publication, "step", at(number)) else { continue };
            history.push_back(difference);
            earlier.push(generation);
        }
        let Some(current) = earlier.last() else { return Ok(()) };
        let mut told = 0;
        for before in &earlier {
            for origin in current.zones.keys() {
                let Some(serial) = before.serial(origin) else { continue };
                let mut held = content(before, origin);
                match since(&history, current, origin, serial) {
                    Since::Current => prop_assert_eq!(Some(serial), current.serial(origin)),
                    Since::Changes { removed, added } => {
                        told += 1;
                        prop_assert!(removed.is_disjoint(&added));
                        for datum in &removed {
                            prop_assert!(held.remove(datum), "{:?} is removed and was not there", datum);
                        }
                        for datum in added {
                            prop_assert!(held.insert(datum), "added and was there");
                        }
                    }
                    // The whole zone it is.
                    Since::Unknown => held = content(current, origin),
                }
                prop_assert_eq!(held, content(current, origin));
            }
        }
        let same = |a: &Generation| a.publication == current.publication && a.zones.keys().eq(current.zones.keys());
        let plain = earlier.iter().all(same) && earlier.len() > 1 && history.len() > 1;
        prop_assert!(!plain || told > 0, "with one publication and the same zones there is a way");
    }
}
