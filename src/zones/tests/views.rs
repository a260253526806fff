//! Several endpoints for one name: which addresses it has under each policy, and for whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::build::{at, endpoint_id, name};
use super::generation::{APPS, HUBS, app_id, publication, share, shares};
use crate::zones::generation::{Shares, succeed, zones};
use crate::zones::*;

/// Prefixes of clients, some of which lie in others.
const PREFIXES: [&str; 5] = ["10.0.0.0/8", "10.1.0.0/16", "10.1.5.0/24", "10.2.0.0/16", "fd00::/8"];

/// One client in each place that the prefixes make.
pub(super) const CLIENTS: [&str; 6] =
    ["192.0.2.1", "10.9.9.9", "10.1.9.9", "10.1.5.9", "10.2.0.9", "fd00::9"];

const HUB: &str = "a.azure-devices.net";
const OTHER: &str = "b.azure-devices.net";

/// Endpoint 1 gives both names, endpoints 2 and 3 the first one.
const ROWS: [(u8, &str, &str); 4] =
    [(1, HUB, "10.1.0.4"), (1, OTHER, "10.1.0.5"), (2, HUB, "10.2.0.4"), (3, HUB, "10.3.0.4")];

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn prefer(endpoints: &[u8]) -> EndpointPolicy {
    EndpointPolicy::Prefer(endpoints.iter().map(|number| endpoint_id(*number)).collect())
}

fn by_subnet(rows: &[(&str, u8)]) -> EndpointPolicy {
    EndpointPolicy::BySubnet(rows.iter().map(|(p, number)| (prefix(p), endpoint_id(*number))).collect())
}

/// Both forms, with policies by application.
fn with(policies: &[(u8, EndpointPolicy)]) -> Publication {
    let endpoints = policies.iter().map(|(number, policy)| (app_id(*number), policy.clone())).collect();
    Publication { per_name_zones: true, endpoints, ..publication() }
}

/// All names of a zone as a client sees them: the longest prefix of the zone's views that holds the
/// address, over what everybody sees.
pub(super) fn seen(zone: &Zone, client: &str) -> Addresses {
    let client: IpAddr = client.parse().expect("an address");
    let views = zone.views.iter().filter(|(prefix, _)| prefix.contains(client));
    let view = views.max_by_key(|(prefix, _)| prefix.length).map(|(_, view)| &**view);
    let mut all = zone.addresses.clone();
    all.extend(view.cloned().unwrap_or_default());
    all
}

/// The addresses of a public name in both forms, which have to be the same.
fn answer(zones: &BTreeMap<DnsName, Zone>, public: &str, client: &str) -> Vec<String> {
    let owner = name(&public.replacen('.', ".privatelink.", 1));
    let shown = |set: &BTreeSet<Ipv4Addr>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
    let privatelink = shown(&seen(&zones[&name(HUBS)], client)[&owner]);
    let per_name = shown(&seen(&zones[&name(public)], client)[&name(public)]);
    assert_eq!(privatelink, per_name, "{public} {client}");
    privatelink
}

#[test]
fn each_policy_chooses_among_the_endpoints() {
    let shares = shares([share(1, &[HUBS], &ROWS)]);
    let all = ["10.1.0.4", "10.2.0.4", "10.3.0.4"];
    for (policy, client, hub, other) in [
        (None, "10.1.9.9", &all[..], "10.1.0.5"),
        (Some(prefer(&[2, 1])), "10.1.9.9", &["10.2.0.4"], "10.1.0.5"),
        // Endpoint 2 does not give the other name, so one that is not listed counts for it.
        (Some(prefer(&[2])), "10.1.9.9", &["10.2.0.4"], "10.1.0.5"),
        (Some(prefer(&[9, 3])), "10.1.9.9", &["10.3.0.4"], "10.1.0.5"),
        (Some(prefer(&[9])), "10.1.9.9", &all, "10.1.0.5"),
        (Some(by_subnet(&[("10.1.0.0/16", 2)])), "10.1.9.9", &["10.2.0.4"], "10.1.0.5"),
        (Some(by_subnet(&[("10.1.0.0/16", 2)])), "10.2.0.9", &all, "10.1.0.5"),
        (Some(by_subnet(&[("10.1.0.0/16", 9)])), "10.1.9.9", &all, "10.1.0.5"),
        (Some(by_subnet(&[("10.1.0.0/16", 2), ("10.1.5.0/24", 3)])), "10.1.5.9", &["10.3.0.4"], "10.1.0.5"),
        // An endpoint that gives nothing takes its clients out of the network around them.
        (Some(by_subnet(&[("10.1.0.0/16", 2), ("10.1.5.0/24", 9)])), "10.1.5.9", &all, "10.1.0.5"),
    ] {
        let policies: Vec<_> = policy.iter().map(|policy| (1, policy.clone())).collect();
        let zones = zones(&shares, &with(&policies));
        assert_eq!(answer(&zones, HUB, client), hub, "{policy:?} {client}");
        assert_eq!(answer(&zones, OTHER, client), [other], "{policy:?} {client}");
    }
}

#[test]
fn a_generation_tells_every_answer_and_under_which_names() {
    let policy = by_subnet(&[("10.1.0.0/16", 2), ("10.2.0.0/16", 3), ("10.1.5.0/24", 2)]);
    let made = succeed(None, shares([share(1, &[HUBS], &ROWS)]), &with(&[(1, policy)]), "test", at(0));
    let generation = made.expect("a generation").0;
    let (hub, application) = (name(HUB), &generation.shares[&app_id(1)]);
    let placement = application.placement(&endpoint_id(1), &hub).expect("a placement");
    let set = |addresses: &[&str]| addresses.iter().map(|a| a.parse().expect("an address")).collect();
    let expected: [BTreeSet<Ipv4Addr>; 3] =
        [set(&["10.1.0.4", "10.2.0.4", "10.3.0.4"]), set(&["10.2.0.4"]), set(&["10.3.0.4"])];
    assert_eq!(generation.answers(&hub, placement), expected);
    let owners: Vec<_> = generation.owners(&hub, placement).collect();
    assert_eq!(owners, [(&name(HUBS), name("a.privatelink.azure-devices.net")), (&hub, hub.clone())]);
}

#[test]
fn prefixes_of_several_applications_hold_at_the_same_time() {
    let rows = [(4, "c.azure-devices.net", "10.4.0.4"), (5, "c.azure-devices.net", "10.5.0.4")];
    let shares = shares([share(1, &[HUBS], &ROWS), share(2, &[HUBS], &rows)]);
    let policies =
        [(1, by_subnet(&[("10.1.0.0/16", 2)])), (2, by_subnet(&[("10.1.5.0/24", 5), ("10.2.0.0/16", 4)]))];
    let zones = zones(&shares, &with(&policies));
    for (client, first, second) in [
        ("10.1.5.9", &["10.2.0.4"][..], &["10.5.0.4"][..]),
        ("10.1.9.9", &["10.2.0.4"], &["10.4.0.4", "10.5.0.4"]),
        ("10.2.0.9", &["10.1.0.4", "10.2.0.4", "10.3.0.4"], &["10.4.0.4"]),
    ] {
        assert_eq!(answer(&zones, HUB, client), first, "{client}");
        assert_eq!(answer(&zones, "c.azure-devices.net", client), second, "{client}");
    }
}

#[test]
fn a_name_of_two_applications_keeps_the_addresses_of_the_one_without_a_choice() {
    let shares = shares([share(1, &[HUBS], &ROWS), share(2, &[HUBS], &[(4, HUB, "10.4.0.4")])]);
    let zones = zones(&shares, &with(&[(1, by_subnet(&[("10.1.0.0/16", 2)]))]));
    assert_eq!(answer(&zones, HUB, "10.1.9.9"), ["10.2.0.4", "10.4.0.4"]);
}

#[test]
fn views_hold_nothing_but_what_differs() {
    let shares = shares([share(1, &[HUBS, APPS], &ROWS)]);
    let views = |rows: &[(&str, u8)]| {
        let zones = zones(&shares, &with(&[(1, by_subnet(rows))]));
        assert!(zones[&name(APPS)].views.is_empty() && zones[&name(OTHER)].views.is_empty());
        let views = &zones[&name(HUBS)].views;
        views.iter().map(|(prefix, names)| (prefix.to_string(), names.len())).collect::<Vec<_>>()
    };
    let row = |prefix: &str, names| (prefix.to_owned(), names);
    assert_eq!(views(&[("10.1.0.0/16", 2)]), [row("10.1.0.0/16", 1)]);
    assert_eq!(views(&[("10.1.0.0/16", 9)]), []);
    assert_eq!(views(&[("10.1.0.0/16", 2), ("10.1.5.0/24", 2)]), [row("10.1.0.0/16", 1)]);
    // Empty, but not superfluous: these clients see the zone as it is.
    assert_eq!(
        views(&[("10.1.0.0/16", 2), ("10.1.5.0/24", 9)]),
        [row("10.1.0.0/16", 1), row("10.1.5.0/24", 0)]
    );
}

#[test]
fn a_change_of_policy_is_a_generation_and_raises_the_serials_of_what_it_changes() {
    let rows = [(1, "app.azureiotcentral.com", "10.1.0.3")];
    let shares = shares([share(1, &[APPS, HUBS], &[&ROWS[..], &rows].concat())]);
    let current = succeed(None, shares.clone(), &with(&[]), "start", at(0)).expect("a generation").0;
    for (policy, views) in [(prefer(&[1]), false), (by_subnet(&[("10.1.0.0/16", 1)]), true)] {
        let publication = with(&[(1, policy)]);
        let (next, difference) =
            succeed(Some(&current), shares.clone(), &publication, "reload", at(60)).expect("a generation");
        let changed: Vec<&str> = difference.zones.iter().map(|zone| zone.origin.as_str()).collect();
        assert_eq!(changed, [HUB, HUBS]);
        assert!(difference.zones.iter().all(|zone| zone.views == views && zone.added.is_empty()));
        assert_eq!(difference.zones[0].removed.len(), if views { 0 } else { 2 });
        assert_eq!(next.serial(&name(APPS)), current.serial(&name(APPS)));
        assert_eq!(succeed(Some(&next), shares.clone(), &publication, "reload", at(90)), None);
    }
    // One that changes no address.
    let publication = with(&[(1, prefer(&[9]))]);
    let (next, difference) =
        succeed(Some(&current), shares.clone(), &publication, "reload", at(60)).expect("a generation");
    assert_eq!((next.number, difference.zones), (2, [].into()));
}

pub(super) fn policy() -> impl Strategy<Value = EndpointPolicy> {
    let endpoints = subsequence(vec![1, 2, 3, 4], 1..=4).prop_shuffle();
    let networks = subsequence(PREFIXES.to_vec(), 1..=5)
        .prop_flat_map(|prefixes| prefixes.into_iter().map(|p| (Just(p), 1..=4_u8)).collect::<Vec<_>>());
    prop_oneof![endpoints.prop_map(|e| prefer(&e)), networks.prop_map(|rows| by_subnet(&rows))]
}

/// Two applications whose endpoints have the same ids and give some of the same names.
fn some_shares() -> impl Strategy<Value = Shares> {
    let hub = select(vec!["a", "b", "c"]).prop_map(|label| format!("{label}.azure-devices.net"));
    let rows = prop::collection::vec((1..=3_u8, hub, 0..=5_u8), 0..12);
    prop::collection::vec(rows, 2).prop_map(|lists| {
        let list = lists.iter().zip(1..).map(|(rows, number)| {
            let rows: Vec<(u8, &str, String)> = rows
                .iter()
                .map(|(endpoint, public, last)| {
                    (*endpoint, public.as_str(), format!("10.{endpoint}.0.{last}"))
                })
                .collect();
            let rows: Vec<_> = rows.iter().map(|(e, public, a)| (*e, *public, a.as_str())).collect();
            share(number, &[HUBS], &rows)
        });
        shares(list.collect::<Vec<_>>())
    })
}

fn some_policies() -> impl Strategy<Value = Vec<(u8, EndpointPolicy)>> {
    (prop::option::of(policy()), prop::option::of(policy()))
        .prop_map(|(one, two)| one.map(|p| (1, p)).into_iter().chain(two.map(|p| (2, p))).collect())
}

/// The rules of the policies, said naively for one client and one application.
fn chosen(
    share: &Share,
    policy: Option<&EndpointPolicy>,
    public: &DnsName,
    client: &str,
) -> BTreeSet<Ipv4Addr> {
    let client: IpAddr = client.parse().expect("an address");
    let of = |id: &ResourceId| share.placement(id, public).map(|p| p.addresses.clone());
    let choice = match policy {
        None => None,
        Some(EndpointPolicy::Prefer(ids)) => ids.iter().find_map(of),
        Some(EndpointPolicy::BySubnet(rows)) => {
            let mut rows: Vec<_> = rows.iter().filter(|(prefix, _)| prefix.contains(client)).collect();
            rows.sort_by_key(|(prefix, _)| prefix.length);
            rows.last().and_then(|(_, id)| of(id))
        }
    };
    choice.unwrap_or_else(|| share.endpoints.keys().filter_map(of).flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_client_sees_what_the_policies_say(shares in some_shares(), policies in some_policies()) {
        let publication = with(&policies);
        let zones = zones(&shares, &publication);
        for client in CLIENTS {
            let mut expected = BTreeMap::<DnsName, BTreeSet<Ipv4Addr>>::new();
            for share in shares.values() {
                let policy = publication.endpoints.get(&share.application);
                for public in share.names() {
                    let addresses = chosen(share, policy, public, client);
                    expected.entry(public.clone()).or_default().extend(addresses);
                }
            }
            let per_name: BTreeMap<_, _> =
                zones.values().filter(|z| z.form == Form::PerName).flat_map(|z| seen(z, client)).collect();
            prop_assert_eq!(&per_name, &expected, "{}", client);
            let owner = |public: &DnsName| name(&public.as_str().replacen('.', ".privatelink.", 1));
            let expected: Addresses = expected.iter().map(|(n, a)| (owner(n), a.clone())).collect();
            prop_assert_eq!(seen(&zones[&name(HUBS)], client), expected, "{}", client);
        }
        for zone in zones.values() {
            for (prefix, view) in &zone.views {
                prop_assert!(view.keys().all(|owner| zone.addresses.contains_key(owner)));
                prop_assert!(view.iter().all(|(owner, a)| !a.is_empty() && zone.addresses[owner] != *a));
                prop_assert_eq!(zone.view(prefix), Some(&**view));
            }
        }
    }

    #[test]
    fn the_end_of_an_endpoint_takes_no_name_that_another_gives(
        before in some_shares(),
        policies in some_policies(),
        application in 1..=2_u8,
        endpoint in 1..=3_u8,
    ) {
        let mut after = before.clone();
        let share = Arc::make_mut(after.get_mut(&app_id(application)).expect("a share"));
        share.endpoints.remove(&endpoint_id(endpoint));
        let kept: BTreeSet<DnsName> = after.values().flat_map(|s| s.names()).cloned().collect();
        let zones = zones(&after, &with(&policies));
        for client in CLIENTS {
            for public in &kept {
                prop_assert!(!answer(&zones, public.as_str(), client).is_empty(), "{} {}", public, client);
            }
        }
    }
}

#[test]
fn views_are_grouped_by_what_their_clients_prefer() {
    let publication = with(&[
        (1, by_subnet(&[("10.1.0.0/16", 1), ("10.2.0.0/16", 1), ("10.1.5.0/24", 2)])),
        (2, prefer(&[3])),
    ]);
    let views = publication.views();
    let shown = |view: &ClientView<'_>| view.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        views.iter().map(shown).collect::<Vec<_>>(),
        [vec!["10.1.0.0/16", "10.2.0.0/16"], vec!["10.1.5.0/24"]]
    );
    assert_eq!(views[0].preferred, BTreeMap::from([(&app_id(1), &endpoint_id(1))]));
}
