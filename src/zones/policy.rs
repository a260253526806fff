//! What the configuration decides about zones: which forms are published, which of several
//! endpoints count, and when a removal is believed.

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DnsName, Prefix, ResourceId};

/// Which zones are made of the names, and what stands at their apex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Publish the required `privatelink.*` zones.
    pub privatelink_zones: bool,
    /// Publish one zone per public name, with the A records at its apex.
    pub per_name_zones: bool,
    /// Let forms that override public names cover the application's own name too.
    pub application_name: bool,
    /// TTL of address, NS and SOA records, in seconds.
    pub ttl: u32,
    /// SOA MINIMUM, the TTL of negative answers, in seconds (RFC 2308).
    pub negative_ttl: u32,
    /// Names of the NS records; the first is the SOA's MNAME. Never empty.
    pub name_servers: Vec<DnsName>,
    /// The SOA's RNAME.
    pub hostmaster: DnsName,
    /// Which endpoints count, by application; where there is nothing, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub endpoints: BTreeMap<ResourceId, EndpointPolicy>,
    /// The zone that tells secondaries which zones there are (RFC 9432); none by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub catalog: Option<Catalog>,
    /// The response policy zone with the public names; none by default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rpz: Option<DnsName>,
    /// No serial is lower than this (RFC 1982 arithmetic): for secondaries that have seen higher ones
    /// of an earlier primary.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub serial_at_least: Option<u32>,
}

impl Publication {
    /// Seconds after which a secondary asks for the serial, retries, and gives the zone up: the SOA's
    /// REFRESH, RETRY and EXPIRE (RFC 1035 section 3.3.13).
    pub const REFRESH: u32 = 300;
    /// See [`REFRESH`](Self::REFRESH).
    pub const RETRY: u32 = 60;
    /// See [`REFRESH`](Self::REFRESH).
    pub const EXPIRE: u32 = 14 * 24 * 3600;

    /// The SOA's MNAME: the first name server.
    #[must_use]
    pub fn primary(&self) -> &DnsName {
        self.name_servers.first().unwrap_or(&self.hostmaster)
    }
}

/// A catalog zone of version 2 (RFC 9432).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The catalog's name.
    pub origin: DnsName,
    /// The `group` property of every member (section 4.4.2): 1 to 255 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
}

/// Which of an application's endpoints count for a name that several of them give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointPolicy {
    /// The first of these that gives the name; others only for names that none of these gives.
    Prefer(Vec<ResourceId>),
    /// Client prefix → its endpoint, for every name that this endpoint gives; the longest prefix
    /// counts. For other clients, and for names that it does not give, all endpoints.
    BySubnet(BTreeMap<Prefix, ResourceId>),
}

impl EndpointPolicy {
    /// The endpoints that come before all others, best first, for the clients of a network;
    /// without one, for those outside all prefixes.
    #[must_use]
    pub fn preferred(&self, clients: Option<&Prefix>) -> &[ResourceId] {
        match self {
            Self::Prefer(endpoints) => endpoints,
            Self::BySubnet(endpoints) => endpoints
                .iter()
                .filter(|(prefix, _)| clients.is_some_and(|clients| prefix.covers(clients)))
                .max_by_key(|(prefix, _)| prefix.length)
                .map_or(&[], |(_, endpoint)| slice::from_ref(endpoint)),
        }
    }
}

/// When the guard believes a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardPolicy {
    /// Complete polls in a row that have to show it; at least 1.
    pub removal_polls: u32,
    /// How long they have to show it at least.
    pub removal_period: Duration,
    /// A loss of more names than this …
    pub bulk_names: usize,
    /// … and of more than this share of the application's names, in percent, is a bulk removal.
    pub bulk_percent: u8,
    /// Complete polls in a row for a bulk removal, and for a removal of all names.
    pub bulk_polls: u32,
    /// How long they have to show it at least.
    pub bulk_period: Duration,
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self {
            removal_polls: 3,
            removal_period: Duration::from_secs(60),
            bulk_names: 3,
            bulk_percent: 50,
            bulk_polls: 10,
            bulk_period: Duration::from_secs(600),
        }
    }
}
