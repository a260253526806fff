//! Public names with their private addresses, for forms that override what public DNS says: hosts
//! files, rules of resolvers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::generation::{Generation, zones};
use super::{DnsName, Form, Publication};

/// What a public name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Its names in the privatelink zones; usually one.
    pub aliases: BTreeSet<DnsName>,
    /// Its addresses as everybody sees them; never empty.
    pub addresses: BTreeSet<Ipv4Addr>,
}

impl Generation {
    /// Every public name that may be overridden: without the application's own, unless the publication
    /// says so. The endpoints that count are those of the zones, for clients outside all prefixes.
    #[must_use]
    pub fn overrides(&self) -> BTreeMap<DnsName, Override> {
        // Which names and which addresses is what per-name zones are made of.
        let publication = Publication {
            privatelink_zones: false,
            per_name_zones: true,
            catalog: None,
            rpz: None,
            ..self.publication.clone()
        };
        let mut overrides: BTreeMap<DnsName, Override> = zones(&self.shares, &publication)
            .into_iter()
            .filter(|(_, zone)| zone.form == Form::PerName)
            .filter_map(|(name, mut zone)| {
                let addresses = zone.addresses.remove(&name)?;
                Some((name, Override { aliases: BTreeSet::new(), addresses }))
            })
            .collect();
        for (_, public, placement) in self.shares.values().flat_map(|share| share.placements()) {
            if let Some(found) = overrides.get_mut(public) {
                found.aliases.extend(placement.owner(public));
            }
        }
        overrides
    }
}
