//! Which source is believed: interface, `customDnsConfigs`, zone group, in this order.

use super::build::*;
use crate::zones::*;

use FindingKind as Kind;

fn sources(derived: &Derived) -> Vec<Source> {
    let mut list: Vec<_> = derived.share.placements().map(|(_, _, p)| p.source).collect();
    list.dedup();
    list
}

fn with_group(interfaces: InterfaceRead, zone_group: ZoneGroupRead) -> Derived {
    of_one(&ONE_HUB, EndpointFacts { interfaces, custom_dns: Vec::new(), zone_group, ..facts(&ONE_HUB) })
}

#[test]
fn a_complete_zone_group_empties_custom_dns_and_the_interface_still_tells_all() {
    let derived = with_group(interface(&ONE_HUB), zone_group(&ZONES, &ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(sources(&derived), [Source::Interface]);
    assert_eq!(kinds(&derived), []);
}

#[test]
fn a_zone_group_in_other_casing_is_complete_too() {
    let upper = ZONES.map(str::to_ascii_uppercase);
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    assert_eq!(kinds(&with_group(interface(&ONE_HUB), zone_group(&upper, &[]))), []);
}

#[test]
fn a_partial_zone_group_is_reported_and_costs_nothing() {
    let derived = with_group(interface(&ONE_HUB), zone_group(&ZONES[..1], &ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::ZoneGroupPartial]);
    let message = &derived.findings[0].message;
    assert!(message.contains("1 of 4") && message.contains(ZONES[3]), "{message}");
}

#[test]
fn a_zone_group_of_foreign_zones_covers_nothing() {
    // Azure calls this group `Succeeded` and gives it no record sets.
    let derived = with_group(interface(&ONE_HUB), zone_group(&["www.clizone1.com"], &[]));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::ZoneGroupPartial]);
}

#[test]
fn no_zone_group_and_one_that_may_not_be_read() {
    assert_eq!(kinds(&with_group(interface(&ONE_HUB), ZoneGroupRead::Read(vec![]))), []);
    let refused = with_group(interface(&ONE_HUB), ZoneGroupRead::Refused("AuthorizationFailed".to_owned()));
    assert_eq!(kinds(&refused), [Kind::ZoneGroupReadRefused]);
    assert_eq!(records(&refused.share), expected(&ONE_HUB));
    assert!(matches!(evidence(&refused), EndpointEvidence::Settled { only_zones: None, .. }));
}

#[test]
fn with_the_interface_refused_custom_dns_tells_the_same() {
    let derived = of_one(&ONE_HUB, EndpointFacts { interfaces: refused(), ..facts(&ONE_HUB) });
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(sources(&derived), [Source::CustomDns]);
    assert_eq!(kinds(&derived), [Kind::InterfaceReadRefused]);
    assert!(derived.findings[0].message.contains("c0ffee"));
    let hub = derived.share.placement(&endpoint_id(1), &name(HUB.1)).expect("placed");
    assert_eq!((hub.member.as_deref(), &hub.interface), (Some(HUB.0), &None));
}

#[test]
fn an_interface_without_names_gives_way_to_custom_dns() {
    let empty_fqdns = InterfaceRead::Read(vec![member(Some(HUB.0), &[], HUB.2)]);
    for interfaces in [interface(&[]), empty_fqdns] {
        let derived = of_one(&ONE_HUB, EndpointFacts { interfaces, ..facts(&ONE_HUB) });
        assert_eq!(records(&derived.share), expected(&ONE_HUB));
        assert_eq!(sources(&derived), [Source::CustomDns]);
        assert_eq!(kinds(&derived), []);
    }
}

#[test]
fn with_the_interface_refused_a_complete_zone_group_tells_all() {
    let derived = with_group(refused(), zone_group(&ZONES, &ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(sources(&derived), [Source::ZoneGroup]);
    assert_eq!(kinds(&derived), [Kind::InterfaceReadRefused]);
    let EndpointEvidence::Settled { only_zones, .. } = evidence(&derived) else { panic!("settled") };
    assert_eq!(*only_zones, Some(names(&ZONES)));
}

#[test]
fn with_the_interface_refused_a_partial_zone_group_says_nothing_of_the_other_zones() {
    let derived = with_group(refused(), zone_group(&ZONES[..2], &ONE_HUB));
    assert_eq!(records(&derived.share), expected(&[OWN, HUB]));
    assert_eq!(
        kinds(&derived),
        [
            Kind::MemberWithoutAddress,
            Kind::MemberWithoutAddress,
            Kind::InterfaceReadRefused,
            Kind::ZoneGroupPartial
        ]
    );

    // Known before, its zone not covered, its member not required: still no proof.
    let known = of_one(&ONE_HUB, facts(&ONE_HUB)).share;
    let placement = known.placement(&endpoint_id(1), &name(DPS.1)).expect("known");
    let mut evidence = derived.evidence;
    evidence.required_members.clear();
    let absence = evidence.absence(&endpoint_id(1), &name(DPS.1), placement);
    assert!(matches!(absence, Absence::Unsettled(why) if why.contains(ZONES[3])));
}

#[test]
fn with_the_interface_refused_and_nothing_else_told_nothing_is_concluded() {
    for group in
        [ZoneGroupRead::Read(vec![]), zone_group(&["www.clizone1.com"], &[]), zone_group(&ZONES, &[])]
    {
        let derived = with_group(refused(), group);
        assert_eq!(records(&derived.share), []);
        assert_eq!(subjects(&derived, Kind::NoAddressSource).len(), 1);
        assert!(matches!(evidence(&derived), EndpointEvidence::Unsettled(_)));
    }
}

#[test]
fn when_sources_disagree_the_interface_is_published_and_the_name_reported() {
    let moved: Row = (HUB.0, HUB.1, "10.0.0.99");
    let custom = custom_dns(&[OWN, moved, EVENTS]);
    let derived = of_one(&ONE_HUB, EndpointFacts { custom_dns: custom, ..facts(&ONE_HUB) });
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::SourcesDisagree; 2]);
    assert_eq!(subjects(&derived, Kind::SourcesDisagree), [HUB.1, DPS.1]);
}

/// What is concluded of a known name of `row` that `after` does not publish, its member not required.
fn absence_of(row: Row, after: &Derived) -> Absence {
    let known = of_one(&ONE_HUB, facts(&ONE_HUB)).share;
    assert_eq!(after.share.placement(&endpoint_id(1), &name(row.1)), None);
    let placement = known.placement(&endpoint_id(1), &name(row.1)).expect("known");
    let mut evidence = after.evidence.clone();
    evidence.required_members.remove(row.0);
    evidence.absence(&endpoint_id(1), &name(row.1), placement)
}

#[test]
fn an_address_is_gone_only_when_no_source_of_the_endpoint_has_it() {
    let rest = [OWN, EVENTS, DPS];
    let only_in_custom_dns = of_one(&rest, EndpointFacts { interfaces: interface(&rest), ..facts(&ONE_HUB) });
    assert_eq!(absence_of(HUB, &only_in_custom_dns), Absence::AddressStillThere);
    assert_eq!(subjects(&only_in_custom_dns, Kind::SourcesDisagree), [HUB.1]);

    let only_in_group = with_group(interface(&rest), zone_group(&ZONES, &ONE_HUB));
    assert_eq!(absence_of(HUB, &only_in_group), Absence::AddressStillThere);

    let nowhere = with_group(interface(&rest), zone_group(&ZONES, &rest));
    assert_eq!(absence_of(HUB, &nowhere), Absence::MemberAndAddressGone);

    // A name that `customDnsConfigs` lists without any address is gone all the same.
    let mut custom = custom_dns(&rest);
    custom.push(told(HUB.1, &[]));
    let empty = of_one(&rest, EndpointFacts { custom_dns: custom, ..facts(&rest) });
    assert_eq!(absence_of(HUB, &empty), Absence::MemberAndAddressGone);
}

#[test]
fn a_privatelink_name_whose_zone_is_not_required_any_more_is_still_there() {
    let facts = EndpointFacts {
        interfaces: refused(),
        custom_dns: Vec::new(),
        zone_group: zone_group(&ZONES, &ONE_HUB),
        ..facts(&ONE_HUB)
    };
    let mut application = application(&ONE_HUB, vec![endpoint(1, facts)]);
    application.link_resources[0].required_zone_names.retain(|z| z != ZONES[1]);
    let derived = derived(application);
    assert_eq!(subjects(&derived, Kind::FqdnOutsideZones).len(), 1);
    assert_eq!(absence_of(HUB, &derived), Absence::AddressStillThere);
}

#[test]
fn a_name_whose_address_cannot_be_published_is_still_there() {
    let garbled: Row = (HUB.0, HUB.1, "fd00::5");
    assert_eq!(
        absence_of(HUB, &of_one(&ONE_HUB, facts(&[OWN, garbled, EVENTS, DPS]))),
        Absence::AddressStillThere
    );
}
