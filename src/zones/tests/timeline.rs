//! What the history says of names, compared with the generations themselves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::build::{at, ip, name};
use super::generation::{APPS, HUBS, publication, share, shares};
use super::serials::{a_publication, some_shares};
use crate::zones::generation::succeed;
use crate::zones::timeline::{UnknownGeneration, between, entries, oldest};
use crate::zones::*;

const RPZ: &str = "rpz.example.net";

/// Every public name with its addresses in any zone, told from the zones' forms.
fn public_names(generation: &Generation) -> BTreeMap<DnsName, BTreeSet<Ipv4Addr>> {
    let mut names = BTreeMap::<DnsName, BTreeSet<Ipv4Addr>>::new();
    for (origin, zone) in &generation.zones {
        for (owner, addresses) in &zone.addresses {
            let public = match zone.form {
                Form::PerName => owner.clone(),
                Form::Privatelink => {
                    name(&owner.as_str().replace(origin.as_str(), &origin.as_str()["privatelink.".len()..]))
                }
                Form::Rpz => name(owner.below(origin).expect("below its zone")),
                Form::Catalog => unreachable!("a catalog has no addresses"),
            };
            names.entry(public).or_default().extend(addresses);
        }
    }
    names
}

/// Generations with what led to them.
fn told(steps: impl IntoIterator<Item = (Shares, Publication)>) -> (Vec<Generation>, VecDeque<Difference>) {
    let (mut generations, mut history) = (Vec::<Generation>::new(), VecDeque::new());
    for (number, (shares, publication)) in (0..).zip(steps) {
        let next = succeed(generations.last(), shares, &publication, &format!("step {number}"), at(number));
        let Some((generation, difference)) = next else { continue };
        if !difference.zones.is_empty() {
            history.push_back(difference);
        }
        generations.push(generation);
    }
    (generations, history)
}

fn addresses(texts: &[&str]) -> BTreeSet<Ipv4Addr> {
    texts.iter().map(|text| ip(text)).collect()
}

#[test]
fn a_name_is_told_once_whatever_zones_it_stands_in() {
    let rows = |address: &'static str| shares([share(1, &[HUBS], &[(1, "hub.azure-devices.net", address)])]);
    let all = Publication { per_name_zones: true, rpz: Some(name(RPZ)), ..publication() };
    let (generations, history) = told([
        (shares([]), publication()),
        (rows("10.0.0.5"), publication()),
        // Two more zones with the same name and addresses: nothing for the name.
        (rows("10.0.0.5"), all.clone()),
        (rows("10.0.0.6"), all.clone()),
        // One zone less.
        (rows("10.0.0.6"), Publication { privatelink_zones: false, ..all }),
        (shares([]), publication()),
    ]);
    let generation = generations.last().expect("one");
    let told: Vec<_> = entries(&history, generation)
        .map(|entry| {
            let names: Vec<_> = entry.names.into_iter().map(|change| (change.old, change.new)).collect();
            (entry.number, entry.zones.len(), names)
        })
        .collect();
    let expected = [
        (6, 2, vec![(addresses(&["10.0.0.6"]), addresses(&[]))]),
        (5, 1, vec![]),
        (4, 3, vec![(addresses(&["10.0.0.5"]), addresses(&["10.0.0.6"]))]),
        (3, 2, vec![]),
        (2, 1, vec![(addresses(&[]), addresses(&["10.0.0.5"]))]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_difference_is_told_both_ways() {
    let rows = |list: &[(u8, &str, &str)]| (shares([share(1, &[HUBS, APPS], list)]), publication());
    let (generations, history) = told([
        rows(&[(1, "a.azure-devices.net", "10.0.0.1"), (1, "b.azure-devices.net", "10.0.0.2")]),
        rows(&[(1, "a.azure-devices.net", "10.0.0.1"), (1, "c.azure-devices.net", "10.0.0.3")]),
        rows(&[(1, "a.azure-devices.net", "10.0.0.9"), (1, "b.azure-devices.net", "10.0.0.2")]),
    ]);
    let current = generations.last().expect("one");
    let names = |from, to| -> Vec<_> {
        let between = between(&history, current, from, to).expect("known");
        between.names.into_iter().map(|c| (c.name.to_string(), c.old, c.new)).collect()
    };
    let (old, new) = (addresses(&["10.0.0.1"]), addresses(&["10.0.0.9"]));
    let a = "a.azure-devices.net".to_owned();
    // b went and came back, c came and went.
    assert_eq!(names(1, 3), [(a.clone(), old.clone(), new.clone())]);
    assert_eq!(names(3, 1), [(a, new, old)]);
    assert_eq!(names(2, 2), []);
    let zones = between(&history, current, 1, 3).expect("known").zones;
    let [zone] = &zones[..] else { panic!("{zones:?}") };
    assert_eq!((zone.added, zone.removed), (1, 1));
    assert_eq!((zone.from, zone.to), (generations[0].serial(&name(HUBS)), current.serial(&name(HUBS))));
    assert_eq!(names(0, 1).len(), 2, "before the first there was nothing");
}

#[test]
fn a_history_begins_with_the_first_zone() {
    let hub = (shares([share(1, &[HUBS], &[(1, "a.azure-devices.net", "10.0.0.1")])]), publication());
    let (generations, history) = told([(shares([share(1, &[], &[])]), publication()), hub]);
    let current = generations.last().expect("one");
    assert_eq!((current.number, oldest(&history, current)), (2, 1));
    assert_eq!(between(&history, current, 1, 2).map(|between| between.names.len()), Ok(1));
}

#[test]
fn what_is_forgotten_or_to_come_is_said() {
    let moved = |address: &'static str| {
        (shares([share(1, &[HUBS], &[(1, "a.azure-devices.net", address)])]), publication())
    };
    let (generations, mut history) = told([moved("10.0.0.1"), moved("10.0.0.2"), moved("10.0.0.3")]);
    let current = generations.last().expect("one");
    assert_eq!(oldest(&history, current), 0);
    history.pop_front();
    let forgotten = Err(UnknownGeneration::Forgotten { number: 0, oldest: 1 });
    assert_eq!(between(&history, current, 3, 0), forgotten);
    assert_eq!(between(&history, current, 1, 4), Err(UnknownGeneration::Future { number: 4, latest: 3 }));
    assert_eq!(between(&history, current, 1, 3).map(|between| between.names.len()), Ok(1));
    history.clear();
    assert_eq!(oldest(&history, current), 3);
}

proptest! {
    #[test]
    fn every_two_generations_differ_as_the_history_says(
        steps in prop::collection::vec((some_shares(), a_publication(), any::<bool>()), 1..10),
    ) {
        let steps = steps.into_iter().map(|(shares, publication, rpz)| {
            (shares, Publication { rpz: rpz.then(|| name(RPZ)), ..publication })
        });
        let (generations, history) = told(steps);
        let Some(current) = generations.last() else { return Ok(()) };
        // Without a zone in them, the first ones leave no trace.
        let oldest = oldest(&history, current);
        let known = || generations.iter().filter(|generation| generation.number >= oldest);
        for one in known() {
            for other in known() {
                let between = between(&history, current, one.number, other.number).expect("known");
                let (before, after) = (public_names(one), public_names(other));
                let keys: BTreeSet<&DnsName> = before.keys().chain(after.keys()).collect();
                let of = |names: &BTreeMap<DnsName, BTreeSet<Ipv4Addr>>, name: &DnsName| {
                    names.get(name).cloned().unwrap_or_default()
                };
                let expected: Vec<_> = keys
                    .into_iter()
                    .map(|name| (name.clone(), of(&before, name), of(&after, name)))
                    .filter(|(_, old, new)| old != new)
                    .collect();
                let told: Vec<_> = between.names.into_iter().map(|c| (c.name, c.old, c.new)).collect();
                prop_assert_eq!(told, expected);
                for zone in between.zones {
                    prop_assert_eq!(zone.from, one.serial(&zone.origin));
                    prop_assert_eq!(zone.to, other.serial(&zone.origin));
                }
            }
        }
    }
}
