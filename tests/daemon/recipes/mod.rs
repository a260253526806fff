//! The recipes of the README and of docs/, each in the server that it is for, between clients, the daemon
//! and public DNS.

mod bind;
mod dnsmasq;
mod doctor;
mod export;
mod unbound;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::docs::read;
use crate::readme::README;
use crate::support::azure::{Azure, public};
use crate::support::daemon::Daemon;
use crate::support::dns::{Dig, dig};
use crate::support::eventually;
use crate::support::home::Home;
use crate::support::public::PublicDns;
use crate::support::server::Server;

/// What the recipes forward.
const SUFFIXES: [&str; 4] =
    ["azure-devices.net", "azure-devices-provisioning.net", "servicebus.windows.net", "azureiotcentral.com"];

/// The address that public DNS gives for every name of the application. dnsmasq takes the usual
/// addresses for examples for private ones.
const PUBLIC: &str = "198.18.0.1";

/// A `[publish]` whose answers a test can outlive.
const SHORT_LIVED: &str = "ttl = \"1s\"\nnegative_ttl = \"1s\"";

/// A network: a daemon, public DNS, and an address for the server between clients and both. The
/// three have addresses of their own and one port, because some recipes cannot name a port.
struct Site {
    azure: Azure,
    public: PublicDns,
    daemon: Daemon,
    server: SocketAddr,
    home: Home,
}

impl Site {
    /// With a daemon that resolves.
    async fn new() -> Self {
        Self::build(SHORT_LIVED, |upstream| format!("[resolver]\nupstreams = [\"{upstream}\"]\n")).await
    }

    /// With a daemon that knows its own zones only, and this `[publish]`.
    async fn without_resolver(publish: &'static str) -> Self {
        Self::build(publish, |_| String::new()).await
    }

    async fn build(publish: &'static str, resolver: impl Fn(SocketAddr) -> String) -> Self {
        let azure = Azure::start().await;
        let (port, public) = loop {
            let port = a_port();
            let free = |host| std::net::UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), port)).is_ok();
            if let Some(public) = PublicDns::start_at(address(3, port)).await
                && free(1)
                && free(2)
            {
                break (port, public);
            }
        };
        public.set_ttl(1);
        for name in azure.names().keys() {
            public.private_link(&self::public(name), [198, 18, 0, 1]);
        }
        public.private_link("other.azure-devices.net", [198, 18, 0, 2]);
        public.private_link("partner.servicebus.windows.net", [198, 18, 0, 3]);
        public.host("global.azure-devices-provisioning.net", [198, 18, 0, 4]);
        public.host("plain.privatelink.azure-devices.net", [198, 18, 0, 5]);
        public.alias("www.example.com", "host.example.net");
        public.host("host.example.net", [198, 18, 0, 7]);
        let mut home = Home::new(&azure);
        home.settings.listen = vec![address(2, port).to_string()];
        home.settings.publish = publish;
        home.settings.resolver = resolver(public.address);
        let daemon = home.start().await;
        daemon.shows(&azure).await;
        Self { azure, public, daemon, server: address(1, port), home }
    }

    /// The public name of the first hub.
    fn hub(&self) -> String {
        public(&self.azure.hub())
    }

    /// All names are as they should be, asked for the first time and from the server's cache.
    async fn is_right(&self, server: &Server) {
        for _ in 0..2 {
            for (private, expected) in self.azure.names() {
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                for name in [&public(&private), &private] {
                    let answer = server.ask(name, "A").await;
                    assert_eq!(addresses(&answer), expected, "{name}: {answer:?}");
                    let answer = server.ask(name, "AAAA").await;
                    assert_eq!((answer.status.as_str(), addresses(&answer).len()), ("NOERROR", 0), "{name}");
                }
            }
            for (name, expected) in [
                ("other.azure-devices.net", "198.18.0.2"),
                ("other.privatelink.azure-devices.net", "198.18.0.2"),
                ("partner.servicebus.windows.net", "198.18.0.3"),
                ("global.azure-devices-provisioning.net", "198.18.0.4"),
                ("plain.privatelink.azure-devices.net", "198.18.0.5"),
                ("www.example.com", "198.18.0.7"),
            ] {
                gives(server, name, expected).await;
                if name == "plain.privatelink.azure-devices.net" {
                    // BIND does not believe a denial from the zone above the one that it forwards;
                    // in public DNS every privatelink name is an alias.
                    continue;
                }
                let answer = server.ask(name, "AAAA").await;
                assert_eq!((answer.status.as_str(), addresses(&answer).len()), ("NOERROR", 0), "{name}");
            }
            for name in
                ["nobody.azure-devices.net", "nobody.privatelink.azure-devices.net", "nobody.example.com"]
            {
                assert_eq!(server.ask(name, "A").await.status, "NXDOMAIN", "{name}");
            }
        }
    }

    /// A hub comes and goes, and each time the server has the old answer in its cache.
    async fn follows_scaling(&self, server: &Server) {
        let hub = self.azure.with(|world| world.scale_out(&self.azure.application));
        let name = format!("{hub}.azure-devices.net");
        self.public.private_link(&name, [198, 18, 0, 9]);
        gives(server, &name, "198.18.0.9").await;
        self.azure.with(|world| world.settle_all(&self.azure.application));
        let private = format!("{hub}.privatelink.azure-devices.net");
        let address = self.azure.names()[&private].first().expect("an address").to_string();
        shows(server, &name, &address).await;
        shows(server, &private, &address).await;
        self.azure.scale_in(&private);
        shows(server, &name, "198.18.0.9").await;
        shows(server, &private, "198.18.0.9").await;
    }

    /// The public names with per-name zones, and their private addresses.
    fn own_names(&self) -> Vec<(String, String)> {
        let names = self
            .azure
            .names()
            .into_iter()
            .map(|(name, addresses)| (public(&name), addresses.first().expect("an address").to_string()));
        names.filter(|(name, _)| !name.ends_with("azureiotcentral.com")).collect()
    }

    /// Names with a rule of their own are private, and all others are left alone.
    async fn is_right_name_by_name(&self, server: &Server) {
        for (name, address) in self.own_names() {
            gives(server, &name, &address).await;
        }
        gives(server, "other.azure-devices.net", "198.18.0.2").await;
        gives(server, "partner.servicebus.windows.net", "198.18.0.3").await;
    }

    /// The private address of the first hub.
    fn hub_address(&self) -> String {
        self.azure.names()[&self.azure.hub()].first().expect("an address").to_string()
    }
}

/// Asks until a server says that it cannot answer; an answer is too much.
async fn fails(server: &Server, name: &str) {
    eventually(&format!("{name} fails"), async || {
        let answer = dig(server.address, name, "A").await;
        assert!(matches!(answer.status.as_str(), "" | "SERVFAIL"), "{name}: {answer:?}");
        if answer.status.is_empty() { Err("no answer".to_owned()) } else { Ok(()) }
    })
    .await;
}

/// A server gives this address for a name, and no other.
async fn gives(server: &Server, name: &str, address: &str) {
    let answer = server.ask(name, "A").await;
    assert_eq!(addresses(&answer), [address], "{name}: {answer:?}");
}

/// Waits until it does.
async fn shows(server: &Server, name: &str, address: &str) {
    eventually(&format!("{name} {address}"), async || {
        let answer = server.ask(name, "A").await;
        if addresses(&answer) == [address] { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

/// The addresses in an answer, sorted.
fn addresses(answer: &Dig) -> Vec<String> {
    let addresses = answer.answers.iter().filter(|fields| matches!(fields[3].as_str(), "A" | "AAAA"));
    let mut addresses: Vec<String> = addresses.map(|fields| fields[4].clone()).collect();
    addresses.sort();
    addresses
}

/// The block with this text in the README's section under a heading, or on the page of that name.
pub(crate) fn recipe(heading: &str, text: &str) -> String {
    let page = match README.split_once(&format!("\n### {heading}\n")) {
        Some((_, section)) => section.to_owned(),
        None => read(&format!("docs/{}.md", heading.to_lowercase())),
    };
    let section = page.split("\n### ").next().unwrap_or_default();
    let blocks = section.split("```").skip(1).step_by(2);
    let block = blocks.filter_map(|block| Some(block.split_once('\n')?.1)).find(|block| block.contains(text));
    block.unwrap_or_else(|| panic!("no recipe with {text:?} under {heading:?}")).to_owned()
}

/// A recipe without the lines that hold this text.
fn without(recipe: &str, text: &str) -> String {
    recipe.lines().filter(|line| !line.contains(text)).map(|line| format!("{line}\n")).collect()
}

/// The same recipe for the privatelink zones in place of the public suffixes.
fn for_privatelink_zones(recipe: &str) -> String {
    SUFFIXES
        .iter()
        .fold(recipe.to_owned(), |text, suffix| text.replace(suffix, &format!("privatelink.{suffix}")))
}

const fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), port)
}

/// A port outside of the range that sockets get by themselves, and not the one before.
pub(crate) fn a_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 1000) as u16 * 20;
    10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000
}
