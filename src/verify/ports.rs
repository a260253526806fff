//! What connections have shown. Pure.
//!
//! Which ports a name offers is known from no table: all are tried at all names. A name that takes no
//! connection at all is a fault, and so is a port that others of its zone take. A port that nobody in a zone
//! takes is told once, because the service behind it may not have it, as Event Hubs have no MQTT.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::connect::Connected;
use super::{Check, Facts, Problem};
use crate::zones::DnsName;

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Tried<'a> {
    /// The public name.
    pub(super) public: &'a DnsName,
    /// The address.
    pub(super) address: Ipv4Addr,
    /// The port.
    pub(super) port: u16,
    /// What came of it.
    pub(super) connected: Connected,
}

impl Tried<'_> {
    const fn is_open(&self) -> bool {
        !matches!(self.connected, Connected::Closed(..))
    }
}

pub(super) fn judge(facts: &Facts, tried: &[Tried<'_>]) -> Vec<Problem> {
    let open: BTreeSet<(&DnsName, u16)> = tried
        .iter()
        .filter(|t| t.is_open())
        .filter_map(|t| Some((&facts.names.get(t.public)?.zone, t.port)))
        .collect();
    let alive: BTreeSet<(&DnsName, Ipv4Addr)> =
        tried.iter().filter(|t| t.is_open()).map(|t| (t.public, t.address)).collect();
    let mut problems = Vec::new();
    let mut nobody = BTreeMap::<(&DnsName, u16), &Tried<'_>>::new();
    // What is the same at several ports of an address is one problem.
    let mut faults = BTreeMap::<(&DnsName, Ipv4Addr, Check), (BTreeSet<u16>, &str)>::new();
    for one in tried {
        let Some(name) = facts.names.get(one.public) else { continue };
        let (check, seen) = match &one.connected {
            Connected::Good => continue,
            Connected::Tls(check, seen) => (*check, seen),
            Connected::Closed(check, seen) => {
                let is_alive = alive.contains(&(one.public, one.address));
                if is_alive && !open.contains(&(&name.zone, one.port)) {
                    nobody.entry((&name.zone, one.port)).or_insert(one);
                    continue;
                }
                (*check, seen)
            }
        };
        let entry = faults.entry((one.public, one.address, check)).or_insert_with(|| (BTreeSet::new(), seen));
        entry.0.insert(one.port);
    }
    for ((public, address, check), (ports, seen)) in faults {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let server = format!("{address} port {}", ports.join(", "));
        let (expected, remedy) = advice(check, public);
        let problem = Problem::new(check, public.as_str(), seen, expected, remedy).at(server);
        problems.push(match facts.names.get(public) {
            Some(name) => problem.of(&name.application),
            None => problem,
        });
    }
    let mut blocked = BTreeSet::new();
    for ((zone, port), one) in nobody {
        let Connected::Closed(_, seen) = &one.connected else { continue };
        if open.iter().any(|(_, open)| *open == port) {
            problems.push(Problem::new(
                Check::PortNotOffered,
                zone.as_str(),
                format!("port {port} of every name: {seen}"),
                "nothing, where the service does not have the port",
                "nothing; unless devices use it, then open it on the way (firewall, network security group)",
            ));
        } else if blocked.insert(port) {
            problems.push(Problem::new(
                Check::PortBlocked,
                format!("port {port}"),
                format!("of every name: {seen}"),
                "a connection to some name",
                "open it on the way (firewall, network security group), or take it out of [verify] ports",
            ));
        }
    }
    problems
}

/// What should be, and what to do.
fn advice(check: Check, public: &DnsName) -> (String, &'static str) {
    let connection = || "a TCP connection".to_owned();
    let certificate = || format!("a certificate for {public} that is valid now, of a trusted authority");
    match check {
        Check::ConnectRefused => (
            connection(),
            "look whether the address is the endpoint's, and whether a firewall or network security group rejects",
        ),
        Check::ConnectTimeout | Check::ConnectFailed => (
            connection(),
            "look at routes, peering, firewalls and network security groups between this machine and the endpoint",
        ),
        Check::TlsTimeout => (
            "a TLS handshake".to_owned(),
            "look for a firewall or proxy that takes connections and passes nothing on; is it the endpoint's address?",
        ),
        Check::CertificateExpired => (
            certificate(),
            "look at this machine's clock; then whose certificate it is: a proxy that inspects TLS?",
        ),
        Check::CertificateNotYetValid => {
            (certificate(), "set this machine's clock: it is slow; or the certificate's owner is early")
        }
        Check::CertificateWrongName => {
            (certificate(), "somebody else answers at this address: look whether it is the endpoint's")
        }
        Check::CertificateUnknownAuthority => (
            certificate(),
            "a proxy that inspects TLS? Devices do not trust it either; or add its authority as [verify] ca_file",
        ),
        _ => (
            format!("a TLS handshake as {public}"),
            "look at what answers at this address: is it the endpoint's?",
        ),
    }
}
