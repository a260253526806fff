//! Who is asked: from the words of the configuration to addresses.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::config::{Config, TargetKind, VerifyResolver};
use crate::files::{self, FileError};
use crate::wire::exchange::reachable;
use crate::zones::DnsName;

/// The system's resolvers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// More octets than it ever has.
const RESOLV_CONF_SIZE: u64 = 64 << 10;

/// What a server can be expected to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Public names, with the chain from them to the private addresses.
    Resolver,
    /// The zones that were handed to it, and maybe nothing else.
    Authority,
    /// The one or the other: a secondary, which may be a resolver that has the policy zone.
    Either,
}

/// A server that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What the configuration or the command line calls it, for metrics.
    pub configured: VerifyResolver,
    /// What it is called for people.
    pub title: String,
    /// Where it is.
    pub address: SocketAddr,
    /// What it can be expected to know.
    pub kind: Kind,
    /// The zones that it has, where not all.
    pub zones: Vec<DnsName>,
}

/// The system's resolvers cannot be found.
#[derive(Debug, thiserror::Error)]
#[error("{0}; name resolvers by their addresses instead of \"system\"")]
pub struct NoSystemResolver(String);

/// The servers of the resolvers that were asked for, each once. `own` is where the daemon listens.
///
/// # Errors
/// When the system's resolvers are wanted and their file cannot be read.
pub fn servers(
    wanted: &[VerifyResolver],
    config: &Config,
    own: &[SocketAddr],
) -> Result<Vec<Server>, NoSystemResolver> {
    let mut servers = Vec::new();
    for resolver in wanted {
        let server = |title: String, address, kind| Server {
            configured: *resolver,
            title,
            address,
            kind,
            zones: Vec::new(),
        };
        match resolver {
            VerifyResolver::System => {
                let addresses = system_resolvers()?;
                servers.extend(
                    addresses.into_iter().map(|a| server(format!("system {}", short(a)), a, Kind::Resolver)),
                );
            }
            VerifyResolver::Daemon => {
                let kind = if config.resolver.is_some() { Kind::Resolver } else { Kind::Authority };
                let usable = own.iter().filter(|address| address.port() != 0).map(|own| reachable(*own));
                servers.extend(usable.map(|a| server(format!("daemon {}", short(a)), a, kind)));
            }
            VerifyResolver::Targets => {
                for target in &config.targets {
                    let TargetKind::Rfc2136(settings) = &target.kind else { continue };
                    servers.extend(settings.servers.iter().map(|address| Server {
                        zones: settings.zones.clone(),
                        ..server(format!("{} {}", target.name, short(*address)), *address, Kind::Authority)
                    }));
                }
            }
            VerifyResolver::Secondaries => {
                servers.extend(config.transfer.secondaries.iter().map(|secondary| {
                    let address = secondary.address;
                    server(format!("{} {}", secondary.name, short(address)), address, Kind::Either)
                }));
            }
            VerifyResolver::Address(address) => {
                servers.push(server(short(*address), *address, Kind::Resolver))
            }
        }
    }
    let mut seen = BTreeSet::new();
    // A resolver is asked other questions than an authority at the same address.
    servers.retain(|server| seen.insert((server.address, server.kind == Kind::Resolver)));
    Ok(servers)
}

/// The system's resolvers, in the order in which it asks them; at least one.
///
/// # Errors
/// When their file is there and cannot be read.
pub fn system_resolvers() -> Result<Vec<SocketAddr>, NoSystemResolver> {
    let path = Path::new(RESOLV_CONF);
    match files::read(path, RESOLV_CONF_SIZE) {
        Ok(content) => Ok(nameservers(&String::from_utf8_lossy(&content))),
        Err(FileError::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => Ok(nameservers("")),
        Err(error) => Err(NoSystemResolver(error.problem(path))),
    }
}

/// The servers that the C library would ask (resolv.conf(5)): the first three, or this machine.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        // A scope such as %eth0 is part of some addresses, and of use on that interface only.
        let ip: IpAddr =
            words.next().filter(|w| *w == "nameserver").and_then(|_| words.next())?.parse().ok()?;
        Some(SocketAddr::new(ip, 53))
    };
    let servers: Vec<SocketAddr> = text.lines().filter_map(address).take(3).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, 53).into()] } else { servers }
}

/// Without the usual port.
fn short(address: SocketAddr) -> String {
    if address.port() == 53 { address.ip().to_string() } else { address.to_string() }
}

impl Server {
    /// The names under which it may know a public name, best first.
    pub(super) fn questions<'a>(
        &self,
        public: &'a DnsName,
        name: &'a super::Name,
        policy: bool,
    ) -> Vec<&'a DnsName> {
        let owner = || {
            let mut owners = name.owners.iter();
            owners
                .find(|(zone, _)| self.zones.is_empty() || self.zones.contains(zone))
                .map(|(_, owner)| owner)
        };
        match self.kind {
            Kind::Resolver => vec![public],
            Kind::Authority => owner().into_iter().collect(),
            Kind::Either => {
                let mut questions: Vec<&DnsName> = owner().into_iter().collect();
                if policy && !questions.contains(&public) {
                    questions.push(public);
                }
                questions
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_asked_as_the_c_library_does() {
        let ips = |text: &str| -> Vec<String> {
            nameservers(text).iter().map(|address| address.ip().to_string()).collect()
        };
        let text = "# nameserver 1.1.1.1\nsearch example.net\nnameserver\t10.0.0.4\n nameserver ::1 # x\n\
                    nameserver fe80::1%eth0\nnameserver x\nnameserver 10.0.0.5\nnameserver 10.0.0.6\n";
        assert_eq!(ips(text), ["10.0.0.4", "::1", "10.0.0.5"]);
        assert_eq!(ips(""), ["127.0.0.1"]);
    }
}
