//! What happens in Azure, one verb per event.
//!
//! Steps that Azure takes minutes for are verbs of their own, so that a test can stand between
//! them: [`World::scale_out`] makes the new member required and the endpoints `Updating`;
//! [`World::settle`] gives the address. Scaling in can be cut in two in either order.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::world::{
    Application, ApplicationOptions, Approval, ConnectionStatus, Endpoint, EndpointOptions, Flavour,
    Interface, IpConfiguration, Member, MemberKind, ProvisioningState, World, ZoneCoverage, ZoneGroup,
};
use crate::zones::{ResourceId, ResourceIdError};

/// The private zones of an IoT Central application.
const ZONES: [&str; 4] = [
    "privatelink.azureiotcentral.com",
    "privatelink.azure-devices.net",
    "privatelink.servicebus.windows.net",
    "privatelink.azure-devices-provisioning.net",
];

/// Why a verb was not carried out; the resources are as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// No such application.
    #[error("there is no application {0}")]
    NoApplication(ResourceId),
    /// No such endpoint.
    #[error("there is no private endpoint {0}")]
    NoEndpoint(ResourceId),
    /// No such member.
    #[error("{application} has no member {member:?}")]
    NoMember {
        /// The application.
        application: ResourceId,
        /// The name that was looked for.
        member: String,
    },
    /// The id is taken.
    #[error("{0} exists already")]
    Exists(ResourceId),
    /// All of a /24 was given out.
    #[error("network {0}/24 has no free address left")]
    NetworkFull(Ipv4Addr),
    /// Subscription, group or name cannot be part of an id.
    #[error(transparent)]
    Id(#[from] ResourceIdError),
}

impl World {
    /// Creates an application with its hubs, settled at once.
    ///
    /// # Errors
    /// When the id is taken or a name cannot be part of an id.
    pub fn add_application(&mut self, options: &ApplicationOptions) -> Result<ResourceId, VerbError> {
        let (groups, apps) = match options.flavour {
            Flavour::Live2025 => ("resourceGroups", "iotApps"),
            Flavour::Documentation => ("resourcegroups", "IoTApps"),
        };
        let id: ResourceId = format!(
            "/subscriptions/{}/{groups}/{}/providers/Microsoft.IoTCentral/{apps}/{}",
            options.subscription, options.resource_group, options.name
        )
        .parse()?;
        if self.applications.contains_key(&id) {
            return Err(VerbError::Exists(id));
        }
        let subdomain = options.subdomain.as_ref().unwrap_or(&options.name).clone();
        let site = Member {
            fqdns: vec![format!("{subdomain}.azureiotcentral.com")],
            name: subdomain.clone(),
            kind: MemberKind::Application,
        };
        let mut required = vec![site];
        for _ in 0..options.hubs {
            required.extend(self.new_hub());
        }
        required.push(service(format!("saas-dps-{}", self.guid()), MemberKind::Provisioning));
        let application = Application {
            id: id.clone(),
            flavour: options.flavour,
            subdomain,
            location: options.location.clone(),
            tags: options.tags.clone(),
            sku: options.sku.clone(),
            public_network_access: options.public_network_access,
            state: "created".to_owned(),
            provisioning_state: "Succeeded".to_owned(),
            application_id: self.guid(),
            etag: self.guid(),
            required,
            required_zone_names: ZONES.map(str::to_owned).to_vec(),
        };
        self.applications.insert(id.clone(), application);
        self.note_group(&id);
        Ok(id)
    }

    /// Creates an endpoint: `Updating`, with an interface that has no addresses yet. Its connection
    /// is already approved, unless it waits for an approval by hand.
    ///
    /// # Errors
    /// When there is no such application, or the endpoint's id is taken or malformed.
    pub fn add_endpoint(
        &mut self,
        application: &ResourceId,
        options: &EndpointOptions,
    ) -> Result<ResourceId, VerbError> {
        let app = self.application(application)?;
        let (application, location) = (app.id.clone(), app.location.clone());
        let subscription = options.subscription.as_deref().unwrap_or_else(|| application.subscription());
        let group =
            options.resource_group.as_deref().or_else(|| application.resource_group()).unwrap_or_default();
        let network_provider =
            format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network");
        let id: ResourceId = format!("{network_provider}/privateEndpoints/{}", options.name).parse()?;
        if self.endpoints.contains_key(&id) {
            return Err(VerbError::Exists(id));
        }
        let subnet =
            format!("{network_provider}/virtualNetworks/{}/subnets/snet-endpoints", options.virtual_network);
        let [a, b, c, _] = options.network.octets();
        let (status, description) = match options.approval {
            Approval::Automatic => (ConnectionStatus::Approved, "Auto Approved"),
            Approval::Manual => (ConnectionStatus::Pending, "Please approve"),
        };
        let endpoint = Endpoint {
            location,
            resource_guid: self.guid(),
            etag: self.guid(),
            link_name: format!("{}-connection", options.name),
            connection_name: format!("{}.{}", application.name(), self.guid()),
            approval: options.approval,
            status,
            description: description.to_owned(),
            provisioning: ProvisioningState::Updating,
            subnet: subnet.parse()?,
            network: Ipv4Addr::new(a, b, c, 0),
            interface: self.new_interface(&id)?,
            zone_group: None,
            released: BTreeSet::new(),
            believed: Vec::new(),
            application,
            id: id.clone(),
        };
        self.endpoints.insert(id.clone(), endpoint);
        self.note_group(&id);
        Ok(id)
    }

    /// Adds a hub with its Event Hubs to the required members; all endpoints become `Updating`.
    /// Returns the hub's name.
    ///
    /// # Errors
    /// When there is no such application.
    pub fn scale_out(&mut self, application: &ResourceId) -> Result<String, VerbError> {
        let hub = self.new_hub();
        let name = hub[0].name.clone();
        let app = self.application(application)?;
        let end = app.required.iter().position(|m| m.kind == MemberKind::Provisioning);
        let end = end.unwrap_or(app.required.len());
        app.required.splice(end..end, hub);
        for id in self.ids_of(application) {
            self.change(&id, |endpoint| endpoint.provisioning = ProvisioningState::Updating)?;
        }
        Ok(name)
    }

    /// Ends an update: every required member gets the address it lacks, the endpoint is `Succeeded`.
    ///
    /// A pending or rejected endpoint gets addresses too, as in Azure: an address alone proves
    /// nothing.
    ///
    /// # Errors
    /// When there is no such endpoint, or its network is full.
    pub fn settle(&mut self, endpoint: &ResourceId) -> Result<(), VerbError> {
        let found = self.endpoint(endpoint)?;
        let network = found.network;
        let application = found.application.clone();
        let has = |name: &String| {
            found.released.contains(name) || found.interface.configurations.iter().any(|c| c.member == *name)
        };
        let required = self.applications.get(&application).map_or(&[][..], |app| &app.required);
        let missing: Vec<Member> = required.iter().filter(|m| !has(&m.name)).cloned().collect();
        let mut new = Vec::with_capacity(missing.len());
        for member in missing {
            new.push(IpConfiguration {
                name: format!("privateEndpointIpConfig.{}", self.guid()),
                address: self.next_address(network)?,
                member: member.name,
                fqdns: member.fqdns,
            });
        }
        self.change(endpoint, |endpoint| {
            endpoint.interface.configurations.extend(new);
            endpoint.provisioning = ProvisioningState::Succeeded;
            if endpoint.approval == Approval::Automatic && endpoint.status == ConnectionStatus::Approved {
                endpoint.description = "Auto-approved".to_owned();
            }
        })
    }

    /// Settles all endpoints of an application.
    ///
    /// # Errors
    /// As [`World::settle`]; endpoints before the failing one are settled.
    pub fn settle_all(&mut self, application: &ResourceId) -> Result<(), VerbError> {
        self.ids_of(application).iter().try_for_each(|id| self.settle(id))
    }

    /// Removes a hub and its Event Hubs: first half of scaling in as seen from IoT Central.
    ///
    /// # Errors
    /// When there is no such application, or it does not require this hub.
    pub fn stop_requiring(&mut self, application: &ResourceId, hub: &str) -> Result<(), VerbError> {
        let app = self.application(application)?;
        let names = hub_and_event_hubs(app, hub)?;
        app.required.retain(|member| !names.contains(&member.name));
        for id in self.ids_of(application) {
            self.change(&id, |endpoint| endpoint.released.retain(|name| !names.contains(name)))?;
        }
        Ok(())
    }

    /// Takes the addresses of a member and, for a hub, of its Event Hubs from all interfaces: the
    /// other half of scaling in. Settling does not give them back.
    ///
    /// # Errors
    /// When there is no such application, or the hub is neither required nor has an address.
    pub fn release_addresses(&mut self, application: &ResourceId, hub: &str) -> Result<(), VerbError> {
        let app = self.application(application)?;
        let names = hub_and_event_hubs(app, hub);
        let required: Vec<String> = app.required.iter().map(|member| member.name.clone()).collect();
        let ids = self.ids_of(application);
        // No longer required: the partner is what follows the hub on the interface.
        let names = names.or_else(|missing| {
            let mut interfaces = ids.iter().filter_map(|id| self.endpoints.get(id)).map(|e| &e.interface);
            interfaces.find_map(|interface| hub_and_event_hubs_of(interface, hub)).ok_or(missing)
        })?;
        for id in ids {
            self.change(&id, |endpoint| {
                endpoint.interface.configurations.retain(|c| !names.contains(&c.member));
                endpoint.released.extend(names.iter().filter(|name| required.contains(name)).cloned());
            })?;
        }
        Ok(())
    }

    /// Removes a hub with its Event Hubs and their addresses in one go.
    ///
    /// # Errors
    /// When there is no such application, or it does not require this hub.
    pub fn scale_in(&mut self, application: &ResourceId, hub: &str) -> Result<(), VerbError> {
        self.release_addresses(application, hub)?;
        self.stop_requiring(application, hub)
    }

    /// Sets the connection's state on both sides. `Disconnected` takes it off the application's list.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn set_connection_state(
        &mut self,
        endpoint: &ResourceId,
        status: ConnectionStatus,
    ) -> Result<(), VerbError> {
        self.change(endpoint, |endpoint| {
            endpoint.status = status;
            endpoint.description = match status {
                ConnectionStatus::Pending => "Please approve",
                ConnectionStatus::Approved => "Approved by the owner",
                ConnectionStatus::Rejected => "Rejected by the owner",
                ConnectionStatus::Disconnected => "Removed by the owner",
            }
            .to_owned();
        })
    }

    /// Deletes an endpoint with its interface, connection and zone group.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn delete_endpoint(&mut self, endpoint: &ResourceId) -> Result<(), VerbError> {
        match self.endpoints.remove(endpoint) {
            Some(_) => Ok(()),
            None => Err(VerbError::NoEndpoint(endpoint.clone())),
        }
    }

    /// Deletes an endpoint and creates it again under its id: `Updating`, with a new interface, and
    /// new addresses once settled.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn recreate_endpoint(&mut self, endpoint: &ResourceId) -> Result<(), VerbError> {
        let interface = self.new_interface(&self.endpoint(endpoint)?.id.clone())?;
        let (resource_guid, connection) = (self.guid(), self.guid());
        self.change(endpoint, |endpoint| {
            endpoint.interface = interface;
            endpoint.resource_guid = resource_guid;
            endpoint.connection_name = format!("{}.{connection}", endpoint.application.name());
            endpoint.provisioning = ProvisioningState::Updating;
            endpoint.zone_group = None;
            endpoint.released.clear();
            (endpoint.status, endpoint.description) = match endpoint.approval {
                Approval::Automatic => (ConnectionStatus::Approved, "Auto Approved".to_owned()),
                Approval::Manual => (ConnectionStatus::Pending, "Please approve".to_owned()),
            };
        })
    }

    /// Deletes an application; its endpoints stay, disconnected.
    ///
    /// # Errors
    /// When there is no such application.
    pub fn delete_application(&mut self, application: &ResourceId) -> Result<(), VerbError> {
        for id in self.ids_of(application) {
            self.set_connection_state(&id, ConnectionStatus::Disconnected)?;
        }
        match self.applications.remove(application) {
            Some(_) => Ok(()),
            None => Err(VerbError::NoApplication(application.clone())),
        }
    }

    /// Attaches a private DNS zone group. `customDnsConfigs` is empty from then on, unless the
    /// group's zones do not match the service.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub fn attach_zone_group(
        &mut self,
        endpoint: &ResourceId,
        coverage: ZoneCoverage,
    ) -> Result<(), VerbError> {
        let etag = self.guid();
        self.change(endpoint, |endpoint| {
            endpoint.zone_group = Some(ZoneGroup {
                name: "default".to_owned(),
                etag,
                hides_custom_dns: coverage != ZoneCoverage::Mismatch,
                coverage,
            });
        })
    }

    fn application(&mut self, id: &ResourceId) -> Result<&mut Application, VerbError> {
        self.applications.get_mut(id).ok_or_else(|| VerbError::NoApplication(id.clone()))
    }

    fn endpoint(&self, id: &ResourceId) -> Result<&Endpoint, VerbError> {
        self.endpoints.get(id).ok_or_else(|| VerbError::NoEndpoint(id.clone()))
    }

    fn ids_of(&self, application: &ResourceId) -> Vec<ResourceId> {
        self.endpoints_of(application).map(|endpoint| endpoint.id.clone()).collect()
    }

    /// Changes an endpoint the way ARM does: with new ETags.
    fn change(&mut self, id: &ResourceId, act: impl FnOnce(&mut Endpoint)) -> Result<(), VerbError> {
        let (etag, interface_etag) = (self.guid(), self.guid());
        let found = self.endpoints.get_mut(id).ok_or_else(|| VerbError::NoEndpoint(id.clone()))?;
        act(found);
        found.etag = etag;
        found.interface.etag = interface_etag;
        self.believe(id);
        Ok(())
    }

    fn note_group(&mut self, id: &ResourceId) {
        let group = id.resource_group().unwrap_or_default().to_ascii_lowercase();
        self.groups.insert((id.subscription().to_ascii_lowercase(), group));
    }

    fn new_hub(&mut self) -> [Member; 2] {
        let hub = format!("iotc-{}", self.guid());
        let number = self.random.u32(10_000_000..100_000_000);
        let tail: String = self.guid().chars().filter(char::is_ascii_hexdigit).take(10).collect();
        let event_hubs = format!("iothub-ns-{}-{number}-{tail}", &hub[..10]);
        [service(hub, MemberKind::Hub), service(event_hubs, MemberKind::EventHubs)]
    }

    fn new_interface(&mut self, endpoint: &ResourceId) -> Result<Interface, VerbError> {
        let id = endpoint.as_str().replacen("/privateEndpoints/", "/networkInterfaces/", 1);
        let id = format!("{id}.nic.{}", self.guid()).parse()?;
        Ok(Interface { id, etag: self.guid(), configurations: Vec::new() })
    }

    /// The next address of a /24, from `.4` (Azure keeps the first ones) to `.254`.
    fn next_address(&mut self, network: Ipv4Addr) -> Result<Ipv4Addr, VerbError> {
        let last = self.hosts.entry(network).or_insert(3);
        if *last >= 254 {
            return Err(VerbError::NetworkFull(network));
        }
        *last += 1;
        let [a, b, c, _] = network.octets();
        Ok(Ipv4Addr::new(a, b, c, *last))
    }

    /// A GUID of the random kind (RFC 9562 section 5.4).
    fn guid(&mut self) -> String {
        guid(&mut self.random)
    }
}

/// A GUID of the random kind (RFC 9562 section 5.4).
pub(super) fn guid(random: &mut fastrand::Rng) -> String {
    let bits = random.u128(..) & !(0xf << 76) & !(0xc << 60) | (0x4 << 76) | (0x8 << 60);
    let hex = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (start, end) in [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)] {
        let dash = if start == 0 { "" } else { "-" };
        let _ = write!(text, "{dash}{}", &hex[start..end]);
    }
    text
}

fn service(name: String, kind: MemberKind) -> Member {
    let suffix = match kind {
        MemberKind::Hub => "azure-devices.net",
        MemberKind::EventHubs => "servicebus.windows.net",
        MemberKind::Provisioning => "azure-devices-provisioning.net",
        MemberKind::Application | MemberKind::Other => "azureiotcentral.com",
    };
    Member { fqdns: vec![format!("{name}.{suffix}")], name, kind }
}

/// The hub's name and that of the Event Hubs behind it.
fn hub_and_event_hubs(app: &Application, hub: &str) -> Result<Vec<String>, VerbError> {
    let found = app.required.iter().position(|member| member.name.eq_ignore_ascii_case(hub));
    let at =
        found.ok_or_else(|| VerbError::NoMember { application: app.id.clone(), member: hub.to_owned() })?;
    let partner = app.required.get(at + 1).filter(|next| next.kind == MemberKind::EventHubs);
    let own = app.required.get(at);
    Ok(own.into_iter().chain(partner).map(|member| member.name.clone()).collect())
}

fn hub_and_event_hubs_of(interface: &Interface, hub: &str) -> Option<Vec<String>> {
    let configurations = &interface.configurations;
    let at = configurations.iter().position(|c| c.member.eq_ignore_ascii_case(hub))?;
    let partner = configurations.get(at + 1).filter(|next| next.member.starts_with("iothub-ns-"));
    Some(configurations.get(at).into_iter().chain(partner).map(|c| c.member.clone()).collect())
}
