//! What servers refuse, and what is told then.

use std::collections::BTreeSet;
use std::fs;

use privatelink_dns::zones::FindingKind;

use super::{OTHER, SECRET, Site, bind, configuration, key, set, zone_of};
use crate::support::azure::Azure;

#[tokio::test]
async fn a_refusal_is_told_with_what_to_do_and_mended_without_a_restart() {
    let mut site = Site::new("check_interval = \"10s\"").await;
    let daemon = site.home.start().await;
    let message = daemon.finding(FindingKind::TargetFailing).await;
    assert!(message.contains("REFUSED") && message.contains("update-policy"), "without a key: {message}");
    for (keys, expected) in [
        (key("update-key", OTHER), "secret for this key is another one"),
        (key("new-key", SECRET), "add the key to the server"),
    ] {
        site.keys(&keys);
        let name = if keys.contains("new-key") { "new-key" } else { "update-key" };
        site.target(&format!("key = \"{name}\""));
        site.home.write();
        daemon.reload().await;
        crate::support::eventually(expected, async || {
            let findings = daemon.status().await.findings;
            let told = |f: &privatelink_dns::admin::status::FindingStatus| {
                f.kind == FindingKind::TargetFailing && f.message.contains(expected)
            };
            if findings.iter().any(told) { Ok(()) } else { Err(format!("{findings:?}")) }
        })
        .await;
    }
    // A key that is nowhere is no configuration.
    site.target("key = \"no-key\"");
    site.home.write();
    daemon.signal(rustix::process::Signal::HUP);
    let message = daemon.finding(FindingKind::ReloadRefused).await;
    assert!(message.contains("no-key") && message.contains("tsig generate"), "{message}");
    site.keys(&key("update-key", SECRET));
    site.target("key = \"update-key\"");
    site.home.write();
    daemon.reload().await;
    site.follows(&[]).await;
    daemon.no_finding(FindingKind::TargetFailing).await;
}

#[tokio::test]
async fn a_zone_that_is_not_there_is_told_with_how_to_make_it_and_others_are_written() {
    let azure = Azure::start().await;
    let hub = azure.hub();
    let all: BTreeSet<String> = azure.names().keys().map(|name| zone_of(name).to_owned()).collect();
    let mut some = all.clone();
    some.remove(zone_of(&hub));
    let server = bind(&some).await;
    let mut site = Site::of(azure, server, "key = \"update-key\"\ncheck_interval = \"10s\"");
    let daemon = site.home.start().await;
    let message = daemon.finding(FindingKind::TargetZoneMissing).await;
    for part in [zone_of(&hub), "rndc addzone", "Add-DnsServerPrimaryZone", "grant update-key zonesub A"] {
        assert!(message.contains(part), "{message}");
    }
    let names = site.azure.names();
    let there = names.iter().filter(|(name, _)| some.contains(zone_of(name)));
    for (name, addresses) in there {
        site.holds(name, addresses).await;
    }
    // It comes.
    let directory = site.bind.directory().to_owned();
    fs::write(directory.join("configuration"), configuration(&directory, site.bind.address, &all))
        .expect("written");
    site.bind.crash().await;
    site.follows(&[]).await;
    daemon.no_finding(FindingKind::TargetZoneMissing).await;
}

#[tokio::test]
async fn one_name_that_may_not_be_changed_holds_up_no_other() {
    let mut site = Site::new("key = \"update-key\"\ncheck_interval = \"10s\"").await;
    let hub = site.azure.hub();
    let directory = site.bind.directory().to_owned();
    let text = fs::read_to_string(directory.join("configuration")).expect("read");
    let deny = format!("{{ deny update-key name {hub} A; grant update-key zonesub A;");
    fs::write(directory.join("configuration"), text.replace("{ grant update-key zonesub A;", &deny))
        .expect("written");
    site.bind.crash().await;
    let daemon = site.home.start().await;
    site.follows(&[&hub]).await;
    assert_eq!(site.held(&hub).await, set(&[]));
    let message = daemon.finding(FindingKind::TargetFailing).await;
    assert!(message.contains(&hub) && message.contains("REFUSED"), "{message}");
}
