//! A daemon without its state: secondaries hold serials that it knows nothing of.

use std::fs;

use privatelink_dns::zones::generation::is_greater;
use rustix::process::Signal;

use super::{CATALOG, Peer, Site, serial};

#[tokio::test]
async fn secondaries_follow_a_daemon_that_lost_its_state() {
    follow("").await;
}

#[tokio::test]
async fn secondaries_with_serials_of_an_earlier_primary_are_overtaken() {
    // Tomorrow's, as after a primary that counted otherwise.
    let tomorrow = jiff::Timestamp::now().as_second() as u32 + 86_400;
    follow(&format!("serial_at_least = {tomorrow}\n")).await;
}

/// Secondaries take the zones from a daemon with this in `[transfer]`, and follow one without it and
/// without state.
async fn follow(before: &str) {
    let peers = [
        Peer::new("bind", 1, ""),
        Peer::new("knot", 1, ""),
        Peer::new("nsd", 1, ""),
        Peer::new("pdns", 14, "transfer_by = \"key-or-address\""),
    ];
    let mut site = Site::new(&format!("catalog = \"{CATALOG}\"\n{before}"), "", &peers).await;
    let [bind, knot, nsd, pdns] = &peers;
    let servers = [
        site.named("bind-secondary", bind, "recursion no;").await,
        site.knotd(knot).await,
        site.nsd(nsd).await,
        site.pdns(pdns).await,
    ];
    for server in &servers {
        site.shown_by(server.address, &site.azure.names()).await;
    }
    let held = site.zones().await;

    let Site { azure, mut home, daemon } = site;
    daemon.end(Signal::TERM).await;
    fs::remove_dir_all(home.state()).expect("removed");
    home.settings.transfer = home.settings.transfer.replace(before, "");
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    site = Site { azure, home, daemon };
    for server in &servers {
        site.shown_by(server.address, &site.azure.names()).await;
    }
    let name = site.azure.scale_out();
    site.follows(&name).await;
    for server in &servers {
        site.shown_by(server.address, &site.azure.names()).await;
        for (zone, held) in &held {
            let serial = serial(server.address, zone).await.expect("a serial");
            assert!(serial == *held || is_greater(serial, *held), "{zone}: {held} before, {serial} now");
        }
    }
}
