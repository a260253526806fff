//! Facts of each kind, and what they mean.

use std::collections::BTreeSet;

use super::facts::rcode::{NOERROR, NXDOMAIN, REFUSED, SERVFAIL};
use super::*;

const OURS: [u8; 4] = [10, 1, 0, 5];
const PUBLIC: [u8; 4] = [198, 18, 0, 1];
const ARRIVED: Option<Reach> = Some(Reach { asked: 5, arrived: 5 });
const LOST: Option<Reach> = Some(Reach { asked: 5, arrived: 1 });

fn truth(resolves: bool) -> Truth {
    let name = |text: &str| text.parse().expect("a name");
    let sample = Sample {
        public: name("hub.azure-devices.net"),
        private: name("hub.privatelink.azure-devices.net"),
        zone: name("privatelink.azure-devices.net"),
        addresses: BTreeSet::from([OURS.into()]),
    };
    Truth {
        zones: vec![sample.zone.clone()],
        names: vec![sample.public.clone()],
        samples: vec![sample],
        listeners: vec!["10.0.0.5:53".parse().expect("an address")],
        resolves,
        upstreams: Vec::new(),
        privatelink_zones: true,
        per_name_zones: false,
        primary: name("ns.example"),
    }
}

fn answer(rcode: u16, addresses: &[[u8; 4]]) -> Answer {
    let addresses = addresses.iter().map(|address| (*address).into()).collect();
    Answer { rcode, recursion_available: true, addresses, ttl: Some(30), ..Answer::default() }
}

fn reply(rcode: u16, addresses: &[[u8; 4]]) -> Reply {
    Reply::Answer(answer(rcode, addresses))
}

fn denied(rcode: u16, zone: &str, primary: &str) -> Reply {
    let soa = Authority { zone: zone.to_owned(), primary: primary.to_owned(), serial: 1 };
    Reply::Answer(Answer { soa: Some(soa), ..answer(rcode, &[]) })
}

/// A resolver that asks nobody of ours and gives what public DNS says.
fn facts(resolves: bool) -> Facts {
    let truth = truth(resolves);
    let nobody = denied(NXDOMAIN, "azure-devices.net", "ns.public");
    let name = NameFacts {
        sample: truth.samples[0].clone(),
        public: reply(NOERROR, &[PUBLIC]),
        again: reply(NOERROR, &[PUBLIC]),
        unchecked: None,
        private: reply(NOERROR, &[PUBLIC]),
        soa: nobody.clone(),
        nobody_in_zone: nobody.clone(),
        nobody_below_suffix: nobody,
        reach: LOST,
        zone_reach: LOST,
        suffix_reach: LOST,
    };
    Facts {
        resolver: "10.0.0.9:53".parse().expect("an address"),
        truth,
        names: vec![name],
        elsewhere: LOST,
        noise: 0,
    }
}

fn codes(facts: &Facts) -> Vec<&'static str> {
    diagnose(facts).iter().map(|diagnosis| diagnosis.code.text()).collect()
}

/// The codes after a change of those facts.
fn after(change: impl FnOnce(&mut NameFacts)) -> Vec<&'static str> {
    let mut facts = facts(true);
    change(&mut facts.names[0]);
    codes(&facts)
}

fn right(name: &mut NameFacts) {
    (name.public, name.again) = (reply(NOERROR, &[OURS]), reply(NOERROR, &[OURS]));
}

#[test]
fn each_working_shape_is_known() {
    let shape = |reach, zone_reach, suffix_reach| {
        after(|name| {
            right(name);
            (name.reach, name.zone_reach, name.suffix_reach) = (reach, zone_reach, suffix_reach);
        })
    };
    assert_eq!(shape(ARRIVED, ARRIVED, ARRIVED), ["ok-shape-public-suffixes"]);
    assert_eq!(shape(ARRIVED, ARRIVED, LOST), ["ok-shape-privatelink-zones"]);
    assert_eq!(shape(ARRIVED, LOST, LOST), ["ok-shape-per-name"]);
    assert_eq!(shape(LOST, LOST, LOST), ["ok-shape-rpz"]);
    assert_eq!(shape(None, None, None), ["ok-shape-unknown"]);
    let secondary = after(|name| {
        right(name);
        let soa = denied(NOERROR, "privatelink.azure-devices.net", "ns.example");
        let Reply::Answer(soa) = soa else { panic!("an answer") };
        name.soa = Reply::Answer(Answer { authoritative: true, ..soa });
    });
    assert_eq!(secondary, ["ok-shape-secondary"]);
    let mut all = facts(true);
    right(&mut all.names[0]);
    all.elsewhere = ARRIVED;
    assert_eq!(codes(&all), ["ok-shape-everything"]);
}

#[test]
fn what_is_wrong_with_a_public_name_is_told_by_its_way() {
    assert_eq!(after(|_| {}), ["no-rule"]);
    assert_eq!(after(|name| name.zone_reach = ARRIVED), ["privatelink-rule-ignored"]);
    assert_eq!(after(|name| name.private = reply(NOERROR, &[OURS])), ["privatelink-rule-ignored"]);
    assert_eq!(after(|name| name.reach = ARRIVED), ["wrong-address"]);
    assert_eq!(after(|name| name.suffix_reach = ARRIVED), ["wrong-address"]);
    // One right and one wrong address is no right answer.
    assert_eq!(
        after(|name| (name.public, name.reach) = (reply(NOERROR, &[OURS, PUBLIC]), ARRIVED)),
        ["wrong-address"]
    );
}

#[test]
fn denials_are_old_or_final() {
    let denial = |rcode| denied(rcode, "azure-devices.net", "ns.public");
    for rcode in [NXDOMAIN, NOERROR] {
        let deny = |name: &mut NameFacts| (name.public, name.again) = (denial(rcode), denial(rcode));
        assert_eq!(after(deny), ["no-rule"]);
        let reached = after(|name| {
            deny(name);
            name.suffix_reach = ARRIVED;
        });
        assert_eq!(reached, ["stale-negative-cache"]);
        let counting = after(|name| {
            deny(name);
            let Reply::Answer(again) = denial(rcode) else { panic!("an answer") };
            name.again = Reply::Answer(Answer { ttl: Some(29), ..again });
        });
        assert_eq!(counting, ["stale-negative-cache"]);
        let copy = after(|name| {
            let Reply::Answer(answer) = denial(rcode) else { panic!("an answer") };
            name.public = Reply::Answer(Answer { authoritative: true, ..answer });
        });
        assert_eq!(copy, ["zone-behind"]);
    }
    assert_eq!(after(|name| name.public = reply(NOERROR, &[])), ["address-filtered"]);
}

#[test]
fn refusals_and_failures_have_causes() {
    assert_eq!(after(|name| name.public = reply(REFUSED, &[])), ["refused"]);
    assert_eq!(after(|name| name.public = reply(SERVFAIL, &[])), ["servfail"]);
    let validation = after(|name| {
        (name.public, name.unchecked) = (reply(SERVFAIL, &[]), Some(reply(NOERROR, &[OURS])));
    });
    assert_eq!(validation, ["servfail-dnssec"]);
    let mut suffix = facts(false);
    let name = &mut suffix.names[0];
    (name.public, name.nobody_below_suffix) = (reply(SERVFAIL, &[]), reply(SERVFAIL, &[]));
    (name.reach, name.suffix_reach) = (ARRIVED, ARRIVED);
    assert_eq!(codes(&suffix), ["public-suffix-forwarded"]);
    let referral = Answer { recursion_available: false, ..answer(NOERROR, &[]) };
    assert_eq!(after(|name| name.public = Reply::Answer(referral)), ["not-recursive"]);
    let silent = || Reply::Silent("no answer".to_owned());
    assert_eq!(after(|name| (name.public, name.private) = (silent(), silent())), ["silent"]);
    // Who is responsible for the zones alone is right when it refuses other names.
    let zones_only = after(|name| {
        let own = Answer { authoritative: true, recursion_available: false, ..answer(NOERROR, &[OURS]) };
        (name.public, name.private) = (reply(REFUSED, &[]), Reply::Answer(own));
    });
    assert_eq!(zones_only, ["ok-shape-secondary"]);
    // As the daemon itself is without [resolver].
    let mut daemon = facts(false);
    let name = &mut daemon.names[0];
    let own = Answer { authoritative: true, recursion_available: false, ..answer(NOERROR, &[OURS]) };
    (name.public, name.nobody_below_suffix) = (reply(REFUSED, &[]), reply(REFUSED, &[]));
    (name.private, name.suffix_reach) = (Reply::Answer(own), ARRIVED);
    assert_eq!(codes(&daemon), ["ok-shape-secondary"]);
}

#[test]
fn an_upstream_that_asks_the_daemon_is_a_loop() {
    let mut both = facts(true);
    both.truth.upstreams = vec![both.resolver];
    assert_eq!(codes(&both), ["no-rule"], "an upstream may be asked, as long as it does not ask back");
    both.names[0].reach = ARRIVED;
    assert_ne!(codes(&both), ["loop"], "the daemon asks nobody for its own names");
    both.names[0].suffix_reach = ARRIVED;
    assert_eq!(codes(&both), ["loop"]);
    // By way of others the addresses do not show it, the counts do.
    let mut around = facts(true);
    around.elsewhere = Some(Reach { asked: 5, arrived: 200 });
    assert_eq!(codes(&around), ["loop"]);
}

#[test]
fn names_of_others_may_not_be_denied_by_the_zone_of_the_daemon() {
    let deny = |recursion_available: bool| {
        after(|name| {
            right(name);
            (name.reach, name.zone_reach) = (ARRIVED, ARRIVED);
            let denial = denied(NXDOMAIN, "privatelink.azure-devices.net", "ns.example");
            let Reply::Answer(denial) = denial else { panic!("an answer") };
            name.nobody_in_zone = Reply::Answer(Answer { recursion_available, ..denial });
        })
    };
    assert_eq!(deny(true), ["nxdomain-for-other-tenants", "ok-shape-privatelink-zones"]);
    assert_eq!(deny(false), ["ok-shape-privatelink-zones"], "whoever resolves for nobody hides nothing");
}

#[test]
fn every_code_has_advice_and_what_was_seen() {
    let facts = facts(true);
    for code in Code::ALL {
        assert!(words::advice(*code, &facts).len() > 30, "{code:?}");
        assert!(!words::seen(*code, &facts.names[0]).is_empty(), "{code:?}");
        assert_eq!(code.is_ok(), code.text().starts_with("ok-shape-"), "{code:?}");
    }
}

#[test]
fn rules_fit_the_configuration_of_the_daemon() {
    let resolving = truth(true);
    let windows = recipe(Server::Windows, &resolving);
    assert!(windows.contains("-Name 'azure-devices.net' -MasterServers 10.0.0.5\n"), "{windows}");
    let resolved = recipe(Server::Resolved, &resolving);
    assert!(resolved.contains("DNS=10.0.0.5:53\nDomains=~azure-devices.net\n"), "{resolved}");
    let zones = truth(false);
    assert!(recipe(Server::Bind, &zones).contains("zone \"privatelink.azure-devices.net\""));
    assert!(
        recipe(Server::Dnsmasq, &zones).starts_with("There are no rules"),
        "such rules are not used there"
    );
    let names = Truth { per_name_zones: true, ..zones };
    assert!(recipe(Server::Dnsmasq, &names).contains("server=/hub.azure-devices.net/10.0.0.5#53\n"));
}
