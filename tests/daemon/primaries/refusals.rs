//! What servers refuse, and what is told then.

use std::collections::BTreeSet;
use std::fs;

use privatelink_dns::zones::FindingKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

/// Hands everything on to a server, and breaks the connection in place of the first response to an update.
async fn loses_a_reply(server: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut is_lost = false;
        loop {
            let (mut client, _) = listener.accept().await.expect("a connection");
            let mut server = TcpStream::connect(server).await.expect("a connection");
            while let Ok(length) = client.read_u16().await {
                let mut message = vec![0; usize::from(length)];
                client.read_exact(&mut message).await.expect("a message");
                server.write_u16(length).await.expect("written");
                server.write_all(&message).await.expect("written");
                let mut response = vec![0; usize::from(server.read_u16().await.expect("a response"))];
                server.read_exact(&mut response).await.expect("a response");
                let is_update = message[2] & 0x78 == 5 << 3;
                if is_update && !is_lost {
                    is_lost = true;
                    break;
                }
                let length = u16::try_from(response.len()).expect("a length");
                client.write_u16(length).await.expect("written");
                client.write_all(&response).await.expect("written");
            }
        }
    });
    address
}

#[tokio::test]
async fn when_a_reply_is_lost_the_server_is_asked() {
    let mut site = Site::new("key = \"update-key\"").await;
    let proxy = loses_a_reply(site.bind.address).await;
    let target = &site.home.settings.transfer;
    site.home.settings.transfer = target.replace(&site.bind.address.to_string(), &proxy.to_string());
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    crate::support::eventually("all is settled", async || {
        let text = site.ledger().to_string();
        if text.contains("adding") || text.contains("adopted") { Err(text) } else { Ok(()) }
    })
    .await;
    let result = async |result: &str| {
        let labels = format!("result=\"{result}\",target=\"bind\"");
        daemon.metric(&format!("privatelink_dns_target_updates_total{{{labels}}}")).await
    };
    assert!((result("unknown").await - 1.0).abs() < 0.1);
    // One message a zone, and none twice.
    let zones = site.azure.names().keys().map(|name| zone_of(name).to_owned()).collect::<BTreeSet<_>>();
    assert!((result("done").await - (zones.len() - 1) as f64).abs() < 0.1);
    assert!(daemon.metric("privatelink_dns_target_drift_total{target=\"bind\"}").await < 0.1);
}

#[tokio::test]
async fn updates_go_to_the_primary_that_the_soa_names_and_in_datagrams_where_that_is_wanted() {
    let site = Site::new("key = \"update-key\"\nfind_primary = true\ntransport = \"udp\"").await;
    let daemon = site.home.start().await;
    site.follows(&[]).await;
    // A zone whose primary is nowhere is not written to.
    let zone = zone_of(&site.azure.hub()).to_owned();
    site.nsupdate(&format!("update add {zone} 60 SOA nowhere.invalid h.{zone} 9 60 30 86400 5")).await;
    let again = site.home.run(&daemon, &["plan", "--target", "bind"]).await;
    assert!(again.err.contains("nowhere.invalid") && again.err.contains("find_primary"), "{again:?}");
}

#[tokio::test]
async fn a_zone_that_the_server_cannot_load_holds_up_no_other() {
    let mut site = Site::new("key = \"update-key\"").await;
    let zone = zone_of(&site.azure.hub()).to_owned();
    let file = site.bind.directory().join(format!("{zone}.db"));
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, "no zone").expect("written");
    site.bind.crash().await;
    let daemon = site.home.start().await;
    let message = daemon.finding(FindingKind::TargetFailing).await;
    assert!(message.contains("SERVFAIL") && message.contains(&zone), "{message}");
    for (name, addresses) in site.azure.names().iter().filter(|(name, _)| zone_of(name) != zone) {
        site.holds(name, addresses).await;
    }
    fs::write(&file, text).expect("written");
    site.bind.crash().await;
    site.follows(&[]).await;
    daemon.no_finding(FindingKind::TargetFailing).await;
}
