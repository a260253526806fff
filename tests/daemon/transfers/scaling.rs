//! Secondaries follow, change by change, by what changed alone.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::{CATALOG, Peer, Site};
use crate::support::dns::dig;
use crate::support::server::Server;

const ROUNDS: usize = 200;

/// A secondary that works, and how long each change took.
struct Follower<'a> {
    peer: &'a Peer,
    server: Server,
    /// Changes after which it is looked at.
    every: usize,
    times: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bind_knot_nsd_and_powerdns_follow_hubs_that_come_and_go() {
    let peers = [
        Peer::new("bind", 1, ""),
        Peer::new("knot", 1, ""),
        Peer::new("nsd", 1, ""),
        Peer::new("pdns", 14, "transfer_by = \"key-or-address\""),
    ];
    let site = Site::new(&format!("catalog = \"{CATALOG}\""), "", &peers).await;
    let [bind, knot, nsd, pdns] = &peers;
    let follower = |peer, server, every| Follower { peer, server, every, times: Vec::new() };
    let mut followers = [
        follower(bind, site.named("bind-secondary", bind, "recursion no;").await, 1),
        follower(knot, site.knotd(knot).await, 1),
        follower(nsd, site.nsd(nsd).await, 1),
        // It looks for work once a second.
        follower(pdns, site.pdns(pdns).await, 8),
    ];
    for Follower { server, .. } in &followers {
        site.shown_by(server.address, &site.azure.names()).await;
    }
    let mut hubs = vec![site.azure.hub()];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 1..=ROUNDS {
        let name = if hubs.len() < 2 || hubs.len() < 8 && random.bool() {
            let name = site.azure.scale_out();
            hubs.push(name.clone());
            name
        } else {
            let name = hubs.swap_remove(random.usize(..hubs.len()));
            site.azure.scale_in(&name);
            name
        };
        site.follows(&name).await;
        // All names that there ever were now and then; those of now, and the one that went, always.
        let mut names = site.azure.names();
        if round % 20 != 0 {
            names.retain(|known, addresses| !addresses.is_empty() || *known == name);
        }
        let (since, site, names) = (Instant::now(), &site, &names);
        join_all(followers.iter_mut().filter(|follower| round % follower.every == 0).map(async |follower| {
            site.shown_by(follower.server.address, names).await;
            follower.times.push(since.elapsed());
        }))
        .await;
    }

    for Follower { peer, times, .. } in &mut followers {
        let [whole, changes] = site.transfers(peer).await;
        times.sort_unstable();
        println!(
            "{}: median {:?}, longest {:?}, {whole} whole zones, {changes} changes",
            peer.name,
            times[times.len() / 2],
            times.last().expect("a time")
        );
        // Two zones change each time. PowerDNS takes whole zones.
        if peer.name != "pdns" {
            assert!(whole <= 5.0, "{}: the first transfers are of whole zones alone", peer.name);
            assert!(changes >= ROUNDS as f64 * 1.9, "{}: {changes} changes", peer.name);
            // Half of them, so that a moment in which others have the machine does not matter.
            assert!(times[times.len() / 2] < Duration::from_secs(1), "{}: {times:?}", peer.name);
        }
    }
    let own = followers[1].server.log();
    assert!(own.matches("IXFR, incoming").count() >= ROUNDS, "Knot says so too: {own}");
}

#[tokio::test]
async fn powerdns_gives_no_answer_for_names_that_it_has_from_ixfr() {
    let peer = Peer::new("pdns", 14, "transfer_by = \"key-or-address\"");
    let site = Site::new(&format!("catalog = \"{CATALOG}\""), "", &[peer]).await;
    let server = site.pdns(&peer).await;
    site.shown_by(server.address, &site.azure.names()).await;
    for zone in site.zones().await.keys() {
        server.pdnsutil(&["set-meta", zone, "IXFR", "1"]);
    }
    let name = site.azure.scale_out();
    site.follows(&name).await;
    site.shown_by(server.address, &[].into()).await;
    assert!(site.transfers(&peer).await[1] > 0.0, "the name came by IXFR");
    let answer = dig(server.address, &name, "A").await;
    assert_eq!(
        (answer.status.as_str(), answer.data()),
        ("NOERROR", Vec::new()),
        "the recipe can ask for IXFR"
    );
}

#[tokio::test]
async fn every_server_takes_notify_from_another_address_than_that_of_the_zones() {
    let peers = [
        Peer::new("bind", 1, "source = \"127.0.0.9\"\nnotify = \"unsigned\""),
        Peer::new("knot", 1, "source = \"127.0.0.9\"\nnotify = \"unsigned\""),
        Peer::new("nsd", 1, "source = \"127.0.0.9\""),
        Peer::new("pdns", 14, "source = \"127.0.0.9\"\ntransfer_by = \"key-or-address\""),
        Peer::new("unbound", 1, "source = \"127.0.0.9\"\ntransfer_by = \"address\""),
    ];
    let site = Site::new(&format!("catalog = \"{CATALOG}\""), "", &peers).await;
    let [bind, knot, nsd, pdns, unbound] = &peers;
    let servers = [
        site.named("bind-secondary", bind, "recursion no;").await,
        site.knotd(knot).await,
        site.nsd(nsd).await,
        site.pdns(pdns).await,
        site.unbound("unbound-auth-zone", unbound, "").await,
    ];
    for server in &servers {
        site.shown_by(server.address, &site.azure.names()).await;
    }
    let name = site.azure.scale_out();
    site.follows(&name).await;
    for server in &servers {
        site.shown_by(server.address, &site.azure.names()).await;
    }
}
