//! What one complete poll of one application read.
//!
//! An observation exists only when every read succeeded (promise 2: complete or nothing), so
//! nothing in it means "could not be read" but where a variant says so by name. Texts are kept as
//! Azure sent them; judging them is [`derive`](super::derive)'s work.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ResourceId;

/// Everything that one complete poll of one application read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The IoT Central application.
    pub application: ResourceId,
    /// When the poll ended.
    pub at: Timestamp,
    /// What ARM said of the application.
    pub outcome: ApplicationOutcome,
}

/// What ARM said of the application itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationOutcome {
    /// It exists.
    Found(Application),
    /// 404 with code `ResourceNotFound`; no other 404 counts. The text is ARM's own, with the
    /// correlation id.
    NotFound(String),
    /// It exists, but neither the configuration nor a discovery takes it any more: its tag is gone.
    NotSelected,
}

/// An application as its own reads and those of its endpoints show it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Application {
    /// `properties.subdomain`, the first label of its own public name.
    pub subdomain: Option<String>,
    /// `tags`.
    pub tags: BTreeMap<String, String>,
    /// `properties.publicNetworkAccess` is `Enabled`, or not told.
    pub public_access: Option<bool>,
    /// The items of `privateLinkResources`.
    pub link_resources: Vec<LinkResource>,
    /// The endpoints of its connections, and those known from before that the list lacks.
    pub endpoints: Vec<Endpoint>,
}

/// An item of `privateLinkResources`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkResource {
    /// `properties.groupId`, `iotApp` for IoT Central.
    pub group_id: String,
    /// `properties.requiredMembers`.
    pub required_members: Vec<String>,
    /// `properties.requiredZoneNames`.
    pub required_zone_names: Vec<String>,
}

/// A private endpoint with its connection to the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The private endpoint.
    pub id: ResourceId,
    /// The connection's state as the application's list tells it.
    pub connection: ConnectionState,
    /// What reading the endpoint gave.
    pub outcome: EndpointOutcome,
}

/// `privateLinkServiceConnectionState.status`; traffic flows only when `Approved`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Waits for the application's owner.
    Pending,
    /// Usable.
    Approved,
    /// The owner refused; final.
    Rejected,
    /// The owner removed the connection; final.
    Disconnected,
    /// The list does not name it.
    Absent,
    /// A value that is not documented.
    Unknown,
}

/// What reading a private endpoint gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointOutcome {
    /// Not read: its connection is not approved and nothing was ever published from it.
    NotRead,
    /// 404 with code `ResourceNotFound`. The text is ARM's own, with the correlation id.
    NotFound(String),
    /// 401, 403 or another 404, while the application's list does not call it approved: its
    /// subscription or group may be moved or deleted. Proves nothing. The text is ARM's own, with
    /// the correlation id.
    Unreadable(String),
    /// It exists.
    Found(EndpointFacts),
}

/// A private endpoint as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointFacts {
    /// `properties.provisioningState` is `Succeeded`: what it shows is settled.
    pub settled: bool,
    /// `properties.provisioningState` as sent.
    pub provisioning_state: String,
    /// The connection's state as the endpoint tells it, from either connection array.
    pub connection: ConnectionState,
    /// `privateLinkServiceId` of that connection.
    pub link_service: Option<ResourceId>,
    /// `properties.subnet.id`.
    pub subnet: Option<ResourceId>,
    /// The network interfaces' addresses.
    pub interfaces: InterfaceRead,
    /// `properties.customDnsConfigs`.
    pub custom_dns: Vec<FqdnAddresses>,
    /// The zone group, read when `customDnsConfigs` is empty on a settled endpoint.
    pub zone_group: ZoneGroupRead,
}

/// What reading the endpoint's network interfaces gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceRead {
    /// All of them were read.
    Read(Vec<MemberAddress>),
    /// 403: the role lacks `Microsoft.Network/networkInterfaces/read`. The text is ARM's own, with
    /// the correlation id.
    Refused(String),
}

/// One ip configuration of a network interface that carries `privateLinkConnectionProperties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddress {
    /// The network interface.
    pub interface: ResourceId,
    /// `requiredMemberName`.
    pub member: Option<String>,
    /// `fqdns`, public names.
    pub fqdns: Vec<String>,
    /// `privateIPAddress`.
    pub address: String,
}

/// A name and its addresses, from `customDnsConfigs` (public name) or a zone group (privatelink name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FqdnAddresses {
    /// The name as sent.
    pub fqdn: String,
    /// The addresses as sent.
    pub addresses: Vec<String>,
}

/// What reading the endpoint's private DNS zone group gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneGroupRead {
    /// Not needed: `customDnsConfigs` has entries, or the endpoint is not settled.
    NotNeeded,
    /// 403, while the network interfaces were readable. The text is ARM's own, with the
    /// correlation id.
    Refused(String),
    /// The zones of the group; none when no group is attached.
    Read(Vec<GroupZone>),
}

/// One zone of a private DNS zone group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupZone {
    /// The zone's name, from the last segment of `privateDnsZoneId`.
    pub zone: String,
    /// Its A record sets, named by privatelink name.
    pub records: Vec<FqdnAddresses>,
}
