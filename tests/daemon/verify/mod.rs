//! `verify`: faults are planted at real servers, at the simulated Azure and behind the addresses, and each has
//! to be told by its code and with its subject. Where nothing is planted, nothing is told.

mod azure;
mod connections;
mod daemon;
mod names;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::home::{Home, Said};
use crate::support::server::Server;

/// A settled application with public access off, of which there is nothing to tell.
struct Well {
    azure: Azure,
    home: Home,
    daemon: Daemon,
}

impl Well {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Home)) -> Self {
        let azure = Azure::start().await;
        close_public_access(&azure);
        let mut home = Home::new(&azure);
        change(&mut home);
        let daemon = home.start().await;
        daemon.shows(&azure).await;
        Self { azure, home, daemon }
    }

    /// Runs `verify` at a server, for DNS alone.
    async fn verify(&self, resolver: &str) -> Verdict {
        let arguments = ["verify", "--json", "--no-connect", "--resolver", resolver];
        Verdict::of(&self.home.run(&self.daemon, &arguments).await)
    }

    /// The public name of the first hub.
    fn hub(&self) -> String {
        public(&self.azure.hub())
    }

    /// The right address of the first hub.
    fn hub_address(&self) -> String {
        self.azure.names()[&self.azure.hub()].first().expect("an address").to_string()
    }
}

fn close_public_access(azure: &Azure) {
    azure.with(|world| {
        world.applications.values_mut().for_each(|application| application.public_network_access = false);
        Ok(())
    });
}

/// What `verify --json` said.
struct Verdict {
    code: Option<i32>,
    json: Value,
}

impl Verdict {
    fn of(said: &Said) -> Self {
        let json = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        Self { code: said.code, json }
    }

    /// Code and subject of everything that is told.
    fn problems(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let problems = self.json["problems"].as_array().expect("a list").iter();
        problems
            .map(|problem| {
                for field in ["seen", "expected", "remedy"] {
                    assert!(!text(&problem[field]).is_empty(), "{field} in {problem}");
                }
                (text(&problem["check"]), text(&problem["subject"]))
            })
            .collect()
    }

    /// This is told, and nothing else; gives what was seen.
    #[track_caller]
    fn tells(&self, check: &str, subject: &str) -> String {
        assert_eq!(self.problems(), [(check.to_owned(), subject.to_owned())], "{}", self.json);
        let failed = self.json["problems"][0]["severity"] != "info";
        assert_eq!((self.code, &self.json["ok"]), (Some(if failed { 2 } else { 0 }), &Value::Bool(!failed)));
        self.json["problems"][0]["seen"].as_str().expect("text").to_owned()
    }

    #[track_caller]
    fn is_well(&self) {
        assert_eq!((self.code, self.problems().len()), (Some(0), 0), "{}", self.json);
    }
}

/// The records that servers should have: an alias for each public name, and the addresses.
fn records(azure: &Azure) -> Vec<String> {
    let mut records = Vec::new();
    for (private, addresses) in azure.names() {
        records.push(format!("{}. 1 IN CNAME {private}.", public(&private)));
        records.extend(addresses.iter().map(|address| format!("{private}. 1 IN A {address}")));
    }
    records
}

/// BIND with these records in a zone for each public suffix, and no other.
async fn named(address: SocketAddr, records: &[String]) -> Server {
    let suffixes = [
        "azure-devices.net",
        "azure-devices-provisioning.net",
        "servicebus.windows.net",
        "azureiotcentral.com",
    ];
    Server::named(address, |directory: &Path| {
        let mut zones = String::new();
        for suffix in suffixes {
            let mut text = format!(
                "$TTL 1\n{suffix}. IN SOA ns.invalid. hostmaster.invalid. 1 60 60 60 1\n{suffix}. IN NS ns.invalid.\n"
            );
            for record in records {
                let owner = record.split(". ").next().expect("an owner");
                if owner.ends_with(suffix) {
                    text.push_str(&format!("{record}\n"));
                }
            }
            fs::write(directory.join(suffix), text).expect("written");
            zones += &format!("zone \"{suffix}\" {{ type primary; file \"{suffix}\"; }};\n");
        }
        options(directory, address) + if records.is_empty() { "" } else { &zones }
    })
    .await
}

fn options(directory: &Path, address: SocketAddr) -> String {
    format!(
        "options {{ directory \"{}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; pid-file none; \
         session-keyfile none; recursion no; allow-query {{ any; }}; }};\ncontrols {{ }};\n",
        directory.display(),
        address.port(),
        address.ip()
    )
}
