//! What a correct consumer of this Azure publishes, so that the demo and tests can tell when DNS
//! has caught up without a second opinion of their own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{Application, ConnectionStatus, Endpoint, ProvisioningState, World};
use crate::zones::ResourceId;

/// A name with an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The public name.
    pub fqdn: String,
    /// The name in the private zone; absent when no required zone takes it.
    pub privatelink: Option<String>,
    /// The address.
    pub address: Ipv4Addr,
}

impl World {
    /// What should be published for the world as it is.
    ///
    /// An endpoint that is `Updating` counts with what it had when it was last settled; an address
    /// that is gone still counts while the application requires its member. Endpoints that are not
    /// approved, and those of deleted applications, count nothing.
    #[must_use]
    pub fn expected(&self) -> BTreeSet<Record> {
        let mut records = BTreeSet::new();
        for endpoint in self.endpoints.values() {
            let Some(application) = self.applications.get(&endpoint.application) else { continue };
            if endpoint.status != ConnectionStatus::Approved {
                continue;
            }
            for configuration in &endpoint.believed {
                records.extend(configuration.fqdns.iter().map(|fqdn| Record {
                    fqdn: fqdn.clone(),
                    privatelink:
                        private_name(application, fqdn).map(|(label, zone)| format!("{label}.{zone}")),
                    address: configuration.address,
                }));
            }
        }
        records
    }

    /// Brings what a consumer believes of an endpoint up to date, if the endpoint is settled.
    pub(super) fn believe(&mut self, id: &ResourceId) {
        let Some(endpoint) = self.endpoints.get_mut(id) else { return };
        if endpoint.provisioning != ProvisioningState::Succeeded {
            return;
        }
        let required = self.applications.get(&endpoint.application).map_or(&[][..], |app| &app.required);
        let Endpoint { interface, believed, .. } = endpoint;
        believed.retain(|old| {
            required.iter().any(|member| member.name == old.member)
                && !interface.configurations.iter().any(|new| new.member == old.member)
        });
        believed.extend(interface.configurations.iter().cloned());
    }
}

/// Splits a public name into record name and private zone: the longest required suffix wins.
pub(super) fn private_name<'a>(application: &'a Application, fqdn: &'a str) -> Option<(&'a str, &'a str)> {
    application
        .required_zone_names
        .iter()
        .filter_map(|zone| {
            let suffix = zone.strip_prefix("privatelink.").unwrap_or(zone);
            Some((fqdn.strip_suffix(suffix)?.strip_suffix('.')?, zone.as_str()))
        })
        .min_by_key(|(label, _)| label.len())
}
