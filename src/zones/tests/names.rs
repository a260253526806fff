//! Which names and addresses are taken, and into which zone they go.

use super::build::*;
use crate::zones::*;

use FindingKind as Kind;

/// What one name at one address becomes with these required zones: owner names, and findings
/// other than those about members.
fn placed(fqdn: &str, address: &str, zones: &[&str]) -> (Vec<String>, Vec<Kind>) {
    let mut facts = facts(&[]);
    facts.interfaces = InterfaceRead::Read(vec![member(None, &[fqdn], address)]);
    let mut application = application(&[], vec![endpoint(1, facts)]);
    application.link_resources[0].required_zone_names = zones.iter().map(|&z| z.to_owned()).collect();
    let derived = derived(application);
    let owners = records(&derived.share).into_iter().map(|r| r.1).collect();
    let members = [Kind::MemberLeaving, Kind::MemberWithoutAddress];
    (owners, kinds(&derived).into_iter().filter(|k| !members.contains(k)).collect())
}

#[test]
fn the_longest_suffix_takes_the_name() {
    let zones =
        ["privatelink.azure.com", "privatelink.digitaltwins.azure.com", "privatelink.twins.azure.com"];
    for (fqdn, owner) in [
        ("x.azure.com", "x.privatelink.azure.com"),
        ("x.digitaltwins.azure.com", "x.privatelink.digitaltwins.azure.com"),
        ("x.weu.digitaltwins.azure.com", "x.weu.privatelink.digitaltwins.azure.com"),
        // A suffix ends at a dot.
        ("x.mydigitaltwins.azure.com", "x.mydigitaltwins.privatelink.azure.com"),
        ("digitaltwins.azure.com", "digitaltwins.privatelink.azure.com"),
        // Some services give the privatelink name itself.
        ("x.privatelink.azure.com", "x.privatelink.azure.com"),
        ("x.weu.privatelink.digitaltwins.azure.com", "x.weu.privatelink.digitaltwins.azure.com"),
    ] {
        for zones in [zones, [zones[2], zones[1], zones[0]]] {
            assert_eq!(placed(fqdn, "10.0.0.5", &zones), (vec![owner.to_owned()], vec![]), "{fqdn}");
        }
    }
}

#[test]
fn a_name_of_no_required_zone_is_reported_and_not_guessed() {
    for fqdn in
        ["x.example.com", "x.notazure-devices.net", "azure-devices.net", "net", "x.azure-devices.net.example"]
    {
        let (owners, kinds) = placed(fqdn, "10.0.0.5", &ZONES);
        assert_eq!((owners, kinds), (vec![], vec![Kind::FqdnOutsideZones]), "{fqdn}");
    }
}

#[test]
fn a_privatelink_name_becomes_the_public_one() {
    let mut facts = facts(&[]);
    facts.interfaces = InterfaceRead::Read(vec![member(
        Some(HUB.0),
        &[&HUB.1.replace(".azure", ".privatelink.azure")],
        HUB.2,
    )]);
    assert_eq!(records(&of_one(&[HUB], facts).share), expected(&[HUB]));
}

#[test]
fn texts_that_are_no_host_names_are_reported_and_not_published() {
    let long = format!("{}.azure-devices.net", "a".repeat(64));
    let longer = format!("{}.azure-devices.net", vec!["a".repeat(60); 4].join("."));
    for fqdn in
        ["", ".", "a b.azure-devices.net", "x..azure-devices.net", "é.azure-devices.net", &long, &longer]
    {
        assert_eq!(placed(fqdn, "10.0.0.5", &ZONES), (vec![], vec![Kind::InvalidFqdn]), "{fqdn:?}");
    }
    // A host name, but with `privatelink` in it one letter too long.
    let full =
        format!("{}.azure-devices.net", [&["a".repeat(57)][..], &vec!["a".repeat(58); 3]].concat().join("."));
    assert_eq!(full.len(), 252);
    assert_eq!(placed(&full, "10.0.0.5", &ZONES), (vec![], vec![Kind::FqdnOutsideZones]));
}

#[test]
fn a_wildcard_would_take_the_names_of_others() {
    assert_eq!(placed("*.azure-devices.net", "10.0.0.5", &ZONES), (vec![], vec![Kind::WildcardFqdn]));
    assert_eq!(placed("*.eus.azure-devices.net", "10.0.0.5", &ZONES), (vec![], vec![Kind::WildcardFqdn]));
    assert_eq!(placed("a.*.azure-devices.net", "10.0.0.5", &ZONES), (vec![], vec![Kind::InvalidFqdn]));
}

#[test]
fn only_addresses_that_a_host_can_have_are_published() {
    for address in [
        "fd00::5",
        "::ffff:10.0.0.5",
        "",
        "10.0.0",
        "10.0.0.5/32",
        " 10.0.0.5",
        "010.0.0.5",
        "10.0.0.256",
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let outcome = placed(HUB.1, address, &ZONES);
        assert_eq!(outcome, (vec![], vec![Kind::InvalidAddress]), "{address:?}");
    }
}

#[test]
fn a_bad_address_beside_a_good_one_takes_nothing_away() {
    let mut facts = facts(&[HUB]);
    facts.interfaces = refused();
    facts.custom_dns = vec![told(HUB.1, &["fd00::5", HUB.2])];
    let derived = of_one(&[HUB], facts);
    assert_eq!(records(&derived.share), expected(&[HUB]));
    assert_eq!(kinds(&derived), [Kind::InvalidAddress, Kind::InterfaceReadRefused]);
}

#[test]
fn several_names_on_one_address_and_several_addresses_of_one_name() {
    let mut facts = facts(&[]);
    facts.interfaces = InterfaceRead::Read(vec![
        member(Some("ws"), &["ws.api.azure-devices.net", "ws.cert.api.azure-devices.net"], "10.0.0.5"),
        member(Some("ws"), &["ws.api.azure-devices.net"], "10.0.0.6"),
    ]);
    let derived = of_one(&[("ws", "", "")], facts);
    let list = records(&derived.share);
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].1, "ws.api.privatelink.azure-devices.net");
    assert_eq!(list[0].2, [ip("10.0.0.5"), ip("10.0.0.6")]);
    assert_eq!(list[1].1, "ws.cert.api.privatelink.azure-devices.net");
    assert_eq!(list[1].2, [ip("10.0.0.5")]);
    assert_eq!(kinds(&derived), []);
}

#[test]
fn zones_of_another_form_are_reported_and_the_rest_is_served() {
    let bad = [
        "azure-devices.net",
        "privatelink",
        "privatelink.net",
        "privatelink-global.wvd.microsoft.com",
        "a b",
        "",
    ];
    let mut application = application(&[HUB], vec![endpoint(1, facts(&[HUB]))]);
    let zones = &mut application.link_resources[0].required_zone_names;
    zones.extend(bad.map(str::to_owned));
    let derived = derived(application);
    assert_eq!(derived.share.zones, names(&ZONES));
    assert_eq!(records(&derived.share), expected(&[HUB]));
    assert_eq!(kinds(&derived), [Kind::InvalidZoneName; 6]);
}

#[test]
fn zones_come_from_the_payload_and_not_from_a_table() {
    let zones = ["privatelink.azureiotcentral-test.com", "privatelink.azure-devices.cn"];
    let owner = "x.privatelink.azure-devices.cn".to_owned();
    assert_eq!(placed("x.azure-devices.cn", "10.0.0.5", &zones), (vec![owner], vec![]));
    assert_eq!(placed(HUB.1, "10.0.0.5", &zones), (vec![], vec![Kind::FqdnOutsideZones]));
}

#[test]
fn the_own_name_is_known_by_subdomain_or_by_resource_name() {
    let own = |subdomain: Option<&str>, member_name: Option<&str>, fqdn: &str| {
        let mut facts = facts(&[]);
        facts.interfaces = InterfaceRead::Read(vec![member(member_name, &[fqdn], "10.0.0.4")]);
        let mut application = application(&[OWN], vec![endpoint(1, facts)]);
        application.subdomain = subdomain.map(str::to_owned);
        let derived = derived(application);
        let own = derived.share.placements().next().expect("placed").2.own_name;
        (own, subjects(&derived, Kind::MemberWithoutAddress).is_empty())
    };
    assert_eq!(own(Some("sub"), None, "SUB.azureiotcentral.com"), (true, true));
    assert_eq!(own(Some("sub"), Some(OWN.0), "sub.azureiotcentral.com"), (true, true));
    assert_eq!(own(Some("sub"), Some(OWN.0), "other.azureiotcentral.com"), (true, true));
    assert_eq!(own(None, None, OWN.1), (true, true));
    assert_eq!(own(None, Some(HUB.0), HUB.1), (false, false));
}

#[test]
fn the_own_name_is_required_under_either_of_its_members() {
    // Member and label may be the subdomain or the resource's name; `customDnsConfigs` tells neither.
    let seen = |rows: &[Row]| {
        let facts = EndpointFacts { interfaces: refused(), ..facts(rows) };
        let mut application = application(&[OWN, HUB], vec![endpoint(1, facts)]);
        application.subdomain = Some("Sub".to_owned());
        derived(application)
    };
    let before = seen(&[(OWN.0, "sub.azureiotcentral.com", OWN.2), HUB]);
    let public = name("sub.azureiotcentral.com");
    let placement = before.share.placement(&endpoint_id(1), &public).expect("placed");
    assert_eq!(kinds(&before), [Kind::InterfaceReadRefused]);
    assert_eq!(placement.member.as_deref(), Some(OWN.0));
    let after = seen(&[HUB]);
    assert_eq!(after.evidence.absence(&endpoint_id(1), &public, placement), Absence::MemberStillRequired);
}

#[test]
fn the_name_of_a_required_zone_is_no_host() {
    assert_eq!(placed(ZONES[1], "10.0.0.5", &ZONES), (vec![], vec![Kind::FqdnOutsideZones]));
}
