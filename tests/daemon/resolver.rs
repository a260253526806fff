//! The resolver role: a client that asks nobody but the daemon gets every name right.

use std::process::Stdio;
use std::time::Duration;

use privatelink_dns::zones::FindingKind;
use rustix::process::Signal;
use tokio::process::Command;

use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::dns::{dig, dig_with};
use crate::support::home::Home;
use crate::support::public::{Manners, PublicDns};
use crate::support::{eventually, program};

/// A daemon that resolves with the help of these upstreams.
async fn resolver(azure: &Azure, upstreams: &[&PublicDns], more: &str) -> (Home, Daemon) {
    let mut home = Home::new(azure);
    home.settings.resolver = section(upstreams, more);
    let daemon = home.start().await;
    daemon.shows(azure).await;
    (home, daemon)
}

fn section(upstreams: &[&PublicDns], more: &str) -> String {
    let upstreams: Vec<String> = upstreams.iter().map(|upstream| upstream.address.to_string()).collect();
    format!("[resolver]\nupstreams = {upstreams:?}\n{more}\n")
}

/// Public DNS with the names of an Azure, another tenant's and unrelated ones.
async fn world(azure: &Azure) -> PublicDns {
    let dns = PublicDns::start().await;
    for name in azure.names().keys() {
        dns.private_link(&public(name), [203, 0, 113, 1]);
    }
    dns.private_link("other.azure-devices.net", [203, 0, 113, 2]);
    dns.alias("www.example.com", "host.example.net");
    dns.host("host.example.net", [198, 51, 100, 7]);
    dns
}

#[tokio::test]
async fn every_name_is_right() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "").await;
    let ask = async |name: &str, kind: &str| dig(daemon.dns(), name, kind).await;

    for (private, addresses) in azure.names() {
        let name = public(&private);
        if name.ends_with("azureiotcentral.com") {
            // Its public chain leads to the privatelink name, and so to our data.
            let answer = ask(&name, "A").await;
            assert!(answer.answers.last().expect("an address")[4].starts_with("10.1."), "{answer:?}");
            continue;
        }
        let before = dns.asked();
        let answer = ask(&name, "A").await;
        assert_eq!(answer.status, "NOERROR");
        assert_eq!(answer.answers[0][3..], ["CNAME".to_owned(), format!("{private}.")]);
        let expected: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(answer.answers[1][4..], expected[..]);
        let aaaa = ask(&name, "AAAA").await;
        assert_eq!((aaaa.status.as_str(), aaaa.answers.len()), ("NOERROR", 1));
        assert_eq!(dns.asked(), before, "nobody outside hears of it");
    }
    let other = ask("other.azure-devices.net", "A").await;
    assert_eq!(other.answers.last().expect("an address")[4], "203.0.113.2");
    let other = ask("other.privatelink.azure-devices.net", "A").await;
    assert_eq!(other.answers.last().expect("an address")[4], "203.0.113.2");
    assert_eq!(ask("nobody.privatelink.azure-devices.net", "A").await.status, "NXDOMAIN");
    assert_eq!(ask("www.example.com", "A").await.data(), ["198.51.100.7", "host.example.net."]);
    assert_eq!(ask("nobody.example.com", "A").await.status, "NXDOMAIN");
    let tcp = dig_with(daemon.dns(), "www.example.com", "A", &["+tcp"]).await;
    assert_eq!(tcp.data(), ["198.51.100.7", "host.example.net."]);
    // A chain from anywhere into a zone of ours is continued from our data.
    let hub = azure.hub();
    dns.alias("iot.example.com", &public(&hub));
    let chained = ask("iot.example.com", "A").await;
    assert!(chained.answers.last().expect("an address")[4].starts_with("10.1."), "{chained:?}");
    assert!(daemon.status().await.findings.iter().all(|f| f.kind != FindingKind::ShadowsPublicNames));
}

#[tokio::test]
async fn scaling_is_followed_whatever_is_cached() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "").await;
    let hub = azure.scale_out();
    let name = public(&hub);
    daemon.shows(&azure).await;
    let answer = dig(daemon.dns(), &name, "A").await;
    assert!(answer.answers[1][4].starts_with("10.1."), "{answer:?}");
    // An early question, before the name is ours, is answered from public DNS and forgotten in time.
    let early = "iotc-early.example.com";
    dns.alias(early, &hub);
    assert!(dig(daemon.dns(), early, "A").await.answers[1][4].starts_with("10.1."));
    azure.scale_in(&hub);
    daemon.answers_nothing_private(&hub).await;
    dns.private_link(&name, [203, 0, 113, 5]);
    let gone = dig(daemon.dns(), &name, "A").await;
    assert_eq!(gone.answers.last().expect("an address")[4], "203.0.113.5", "public again");
}

#[tokio::test]
async fn nslookup_shows_what_the_page_expects() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let mut home = Home::new(&azure);
    home.settings.resolver = section(&[&dns], "");
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let private = azure.hub();
    let name = public(&private);
    let output = Command::new(program("nslookup"))
        .arg(format!("-port={}", daemon.dns().port()))
        .args([&name, "127.0.0.1"])
        .stdin(Stdio::null())
        .output()
        .await
        .expect("nslookup runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = azure.names()[&private].first().expect("an address").to_string();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Non-authoritative answer:"), "{text}");
    assert!(text.contains(&format!("{name}\tcanonical name = {private}.")), "{text}");
    assert!(text.contains(&format!("Name:\t{private}\nAddress: {address}\n")), "{text}");
}

#[tokio::test]
async fn with_all_upstreams_dead_our_names_are_answered_and_others_fail() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "timeout = \"1s\"").await;
    dns.behave(Manners::Silent);
    let hub = public(&azure.hub());
    assert_eq!(dig(daemon.dns(), &hub, "A").await.status, "NOERROR");
    for name in ["www.example.com", "other.privatelink.azure-devices.net"] {
        let failed = dig(daemon.dns(), name, "A").await;
        assert_eq!((failed.status.as_str(), &failed.ede[..]), ("SERVFAIL", &[22][..]), "{name}");
    }
    // Again and again, until it is known to be down.
    eventually("the upstream is down", async || {
        dig(daemon.dns(), "www.example.com", "A").await;
        let up = daemon
            .metric(&format!("privatelink_dns_resolver_upstream_up{{upstream=\"{}\"}}", dns.address))
            .await;
        if up == 0.0 { Ok(()) } else { Err(up.to_string()) }
    })
    .await;
    dns.behave(Manners::Good);
    eventually("an answer", async || {
        let answer = dig(daemon.dns(), "www.example.com", "A").await;
        if answer.status == "NOERROR" { Ok(()) } else { Err(answer.status) }
    })
    .await;
}

#[tokio::test]
async fn a_bad_upstream_is_counted_and_never_believed() {
    let azure = Azure::start().await;
    let (bad, good) = (world(&azure).await, world(&azure).await);
    bad.host("www.example.com", [192, 0, 2, 66]);
    let (_home, daemon) = resolver(&azure, &[&bad, &good], "").await;
    let mut number = 0;
    for (manners, metric) in [
        (Manners::WrongId, "mismatches_total{reason=\"id\","),
        (Manners::WrongQuestion, "mismatches_total{reason=\"question\","),
        (Manners::Garbage, "mismatches_total{reason=\"malformed\","),
        (Manners::Nonsense, "mismatches_total{reason=\"malformed\","),
        (Manners::Fails, "queries_total{result=\"refused\","),
        (Manners::WrongSource, "queries_total{result=\"timeout\","),
        (Manners::Silent, "queries_total{result=\"timeout\","),
    ] {
        let metric = format!("privatelink_dns_resolver_upstream_{metric}upstream=\"{}\"}}", bad.address);
        bad.behave(manners);
        let before = daemon.metric(&metric).await;
        // A name that nobody asked for yet; as often as it takes until the bad one is asked first.
        eventually(&format!("{manners:?} is counted"), async || {
            number += 1;
            let name = format!("n{number}.example.com");
            good.host(&name, [198, 51, 100, 9]);
            bad.host(&name, [192, 0, 2, 66]);
            let answer = dig(daemon.dns(), &name, "A").await;
            assert_eq!(answer.data(), ["198.51.100.9"], "{manners:?}");
            if daemon.metric(&metric).await > before { Ok(()) } else { Err(metric.clone()) }
        })
        .await;
        bad.behave(Manners::Good);
        bad.host("probe.example.com", [198, 51, 100, 9]);
        eventually("it is trusted again", async || {
            let up = daemon
                .metric(&format!("privatelink_dns_resolver_upstream_up{{upstream=\"{}\"}}", bad.address))
                .await;
            if up == 1.0 { Ok(()) } else { Err(up.to_string()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_slow_or_silent_upstream_holds_nobody_up() {
    let azure = Azure::start().await;
    let (slow, good) = (world(&azure).await, world(&azure).await);
    // Far longer than the whole limit, so that an answer can only be the other one's.
    slow.think_for(Duration::from_secs(60));
    for order in ["listed", "race"] {
        let more = format!("order = \"{order}\"\ntimeout = \"2s\"");
        let (_home, daemon) = resolver(&azure, &[&slow, &good], &more).await;
        for i in 0..5 {
            let name = format!("{order}{i}.example.com");
            good.host(&name, [198, 51, 100, 9]);
            assert_eq!(dig(daemon.dns(), &name, "A").await.data(), ["198.51.100.9"], "{name}");
        }
    }
}

#[tokio::test]
async fn without_a_fallback_a_missing_name_is_denied() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "fallback = \"none\"").await;
    // Without a fallback a missing name is denied without asking anybody.
    let before = dns.asked();
    assert_eq!(dig(daemon.dns(), "other.privatelink.azure-devices.net", "A").await.status, "NXDOMAIN");
    assert_eq!(dns.asked(), before);
    daemon.finding(FindingKind::ShadowsPublicNames).await;
    assert_eq!(dig(daemon.dns(), "other.azure-devices.net", "A").await.status, "NOERROR", "its public name");
}

#[tokio::test]
async fn what_does_not_fit_is_asked_over_tcp() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "").await;
    dns.behave(Manners::Truncates);
    assert_eq!(dig(daemon.dns(), "www.example.com", "A").await.data(), ["198.51.100.7", "host.example.net."]);
    // So is a server that does not keep the case of letters, by which forged answers are known.
    dns.behave(Manners::LowerCase);
    dns.host("old-but-honest.example.com", [198, 51, 100, 8]);
    assert_eq!(dig(daemon.dns(), "old-but-honest.example.com", "A").await.data(), ["198.51.100.8"]);
    let metric = format!(
        "privatelink_dns_resolver_upstream_mismatches_total{{reason=\"case\",upstream=\"{}\"}}",
        dns.address
    );
    assert!(daemon.metric(&metric).await >= 1.0);
}

#[tokio::test]
async fn equal_questions_are_asked_once() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "").await;
    dns.think_for(Duration::from_millis(100));
    let before = dns.asked();
    let all = (0..20).map(|_| dig(daemon.dns(), "www.example.com", "A"));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer.status == "NOERROR"), "{answers:?}");
    // A machine that stalls for half a second makes the daemon ask again.
    let asked = dns.asked() - before;
    assert!((1..4).contains(&asked), "asked {asked} times for 20");
}

#[tokio::test]
async fn what_is_too_much_fails_at_once_and_our_names_do_not() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "max_in_flight = 1").await;
    dns.behave(Manners::Silent);
    let before = dns.asked();
    let first = dig(daemon.dns(), "first.example.com", "A");
    let second = async {
        eventually("the first is under way", async || {
            if dns.asked() > before { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        let second = dig(daemon.dns(), "second.example.com", "A").await;
        assert_eq!((second.status.as_str(), &second.ede[..]), ("SERVFAIL", &[22][..]));
        assert!(daemon.metric("privatelink_dns_resolver_overload_total").await >= 1.0);
        assert_eq!(dig(daemon.dns(), &public(&azure.hub()), "A").await.status, "NOERROR");
    };
    let (_, ()) = tokio::join!(first, second);
}

#[tokio::test]
async fn who_is_not_on_the_list_may_not_recurse() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "allow = [\"127.0.0.1\"]").await;
    for option in ["+notcp", "+tcp"] {
        let from = |address| ["-b", address, option];
        let refused = dig_with(daemon.dns(), "www.example.com", "A", &from("127.0.0.2")).await;
        assert_eq!((refused.status.as_str(), &refused.ede[..]), ("REFUSED", &[20][..]), "{option}");
        let ours = dig_with(daemon.dns(), &azure.hub(), "A", &from("127.0.0.2")).await;
        assert_eq!(ours.status, "NOERROR");
        let allowed = dig_with(daemon.dns(), "www.example.com", "A", &from("127.0.0.1")).await;
        assert_eq!(allowed.status, "NOERROR");
    }
}

#[tokio::test]
async fn a_reload_changes_the_resolver_and_keeps_its_cache_otherwise() {
    let azure = Azure::start().await;
    let (first, second) = (world(&azure).await, world(&azure).await);
    second.host("only.example.com", [198, 51, 100, 2]);
    let (mut home, daemon) = resolver(&azure, &[&first], "").await;
    assert_eq!(dig(daemon.dns(), "www.example.com", "A").await.status, "NOERROR");
    let before = first.asked();
    home.settings.publish = "ttl = \"20s\"";
    home.write();
    daemon.reload().await;
    assert_eq!(dig(daemon.dns(), "www.example.com", "A").await.status, "NOERROR");
    assert_eq!(first.asked(), before, "still cached");
    home.settings.resolver = section(&[&second], "");
    home.write();
    daemon.reload().await;
    assert_eq!(dig(daemon.dns(), "only.example.com", "A").await.data(), ["198.51.100.2"]);
    home.settings.resolver = String::new();
    home.write();
    daemon.reload().await;
    assert_eq!(dig(daemon.dns(), "only.example.com", "A").await.status, "REFUSED");
    daemon.finding(FindingKind::ShadowsPublicNames).await;
    let (status, _) = daemon.end(Signal::TERM).await;
    assert!(status.success());
}

#[tokio::test]
async fn a_member_without_an_address_that_leaves_is_a_finding() {
    let azure = Azure::start().await;
    let dns = world(&azure).await;
    let (_home, daemon) = resolver(&azure, &[&dns], "").await;
    let hub = azure.with(|world| world.scale_out(&azure.application));
    let name = format!("{hub}.azure-devices.net");
    dns.private_link(&name, [203, 0, 113, 8]);
    daemon.finding(FindingKind::MemberWithoutAddress).await;
    let answer = dig(daemon.dns(), &name, "A").await;
    assert_eq!(answer.answers.last().expect("an address")[4], "203.0.113.8");
    daemon.finding(FindingKind::PrivateNameLeaked).await;
    assert!(daemon.metric("privatelink_dns_resolver_leaked_total").await >= 1.0);
    azure.with(|world| world.settle_all(&azure.application));
    daemon.shows(&azure).await;
    daemon.no_finding(FindingKind::PrivateNameLeaked).await;
    assert!(dig(daemon.dns(), &name, "A").await.answers[1][4].starts_with("10."));
}
