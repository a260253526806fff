//! What is given to Prometheus and Grafana, with Prometheus itself and a daemon that shows every metric.

mod dashboard;
mod prometheus;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::dns::{dig, dig_with};
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::program;
use crate::support::public::PublicDns;

/// A tool of the package `prometheus`, which scripts/test takes out of it.
pub(crate) fn tool(name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(name.to_uppercase()) {
        return path.into();
    }
    let tools = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/usr/bin"));
    let fetched = tools.join(name);
    if fetched.is_file() { fetched } else { program(name) }
}

/// The path of a file of monitoring/.
fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/monitoring")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("it is there")
}

/// The daemon's metrics in a query, without the endings that histograms add.
fn metrics(query: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query.split(|c| !word(c)).filter(|w| w.starts_with("privatelink_dns_"));
    words.map(|w| w.strip_suffix("_bucket").unwrap_or(w).to_owned()).collect()
}

/// A daemon with everything that there are metrics of.
struct World {
    azure: Azure,
    _public: PublicDns,
    _home: Home,
    daemon: Daemon,
}

impl World {
    async fn start() -> Self {
        let azure = Azure::start().await;
        let public_dns = PublicDns::start().await;
        let mut home = Home::new(&azure);
        let hosts = home.path("hosts");
        fs::write(&hosts, "").expect("written");
        home.settings.resolver = format!("[resolver]\nupstreams = [\"{}\"]", public_dns.address);
        for name in azure.names().keys() {
            public_dns.private_link(&public(name), [203, 0, 113, 1]);
        }
        // Nobody listens at the secondary; its transfers are asked for here. Nor at the second target.
        home.settings.transfer = format!(
            "[verify]\nenabled = true\ninterval = '1s'\nresolvers = ['daemon']\nconnect = false\n\
             [[secondary]]\nname = 'ns1'\naddress = '127.0.0.2:9'\ntransfer_by = 'address'\n\
             [[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n\
             [[target]]\nname = 'primary'\ntype = 'rfc2136'\nservers = ['127.0.0.1:1']\n"
        );
        let daemon = home.start().await;
        daemon.shows(&azure).await;
        eventually("a target", async || {
            let targets = daemon.status().await.targets;
            let is_written = targets.iter().any(|target| target.last_success.is_some());
            if is_written { Ok(()) } else { Err(format!("{targets:?}")) }
        })
        .await;
        let world = Self { azure, _public: public_dns, _home: home, daemon };
        world.asked().await;
        world
    }

    /// Something of everything that is asked: answers, names of public DNS, a transfer.
    async fn asked(&self) {
        dig(self.daemon.dns(), &public(&self.azure.hub()), "A").await;
        dig(self.daemon.dns(), "none.privatelink.azure-devices.net", "A").await;
        dig_with(self.daemon.dns(), "privatelink.azure-devices.net", "AXFR", &["-b", "127.0.0.2"]).await;
    }

    /// The names of all metrics that are shown.
    async fn shown(&self) -> BTreeSet<String> {
        let text = self.daemon.get("/metrics").await.1;
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        names.map(str::to_owned).collect()
    }
}
