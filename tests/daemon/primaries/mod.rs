//! Servers that stay primary: BIND takes updates from the daemon, beside records of others.

mod chaos;
mod crashes;
mod operator;
mod records;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use privatelink_dns::wire::ask;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::recipes::a_port;
use crate::support::azure::Azure;
use crate::support::daemon::Daemon;
use crate::support::home::Home;
use crate::support::server::Server;
use crate::support::{eventually, program};

const SECRET: &str = "c2VjcmV0LW9mLXRoZS1kYWVtb24tMDEyMzQ1Njc4OQ==";
const OTHER: &str = "c2VjcmV0LW9mLXNvbWVib2R5LWVsc2UtMDEyMzQ1Ng==";

/// A simulated Azure, a BIND with its zones, and a home for the daemon.
struct Site {
    azure: Azure,
    home: Home,
    bind: Server,
}

fn key(name: &str, secret: &str) -> String {
    format!("key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n")
}

/// The zone of a privatelink name.
fn zone_of(name: &str) -> &str {
    name.split_once('.').expect("a zone").1
}

/// What the names of a hub have in common: the one of its Event Hubs namespace has only the beginning.
fn label_of(hub: &str) -> &str {
    &hub[.."iotc-12345".len()]
}

/// BIND with these zones, which the key of the daemon may change A records in, and another one all.
pub(crate) async fn bind(zones: &BTreeSet<String>) -> Server {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, a_port()));
    Server::named(address, |directory| configuration(directory, address, zones)).await
}

fn configuration(directory: &Path, address: SocketAddr, zones: &BTreeSet<String>) -> String {
    let mut text = key("update-key", SECRET) + &key("other-key", OTHER);
    let (at, port) = (directory.display(), address.port());
    write!(
        text,
        "options {{ directory \"{at}\"; pid-file \"{at}/named.pid\"; session-keyfile \"{at}/session.key\"; \
         lock-file none; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; \
         dnssec-validation no; notify no; allow-transfer {{ key \"update-key\"; key \"other-key\"; }}; }};\n\
         controls {{ }};\n"
    )
    .expect("text");
    for zone in zones {
        let file = directory.join(format!("{zone}.db"));
        if !file.exists() {
            let apex = "$TTL 60\n@ SOA ns1 hostmaster 1 60 30 86400 5\n@ NS ns1\nns1 A 127.0.0.1\n";
            fs::write(&file, apex).expect("written");
        }
        writeln!(
            text,
            "zone \"{zone}\" {{ type primary; file \"{}\"; update-policy {{ grant update-key zonesub A; grant other-key \
             zonesub ANY; }}; }};",
            file.display()
        )
        .expect("text");
    }
    text
}

impl Site {
    /// With this in the section of the target, which is called `bind`.
    async fn new(target: &str) -> Self {
        let azure = Azure::start().await;
        let zones = azure.names().keys().map(|name| zone_of(name).to_owned()).collect();
        let bind = bind(&zones).await;
        Self::of(azure, bind, target)
    }

    fn of(azure: Azure, bind: Server, target: &str) -> Self {
        let mut home = Home::new(&azure);
        // Polls are asked for; every one is believed.
        home.settings.poll_interval = "1h";
        home.settings.guard =
            "removal_polls = 1\nremoval_period = \"0s\"\nbulk_polls = 1\nbulk_period = \"0s\"";
        let mut site = Self { azure, home, bind };
        site.keys(&key("update-key", SECRET));
        site.target(target);
        site
    }

    fn keys(&self, keys: &str) {
        self.home.secret(&self.home.path("keys.conf"), keys);
    }

    fn target(&mut self, target: &str) {
        self.home.settings.transfer = format!(
            "[transfer]\nkey_files = [{:?}]\n[[target]]\nname = \"bind\"\ntype = \"rfc2136\"\nservers = [\"{}\"]\n{target}\n",
            self.home.path("keys.conf"),
            self.bind.address
        );
    }

    fn without_target(&mut self) {
        self.home.settings.transfer =
            format!("[transfer]\nkey_files = [{:?}]\n", self.home.path("keys.conf"));
    }

    /// What a server holds at a name.
    async fn held(&self, name: &str) -> BTreeSet<Ipv4Addr> {
        held(self.bind.address, name).await
    }

    /// Waits until the server holds this at a name.
    async fn holds(&self, name: &str, addresses: &BTreeSet<Ipv4Addr>) {
        eventually(&format!("{addresses:?} for {name} at the server"), async || {
            let held = self.held(name).await;
            if held == *addresses { Ok(()) } else { Err(format!("{held:?}")) }
        })
        .await;
    }

    /// Waits until the server holds exactly what Azure has, at all names that Azure ever had but these.
    async fn follows(&self, except: &[&str]) {
        let names: BTreeMap<_, _> = self.azure.names();
        for (name, addresses) in names.iter().filter(|(name, _)| !except.contains(&name.as_str())) {
            self.holds(name, addresses).await;
        }
    }

    /// Somebody else changes records.
    async fn nsupdate(&self, commands: &str) {
        nsupdate(self.bind.address, commands).await;
    }

    fn ledger(&self) -> serde_json::Value {
        let text = fs::read(self.home.state().join("ledger-bind.json")).expect("a ledger");
        serde_json::from_slice(&text).expect("JSON")
    }
}

async fn held(server: SocketAddr, name: &str) -> BTreeSet<Ipv4Addr> {
    let name = name.parse().expect("a name");
    let answer = ask(server, &name, Duration::from_secs(5)).await;
    answer.map(|answer| answer.addresses.into_iter().collect()).unwrap_or_default()
}

async fn nsupdate(server: SocketAddr, commands: &str) {
    let mut child = Command::new(program("nsupdate"))
        .args(["-y", &format!("hmac-sha256:other-key:{OTHER}")])
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("nsupdate runs");
    let text = format!("server {} {}\n{commands}\nsend\n", server.ip(), server.port());
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).await.expect("written");
    assert!(child.wait().await.expect("it ends").success(), "{commands}");
}

fn set(addresses: &[[u8; 4]]) -> BTreeSet<Ipv4Addr> {
    addresses.iter().map(|address| (*address).into()).collect()
}

/// Lets the daemon poll.
fn poll(daemon: &Daemon) {
    daemon.signal(Signal::USR1);
}
