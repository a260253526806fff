//! ARM's payloads, as lenient as the live service demands and no more.
//!
//! Unknown fields are ignored, fields that the live service leaves out are optional, `null` counts
//! as left out. What records depend on is not optional: a list without `value` or an object without
//! `properties` is a broken response, never an empty one.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::zones::ConnectionState;

/// An absent field, and `null`, as the type's default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) value: Vec<T>,
    #[serde(rename = "nextLink")]
    pub(super) next_link: Option<String>,
}

/// A reference to another resource.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) id: String,
}

/// A reference that may be empty: `{}` is sent for what is being made or removed.
#[derive(Debug, Deserialize)]
pub(super) struct MaybeReference {
    pub(super) id: Option<String>,
}

/// Anything whose content lies in `properties`.
#[derive(Debug, Deserialize)]
pub(super) struct Resource<P> {
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tags: BTreeMap<String, String>,
    pub(super) properties: P,
}

/// An item of the list of applications.
#[derive(Debug, Deserialize)]
pub(super) struct ListedApplication {
    pub(super) id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tags: BTreeMap<String, String>,
}

/// `Microsoft.IoTCentral/iotApps`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Application {
    pub(super) subdomain: Option<String>,
    pub(super) public_network_access: Option<String>,
    /// Absent means "ask the separate list".
    pub(super) private_endpoint_connections: Option<Vec<Resource<Connection>>>,
}

/// A private endpoint connection as the application tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection {
    pub(super) private_endpoint: Option<MaybeReference>,
    #[serde(rename = "privateLinkServiceConnectionState")]
    pub(super) state: Option<State>,
}

/// `privateLinkServiceConnectionState`.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    pub(super) status: Option<String>,
}

/// The state's value; absent or not documented is unknown.
pub(super) fn connection_state(state: Option<&State>) -> ConnectionState {
    let status = state.and_then(|s| s.status.as_deref()).unwrap_or_default();
    [
        ("Approved", ConnectionState::Approved),
        ("Pending", ConnectionState::Pending),
        ("Rejected", ConnectionState::Rejected),
        ("Disconnected", ConnectionState::Disconnected),
    ]
    .into_iter()
    .find(|(name, _)| name.eq_ignore_ascii_case(status))
    .map_or(ConnectionState::Unknown, |(_, state)| state)
}

/// An item of `privateLinkResources`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkResource {
    pub(super) group_id: String,
    pub(super) required_members: Vec<String>,
    pub(super) required_zone_names: Vec<String>,
}

/// `Microsoft.Network/privateEndpoints`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) provisioning_state: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) private_link_service_connections: Vec<Resource<ServiceConnection>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) manual_private_link_service_connections: Vec<Resource<ServiceConnection>>,
    pub(super) subnet: Option<MaybeReference>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) network_interfaces: Vec<Reference>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) custom_dns_configs: Vec<CustomDns>,
}

/// A connection as the private endpoint tells it.
#[derive(Debug, Deserialize)]
pub(super) struct ServiceConnection {
    #[serde(rename = "privateLinkServiceId")]
    pub(super) service: Option<String>,
    #[serde(rename = "privateLinkServiceConnectionState")]
    pub(super) state: Option<State>,
}

/// An item of `customDnsConfigs`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomDns {
    pub(super) fqdn: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ip_addresses: Vec<String>,
}

/// `Microsoft.Network/networkInterfaces`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Interface {
    pub(super) ip_configurations: Vec<Resource<IpConfiguration>>,
}

/// An ip configuration of a network interface.
#[derive(Debug, Deserialize)]
pub(super) struct IpConfiguration {
    #[serde(rename = "privateIPAddress")]
    pub(super) address: Option<String>,
    #[serde(rename = "privateLinkConnectionProperties")]
    pub(super) link: Option<LinkProperties>,
}

/// `privateLinkConnectionProperties`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkProperties {
    pub(super) required_member_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) fqdns: Vec<String>,
}

/// A private DNS zone group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZoneGroup {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) private_dns_zone_configs: Vec<Resource<ZoneConfig>>,
}

/// One zone of a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZoneConfig {
    pub(super) private_dns_zone_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) record_sets: Vec<RecordSet>,
}

/// A record set of a zone group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordSet {
    pub(super) record_type: String,
    pub(super) fqdn: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ip_addresses: Vec<String>,
}
