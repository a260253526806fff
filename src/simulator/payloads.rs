//! The JSON of each resource, field by field as recorded (2022, August 2025), specified or printed
//! in Microsoft's documentation.

use serde_json::{Map, Value, json};

use super::expect::private_name;
use super::world::{
    Application, Approval, ConnectionStatus, Endpoint, Flavour, Member, MemberKind, ProvisioningState,
    ZoneCoverage, ZoneGroup,
};

/// A zone of no service, as in the recording of a zone group that does not match.
const FOREIGN_ZONE: &str = "www.clizone1.com";

/// An application. Without `private_link` as the stable api-versions show it.
pub(super) fn application(app: &Application, endpoints: &[&Endpoint], private_link: bool) -> Value {
    let name = app.id.name();
    let mut properties = json!({
        "state": app.state,
        "provisioningState": app.provisioning_state,
        "applicationId": app.application_id,
        "displayName": name,
        "subdomain": app.subdomain,
        "template": "iotc-pnp-preview@1.0.0",
    });
    if private_link {
        let access = app.public_network_access;
        properties["publicNetworkAccess"] = json!(if access { "Enabled" } else { "Disabled" });
        properties["networkRuleSets"] = json!({
            "defaultAction": if access { "Allow" } else { "Deny" },
            "applyToDevices": false,
            "applyToIoTCentral": false,
            "ipRules": [],
        });
        properties["privateEndpointConnections"] =
            listed(endpoints).map(|endpoint| connection(app, endpoint)).collect();
    }
    json!({
        "id": app.id.as_str(),
        "name": name,
        "type": "Microsoft.IoTCentral/IoTApps",
        "location": app.location,
        "tags": app.tags,
        "properties": properties,
        "sku": {"name": app.sku},
        "identity": {"type": "None"},
    })
}

/// The one item of `privateLinkResources`.
pub(super) fn link_resource(app: &Application) -> Value {
    let mut members: Vec<&Member> = app.required.iter().collect();
    if app.flavour == Flavour::Documentation {
        // Stable, so that equal kinds keep their order.
        members.sort_by_key(|member| match member.kind {
            MemberKind::Application => 0,
            MemberKind::Provisioning => 1,
            MemberKind::Hub => 2,
            MemberKind::EventHubs => 3,
            MemberKind::Other => 4,
        });
    }
    let members: Vec<&str> = members.into_iter().map(|member| member.name.as_str()).collect();
    let mut item = json!({
        "id": format!("{}/privateLinkResources/iotApp", app.id),
        "name": "iotApp",
        "type": "Microsoft.IoTCentral/IoTApps/privateLinkResources",
        "properties": {
            "groupId": "iotApp",
            "requiredMembers": members,
            "requiredZoneNames": app.required_zone_names,
        },
    });
    if app.flavour == Flavour::Documentation {
        item["name"] = json!("ioTApp");
        item["location"] = json!(app.location);
        item["properties"]["provisioningState"] = json!("Succeeded");
    }
    item
}

/// The endpoints whose connection the application lists.
pub(super) fn listed<'a>(endpoints: &'a [&'a Endpoint]) -> impl Iterator<Item = &'a Endpoint> {
    endpoints.iter().copied().filter(|endpoint| endpoint.status != ConnectionStatus::Disconnected)
}

/// A connection as the application shows it.
pub(super) fn connection(app: &Application, endpoint: &Endpoint) -> Value {
    let mut properties = json!({
        "groupIds": ["iotApp"],
        "privateEndpoint": {"id": endpoint.id.as_str()},
        "privateLinkServiceConnectionState": {
            "status": status(endpoint.status),
            // This side never shows the early spelling "Auto Approved".
            "description": endpoint.description.replace("Auto Approved", "Auto-approved"),
            "actionsRequired": "None",
        },
    });
    if app.flavour == Flavour::Documentation
        && let Some(map) = properties.as_object_mut()
    {
        map.remove("groupIds");
        map.insert("provisioningState".to_owned(), json!("Succeeded"));
    }
    json!({
        "id": format!("{}/privateEndpointConnections/{}", app.id, endpoint.connection_name),
        "name": endpoint.connection_name,
        "type": "Microsoft.IoTCentral/IoTApps/privateEndpointConnections",
        "properties": properties,
    })
}

/// A private endpoint.
pub(super) fn endpoint(endpoint: &Endpoint) -> Value {
    let array = match endpoint.approval {
        Approval::Automatic => "privateLinkServiceConnections",
        Approval::Manual => "manualPrivateLinkServiceConnections",
    };
    let link = json!({
        "name": endpoint.link_name,
        "id": format!("{}/{array}/{}", endpoint.id, endpoint.link_name),
        "etag": etag(&endpoint.etag),
        "type": format!("Microsoft.Network/privateEndpoints/{array}"),
        "properties": {
            "provisioningState": "Succeeded",
            "privateLinkServiceId": endpoint.application.as_str(),
            "groupIds": ["iotApp"],
            "privateLinkServiceConnectionState": {
                "status": status(endpoint.status),
                "description": endpoint.description,
                "actionsRequired": "None",
            },
        },
    });
    let mut properties = json!({
        "provisioningState": provisioning(endpoint.provisioning),
        "resourceGuid": endpoint.resource_guid,
        "privateLinkServiceConnections": [],
        "manualPrivateLinkServiceConnections": [],
        "customNetworkInterfaceName": "",
        "subnet": {"id": endpoint.subnet.as_str()},
        "ipConfigurations": [],
        "networkInterfaces": [{"id": endpoint.interface.id.as_str()}],
        "customDnsConfigs": custom_dns(endpoint),
    });
    properties[array] = json!([link]);
    json!({
        "name": endpoint.id.name(),
        "id": endpoint.id.as_str(),
        "etag": etag(&endpoint.etag),
        "type": "Microsoft.Network/privateEndpoints",
        "location": endpoint.location,
        "properties": properties,
    })
}

fn custom_dns(endpoint: &Endpoint) -> Vec<Value> {
    if endpoint.hides_custom_dns() {
        return Vec::new();
    }
    let configurations = endpoint.interface.configurations.iter();
    configurations
        .flat_map(|configuration| {
            let address = configuration.address.to_string();
            configuration.fqdns.iter().map(move |fqdn| json!({"fqdn": fqdn, "ipAddresses": [address]}))
        })
        .collect()
}

/// A network interface.
pub(super) fn interface(endpoint: &Endpoint) -> Value {
    let interface = &endpoint.interface;
    let configurations = interface.configurations.iter().enumerate().map(|(index, configuration)| {
        json!({
            "name": configuration.name,
            "id": format!("{}/ipConfigurations/{}", interface.id, configuration.name),
            "etag": etag(&interface.etag),
            "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
            "properties": {
                "provisioningState": "Succeeded",
                "primary": index == 0,
                "privateIPAddress": configuration.address.to_string(),
                "privateIPAddressVersion": "IPv4",
                "privateIPAllocationMethod": "Dynamic",
                "subnet": {"id": endpoint.subnet.as_str()},
                "privateLinkConnectionProperties": {
                    "groupId": "iotApp",
                    "requiredMemberName": configuration.member,
                    "fqdns": configuration.fqdns,
                },
            },
        })
    });
    json!({
        "name": interface.id.name(),
        "id": interface.id.as_str(),
        "etag": etag(&interface.etag),
        "type": "Microsoft.Network/networkInterfaces",
        "location": endpoint.location,
        "properties": {
            "provisioningState": provisioning(endpoint.provisioning),
            "privateEndpoint": {"id": endpoint.id.as_str()},
            "ipConfigurations": configurations.collect::<Vec<_>>(),
        },
    })
}

/// A private DNS zone group; record sets need the application for its zones.
pub(super) fn zone_group(group: &ZoneGroup, endpoint: &Endpoint, app: Option<&Application>) -> Value {
    let foreign = [FOREIGN_ZONE.to_owned()];
    let zones = match &group.coverage {
        ZoneCoverage::Complete => app.map_or(&[][..], |app| &app.required_zone_names),
        ZoneCoverage::Partial(zones) => zones,
        ZoneCoverage::Mismatch => &foreign,
    };
    let id = format!("{}/privateDnsZoneGroups/{}", endpoint.id, group.name);
    let configs = zones.iter().map(|zone| {
        let name = zone.replace('.', "-");
        json!({
            "name": name,
            "id": format!("{id}/privateDnsZoneConfigs/{name}"),
            "etag": etag(&group.etag),
            "type": "Microsoft.Network/privateEndpoints/privateDnsZoneGroups/privateDnsZoneConfigs",
            "properties": {
                "provisioningState": "Succeeded",
                "privateDnsZoneId": format!(
                    "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/privateDnsZones/{zone}",
                    endpoint.id.subscription(),
                    endpoint.id.resource_group().unwrap_or_default(),
                ),
                "recordSets": app.map(|app| record_sets(zone, endpoint, app)).unwrap_or_default(),
            },
        })
    });
    json!({
        "name": group.name,
        "id": id,
        "etag": etag(&group.etag),
        "type": "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
        "properties": {"provisioningState": "Succeeded", "privateDnsZoneConfigs": configs.collect::<Vec<_>>()},
    })
}

fn record_sets(zone: &str, endpoint: &Endpoint, app: &Application) -> Vec<Value> {
    let configurations = endpoint.interface.configurations.iter();
    configurations
        .flat_map(|configuration| configuration.fqdns.iter().map(|fqdn| (fqdn, configuration.address)))
        .filter_map(|(fqdn, address)| {
            let (name, own) = private_name(app, fqdn)?;
            own.eq_ignore_ascii_case(zone).then(|| {
                json!({
                    "recordType": "A",
                    "recordSetName": name,
                    "fqdn": format!("{name}.{zone}"),
                    "ipAddresses": [address.to_string()],
                    "provisioningState": "Succeeded",
                    "ttl": 10,
                })
            })
        })
        .collect()
}

/// A list, with the next page's URL if there is one.
pub(super) fn list(items: Vec<Value>, next_link: Option<String>) -> Value {
    let mut map = Map::new();
    map.insert("value".to_owned(), Value::Array(items));
    if let Some(next) = next_link {
        map.insert("nextLink".to_owned(), Value::String(next));
    }
    Value::Object(map)
}

/// A weak ETag around a GUID.
pub(super) fn etag(guid: &str) -> String {
    format!("W/\"{guid}\"")
}

fn status(status: ConnectionStatus) -> &'static str {
    match status {
        ConnectionStatus::Pending => "Pending",
        ConnectionStatus::Approved => "Approved",
        ConnectionStatus::Rejected => "Rejected",
        ConnectionStatus::Disconnected => "Disconnected",
    }
}

fn provisioning(state: ProvisioningState) -> &'static str {
    match state {
        ProvisioningState::Updating => "Updating",
        ProvisioningState::Succeeded => "Succeeded",
        ProvisioningState::Deleting => "Deleting",
        ProvisioningState::Failed => "Failed",
    }
}
