//! Each way in which a name is there or not.

use std::collections::VecDeque;

use super::*;
use crate::targets::tests::{Row, id, publication, shares};
use crate::zones::{FindingKind, Publication, generation};

const HUB: Row<'static> = ("iotc-1.azure-devices.net", &[[10, 1, 0, 5]], false);
const MOVED: Row<'static> = ("iotc-1.azure-devices.net", &[[10, 1, 0, 9]], false);
const EVENTS: Row<'static> = ("iotc-1.servicebus.windows.net", &[[10, 1, 0, 6]], false);
const OWN: Row<'static> = ("contoso.azureiotcentral.com", &[[10, 1, 0, 4]], true);

/// Generations of these rows, one after the other, with their history.
fn told(steps: &[&[Row<'_>]], publication: &Publication) -> (Generation, VecDeque<Difference>) {
    let (mut current, mut history) = (None::<Generation>, VecDeque::new());
    for rows in steps {
        let at = Timestamp::from_second(1_755_216_000 + history.len() as i64).expect("a time");
        let next = generation::succeed(current.as_ref(), shares(rows), publication, "a test", at);
        let (next, difference) = next.expect("a change");
        history.push_back(difference);
        current = Some(next);
    }
    (current.expect("a generation"), history)
}

fn known<'a>(
    generation: &'a Generation,
    history: &'a VecDeque<Difference>,
    findings: &'a [Finding],
) -> Known<'a> {
    Known {
        generation: Some(generation),
        history,
        holds: &[],
        findings,
        secondaries: &[],
        targets: &[],
        live: true,
    }
}

fn explained(known: &Known<'_>, asked: &str) -> Explanation {
    known.explain(&known.subject(asked).expect("a subject"), Vec::new())
}

fn codes(explanation: &Explanation) -> Vec<&str> {
    explanation.absent.iter().map(|absent| absent.code.as_str()).collect()
}

#[test]
fn a_name_is_known_by_each_of_its_names() {
    let all = Publication { per_name_zones: true, rpz: "rpz.test".parse().ok(), ..publication() };
    let (generation, history) = told(&[&[OWN, HUB], &[OWN, MOVED]], &all);
    let known = known(&generation, &history, &[]);
    for asked in ["iotc-1.azure-devices.net", "IOTC-1.Privatelink.Azure-Devices.net.", "iotc-1"] {
        let told = explained(&known, asked);
        assert_eq!(told.name.as_ref().map(DnsName::as_str), Some("iotc-1.azure-devices.net"), "{asked}");
        assert!(told.published && told.absent.is_empty());
        let zones: Vec<_> = told.zones.iter().map(|zone| (zone.form, zone.owner.as_str())).collect();
        let expected = [
            (Form::PerName, "iotc-1.azure-devices.net"),
            (Form::Privatelink, "iotc-1.privatelink.azure-devices.net"),
            (Form::Rpz, "iotc-1.azure-devices.net.rpz.test"),
        ];
        assert_eq!(zones, expected);
        let changes: Vec<_> = told.changes.iter().map(|c| (c.generation, c.old.len(), c.new.len())).collect();
        assert_eq!(changes, [(2, 1, 1), (1, 0, 1)], "each generation once, whatever zones it changed");
        let [record] = &told.records[..] else { panic!("{:?}", told.records) };
        assert!(record.counts && record.policy == "all");
    }
}

#[test]
fn a_label_of_several_names_is_no_question() {
    let (generation, history) = told(&[&[HUB, EVENTS]], &publication());
    let known = known(&generation, &history, &[]);
    let error = known.subject("iotc-1").expect_err("two names").to_string();
    assert!(error.contains(HUB.0) && error.contains(EVENTS.0), "{error}");
    assert!(matches!(known.subject("a b"), Err(ExplainError::NoName { .. })));
    let gone = known.subject("iotc-2").expect("a question");
    assert_eq!(gone.public, None);
    assert_eq!(codes(&known.explain(&gone, Vec::new())), ["never-seen"]);
}

#[test]
fn absence_has_a_reason() {
    let (generation, history) = told(&[&[HUB, EVENTS], &[EVENTS]], &publication());
    let application = generation.shares.keys().next().expect("an application");
    let finding = |kind, subject: &str| Finding::of(application, kind, subject, "a message");
    let pe = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe-new";
    let findings = [
        finding(FindingKind::MemberWithoutAddress, "iotc-new"),
        finding(FindingKind::WildcardFqdn, "*.eu.servicebus.windows.net"),
        finding(FindingKind::FqdnOutsideZones, "odd.example.com"),
        finding(FindingKind::EndpointPending, pe),
    ];
    let known = known(&generation, &history, &findings);
    for (asked, code) in [
        ("iotc-1.azure-devices.net", "removed"),
        ("iotc-1.privatelink.azure-devices.net", "removed"),
        ("iotc-new.azure-devices.net", "member-without-address"),
        ("iotc-new", "member-without-address"),
        ("*.eu.servicebus.windows.net", "wildcard-fqdn"),
        ("*.azure-devices.net", "wildcard"),
        ("odd.example.com", "fqdn-outside-zones"),
        ("www.example.com", "outside-zones"),
        ("privatelink.servicebus.windows.net", "zone"),
        ("partner.servicebus.windows.net", "never-seen"),
    ] {
        let told = explained(&known, asked);
        assert_eq!(codes(&told), [code], "{asked}");
        assert!(!told.published);
        let pending = told.findings.iter().any(|finding| finding.kind == FindingKind::EndpointPending);
        assert!(pending, "{asked}: what may keep names away is told");
    }
    let removed = explained(&known, "iotc-1.azure-devices.net");
    assert!(removed.absent[0].text.contains("in generation 2 at "), "{:?}", removed.absent);
    assert!(removed.absent[0].text.contains("a test"));
    let there = explained(&known, "iotc-1.servicebus.windows.net");
    assert!(there.published && there.findings.is_empty(), "pending endpoints do not concern it");
}

#[test]
fn nothing_accepted_and_nothing_published_are_told_apart() {
    let nothing = Known {
        generation: None,
        history: &VecDeque::new(),
        holds: &[],
        findings: &[],
        secondaries: &[],
        targets: &[],
        live: true,
    };
    assert_eq!(codes(&explained(&nothing, "iotc-1.azure-devices.net")), ["not-loaded"]);
    let names_only = Publication { privatelink_zones: false, per_name_zones: true, ..publication() };
    let (generation, history) = told(&[&[OWN, HUB]], &names_only);
    let known = known(&generation, &history, &[]);
    let own = explained(&known, OWN.0);
    assert_eq!((codes(&own), own.records.len()), (vec!["not-published"], 1));
    assert!(explained(&known, HUB.0).published);
}

#[test]
fn an_endpoint_behind_another_does_not_count() {
    let first = id("/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe");
    let second = id("/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/privateEndpoints/pe-2");
    let mut shares = shares(&[HUB]);
    let application = shares.keys().next().expect("an application").clone();
    let share = std::sync::Arc::make_mut(shares.get_mut(&application).expect("a share"));
    let mut other = share.endpoints[&first].clone();
    for placement in other.names.values_mut() {
        placement.addresses = [[10, 2, 0, 5].into()].into();
    }
    share.endpoints.insert(second.clone(), other);
    let prefer = EndpointPolicy::Prefer(vec![second.clone()]);
    let publication = Publication { endpoints: [(application, prefer)].into(), ..publication() };
    let (generation, difference) =
        generation::succeed(None, shares, &publication, "a test", Timestamp::UNIX_EPOCH).expect("one");
    let history = VecDeque::from([difference]);
    let told = explained(&known(&generation, &history, &[]), "iotc-1");
    let counts: Vec<_> = told.records.iter().map(|p| (&p.record.endpoint, p.counts)).collect();
    assert_eq!(counts, [(&first, false), (&second, true)]);
    assert!(told.records.iter().all(|record| record.policy == "prefer"));
}

#[test]
fn a_target_has_the_last_change_or_lacks_it() {
    let (generation, history) = told(&[&[HUB], &[HUB, EVENTS]], &publication());
    let ledger = |target: &str, owner: &str| LedgerEntry {
        target: target.to_owned(),
        server: "any".to_owned(),
        zone: "privatelink.azure-devices.net".parse().expect("a name"),
        owner: owner.parse().expect("a name"),
        address: [10, 1, 0, 5].into(),
        origin: "written".to_owned(),
        state: "held".to_owned(),
        generation: 1,
        at: Timestamp::UNIX_EPOCH,
    };
    let known = known(&generation, &history, &[]);
    let subject = known.subject("iotc-1.azure-devices.net").expect("a subject");
    let told = known.explain(&subject, vec![ledger("ns1", "iotc-1.privatelink.azure-devices.net")]);
    let [target] = &told.targets[..] else { panic!("{:?}", told.targets) };
    assert_eq!((target.name.as_str(), target.current, target.ledger.len()), ("ns1", None, 1));
}
