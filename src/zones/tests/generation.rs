//! Which zones are made of the shares, and how one generation follows another.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::build::{at, endpoint_id, id, ip, name};
use crate::zones::generation::{Shares, succeed, zones};
use crate::zones::*;

pub(super) const HUBS: &str = "privatelink.azure-devices.net";
pub(super) const APPS: &str = "privatelink.azureiotcentral.com";

pub(super) fn publication() -> Publication {
    Publication {
        privatelink_zones: true,
        per_name_zones: false,
        application_name: false,
        ttl: 10,
        negative_ttl: 10,
        name_servers: vec![name("ns.example")],
        hostmaster: name("hostmaster.example"),
        endpoints: BTreeMap::new(),
        catalog: None,
        rpz: None,
        serial_at_least: None,
    }
}

pub(super) fn app_id(number: u8) -> ResourceId {
    id(&format!("/subscriptions/s/resourceGroups/r/providers/Microsoft.IoTCentral/iotApps/app-{number}"))
}

/// A share of one application: endpoint, public name, address; names of `azureiotcentral.com` are
/// the application's own.
pub(super) fn share(application: u8, required: &[&str], rows: &[(u8, &str, &str)]) -> Arc<Share> {
    let mut share = Share::empty(app_id(application));
    share.zones = required.iter().map(|zone| name(zone)).collect();
    for (endpoint, public, address) in rows {
        let (_, suffix) = public.split_once('.').expect("two labels");
        let names = &mut share.endpoints.entry(endpoint_id(*endpoint)).or_default().names;
        let placement = names.entry(name(public)).or_insert_with(|| Placement {
            zone: name(&format!("privatelink.{suffix}")),
            member: None,
            interface: None,
            source: Source::Interface,
            own_name: suffix == "azureiotcentral.com",
            addresses: [].into(),
            since: at(0),
        });
        placement.addresses.insert(ip(address));
    }
    Arc::new(share)
}

pub(super) fn shares(list: impl IntoIterator<Item = Arc<Share>>) -> Shares {
    list.into_iter().map(|share| (share.application.clone(), share)).collect()
}

fn one() -> Shares {
    let rows = [(1, "app.azureiotcentral.com", "10.0.0.4"), (1, "hub.azure-devices.net", "10.0.0.5")];
    shares([share(1, &[APPS, HUBS], &rows)])
}

/// Origin, form, and records as `owner=address`.
fn table(shares: &Shares, publication: &Publication) -> Vec<(String, Form, String)> {
    zones(shares, publication)
        .into_iter()
        .map(|(origin, zone)| {
            let records: Vec<String> = zone
                .addresses
                .iter()
                .flat_map(|(owner, addresses)| addresses.iter().map(move |a| format!("{owner}={a}")))
                .collect();
            (origin.to_string(), zone.form, records.join(" "))
        })
        .collect()
}

fn row(origin: &str, form: Form, records: &str) -> (String, Form, String) {
    (origin.to_owned(), form, records.to_owned())
}

fn first(shares: Shares, publication: &Publication) -> Generation {
    succeed(None, shares, publication, "start", at(0)).expect("a generation").0
}

#[test]
fn each_form_and_each_switch() {
    let apps = row(APPS, Form::Privatelink, "app.privatelink.azureiotcentral.com=10.0.0.4");
    let hubs = row(HUBS, Form::Privatelink, "hub.privatelink.azure-devices.net=10.0.0.5");
    let app = row("app.azureiotcentral.com", Form::PerName, "app.azureiotcentral.com=10.0.0.4");
    let hub = row("hub.azure-devices.net", Form::PerName, "hub.azure-devices.net=10.0.0.5");
    for (privatelink_zones, per_name_zones, application_name, expected) in [
        (true, false, false, vec![&hubs, &apps]),
        (true, false, true, vec![&hubs, &apps]),
        (false, true, false, vec![&hub]),
        (false, true, true, vec![&app, &hub]),
        (true, true, false, vec![&hub, &hubs, &apps]),
        (true, true, true, vec![&app, &hub, &hubs, &apps]),
        (false, false, true, vec![]),
    ] {
        let publication =
            Publication { privatelink_zones, per_name_zones, application_name, ..publication() };
        let expected: Vec<_> = expected.into_iter().cloned().collect();
        assert_eq!(table(&one(), &publication), expected, "{publication:?}");
    }
}

#[test]
fn a_required_zone_without_names_is_served_empty() {
    let shares = shares([share(1, &[HUBS], &[])]);
    assert_eq!(table(&shares, &publication()), [row(HUBS, Form::Privatelink, "")]);
}

#[test]
fn endpoints_and_applications_add_up_in_a_zone() {
    let shares = shares([
        share(1, &[HUBS], &[(1, "a.azure-devices.net", "10.0.0.5"), (2, "a.azure-devices.net", "10.1.0.5")]),
        share(2, &[HUBS], &[(3, "b.azure-devices.net", "10.2.0.5"), (3, "a.azure-devices.net", "10.0.0.5")]),
        share(3, &[HUBS], &[]),
    ]);
    let records = "a.privatelink.azure-devices.net=10.0.0.5 a.privatelink.azure-devices.net=10.1.0.5 \
                   b.privatelink.azure-devices.net=10.2.0.5";
    assert_eq!(table(&shares, &publication()), [row(HUBS, Form::Privatelink, records)]);
    assert_eq!(zones(&shares, &publication())[&name(HUBS)].applications, (1..4).map(app_id).collect());
}

#[test]
fn the_first_generation_lists_everything_and_takes_the_time_as_serial() {
    let (generation, difference) =
        succeed(None, one(), &publication(), "start", at(7)).expect("a generation");
    assert_eq!((generation.number, generation.created, generation.cause.as_str()), (1, at(7), "start"));
    assert_eq!(generation.serial(&name(HUBS)), Some(at(7).as_second() as u32));
    assert_eq!(generation.serial(&name("hub.azure-devices.net")), None);
    assert_eq!(generation.names(), 2);
    assert_eq!((difference.number, difference.zones.len()), (1, 2));
    assert!(difference.zones.iter().all(|z| z.from.is_none() && z.to.is_some() && z.added.len() == 1));
}

#[test]
fn nothing_new_makes_no_generation() {
    let current = first(one(), &publication());
    assert_eq!(succeed(Some(&current), one(), &publication(), "poll", at(60)), None);
}

#[test]
fn another_origin_of_the_same_records_is_a_generation_without_a_zone_change() {
    let current = first(one(), &publication());
    let mut shares = one();
    let share = Arc::make_mut(shares.get_mut(&app_id(1)).expect("a share"));
    for endpoint in share.endpoints.values_mut() {
        endpoint.names.values_mut().for_each(|p| p.source = Source::CustomDns);
    }
    let (next, difference) =
        succeed(Some(&current), shares, &publication(), "poll", at(60)).expect("a generation");
    assert_eq!((next.number, difference.zones), (2, [].into()));
    assert_eq!(next.serials, current.serials);
    assert_eq!(next.zones, current.zones);
}

#[test]
fn only_the_zone_that_changed_gets_a_new_serial() {
    let current = first(one(), &publication());
    let rows = [(1, "app.azureiotcentral.com", "10.0.0.4"), (1, "hub.azure-devices.net", "10.0.0.9")];
    let shares = shares([share(1, &[APPS, HUBS], &rows)]);
    let (next, difference) = succeed(Some(&current), shares, &publication(), "poll", at(60)).expect("one");
    assert_eq!(next.serials[&name(APPS)], current.serials[&name(APPS)]);
    assert_eq!(next.serials[&name(HUBS)].changed, at(60));
    let owner = name("hub.privatelink.azure-devices.net");
    let expected = ZoneDifference {
        origin: name(HUBS),
        from: current.serial(&name(HUBS)),
        to: Some(at(60).as_second() as u32),
        added: vec![(owner.clone(), ip("10.0.0.9"))],
        removed: vec![(owner, ip("10.0.0.5"))],
        joined: Vec::new(),
        left: Vec::new(),
        apex: false,
        views: false,
    };
    assert_eq!(*difference.zones, [expected]);
}

#[test]
fn what_stands_at_the_apex_changes_every_zone() {
    let base = Publication { per_name_zones: true, ..publication() };
    let current = first(one(), &base);
    let changes: [fn(&mut Publication); 4] = [
        |p| p.ttl = 60,
        |p| p.negative_ttl = 5,
        |p| p.name_servers.push(name("ns2.example")),
        |p| p.hostmaster = name("other.example"),
    ];
    for change in changes {
        let mut publication = base.clone();
        change(&mut publication);
        let (next, difference) =
            succeed(Some(&current), one(), &publication, "reload", at(60)).expect("a generation");
        assert_eq!(difference.zones.len(), 3);
        for zone in difference.zones.iter() {
            assert!(zone.apex && zone.added.is_empty() && zone.removed.is_empty());
            assert_eq!(zone.from, current.serial(&zone.origin));
            assert_eq!(zone.to, next.serial(&zone.origin));
            assert_ne!(zone.from, zone.to);
        }
    }
}

#[test]
fn another_form_beside_leaves_the_zones_as_they_are() {
    let current = first(one(), &publication());
    let both = Publication { per_name_zones: true, ..publication() };
    let (next, difference) = succeed(Some(&current), one(), &both, "reload", at(60)).expect("a generation");
    assert_eq!(difference.zones.len(), 1);
    assert_eq!(difference.zones[0].origin, name("hub.azure-devices.net"));
    assert_eq!(next.serial(&name(HUBS)), current.serial(&name(HUBS)));
}

#[test]
fn a_zone_that_comes_back_goes_on_from_its_last_serial() {
    let published = first(one(), &publication());
    let last = published.serial(&name(HUBS)).expect("published");
    let (without, difference) =
        succeed(Some(&published), Shares::new(), &publication(), "gone", at(60)).expect("one");
    assert_eq!(without.serial(&name(HUBS)), None);
    assert_eq!(without.serials[&name(HUBS)].serial, last);
    let retired = difference.zones.iter().find(|z| z.origin == name(HUBS)).expect("listed");
    assert_eq!((retired.from, retired.to, retired.removed.len()), (Some(last), None, 1));
    // The clock went back meanwhile.
    let (back, difference) = succeed(Some(&without), one(), &publication(), "back", at(-999)).expect("one");
    assert_eq!(back.serial(&name(HUBS)), Some(last.wrapping_add(1)));
    assert!(difference.zones.iter().all(|z| z.from.is_none() && z.to == Some(last.wrapping_add(1))));
}

#[test]
fn serials_of_retired_zones_are_kept_for_so_many_and_the_oldest_go_first() {
    const KEPT: u16 = 4096;
    let publication = Publication { privatelink_zones: false, per_name_zones: true, ..publication() };
    let publish = |range: std::ops::Range<u16>, current: Option<&Generation>, now: Timestamp| {
        let publics: Vec<String> = range.map(|n| format!("n{n}.azure-devices.net")).collect();
        let rows: Vec<_> = publics.iter().map(|p| (1, p.as_str(), "10.0.0.5")).collect();
        succeed(current, shares([share(1, &[], &rows)]), &publication, "", now).expect("a generation").0
    };
    let old = publish(0..3, None, at(0));
    let many = publish(3..KEPT + 2, Some(&old), at(60));
    assert_eq!(many.serials.len(), usize::from(KEPT) + 2);
    let all_retired = publish(0..0, Some(&many), at(120));
    assert_eq!(all_retired.serials.len(), usize::from(KEPT));
    assert!(!all_retired.serials.contains_key(&name("n0.azure-devices.net")));
    assert!(!all_retired.serials.contains_key(&name("n1.azure-devices.net")));
    assert!(all_retired.serials.contains_key(&name("n2.azure-devices.net")));
    // Published zones are never forgotten, however many and however old.
    let again = publish(0..KEPT + 9, Some(&all_retired), at(180));
    assert_eq!(again.serials.len(), usize::from(KEPT) + 9);
}
