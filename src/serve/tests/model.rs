//! The answer against a model that is written differently: texts, searched from end to end, and no
//! notion of wire format, nodes or hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::build::*;
use super::summary::summary;
use crate::zones::{DnsName, Generation, Publication, Zone};

/// A world: zones with names, how they are published, and whether all applications were read.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) generation: Generation,
    pub(super) complete: bool,
    pub(super) stale: bool,
}

impl World {
    pub(super) fn image(&self) -> super::super::Image {
        let image = compile(&self.generation, self.complete);
        if self.stale {
            image.mark_stale(&BTreeSet::from([application(1)]));
        }
        image
    }
}

fn label() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(vec!["a", "b", "c", "privatelink"])
}

fn addresses() -> impl Strategy<Value = Vec<Ipv4Addr>> {
    let some = |range| prop::collection::vec(any::<u32>().prop_map(Ipv4Addr::from), range);
    prop_oneof![9 => some(1..4), 1 => some(25..90)]
}

/// Suffixes of which some lie in others, some with `privatelink` inside, so that zones nest.
pub(super) fn world() -> impl Strategy<Value = World> {
    let suffix = prop::sample::select(vec!["x", "a.x", "b.a.x", "y.net", "privatelink.x", "a.privatelink.x"]);
    let names =
        prop::collection::vec((prop::collection::vec(label(), 1..4), suffix.clone(), addresses()), 0..8);
    let empty = prop::collection::vec(suffix, 0..2);
    let forms = prop::sample::select(vec![(true, true), (true, true), (true, false), (false, true)]);
    (names, empty, forms, 0..100_u32, 0..100_u32, prop::bool::weighted(0.8), any::<bool>()).prop_map(
        |(names, empty, (privatelink_zones, per_name_zones), ttl, negative_ttl, complete, stale)| {
            let publication =
                Publication { privatelink_zones, per_name_zones, ttl, negative_ttl, ..publication() };
            let owned: Vec<_> = names
                .into_iter()
                .map(|(labels, suffix, addresses)| {
                    (format!("{}.{suffix}", labels.join(".")), format!("privatelink.{suffix}"), addresses)
                })
                .collect();
            let zones: Vec<_> = empty.iter().map(|suffix| format!("privatelink.{suffix}")).collect();
            let names: Vec<Name<'_>> =
                owned.iter().map(|(name, zone, a)| (name.as_str(), zone.as_str(), a.clone())).collect();
            let zones: Vec<&str> = zones.iter().map(String::as_str).collect();
            let generation = generation(&publication, vec![share(1, &zones, &names)]);
            World { generation, complete, stale }
        },
    )
}

/// Names that exist, lie above, below or beside one that exists, or are made of the same labels;
/// in any case.
fn asked(world: &World) -> impl Strategy<Value = String> + use<> {
    let mut known: Vec<String> = world.generation.zones.keys().map(DnsName::to_string).collect();
    known.extend(world.generation.zones.values().flat_map(|z| z.addresses.keys().map(DnsName::to_string)));
    known.push("x".to_owned());
    let known = prop::sample::select(known);
    let near = (known, 0..4_usize, prop::collection::vec(label(), 0..3)).prop_map(|(name, cut, labels)| {
        let rest = name.split('.').skip(cut);
        labels.into_iter().chain(rest).collect::<Vec<_>>().join(".")
    });
    let far =
        prop::collection::vec(prop::sample::select(vec!["a", "b", "privatelink", "x", "net", "y"]), 0..7)
            .prop_map(|labels| labels.join("."));
    (prop_oneof![4 => near, 1 => far], any::<u64>()).prop_map(|(name, case)| {
        let upper = |i: usize| case >> (i % 64) & 1 == 1;
        name.char_indices().map(|(i, c)| if upper(i) { c.to_ascii_uppercase() } else { c }).collect()
    })
}

fn kind() -> impl Strategy<Value = u16> + Clone {
    // Not those that are no data: OPT, and the Q and meta types from 249 but ANY.
    let other = any::<u16>().prop_filter("data types", |kind| *kind != 41 && !(249..=254).contains(kind));
    prop_oneof![4 => Just(A), 1 => Just(AAAA), 1 => Just(SOA), 1 => Just(NS), 1 => Just(ANY), 1 => other]
}

fn is_within(name: &str, ancestor: &str) -> bool {
    name == ancestor || name.ends_with(&format!(".{ancestor}"))
}

/// RCODE, answers, SOA owner and extended error that the contract asks for.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    rcode: u16,
    answers: BTreeSet<String>,
    authority: Vec<String>,
    ede: Option<u16>,
}

/// The contract, said naively.
fn expected(world: &World, asked: &str, kind: u16) -> Expected {
    let zones: &BTreeMap<DnsName, Zone> = &world.generation.zones;
    let Publication { ttl, negative_ttl, .. } = world.generation.publication;
    let name = asked.to_ascii_lowercase();
    let nothing =
        |rcode, ede| Expected { rcode, answers: BTreeSet::new(), authority: Vec::new(), ede: Some(ede) };
    // The longest origin that the name lies in.
    let zone =
        zones.iter().filter(|(o, _)| is_within(&name, o.as_str())).max_by_key(|(o, _)| o.as_str().len());
    let Some((origin, zone)) = zone else {
        return if world.complete { nothing(5, 20) } else { nothing(2, 14) };
    };
    // Names of the zone, and zones inside it; what they have above them exists as well.
    let tops = zone.addresses.keys().chain(zones.keys());
    let mut tops = tops.filter(|top| is_within(top.as_str(), origin.as_str()));
    let exists = tops.any(|top| is_within(top.as_str(), &name));
    let apex = name == origin.as_str();
    let addresses = zone.addresses.iter().find(|(owner, _)| owner.as_str() == name).map(|(_, a)| a);
    if !world.complete && (!exists || !apex && addresses.is_none()) {
        return nothing(2, 14);
    }
    let soa = "ns1.example.net hostmaster.example.net 1700000000 min";
    let a: BTreeSet<String> =
        addresses.into_iter().flatten().map(|address| format!("{asked} A {ttl} {address}")).collect();
    let answers = match kind {
        A => a,
        ANY if !a.is_empty() => a,
        SOA | ANY if apex => BTreeSet::from([format!("{asked} SOA {ttl} {soa} {negative_ttl}")]),
        NS if apex => BTreeSet::from([format!("{asked} NS {ttl} ns1.example.net")]),
        _ => BTreeSet::new(),
    };
    let authority = if answers.is_empty() {
        let owner = &asked[asked.len() - origin.as_str().len()..];
        vec![format!("{owner} SOA {} {soa} {negative_ttl}", ttl.min(negative_ttl))]
    } else {
        Vec::new()
    };
    let ede = world.stale.then_some(if exists { 3 } else { 19 });
    Expected { rcode: if exists { 0 } else { 3 }, answers, authority, ede }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_the_model_s(
        (world, questions) in world().prop_flat_map(|world| {
            let questions = prop::collection::vec((asked(&world), kind(), any::<bool>()), 1..12);
            (Just(world), questions)
        })
    ) {
        let image = world.image();
        for (name, kind, edns) in questions {
            let request = if edns { super::build::edns(&name, kind) } else { query(&name, kind) };
            let response = respond(&image, &request, TCP).expect("a response");
            let got = summary(&response);
            let expected = expected(&world, &name, kind);
            let context = format!("{name} {kind}");
            // `domain` writes the root as an empty name too.
            prop_assert_eq!(got.rcode, expected.rcode, "{}", &context);
            prop_assert_eq!(got.answers.len(), expected.answers.len(), "{}", &context);
            prop_assert_eq!(got.answers.into_iter().collect::<BTreeSet<_>>(), expected.answers, "{}", &context);
            prop_assert_eq!(got.authority, expected.authority, "{}", &context);
            let authoritative = matches!(expected.rcode, 0 | 3);
            prop_assert_eq!(got.flags, if authoritative { "aa rd" } else { "rd" }, "{}", &context);
            let ede = expected.ede.map_or_else(String::new, |code| format!(" ede {code}"));
            prop_assert_eq!(got.edns, edns.then(|| format!("edns{ede}")), "{}", &context);
        }
    }
}
