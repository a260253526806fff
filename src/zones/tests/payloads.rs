//! What the payloads that Azure is known to send become.

use super::build::*;
use crate::zones::*;

use FindingKind as Kind;

#[test]
fn the_recording_of_one_hub_becomes_four_records_and_nothing_to_say() {
    let derived = of_one(&ONE_HUB, facts(&ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(derived.share.zones, names(&ZONES));
    assert_eq!(kinds(&derived), []);
    assert_eq!(
        *evidence(&derived),
        EndpointEvidence::Settled { shown: ONE_HUB.iter().map(|r| name(r.1)).collect(), only_zones: None }
    );
}

#[test]
fn the_recording_of_two_hubs_becomes_six_records_in_any_order_of_the_lists() {
    let derived = of_one(&TWO_HUBS, facts(&TWO_HUBS));
    assert_eq!(records(&derived.share), expected(&TWO_HUBS));
    assert_eq!(kinds(&derived), []);

    let mut reversed = TWO_HUBS;
    reversed.reverse();
    assert_eq!(of_one(&reversed, facts(&TWO_HUBS)), derived);
    assert_eq!(of_one(&TWO_HUBS, facts(&reversed)), derived);
}

#[test]
fn each_record_says_where_it_came_from() {
    let derived = of_one(&ONE_HUB, facts(&ONE_HUB));
    let of = |row: Row| derived.share.placement(&endpoint_id(1), &name(row.1)).expect("placed").clone();
    assert_eq!(of(HUB).source, Source::Interface);
    assert_eq!(of(HUB).member.as_deref(), Some(HUB.0));
    assert!(of(HUB).interface.is_some());
    assert_eq!(of(HUB).since, at(0));
    assert!(!of(HUB).own_name);
    assert!(of(OWN).own_name);
    assert_eq!(derived.share.endpoints[&endpoint_id(1)].subnet, Some(subnet("cli-vnet-000003")));
}

#[test]
fn public_access_is_mentioned_only_when_azure_says_enabled() {
    for (told, expected) in
        [(Some(true), vec![Kind::PublicAccessEnabled]), (Some(false), vec![]), (None, vec![])]
    {
        let application =
            Application { public_access: told, ..application(&ONE_HUB, vec![endpoint(1, facts(&ONE_HUB))]) };
        assert_eq!(kinds(&derived(application)), expected);
    }
}

#[test]
fn an_updating_endpoint_publishes_what_its_interface_has_and_proves_nothing() {
    let derived = of_one(&ONE_HUB, updating(&ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::EndpointUpdating]);
    assert!(matches!(evidence(&derived), EndpointEvidence::Unsettled(_)));
}

#[test]
fn an_updating_endpoint_without_any_address_publishes_nothing_and_proves_nothing() {
    // Right after creation: connection approved, interface id there, no names anywhere.
    for interfaces in [interface(&[]), refused()] {
        let blind = matches!(interfaces, InterfaceRead::Refused(_));
        let derived = of_one(&ONE_HUB, EndpointFacts { interfaces, ..updating(&[]) });
        assert_eq!(records(&derived.share), []);
        assert_eq!(subjects(&derived, Kind::MemberWithoutAddress).len(), 4);
        assert_eq!(subjects(&derived, Kind::InterfaceReadRefused).len(), usize::from(blind));
        // Normal for minutes, so no error yet.
        assert_eq!(subjects(&derived, Kind::NoAddressSource).len(), 0);
        assert!(matches!(evidence(&derived), EndpointEvidence::Unsettled(_)));
    }
}

#[test]
fn a_failed_endpoint_is_called_failed_and_proves_nothing() {
    let derived =
        of_one(&ONE_HUB, EndpointFacts { provisioning_state: "failed".to_owned(), ..updating(&ONE_HUB) });
    assert_eq!(kinds(&derived), [Kind::EndpointFailed]);
    assert!(matches!(evidence(&derived), EndpointEvidence::Unsettled(_)));
}

#[test]
fn a_member_whose_address_is_not_there_yet_is_named_and_the_others_are_published() {
    let derived = of_one(&ONE_HUB, facts(&[OWN, DPS]));
    assert_eq!(records(&derived.share), expected(&[OWN, DPS]));
    assert_eq!(subjects(&derived, Kind::MemberWithoutAddress), [HUB.0, EVENTS.0]);
    assert_eq!(kinds(&derived).len(), 2);
}

#[test]
fn an_address_whose_member_is_not_required_any_more_stays_published_and_is_named() {
    let derived = of_one(&[OWN, EVENTS, DPS], facts(&ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::MemberLeaving]);
    assert_eq!(subjects(&derived, Kind::MemberLeaving), [HUB.1]);
}

#[test]
fn casing_makes_no_difference_anywhere() {
    let plain = of_one(&ONE_HUB, facts(&ONE_HUB));

    let upper = |text: &str| text.to_ascii_uppercase();
    let mut facts = facts(&ONE_HUB);
    facts.provisioning_state = "succeeded".to_owned();
    facts.link_service =
        Some(id(&APP.replace("iotApps", "IoTApps").replace("resourceGroups", "resourcegroups")));
    facts.subnet = facts.subnet.map(|s| id(&s.as_str().replace("cli-vnet", "CLI-VNET")));
    for told in &mut facts.custom_dns {
        told.fqdn = upper(&told.fqdn);
    }
    let InterfaceRead::Read(list) = &mut facts.interfaces else { unreachable!() };
    for member in list {
        member.fqdns.iter_mut().for_each(|f| *f = upper(f) + ".");
        member.member = member.member.as_deref().map(upper);
    }
    let mut application = application(&ONE_HUB, vec![endpoint(1, facts)]);
    // The documentation sample: another spelling of the group and another order.
    let resource = &mut application.link_resources[0];
    resource.group_id = "ioTApp".to_owned();
    resource.required_members.reverse();
    resource.required_members.iter_mut().for_each(|m| *m = upper(m));
    resource.required_zone_names.iter_mut().for_each(|z| *z = upper(z));
    application.subdomain = application.subdomain.map(|s| upper(&s));
    assert_eq!(derived(application), plain);
}

#[test]
fn several_items_of_private_link_resources_count_together() {
    let mut application = application(&ONE_HUB, vec![endpoint(1, facts(&ONE_HUB))]);
    let whole = derived(application.clone());
    let mut second = application.link_resources[0].clone();
    second.required_members = application.link_resources[0].required_members.split_off(2);
    second.required_zone_names = application.link_resources[0].required_zone_names.split_off(1);
    application.link_resources.push(second);
    assert_eq!(derived(application), whole);
}

#[test]
fn without_required_zones_nothing_is_placed_and_nothing_is_proven_gone() {
    let mut application = application(&ONE_HUB, vec![endpoint(1, facts(&ONE_HUB))]);
    application.link_resources[0].required_zone_names.clear();
    let derived = derived(application);
    assert_eq!(records(&derived.share), []);
    assert_eq!(subjects(&derived, Kind::NoRequiredZones), [APP]);
    assert_eq!(subjects(&derived, Kind::FqdnOutsideZones).len(), 4);
    let EndpointEvidence::Settled { shown, .. } = evidence(&derived) else { panic!("settled") };
    assert_eq!(*shown, ONE_HUB.iter().map(|r| name(r.1)).collect());
}

#[test]
fn an_application_that_is_gone_or_not_selected_is_told_as_such() {
    for (outcome, evidence, kind) in [
        (
            ApplicationOutcome::NotFound("ARM's words".to_owned()),
            ApplicationEvidence::NotFound,
            Kind::ApplicationNotFound,
        ),
        (ApplicationOutcome::NotSelected, ApplicationEvidence::NotSelected, Kind::ApplicationNotSelected),
    ] {
        let derived = derive(&Observation { application: id(APP), at: at(0), outcome });
        assert_eq!(derived.share, Share::empty(id(APP)));
        assert_eq!(derived.evidence, Evidence::of(evidence));
        assert_eq!(kinds(&derived), [kind]);
    }
}

#[test]
fn endpoints_of_one_network_are_fine_and_of_two_are_a_finding() {
    let second: Vec<Row> = vec![(HUB.0, HUB.1, "10.1.0.5")];
    for (network, expected) in [
        ("cli-vnet-000003", vec![Kind::MemberWithoutAddress; 3]),
        ("CLI-vnet-000003", vec![Kind::MemberWithoutAddress; 3]),
        ("other", [vec![Kind::EndpointsInSeveralNetworks], vec![Kind::MemberWithoutAddress; 3]].concat()),
    ] {
        let other = EndpointFacts { subnet: Some(subnet(network)), ..facts(&second) };
        let derived = derived(application(&ONE_HUB, vec![endpoint(1, facts(&ONE_HUB)), endpoint(2, other)]));
        assert_eq!(kinds(&derived), expected, "{network}");
        // Each endpoint keeps its own address of the name.
        let address = |n| &derived.share.placement(&endpoint_id(n), &name(HUB.1)).expect("placed").addresses;
        assert_eq!(*address(1), [ip("10.0.0.5")].into());
        assert_eq!(*address(2), [ip("10.1.0.5")].into());
    }
}

#[test]
fn without_required_members_everything_is_published_and_nothing_is_proven_gone() {
    // An application requires at least its own name, so an empty list is Azure's mistake.
    let derived = of_one(&[], facts(&ONE_HUB));
    assert_eq!(records(&derived.share), expected(&ONE_HUB));
    assert_eq!(kinds(&derived), [Kind::MemberLeaving; 4]);
    assert!(
        matches!(evidence(&derived), EndpointEvidence::Unsettled(why) if why.contains("no required member"))
    );
}

#[test]
fn custom_dns_alone_shows_a_leaving_member_too() {
    let facts = EndpointFacts { interfaces: refused(), ..facts(&ONE_HUB) };
    let derived = of_one(&[OWN, EVENTS, DPS], facts);
    assert_eq!(subjects(&derived, Kind::MemberLeaving), [HUB.1]);
}
