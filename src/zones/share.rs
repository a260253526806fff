//! What one application contributes to the zones, with where each address came from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DnsName, ResourceId};

/// One application's zones and names: endpoint → name → addresses.
///
/// A name's addresses are kept by endpoint, so that the end of one endpoint never takes a name
/// away that another still gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The application.
    pub application: ResourceId,
    /// Its required zones, as `requiredZoneNames` tells them.
    pub zones: BTreeSet<DnsName>,
    /// Its endpoints with what each gives.
    pub endpoints: BTreeMap<ResourceId, EndpointShare>,
}

/// What one endpoint gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointShare {
    /// The subnet that the endpoint lies in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subnet: Option<ResourceId>,
    /// Public name → where it points.
    pub names: BTreeMap<DnsName, Placement>,
}

/// One public name at one endpoint: its addresses and their provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The privatelink zone that holds the name.
    pub zone: DnsName,
    /// The required member behind it, lower case, where the source tells or the name shows it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub member: Option<String>,
    /// The network interface, when it was the source.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interface: Option<ResourceId>,
    /// Which read gave the addresses.
    pub source: Source,
    /// Whether this is the application's own public name (web interface and APIs).
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub own_name: bool,
    /// The addresses, never empty.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// When these addresses were first observed.
    pub since: Timestamp,
}

/// The read that gave an address, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `privateLinkConnectionProperties` of the network interface.
    Interface,
    /// `customDnsConfigs` of the private endpoint.
    CustomDns,
    /// A record set of the private DNS zone group.
    ZoneGroup,
}

impl Share {
    /// An application that contributes nothing.
    #[must_use]
    pub fn empty(application: ResourceId) -> Self {
        Self { application, zones: BTreeSet::new(), endpoints: BTreeMap::new() }
    }

    /// Every placement, as endpoint, public name and placement.
    pub fn placements(&self) -> impl Iterator<Item = (&ResourceId, &DnsName, &Placement)> {
        self.endpoints
            .iter()
            .flat_map(|(endpoint, share)| share.names.iter().map(move |(name, p)| (endpoint, name, p)))
    }

    /// The placement of a name at an endpoint.
    #[must_use]
    pub fn placement(&self, endpoint: &ResourceId, name: &DnsName) -> Option<&Placement> {
        self.endpoints.get(endpoint)?.names.get(name)
    }

    /// The public names, each once.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&DnsName> {
        self.placements().map(|(_, name, _)| name).collect()
    }
}

impl Placement {
    /// The owner name in the privatelink zone: the part of `public` left of the public suffix, put
    /// in front of the zone.
    ///
    /// `None` when `public` does not belong to the zone, which `derive` has ruled out.
    #[must_use]
    pub fn owner(&self, public: &DnsName) -> Option<DnsName> {
        let suffix = public_suffix(&self.zone)?;
        self.zone.prepend(public.below(&suffix)?).ok()
    }
}

/// The public suffix of a privatelink zone: the zone's name without its leading `privatelink`.
#[must_use]
pub fn public_suffix(zone: &DnsName) -> Option<DnsName> {
    zone.as_str().strip_prefix("privatelink.")?.parse().ok()
}
