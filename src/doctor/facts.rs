//! What is known before and after the resolver was asked.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;

use crate::zones::{DnsName, public_suffix};

/// What the daemon knows.
#[derive(Debug, Clone, Serialize)]
pub struct Truth {
    /// Some of the names, of different zones.
    pub samples: Vec<Sample>,
    /// The zones that Azure requires.
    pub zones: Vec<DnsName>,
    /// Every public name, for rules name by name.
    #[serde(skip)]
    pub names: Vec<DnsName>,
    /// Where the daemon answers.
    pub listeners: Vec<SocketAddr>,
    /// It has `[resolver]`, so it may be asked for every name.
    pub resolves: bool,
    /// The servers that it asks for names that it does not have.
    pub upstreams: Vec<SocketAddr>,
    /// It publishes `privatelink.*` zones.
    pub privatelink_zones: bool,
    /// It publishes a zone for each name.
    pub per_name_zones: bool,
    /// The name server that the SOA of its zones names.
    pub primary: DnsName,
}

/// A name that has to be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Its public name.
    pub public: DnsName,
    /// Its name in the privatelink zone.
    pub private: DnsName,
    /// The privatelink zone.
    pub zone: DnsName,
    /// Its addresses, of all endpoints.
    pub addresses: BTreeSet<Ipv4Addr>,
}

/// What came of all questions.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// Who was asked.
    pub resolver: SocketAddr,
    /// What the daemon knows.
    pub truth: Truth,
    /// What became of each sample.
    pub names: Vec<NameFacts>,
    /// Whether questions for names elsewhere arrive at the daemon; nothing where it cannot be asked.
    pub elsewhere: Option<Reach>,
    /// Questions of the same types from others that arrived at the daemon within a second.
    pub noise: u64,
}

/// What came of the questions about one name.
#[derive(Debug, Clone, Serialize)]
pub struct NameFacts {
    /// The name.
    pub sample: Sample,
    /// A of the public name.
    pub public: Reply,
    /// The same a little later: TTLs that count down come from a cache.
    pub again: Reply,
    /// The same without DNSSEC validation; asked after SERVFAIL only.
    pub unchecked: Option<Reply>,
    /// A of the privatelink name.
    pub private: Reply,
    /// SOA of the privatelink zone, without recursion.
    pub soa: Reply,
    /// A of a name that nobody has in the privatelink zone.
    pub nobody_in_zone: Reply,
    /// A of a name that nobody has below the public suffix.
    pub nobody_below_suffix: Reply,
    /// Whether questions for the public name arrive at the daemon.
    pub reach: Option<Reach>,
    /// Whether questions for names in the privatelink zone do.
    pub zone_reach: Option<Reach>,
    /// Whether questions for names below the public suffix do.
    pub suffix_reach: Option<Reach>,
}

/// Questions to the resolver, and how many arrived at the daemon meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Questions that were asked.
    pub asked: u32,
    /// Questions of these types that arrived; a resolver may try again.
    pub arrived: u32,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Nothing in time, or no way to the server; the text says which.
    Silent(String),
    /// An answer.
    Answer(Answer),
}

/// An answer, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answer {
    /// The response code.
    pub rcode: u16,
    /// The server is responsible for the name.
    pub authoritative: bool,
    /// The server resolves for whoever asked.
    pub recursion_available: bool,
    /// The targets of the aliases, in order.
    pub aliases: Vec<String>,
    /// The addresses.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// The shortest TTL of the answers, or else of the denial.
    pub ttl: Option<u32>,
    /// The SOA of a denial, or the one that was asked for.
    pub soa: Option<Authority>,
}

/// A SOA record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Authority {
    /// The zone.
    pub zone: String,
    /// Its primary name server.
    pub primary: String,
    /// Its serial.
    pub serial: u32,
}

/// Response codes (RFC 6895 section 2.3).
pub(super) mod rcode {
    pub(in crate::doctor) const NOERROR: u16 = 0;
    pub(in crate::doctor) const SERVFAIL: u16 = 2;
    pub(in crate::doctor) const NXDOMAIN: u16 = 3;
    pub(in crate::doctor) const REFUSED: u16 = 5;
}

impl Truth {
    /// The public suffixes of the zones.
    pub fn suffixes(&self) -> impl Iterator<Item = DnsName> + '_ {
        self.zones.iter().filter_map(public_suffix)
    }
}

impl Reach {
    /// Whether the way leads to the daemon: most questions arrived. What others ask of these types
    /// meanwhile is little.
    #[must_use]
    pub const fn is_reached(self) -> bool {
        self.arrived.saturating_mul(4) >= self.asked.saturating_mul(3)
    }

    /// Whether every question arrived so often that it must have come back to the daemon from its own
    /// upstream; a resolver that tries again after failures asks less.
    pub(super) const fn is_loop(self) -> bool {
        self.arrived >= self.asked.saturating_mul(20)
    }
}

impl Reply {
    /// The answer, if there is one.
    #[must_use]
    pub const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Silent(_) => None,
        }
    }

    /// Whether it is an answer with this code.
    pub(super) fn is(&self, rcode: u16) -> bool {
        self.answer().is_some_and(|answer| answer.rcode == rcode)
    }

    /// Whether it has addresses, and only some of these.
    pub(super) fn is_right(&self, addresses: &BTreeSet<Ipv4Addr>) -> bool {
        self.answer().is_some_and(|answer| {
            answer.rcode == rcode::NOERROR
                && !answer.addresses.is_empty()
                && answer.addresses.is_subset(addresses)
        })
    }
}
