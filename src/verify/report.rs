//! What a run has shown.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::connect::Connected;
use super::names::{Asked, Known};
use super::ports::Tried;
use super::{Facts, Problem, Server};
use crate::zones::{DnsName, ResourceId, public_suffix};

/// What a run has shown; the shape of `verify --json`, where fields are only added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// When the run began.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// The applications.
    pub applications: Vec<ApplicationReport>,
    /// Who was asked.
    pub servers: Vec<ServerReport>,
    /// Each name.
    pub names: Vec<NameReport>,
    /// What is wrong, most important first.
    pub problems: Vec<Problem>,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationReport {
    /// Its resource id.
    pub application: ResourceId,
    /// Its names.
    pub names: usize,
    /// Its own provisioning services, which its devices have to use.
    pub provisioning: Vec<Provisioning>,
}

/// A provisioning service behind the private endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioning {
    /// The host that devices have to use.
    pub direct: DnsName,
    /// The host of all applications of the world, which has a public address only: devices that use it go over
    /// the public endpoint, and reach nothing once public network access is off.
    pub global: DnsName,
}

/// A server that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerReport {
    /// What it is called.
    pub server: String,
    /// What the configuration or the command line calls it.
    pub configured: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Names that it knows rightly.
    pub right: usize,
    /// Names that it knows otherwise.
    pub wrong: usize,
    /// Names for which it has not answered. When it answers for none of the first, it is not asked for more.
    pub unanswered: usize,
}

impl ServerReport {
    const fn is_right(&self) -> bool {
        self.wrong == 0 && self.unanswered == 0
    }
}

/// A public name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NameReport {
    /// The name.
    pub name: DnsName,
    /// The privatelink name.
    pub private: Option<DnsName>,
    /// The application.
    pub application: ResourceId,
    /// The right addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// How each server knows it, by what the server is called.
    pub servers: BTreeMap<String, Known>,
    /// The ports that were tried.
    pub ports: Vec<PortReport>,
}

/// A port of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortReport {
    /// The address.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
    /// `good`, or the code of what is wrong.
    pub result: String,
}

impl Report {
    pub(super) fn new(at: Timestamp, facts: &Facts) -> Self {
        let names = facts.names.iter().map(|(public, name)| NameReport {
            name: public.clone(),
            private: name.private.clone(),
            application: name.application.clone(),
            addresses: name.addresses().into_iter().collect(),
            servers: BTreeMap::new(),
            ports: Vec::new(),
        });
        let mut applications = BTreeMap::<&ResourceId, ApplicationReport>::new();
        for (public, name) in &facts.names {
            let report = applications.entry(&name.application).or_insert_with(|| ApplicationReport {
                application: name.application.clone(),
                names: 0,
                provisioning: Vec::new(),
            });
            report.names += 1;
            report.provisioning.extend(provisioning(public, &name.zone));
        }
        Self {
            at,
            seconds: 0.0,
            applications: applications.into_values().collect(),
            servers: Vec::new(),
            names: names.collect(),
            problems: Vec::new(),
        }
    }

    pub(super) fn add_server(&mut self, server: &Server, asked: &[Asked<'_>], known: &[Known]) {
        let count = |wanted| known.iter().filter(|known| **known == wanted).count();
        self.servers.push(ServerReport {
            server: server.title.clone(),
            configured: server.configured.to_string(),
            address: server.address,
            right: count(Known::Right),
            wrong: count(Known::Wrong),
            unanswered: count(Known::Unanswered),
        });
        for (asked, known) in asked.iter().zip(known) {
            if let Some(name) = self.name(asked.public) {
                name.servers.insert(server.title.clone(), *known);
            }
        }
    }

    pub(super) fn add_ports(&mut self, tried: &[Tried<'_>]) {
        for one in tried {
            let result = match &one.connected {
                Connected::Good => "good",
                Connected::Closed(check, _) | Connected::Tls(check, _) => check.code(),
            };
            let port = PortReport { address: one.address, port: one.port, result: result.to_owned() };
            if let Some(name) = self.name(one.public) {
                name.ports.push(port);
            }
        }
    }

    fn name(&mut self, public: &DnsName) -> Option<&mut NameReport> {
        // They are in the order of the facts' map.
        let at = self.names.binary_search_by(|name| name.name.cmp(public)).ok()?;
        self.names.get_mut(at)
    }

    /// Whether a resolver, as it is configured, knows every name rightly; all of its servers when it stands
    /// for several. Nothing when it stands for none.
    pub(super) fn is_known_at(&self, configured: &str) -> Option<bool> {
        let mut servers = self.servers.iter().filter(|server| server.configured == configured).peekable();
        servers.peek().is_some().then(|| servers.all(ServerReport::is_right))
    }

    /// Whether every server knows every name rightly.
    pub(super) fn is_known_everywhere(&self) -> bool {
        self.servers.iter().all(ServerReport::is_right)
    }

    /// Whether something has to be done.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.problems.iter().any(Problem::is_failure)
    }
}

/// A name's provisioning service, if it is one. ARM does not tell what a member is. The word in the zone's name
/// does, in all clouds; no more than this hint depends on it.
fn provisioning(public: &DnsName, zone: &DnsName) -> Option<Provisioning> {
    let suffix = public_suffix(zone)?;
    let is_one = suffix.labels().next()?.ends_with("-provisioning");
    let global = suffix.prepend("global").ok()?;
    is_one.then(|| Provisioning { direct: public.clone(), global })
}
