//! Other people's servers as secondaries of the daemon, each with the recipe that the daemon prints for
//! it, and other people's tools that ask for zones.

mod catalog;
mod chapter;
mod clients;
mod lost_state;
mod policy;
mod scaling;
mod servers;
mod started;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use privatelink_dns::wire::exchange;
use rustix::process::Signal;
use tokio::process::Command;
use tokio::time::timeout;

use crate::recipes::a_port;
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::home::{BINARY, Home, said};
use crate::support::{DEADLINE, eventually};

const CATALOG: &str = "catalog.privatelink-dns.internal";
const RPZ: &str = "rpz.privatelink-dns.internal";

/// A server that takes the zones over.
#[derive(Debug, Clone, Copy)]
struct Peer {
    /// Its name as a secondary; its key is called `NAME-key`.
    name: &'static str,
    /// Where it answers.
    address: SocketAddr,
    /// What its section says beside name and address.
    section: &'static str,
}

impl Peer {
    /// On an address of its own where the daemon goes by that. BIND has to be at 127.0.0.1.
    fn new(name: &'static str, host: u8, section: &'static str) -> Self {
        Self { name, address: SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), a_port())), section }
    }

    fn section(&self) -> String {
        let Self { name, address, section } = self;
        let key =
            if section.contains("\"address\"") { String::new() } else { format!("key = \"{name}-key\"\n") };
        format!("[[secondary]]\nname = \"{name}\"\naddress = \"{address}\"\n{key}{section}\n")
    }
}

/// A daemon with secondaries.
struct Site {
    azure: Azure,
    home: Home,
    daemon: Daemon,
}

impl Site {
    /// With this in `[transfer]` and `[publish]`.
    async fn new(transfer: &str, publish: &'static str, peers: &[Peer]) -> Self {
        let site = Self::of_names(transfer, publish, peers).await;
        site.daemon.shows(&site.azure).await;
        site
    }

    /// The same where the privatelink names may not be published.
    async fn of_names(transfer: &str, publish: &'static str, peers: &[Peer]) -> Self {
        Self::with(transfer, publish, peers, |_| {}).await
    }

    /// The same with more in the configuration.
    async fn with(
        transfer: &str,
        publish: &'static str,
        peers: &[Peer],
        adjust: impl FnOnce(&mut Home),
    ) -> Self {
        let azure = Azure::start().await;
        let mut home = Home::new(&azure);
        home.settings.listen = vec![format!("127.0.0.1:{}", a_port())];
        // Polls are asked for; every one is believed.
        home.settings.poll_interval = "1h";
        home.settings.guard =
            "removal_polls = 1\nremoval_period = \"0s\"\nbulk_polls = 1\nbulk_period = \"0s\"";
        home.settings.publish = publish;
        let mut keys = String::new();
        for peer in peers {
            let mut command = Command::new(BINARY);
            command.args(["tsig", "generate", &format!("{}-key", peer.name)]);
            keys += &said(command).await.out;
        }
        let file = home.path("keys.conf");
        home.secret(&file, &keys);
        let sections: String = peers.iter().map(Peer::section).collect();
        home.settings.transfer =
            format!("[transfer]\nkey_files = [\"{}\"]\n{transfer}\n{sections}", file.display());
        adjust(&mut home);
        let daemon = home.start().await;
        Self { azure, home, daemon }
    }

    /// Lets the daemon poll until it answers for a name as Azure has it.
    async fn follows(&self, name: &str) {
        let addresses = self.azure.names().remove(name).unwrap_or_default();
        for _ in 0..5 {
            self.daemon.signal(Signal::USR1);
            // A poll that was under way has not seen what has just changed.
            if timeout(Duration::from_secs(3), self.daemon.answers(name, &addresses)).await.is_ok() {
                return;
            }
        }
        panic!("the daemon does not follow {name}");
    }

    /// The zones that clients get answers from, with their serials.
    async fn zones(&self) -> BTreeMap<String, u32> {
        let zones = self.daemon.status().await.zones;
        let answered = zones.iter().filter(|zone| zone.form.is_answered());
        answered.map(|zone| (zone.origin.to_string(), zone.serial)).collect()
    }

    /// Waits until a server has the serial of every zone, and then the addresses of these names.
    async fn shown_by(&self, server: SocketAddr, names: &BTreeMap<String, BTreeSet<Ipv4Addr>>) {
        for zone in self.zones().await.keys() {
            eventually(&format!("the serial of {zone} at {server}"), async || {
                // DNS is the first to know, before the API.
                let expected = serial(self.daemon.dns(), zone).await;
                let serial = serial(server, zone).await;
                if serial == expected { Ok(()) } else { Err(format!("{serial:?} instead of {expected:?}")) }
            })
            .await;
        }
        for (name, addresses) in names {
            let code = if addresses.is_empty() { ResponseCode::NXDomain } else { ResponseCode::NoError };
            // A server that takes over from another process of its own may answer as before for a moment.
            eventually(&format!("{addresses:?} for {name} at {server}"), async || {
                let answer = ask(server, name, RecordType::A).await.ok_or("no answer")?;
                let found = answer.answers.iter().filter_map(|record| match &record.data {
                    RData::A(address) => Some(address.0),
                    _ => None,
                });
                let right =
                    found.collect::<BTreeSet<_>>() == *addresses && answer.metadata.response_code == code;
                if right { Ok(()) } else { Err(format!("{answer:?}")) }
            })
            .await;
        }
    }

    /// Transfers to a secondary that were completed: of whole zones, and of changes.
    async fn transfers(&self, peer: &Peer) -> [f64; 2] {
        let mut counts = [0.0; 2];
        for (count, kind) in counts.iter_mut().zip(["axfr", "ixfr"]) {
            let labels = format!("kind=\"{kind}\",result=\"complete\",secondary=\"{}\"", peer.name);
            let metric = format!("privatelink_dns_secondary_transfers_total{{{labels}}}");
            *count = self.daemon.metric(&metric).await;
        }
        counts
    }

    /// The recipe of a kind for a secondary.
    async fn recipe(&self, kind: &str, peer: &Peer) -> String {
        let recipe = self.home.run(&self.daemon, &["recipe", kind, "--secondary", peer.name]).await;
        assert_eq!((recipe.code, recipe.err.as_str()), (Some(0), ""), "{kind}");
        recipe.out
    }

    /// The clause of a secondary's key in the key file.
    fn clause(&self, peer: &Peer) -> String {
        let keys = std::fs::read_to_string(self.home.path("keys.conf")).expect("keys");
        let clause =
            keys.split_inclusive("};").find(|clause| clause.contains(&format!("\"{}-key\"", peer.name)));
        clause.expect("a key").to_owned()
    }

    /// The secret of a secondary's key.
    fn secret(&self, peer: &Peer) -> String {
        let clause = self.clause(peer);
        clause.split("secret \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a secret").to_owned()
    }
}

/// The answer to a question over UDP; nothing when none comes.
async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Option<Message> {
    let mut query = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(format!("{name}.")).expect("a name"), kind));
    let octets = query.to_vec().expect("a query");
    let response = timeout(DEADLINE, exchange::udp(server, &octets, |_| {})).await.ok()?.ok()?;
    Message::from_vec(&response).ok()
}

/// The serial of a zone; nothing when the server has none.
async fn serial(server: SocketAddr, zone: &str) -> Option<u32> {
    let answer = ask(server, zone, RecordType::SOA).await?;
    answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}
