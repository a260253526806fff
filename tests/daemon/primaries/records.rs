//! What is written, adopted, left alone, taken over, repaired and retired.

use std::collections::BTreeSet;

use privatelink_dns::zones::FindingKind;

use super::{Site, poll, set, zone_of};
use crate::support::eventually;

const TARGET: &str = "key = \"update-key\"\ncheck_interval = \"10s\"";

#[tokio::test]
async fn records_follow_azure_beside_those_of_others() {
    let mut site = Site::new(TARGET).await;
    let hub = site.azure.hub();
    let names = site.azure.names();
    let own = names.keys().find(|name| name.contains("azureiotcentral")).expect("the application").clone();
    let address = names[&hub].first().expect("an address").to_string();
    let stranger = format!("stranger.{}", zone_of(&hub));
    // Somebody has one name rightly, one wrongly, and one of their own.
    site.nsupdate(&format!("update add {hub} 300 A {address}\nupdate add {stranger} 300 A 10.9.9.9")).await;
    site.nsupdate(&format!("update add {own} 300 A 10.9.9.8")).await;
    let daemon = site.home.start().await;
    site.follows(&[&own]).await;
    let message = daemon.finding(FindingKind::TargetConflict).await;
    assert!(
        message.contains(&own) && message.contains("10.9.9.8") && message.contains("take-over"),
        "{message}"
    );
    assert_eq!(site.held(&own).await, set(&[[10, 9, 9, 8]]));
    assert!((daemon.metric("privatelink_dns_target_conflicts{target=\"bind\"}").await - 1.0).abs() < 0.1);
    let expected = (names.len() - 1) as f64;
    assert!((daemon.metric("privatelink_dns_target_records{target=\"bind\"}").await - expected).abs() < 0.1);
    let ledger = site.ledger();
    let book = &ledger["books"]["any"];
    assert_eq!(book[&hub]["records"][&address]["origin"], "adopted", "{ledger}");
    assert!(book.get(&own).is_none() && book.get(&stranger).is_none(), "{ledger}");

    // Azure changes.
    let new = site.azure.scale_out();
    poll(&daemon);
    site.follows(&[&own]).await;
    site.azure.scale_in(&new);
    site.azure.scale_in(&hub);
    poll(&daemon);
    site.follows(&[&own]).await;
    assert_eq!(site.held(&hub).await, BTreeSet::new(), "what is adopted is ours, and goes");

    // Somebody removes a record of ours.
    let other = site
        .azure
        .names()
        .into_iter()
        .find(|(name, addresses)| zone_of(name) == zone_of(&hub) && !addresses.is_empty());
    let (other, addresses) = other.expect("another hub");
    site.nsupdate(&format!("update delete {other} A")).await;
    site.holds(&other, &addresses).await;
    let message = daemon.finding(FindingKind::TargetDrift).await;
    assert!(message.contains(&other), "{message}");
    assert!(daemon.metric("privatelink_dns_target_drift_total{target=\"bind\"}").await >= 1.0);
    daemon.no_finding(FindingKind::TargetDrift).await;

    // Taken over where that is wanted, and told.
    site.target(&format!("{TARGET}\non_conflict = \"take-over\""));
    site.home.write();
    daemon.reload().await;
    site.follows(&[]).await;
    daemon.no_finding(FindingKind::TargetConflict).await;
    let log = daemon.log();
    let told = |line: &&serde_json::Value| {
        line["message"] == "a record of somebody else is taken over" && line["address"] == "10.9.9.8"
    };
    assert_eq!(log.iter().filter(told).count(), 1);

    // Out of the configuration everything stays, until it is retired.
    let said = site.home.run(&daemon, &["target", "retire", "bind"]).await;
    assert!(said.code == Some(1) && said.err.contains("still in the configuration"), "{said:?}");
    site.without_target();
    site.home.write();
    daemon.reload().await;
    site.follows(&[]).await;
    let said = site.home.run(&daemon, &["target", "retire", "bnd"]).await;
    assert!(said.code == Some(1) && said.err.contains("(ledgers: bind)"), "{said:?}");
    let said = site.home.run(&daemon, &["target", "retire", "bind"]).await;
    assert!(said.code == Some(0) && said.out.contains("records removed"), "{said:?}");
    for name in names.keys() {
        site.holds(name, &BTreeSet::new()).await;
    }
    assert_eq!(site.held(&stranger).await, set(&[[10, 9, 9, 9]]));
    assert!(!site.home.state().join("ledger-bind.json").exists());
}

#[tokio::test]
async fn a_foreign_record_that_comes_later_stays_and_ours_stays_in_step() {
    let site = Site::new(TARGET).await;
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    let (hub, stranger) = (site.azure.hub(), std::net::Ipv4Addr::new(10, 9, 9, 9));
    let mut both = site.azure.names()[&hub].clone();
    both.insert(stranger);
    site.nsupdate(&format!("update add {hub} 300 A {stranger}")).await;
    let message = daemon.finding(FindingKind::TargetConflict).await;
    assert!(message.contains(&hub), "{message}");
    assert_eq!(site.held(&hub).await, both);
    site.azure.scale_in(&hub);
    poll(&daemon);
    site.holds(&hub, &set(&[[10, 9, 9, 9]])).await;
    daemon.no_finding(FindingKind::TargetConflict).await;
}

#[tokio::test]
async fn without_its_ledger_it_adopts_what_is_there() {
    let mut site = Site::new(TARGET).await;
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    eventually("a ledger of what is held", async || {
        let text = site.ledger().to_string();
        if text.contains("adding") { Err(text) } else { Ok(()) }
    })
    .await;
    // While it is no target, a hub goes, and the ledger is lost.
    site.without_target();
    site.home.write();
    daemon.reload().await;
    let gone = site.azure.hub();
    let left = site.held(&gone).await;
    site.azure.scale_in(&gone);
    let new = site.azure.scale_out();
    poll(&daemon);
    daemon.shows(&site.azure).await;
    std::fs::write(site.home.state().join("ledger-bind.json"), "{\"version\": 1, ").expect("written");
    site.target(TARGET);
    site.home.write();
    daemon.reload().await;
    // All names of the hub that went.
    let label = super::label_of(&gone);
    let names = site.azure.names();
    let orphans: Vec<&str> = names.keys().filter(|n| n.contains(label)).map(String::as_str).collect();
    site.follows(&orphans).await;
    assert!(!left.is_empty() && site.held(&gone).await == left, "nobody knows whose it is");
    assert_eq!(site.ledger()["books"]["any"][&new]["records"].as_object().map(serde_json::Map::len), Some(1));
    let files = std::fs::read_dir(site.home.state()).expect("a directory");
    let aside = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("ledger-bind.json.unreadable-"))
    };
    assert_eq!(files.map(aside).filter(|is| *is).count(), 1);
    let log = daemon.log();
    assert!(log.iter().any(|l| l["message"].as_str().is_some_and(|m| m.starts_with("the ledger could not"))));
}

#[tokio::test]
async fn every_server_is_written_to_or_the_first_that_can_be_reached() {
    let mut site = Site::new(TARGET).await;
    let zones = site.azure.names().keys().map(|name| zone_of(name).to_owned()).collect();
    let second = super::bind(&zones).await;
    let servers = |site: &Site, rest: &str| {
        let own = format!("servers = [\"{}\"", site.bind.address);
        site.home.settings.transfer.replace(&own, &format!("{own}, \"{}\"", second.address)) + rest
    };
    site.home.settings.transfer = servers(&site, "mode = \"all\"\n");
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    let hub = site.azure.hub();
    let addresses = site.azure.names()[&hub].clone();
    eventually("the second server", async || {
        let held = super::held(second.address, &hub).await;
        if held == addresses { Ok(()) } else { Err(format!("{held:?}")) }
    })
    .await;
    // Failover: the first, and when that is away the other, which has everything already.
    site.target(TARGET);
    site.home.settings.transfer = servers(&site, "mode = \"failover\"\n");
    site.home.write();
    daemon.reload().await;
    let new = site.azure.scale_out();
    poll(&daemon);
    site.follows(&[]).await;
    assert_eq!(super::held(second.address, &new).await, BTreeSet::new());
    let newer = site.azure.scale_out();
    let wanted = site.azure.names()[&newer].clone();
    site.bind.stop().await;
    poll(&daemon);
    eventually("the second server takes over", async || {
        let held = super::held(second.address, &newer).await;
        if held == wanted { Ok(()) } else { Err(format!("{held:?}")) }
    })
    .await;
}
