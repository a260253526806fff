//! What exists in the simulated Azure: plain data, open to tests, without behaviour.
//!
//! Every field may be changed by hand for a case that no verb makes; verbs keep the whole
//! consistent the way Azure does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;

use jiff::SignedDuration;

use super::{Faults, Throttle, Tokens};
use crate::zones::ResourceId;

/// The resources of the simulated Azure and how the service behaves.
#[derive(Debug)]
pub struct World {
    /// IoT Central applications by id.
    pub applications: BTreeMap<ResourceId, Application>,
    /// Private endpoints by id; their network interfaces, connections and zone groups are inside.
    pub endpoints: BTreeMap<ResourceId, Endpoint>,
    /// Subscription and resource group, both in lower case, of everything that ever existed. What
    /// lies elsewhere is `SubscriptionNotFound` or `ResourceGroupNotFound`.
    pub groups: BTreeSet<(String, String)>,
    /// Literal answers by lower-case path (see [`World::serve_raw`]).
    pub raw: BTreeMap<String, RawReply>,
    /// Items per page of lists that can have a `nextLink`; all on one page when absent.
    pub page_size: Option<NonZeroUsize>,
    /// Limits the rate of reads with genuine 429 answers; unlimited when absent.
    pub throttle: Option<Throttle>,
    /// Bearer tokens and the managed identity endpoint.
    pub tokens: Tokens,
    /// What goes wrong.
    pub faults: Faults,
    /// By how much the service's clock is ahead of this machine's, as the header `Date` tells it.
    pub clock_ahead: SignedDuration,
    /// Source of ids and names, so that equal seeds give equal worlds.
    pub(super) random: fastrand::Rng,
    /// The last host number given out in each /24.
    pub(super) hosts: BTreeMap<Ipv4Addr, u8>,
}

impl World {
    /// An empty world; ids and names that it makes up depend on `seed` and the order of verbs only.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            applications: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            groups: BTreeSet::new(),
            raw: BTreeMap::new(),
            page_size: None,
            throttle: None,
            tokens: Tokens::default(),
            faults: Faults::default(),
            clock_ahead: SignedDuration::ZERO,
            random: fastrand::Rng::with_seed(seed),
            hosts: BTreeMap::new(),
        }
    }

    /// The endpoints that point at an application.
    pub fn endpoints_of(&self, application: &ResourceId) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values().filter(move |endpoint| endpoint.application == *application)
    }

    /// Serves `reply` for a path (without query), whatever else lies there; tokens are still checked.
    pub fn serve_raw(&mut self, path: &str, reply: RawReply) {
        self.raw.insert(path.to_ascii_lowercase(), reply);
    }
}

/// A literal answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReply {
    /// HTTP status; 500 when it is none.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body as it goes out.
    pub body: String,
}

impl RawReply {
    /// A 200 answer with a JSON body.
    #[must_use]
    pub fn json(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "application/json; charset=utf-8".to_owned(), body: body.into() }
    }
}

/// Which of the observed payload shapes an application has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// As recorded in August 2025.
    Live2025,
    /// As on Microsoft's page: `name: "ioTApp"`, `location`, `provisioningState`, provisioning
    /// service before the hubs, other casing of ids.
    Documentation,
}

/// An IoT Central application.
#[derive(Debug, Clone)]
pub struct Application {
    /// Id with the spelling that payloads show.
    pub id: ResourceId,
    /// Payload shape.
    pub flavour: Flavour,
    /// `properties.subdomain`.
    pub subdomain: String,
    /// `location`.
    pub location: String,
    /// `tags`.
    pub tags: BTreeMap<String, String>,
    /// `sku.name`: `ST0`, `ST1` or `ST2`.
    pub sku: String,
    /// `properties.publicNetworkAccess`.
    pub public_network_access: bool,
    /// `properties.state`: `created` or `suspended`.
    pub state: String,
    /// `properties.provisioningState`.
    pub provisioning_state: String,
    /// `properties.applicationId`.
    pub application_id: String,
    /// The header `etag`.
    pub etag: String,
    /// `requiredMembers` in live order: application, hub, its Event Hubs, …, provisioning service.
    pub required: Vec<Member>,
    /// `requiredZoneNames`.
    pub required_zone_names: Vec<String>,
}

/// Something that needs an address of its own behind an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name as in `requiredMembers`.
    pub name: String,
    /// What it is.
    pub kind: MemberKind,
    /// Its public names; one in every recording of IoT Central, more for other services.
    pub fqdns: Vec<String>,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// The application's own site.
    Application,
    /// An IoT hub; its Event Hubs follow it in the list.
    Hub,
    /// The built-in Event Hubs of the hub before it.
    EventHubs,
    /// The device provisioning service.
    Provisioning,
    /// Anything else.
    Other,
}

/// A private endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Id with the spelling that payloads show.
    pub id: ResourceId,
    /// `location`.
    pub location: String,
    /// `properties.resourceGuid`.
    pub resource_guid: String,
    /// GUID of the ETag; changes with every change.
    pub etag: String,
    /// `privateLinkServiceId`.
    pub application: ResourceId,
    /// Name of the connection on the endpoint's side.
    pub link_name: String,
    /// Name of the connection on the application's side, `<application>.<guid>`.
    pub connection_name: String,
    /// Which connection array of the endpoint holds it.
    pub approval: Approval,
    /// `privateLinkServiceConnectionState.status`.
    pub status: ConnectionStatus,
    /// `privateLinkServiceConnectionState.description`, an unstable text.
    pub description: String,
    /// `properties.provisioningState`.
    pub provisioning: ProvisioningState,
    /// `properties.subnet.id`.
    pub subnet: ResourceId,
    /// The /24 that addresses come from; the last octet is 0.
    pub network: Ipv4Addr,
    /// Its network interface.
    pub interface: Interface,
    /// The attached private DNS zone group.
    pub zone_group: Option<ZoneGroup>,
    /// Members whose address was taken away while they were still required.
    pub(super) released: BTreeSet<String>,
    /// What a consumer that waits for settled states believes (see [`World::expected`]).
    pub(super) believed: Vec<IpConfiguration>,
}

impl Endpoint {
    /// Whether `customDnsConfigs` is empty although addresses exist.
    #[must_use]
    pub fn hides_custom_dns(&self) -> bool {
        self.provisioning != ProvisioningState::Succeeded
            || self.zone_group.as_ref().is_some_and(|group| group.hides_custom_dns)
    }
}

/// The network interface of an endpoint.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Id, ending in `<endpoint>.nic.<guid>`.
    pub id: ResourceId,
    /// GUID of the ETag.
    pub etag: String,
    /// `properties.ipConfigurations`.
    pub configurations: Vec<IpConfiguration>,
}

/// An ip configuration with its `privateLinkConnectionProperties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpConfiguration {
    /// Name, `privateEndpointIpConfig.<guid>`.
    pub name: String,
    /// `requiredMemberName`.
    pub member: String,
    /// `fqdns`.
    pub fqdns: Vec<String>,
    /// `privateIPAddress`.
    pub address: Ipv4Addr,
}

/// How a connection comes to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// By the creator's own right: approved at once, in `privateLinkServiceConnections`.
    Automatic,
    /// By request: pending at first, in `manualPrivateLinkServiceConnections`.
    Manual,
}

/// `privateLinkServiceConnectionState.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionStatus {
    /// Waits for the application's owner.
    Pending,
    /// Usable.
    Approved,
    /// The owner refused.
    Rejected,
    /// The owner removed the connection; the application no longer lists it.
    Disconnected,
}

/// `properties.provisioningState` of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisioningState {
    /// Being changed; `customDnsConfigs` is empty.
    Updating,
    /// Settled.
    Succeeded,
    /// Being deleted.
    Deleting,
    /// The last change failed.
    Failed,
}

/// A private DNS zone group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneGroup {
    /// Name.
    pub name: String,
    /// GUID of the ETag.
    pub etag: String,
    /// Which zones it has.
    pub coverage: ZoneCoverage,
    /// Whether `customDnsConfigs` is empty because of it. Documented for a group that matches;
    /// what Azure shows for a partial one is not known, the simulator then hides too.
    pub hides_custom_dns: bool,
}

/// Which zones a zone group has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneCoverage {
    /// All required ones.
    Complete,
    /// These only.
    Partial(Vec<String>),
    /// A zone that belongs to no service: attached, `Succeeded`, without record sets.
    Mismatch,
}

/// What a new application is like.
#[derive(Debug, Clone)]
pub struct ApplicationOptions {
    /// Subscription id.
    pub subscription: String,
    /// Resource group.
    pub resource_group: String,
    /// Resource name.
    pub name: String,
    /// Subdomain; the name when absent.
    pub subdomain: Option<String>,
    /// Region.
    pub location: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// `ST0`, `ST1` or `ST2`.
    pub sku: String,
    /// How many hubs to start with.
    pub hubs: usize,
    /// Whether public access is on.
    pub public_network_access: bool,
    /// Payload shape.
    pub flavour: Flavour,
}

impl Default for ApplicationOptions {
    fn default() -> Self {
        Self {
            subscription: "00000000-0000-0000-0000-000000000000".to_owned(),
            resource_group: "rg-iot".to_owned(),
            name: "contoso-iot".to_owned(),
            subdomain: None,
            location: "westeurope".to_owned(),
            tags: BTreeMap::new(),
            sku: "ST2".to_owned(),
            hubs: 2,
            public_network_access: true,
            flavour: Flavour::Live2025,
        }
    }
}

/// What a new private endpoint is like.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// Subscription; the application's when absent.
    pub subscription: Option<String>,
    /// Resource group; the application's when absent.
    pub resource_group: Option<String>,
    /// Resource name.
    pub name: String,
    /// How it is approved.
    pub approval: Approval,
    /// The /24 its addresses come from; the last octet does not matter. Addresses start at `.4`, as
    /// in Azure, and are never given twice.
    pub network: Ipv4Addr,
    /// Virtual network's name; the subnet is called `snet-endpoints`.
    pub virtual_network: String,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            subscription: None,
            resource_group: None,
            name: "pe-iot".to_owned(),
            approval: Approval::Automatic,
            network: Ipv4Addr::new(10, 0, 0, 0),
            virtual_network: "vnet-hub".to_owned(),
        }
    }
}
