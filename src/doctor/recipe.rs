//! The rules that make a resolver ask the daemon, for the shape that the daemon's configuration allows.

use std::net::SocketAddr;

use super::facts::Truth;
use crate::zones::DnsName;

/// The port of DNS.
const PORT: u16 = 53;

/// A kind of resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    /// BIND
    Bind,
    /// Unbound
    Unbound,
    /// dnsmasq
    Dnsmasq,
    /// Windows DNS
    Windows,
    /// systemd-resolved
    Resolved,
}

impl Server {
    /// Whether it follows a chain of aliases by its own rules, so that rules for privatelink zones do.
    const fn follows_chains(self) -> bool {
        matches!(self, Self::Bind | Self::Unbound)
    }
}

/// The rules for a server, or why there are none.
///
/// The public suffixes where the daemon resolves, single names where it has zones for them, the privatelink
/// zones where the server uses such rules.
#[must_use]
pub fn recipe(server: Server, truth: &Truth) -> String {
    let daemon = truth.listeners.iter().find(|listener| !listener.ip().is_unspecified());
    let daemon = daemon.copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], PORT)));
    let (domains, why): (Vec<DnsName>, &str) = if truth.resolves {
        (truth.suffixes().collect(), "The public suffixes: new names need nobody.")
    } else if truth.per_name_zones {
        (truth.names.clone(), "The names of now: print this again when there are others.")
    } else if server.follows_chains() && truth.privatelink_zones {
        let why = "The privatelink zones: names of other tenants in them will not exist; give the daemon [resolver].";
        (truth.zones.clone(), why)
    } else {
        return "There are no rules for this server as the daemon is configured: give it [resolver] upstreams, or \
                per_name_zones = true in [publish], and ask again.\n"
            .to_owned();
    };
    let (ip, port) = (daemon.ip(), daemon.port());
    let each = |line: &dyn Fn(&DnsName) -> String| domains.iter().map(line).collect::<String>();
    let (mark, text) = match server {
        Server::Bind => {
            let exempt = each(&|domain| format!(" \"{domain}\";"));
            let zones = each(&|domain| {
                format!(
                    "zone \"{domain}\" {{ type forward; forward only; forwarders {{ {ip} port {port}; }}; }};\n"
                )
            });
            let options = format!(
                "options {{\n    // Add this to the options that are there.\n    validate-except {{{exempt} }};\n}};\n"
            );
            let flush = "// Then: named-checkconf && rndc reconfig && rndc flush\n";
            ("//", options + &zones + flush)
        }
        Server::Unbound => {
            let local = if ip.is_loopback() { "    do-not-query-localhost: no\n" } else { "" };
            let open = each(&|domain| {
                format!("    domain-insecure: \"{domain}\"\n    private-domain: \"{domain}\"\n")
            });
            let zones = each(&|domain| {
                format!("forward-zone:\n    name: \"{domain}\"\n    forward-addr: {ip}@{port}\n")
            });
            (
                "#",
                format!(
                    "server:\n{local}{open}{zones}# Then: unbound-checkconf && systemctl restart unbound\n"
                ),
            )
        }
        Server::Dnsmasq => {
            let path = each(&|domain| format!("/{domain}"));
            let text = format!(
                "server={path}/{ip}#{port}\nrebind-domain-ok={path}/\n# Then: dnsmasq --test && systemctl restart dnsmasq\n"
            );
            ("#", text)
        }
        Server::Windows => {
            let note = if port == PORT {
                ""
            } else {
                "# Windows DNS asks port 53 only: let the daemon listen there.\n"
            };
            let zones = each(&|domain| {
                format!("Add-DnsServerConditionalForwarderZone -Name '{domain}' -MasterServers {ip}\n")
            });
            ("#", format!("{note}{zones}Clear-DnsServerCache -Force\n"))
        }
        Server::Resolved => {
            let list: Vec<String> = domains.iter().map(|domain| format!("~{domain}")).collect();
            let text = format!(
                "[Resolve]\nDNS={ip}:{port}\nDomains={}\n# Then: systemctl restart systemd-resolved\n",
                list.join(" ")
            );
            ("#", text)
        }
    };
    let here = if ip.is_loopback() {
        format!(
            "{mark} {ip} is the daemon on its own host; for a server elsewhere write the address that it reaches.\n"
        )
    } else {
        String::new()
    };
    format!("{mark} {why}\n{here}{text}")
}
