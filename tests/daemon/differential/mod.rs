//! The daemon's answers beside those of Knot, for the same zones and the same octets.
//!
//! Two servers that read RFCs apart from each other seldom share a mistake. Thousands of queries, good ones,
//! odd ones and broken ones, go to both; where the answers differ, one of the classes of `classes` has to say
//! why, and why ours is right. `DIFFERENTIAL_SECONDS` makes it a long run (`scripts/fuzz differential`), and
//! `DIFFERENTIAL_SEED` begins where another run ended.

mod classes;
mod peer;
mod queries;
mod reply;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use privatelink_dns::store::Store;
use privatelink_dns::targets::export::zone_files;

use self::peer::Peer;
use self::queries::{Asked, Names, Queries};
use self::reply::{Difference, Reply};
use crate::recipes::a_port;
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::home::Home;
use crate::support::server::Server;

/// Queries of a run that is told no time: some seconds.
const FEW: usize = 3000;

/// Both servers with the same zones.
struct Pair {
    _azure: Azure,
    _home: Home,
    daemon: Daemon,
    knot: Server,
    names: Names,
}

impl Pair {
    async fn start() -> Self {
        let azure = Azure::start().await;
        let mut home = Home::new(&azure);
        home.settings.publish = "per_name_zones = true\napplication_name = true";
        // One thread each, so that answers come in the order of the queries.
        home.settings.dns = "udp_threads = 1";
        home.settings.poll_interval = "1h";
        let daemon = home.start().await;
        daemon.shows(&azure).await;
        let saved = Store::read(&home.state()).expect("it can be read").expect("state");
        let files = zone_files(&saved.generation);
        let zones = &saved.generation.zones;
        let names = Names {
            zones: files.iter().map(|file| file.origin.to_string()).collect(),
            owners: zones.values().flat_map(|zone| zone.addresses.keys()).map(ToString::to_string).collect(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], a_port()));
        let knot = Server::knotd(address, |directory: &Path| {
            let path = directory.display();
            let mut configuration = format!(
                "server:\n    rundir: {path}\n    listen: 127.0.0.1@{}\n    udp-workers: 1\n    tcp-workers: 1\n    \
                 background-workers: 1\n\
                 log:\n  - target: stderr\n    any: info\n\
                 database:\n    storage: {path}\n\
                 control:\n    listen: {path}/knot.sock\n\
                 template:\n  - id: default\n    storage: {path}\n\
                 zone:\n",
                address.port()
            );
            for file in &files {
                std::fs::write(directory.join(&file.name), &file.text).expect("written");
                writeln!(configuration, "  - domain: {}\n    file: {}", file.origin, file.name).expect("text");
            }
            configuration
        })
        .await;
        Self { _azure: azure, _home: home, daemon, knot, names }
    }
}

/// What a class, or the lack of one, has seen.
#[derive(Default)]
struct Seen {
    times: usize,
    example: String,
}

#[tokio::test]
async fn differential() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (seconds, seed) = (number("DIFFERENTIAL_SECONDS"), number("DIFFERENTIAL_SEED").unwrap_or(1));
    let pair = Pair::start().await;
    let ours = Peer::connect(pair.daemon.dns()).await;
    let theirs = Peer::connect(pair.knot.address).await;
    let mut queries = Queries::new(seed, &pair.names);
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut classified, mut unknown) = (BTreeMap::<&str, Seen>::new(), BTreeMap::<String, Seen>::new());
    let mut compared = 0;
    while deadline.map_or(compared < FEW, |deadline| Instant::now() < deadline) && unknown.len() < 40 {
        let (octets, over) = queries.next();
        let (our, their) = tokio::join!(ours.ask(&octets, over), theirs.ask(&octets, over));
        let asked = Asked::of(&octets, over);
        let (our, their) = (Reply::read(our.as_deref()), Reply::read(their.as_deref()));
        for difference in our.differences(&their) {
            let example = || format!("{difference}\n  query {}\n  ours {our}\n  Knot {their}", hex(&octets));
            let seen = match classes::of(&asked, &difference, &our, &their) {
                Some(class) => classified.entry(class.name).or_default(),
                None => unknown.entry(kind_of(&asked, &difference)).or_default(),
            };
            seen.times += 1;
            if seen.example.is_empty() {
                seen.example = example();
            }
        }
        compared += 1;
    }
    println!("{compared} queries were compared, from seed {seed} on");
    for (name, seen) in &classified {
        println!("  {name}: {} times", seen.times);
    }
    let text =
        unknown.iter().map(|(kind, seen)| format!("{kind}: {} times\n  {}\n", seen.times, seen.example));
    assert!(unknown.is_empty(), "differences of no class:\n{}", text.collect::<String>());
}

fn kind_of(asked: &Asked, difference: &Difference) -> String {
    format!("{} of {asked:?}", difference.field)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
