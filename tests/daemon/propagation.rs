//! How long a change takes to everybody who has to know it.

use std::collections::BTreeMap;

use tokio::net::UdpSocket;

use crate::reload::reload;
use crate::secondaries::{Quick, section};
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::home::Home;

/// Changes that arrived at each place, as they are counted.
async fn counted(daemon: &Daemon) -> BTreeMap<String, f64> {
    let text = daemon.get("/metrics").await.1;
    let lines = text.lines();
    let counts = lines.filter_map(|line| {
        let (to, count) = line
            .strip_prefix("privatelink_dns_propagation_duration_seconds_count{to=\"")?
            .split_once("\"} ")?;
        Some((to.to_owned(), count.parse().expect("a number")))
    });
    counts.collect()
}

#[tokio::test]
async fn a_change_is_timed_to_every_place_that_it_arrives_at() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let quick = Quick::start().await;
    let silent = UdpSocket::bind("127.0.0.2:0").await.expect("a socket");
    let hosts = home.path("hosts");
    std::fs::write(&hosts, "").expect("written");
    let target = |name: &str, path: &std::path::Path| {
        format!("[[target]]\nname = '{name}'\ntype = 'hosts'\npath = {path:?}\n")
    };
    let secondaries =
        section("quick", quick.address) + &section("silent", silent.local_addr().expect("an address"));
    // A file that is not there is not made.
    let broken = target("broken", &home.path("missing/hosts"));
    home.settings.transfer = target("hosts", &hosts) + &broken + &secondaries;
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    quick.has_everything(&daemon).await;
    azure.scale_out();
    daemon.shows(&azure).await;
    let (arrived, away) =
        (["answer", "secondary:quick", "target:hosts"], ["secondary:silent", "target:broken"]);
    eventually("the last change is there", async || {
        let status = daemon.status().await;
        let number = status.generation.as_ref().map(|generation| generation.number);
        assert!(status.propagation.iter().all(|last| Some(last.generation) == number), "{status:?}");
        let places: BTreeMap<&str, bool> =
            status.propagation.iter().map(|last| (last.to.as_str(), last.seconds.is_some())).collect();
        assert_eq!(places.len(), 5, "{places:?}");
        assert!(away.iter().all(|place| !places[place]), "{places:?}");
        if arrived.iter().all(|place| places[place]) { Ok(()) } else { Err(format!("{places:?}")) }
    })
    .await;
    let counts = counted(&daemon).await;
    assert!(arrived.iter().all(|place| counts[*place] == 2.0), "both changes: {counts:?}");
    assert!(away.iter().all(|place| counts[*place] == 0.0), "{counts:?}");
    let shown = home.run(&daemon, &["status"]).await.out;
    assert!(shown.contains("LAST CHANGE AT") && shown.contains("under way"), "{shown}");

    // What is configured no more has no series any more.
    home.settings.transfer = target("hosts", &hosts);
    reload(&daemon, &home).await;
    let left: Vec<String> = counted(&daemon).await.into_keys().collect();
    assert_eq!(left, ["answer", "target:hosts"]);
    azure.scale_out();
    daemon.shows(&azure).await;
    eventually("a third change at the target", async || {
        let counts = counted(&daemon).await;
        if counts["target:hosts"] == 3.0 { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await;
}
