use serde_json::{Value, json};

use super::super::fake::{Canned, Fake};
use super::*;

#[path = "poll_id_tests.rs"]
mod ids;
#[path = "poll_unlisted_tests.rs"]
mod unlisted;

const APP: &str = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.IoTCentral/iotApps/my-app";
const PE: &str = "/subscriptions/s2/resourceGroups/net/providers/Microsoft.Network/privateEndpoints/pe";
const NIC: &str =
    "/subscriptions/s2/resourceGroups/net/providers/Microsoft.Network/networkInterfaces/pe.nic.1";
const HUB: &str = "iotc-e915c120-4e41-4eb0-a515-7e22e708ac85";

fn id(text: &str) -> ResourceId {
    text.parse().expect("an id")
}

/// A connection as recorded in August 2025.
fn connection(endpoint: &str, status: &str) -> Value {
    json!({
        "id": format!("{APP}/privateEndpointConnections/my-app.c55a74d6"),
        "name": "my-app.c55a74d6",
        "type": "Microsoft.IoTCentral/IoTApps/privateEndpointConnections",
        "properties": {
            "groupIds": ["iotApp"],
            "privateEndpoint": { "id": endpoint },
            "privateLinkServiceConnectionState":
                { "status": status, "description": "Auto-approved", "actionsRequired": "None" }
        }
    })
}

fn app(connections: Value) -> Value {
    json!({
        // The live service spells its ids in more than one way.
        "id": APP.replace("iotApps", "IoTApps").replace("resourceGroups", "resourcegroups"),
        "name": "my-app", "type": "Microsoft.IoTCentral/IoTApps", "location": "westus", "tags": {},
        "properties": {
            "state": "created", "provisioningState": "Succeeded", "subdomain": "my-app",
            "publicNetworkAccess": "Enabled",
            "networkRuleSets": { "defaultAction": "Allow", "ipRules": [] },
            "privateEndpointConnections": connections
        },
        "sku": { "name": "ST2" }, "identity": { "type": "None" }
    })
}

fn link_resources() -> Value {
    json!({ "value": [{
        "id": format!("{APP}/privateLinkResources/iotApp"), "name": "iotApp",
        "type": "Microsoft.IoTCentral/IoTApps/privateLinkResources",
        "properties": {
            "groupId": "iotApp",
            "requiredMembers": ["my-app", HUB],
            "requiredZoneNames": ["privatelink.azureiotcentral.com", "privatelink.azure-devices.net"]
        }
    }] })
}

fn service_connection(service: &str, status: &str) -> Value {
    json!([{
        "name": "c", "type": "Microsoft.Network/privateEndpoints/privateLinkServiceConnections",
        "properties": {
            "provisioningState": "Succeeded", "privateLinkServiceId": service, "groupIds": ["iotApp"],
            "privateLinkServiceConnectionState": { "status": status, "description": "", "actionsRequired": "None" }
        }
    }])
}

fn endpoint() -> Value {
    json!({
        "name": "pe", "id": PE, "etag": "W/\"1\"", "type": "Microsoft.Network/privateEndpoints",
        "properties": {
            "provisioningState": "Succeeded",
            "privateLinkServiceConnections": service_connection(APP, "Approved"),
            "manualPrivateLinkServiceConnections": [],
            "customNetworkInterfaceName": "",
            "subnet": { "id": format!("{}/virtualNetworks/v/subnets/s", PE.split("/privateEndpoints").next().expect("a part")) },
            "ipConfigurations": [],
            "networkInterfaces": [{ "id": NIC }],
            "customDnsConfigs": [{ "fqdn": format!("{HUB}.azure-devices.net"), "ipAddresses": ["10.0.0.5"] }]
        }
    })
}

fn nic() -> Value {
    json!({ "name": "pe.nic.1", "id": NIC, "properties": { "provisioningState": "Succeeded", "ipConfigurations": [
        { "name": "privateEndpointIpConfig.1", "properties": {
            "primary": true, "privateIPAddress": "10.0.0.5", "privateIPAddressVersion": "IPv4",
            "privateLinkConnectionProperties":
                { "groupId": "iotApp", "requiredMemberName": HUB, "fqdns": [format!("{HUB}.azure-devices.net")] } } },
        { "name": "other", "properties": { "privateIPAddress": "10.0.0.9" } },
        { "name": "coming", "properties": { "privateLinkConnectionProperties": { "requiredMemberName": "x", "fqdns": null } } }
    ] } })
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    value.pointer_mut(parent).expect("a parent")[key] = new;
    value
}

fn without(mut value: Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    value.pointer_mut(parent).and_then(Value::as_object_mut).expect("a parent").remove(key);
    value
}

/// An application with one endpoint, everything in order.
async fn healthy() -> Fake {
    let fake = Fake::start().await;
    set(&fake, APP, app(json!([connection(PE, "Approved")])));
    set(&fake, &format!("{APP}/privateLinkResources"), link_resources());
    set(&fake, PE, endpoint());
    set(&fake, NIC, nic());
    fake
}

fn set(fake: &Fake, path: &str, body: Value) {
    fake.answers(path, [Canned::json(body)]);
}

fn refuse(fake: &Fake, path: &str, status: u16, code: &str) {
    fake.answers(path, [Canned::error(status, code, "no").header("x-ms-correlation-request-id", "corr-1")]);
}

async fn read(fake: &Fake, known: &[&str]) -> Result<ApplicationOutcome, ArmError> {
    let known = known.iter().map(|text| id(text)).collect();
    let at = Timestamp::UNIX_EPOCH;
    let observation = poll(&fake.client(), &id(APP), &known, || at).await?;
    assert_eq!((&observation.application, observation.at), (&id(APP), at));
    Ok(observation.outcome)
}

async fn found(fake: &Fake, known: &[&str]) -> Application {
    match read(fake, known).await.expect("an observation") {
        ApplicationOutcome::Found(application) => application,
        other => panic!("{other:?}"),
    }
}

async fn facts(fake: &Fake) -> EndpointFacts {
    match found(fake, &[]).await.endpoints.remove(0).outcome {
        EndpointOutcome::Found(facts) => facts,
        other => panic!("{other:?}"),
    }
}

async fn assert_invalid(fake: &Fake, what: &str) {
    let error = read(fake, &[]).await.expect_err(what);
    assert!(matches!(error.kind, ArmErrorKind::InvalidBody { .. }), "{what}: {error}");
}

#[tokio::test]
async fn a_complete_poll_takes_four_reads() {
    let fake = healthy().await;
    let application = found(&fake, &[]).await;
    assert_eq!(fake.paths(), [APP, &format!("{APP}/privateLinkResources"), PE, NIC]);
    assert_eq!(fake.seen()[0].query, "api-version=2021-11-01-preview");
    assert_eq!((application.subdomain.as_deref(), application.public_access), (Some("my-app"), Some(true)));
    assert_eq!(application.link_resources[0].required_members, ["my-app", HUB]);
    assert_eq!(application.link_resources[0].required_zone_names.len(), 2);
    let endpoint = &application.endpoints[0];
    assert_eq!((&endpoint.id, endpoint.connection), (&id(PE), ConnectionState::Approved));
    let facts = facts(&fake).await;
    let address = MemberAddress {
        interface: id(NIC),
        member: Some(HUB.to_owned()),
        fqdns: vec![format!("{HUB}.azure-devices.net")],
        address: "10.0.0.5".to_owned(),
    };
    assert_eq!(facts.interfaces, InterfaceRead::Read(vec![address]));
    assert!(facts.settled);
    assert_eq!((facts.connection, facts.link_service), (ConnectionState::Approved, Some(id(APP))));
    assert!(facts.subnet.is_some_and(|subnet| subnet.name() == "s"));
    assert_eq!(facts.custom_dns[0].addresses, ["10.0.0.5"]);
    assert_eq!(facts.zone_group, ZoneGroupRead::NotNeeded);
}

#[tokio::test]
async fn a_missing_connection_list_is_asked_for() {
    let fake = healthy().await;
    let list = format!("{APP}/privateEndpointConnections");
    set(&fake, &list, json!({ "value": [connection(PE, "Approved")] }));
    for body in [without(app(json!([])), "/properties/privateEndpointConnections"), app(Value::Null)] {
        set(&fake, APP, body);
        assert_eq!(found(&fake, &[]).await.endpoints.len(), 1);
    }
    set(&fake, &list, json!({}));
    assert_invalid(&fake, "a list without value").await;
}

#[tokio::test]
async fn only_approved_and_known_endpoints_are_read() {
    let fake = healthy().await;
    let other = PE.replace("/pe", "/other");
    let gone = PE.replace("/pe", "/gone");
    refuse(&fake, &gone, 404, "ResourceNotFound");
    set(&fake, APP, app(json!([connection(&other, "Pending"), connection(PE, "rejected")])));
    let application =
        found(&fake, &[&PE.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions"), &gone]).await;
    let states: Vec<_> = application.endpoints.iter().map(|e| (e.id.name(), e.connection)).collect();
    let expected = [
        ("gone", ConnectionState::Absent),
        ("other", ConnectionState::Pending),
        ("pe", ConnectionState::Rejected),
    ];
    assert_eq!(states, expected);
    assert!(matches!(application.endpoints[0].outcome, EndpointOutcome::NotFound(_)));
    assert_eq!(application.endpoints[1].outcome, EndpointOutcome::NotRead);
    assert!(matches!(application.endpoints[2].outcome, EndpointOutcome::Found(_)), "known from before");
    assert!(!fake.paths().contains(&other));
}

#[tokio::test]
async fn an_approved_connection_wins_over_an_old_one_of_the_same_endpoint() {
    let fake = healthy().await;
    for order in [["Approved", "Disconnected"], ["Disconnected", "Approved"]] {
        set(&fake, APP, app(order.map(|status| connection(PE, status)).into_iter().collect()));
        let endpoints = found(&fake, &[]).await.endpoints;
        assert_eq!((endpoints.len(), endpoints[0].connection), (1, ConnectionState::Approved));
    }
}

#[tokio::test]
async fn only_a_proven_404_means_that_the_application_is_gone() {
    let fake = healthy().await;
    refuse(&fake, APP, 404, "ResourceNotFound");
    let outcome = read(&fake, &[PE]).await.expect("an observation");
    assert!(matches!(outcome, ApplicationOutcome::NotFound(_)));
    assert_eq!(fake.paths(), [APP], "its endpoints need not be read");
    for code in ["ResourceGroupNotFound", "SubscriptionNotFound", "InvalidResourceType"] {
        refuse(&fake, APP, 404, code);
        read(&fake, &[]).await.expect_err(code);
    }
}

#[tokio::test]
async fn any_other_failed_read_fails_the_poll() {
    let links = format!("{APP}/privateLinkResources");
    for (path, status, code) in [
        (APP, 403, "AuthorizationFailed"),
        (links.as_str(), 404, "ResourceNotFound"),
        (&links, 403, "AuthorizationFailed"),
        (PE, 403, "AuthorizationFailed"),
        (PE, 404, "ResourceGroupNotFound"),
        (PE, 404, "SubscriptionNotFound"),
        (NIC, 404, "ResourceNotFound"),
        (NIC, 400, "NoRegisteredProviderFound"),
        (NIC, 409, "Conflict"),
    ] {
        let fake = healthy().await;
        refuse(&fake, path, status, code);
        let error = read(&fake, &[]).await.expect_err(code);
        assert_eq!((error.details.resource.as_str(), error.details.status), (path, Some(status)));
    }
}

#[tokio::test]
async fn a_right_missing_for_the_interface_is_part_of_the_observation() {
    let fake = healthy().await;
    refuse(&fake, NIC, 403, "AuthorizationFailed");
    let facts = facts(&fake).await;
    let InterfaceRead::Refused(text) = facts.interfaces else { panic!("{:?}", facts.interfaces) };
    assert!(text.contains("Microsoft.Network/networkInterfaces/read") && text.contains("corr-1"), "{text}");
    assert_eq!(facts.zone_group, ZoneGroupRead::NotNeeded);
}

fn group() -> Value {
    let zone = |name: &str, sets: Value| {
        let id =
            format!("/subscriptions/x/resourceGroups/d/providers/Microsoft.Network/privateDnsZones/{name}");
        json!({ "name": "z", "properties": { "provisioningState": "Succeeded", "privateDnsZoneId": id, "recordSets": sets } })
    };
    let set = |kind: &str| {
        json!({ "recordType": kind, "recordSetName": "abc", "fqdn": "abc.privatelink.azure-devices.net",
                "ipAddresses": ["10.0.0.4"], "provisioningState": "Succeeded", "ttl": 10 })
    };
    let configs = [
        zone("privatelink.azure-devices.net", json!([set("A"), set("AAAA")])),
        zone("www.clizone1.com", json!([])),
    ];
    json!({ "value": [{ "name": "g", "properties": { "privateDnsZoneConfigs": configs } }] })
}

#[tokio::test]
async fn the_zone_group_is_read_when_nothing_else_shows_names() {
    let fake = healthy().await;
    let groups = format!("{PE}/privateDnsZoneGroups");
    set(&fake, PE, with(endpoint(), "/properties/customDnsConfigs", json!([])));
    set(&fake, &groups, group());
    let records = vec![FqdnAddresses {
        fqdn: "abc.privatelink.azure-devices.net".to_owned(),
        addresses: vec!["10.0.0.4".to_owned()],
    }];
    let zones = vec![
        GroupZone { zone: "privatelink.azure-devices.net".to_owned(), records },
        GroupZone { zone: "www.clizone1.com".to_owned(), records: Vec::new() },
    ];
    assert_eq!(facts(&fake).await.zone_group, ZoneGroupRead::Read(zones));
    set(&fake, &groups, json!({ "value": [] }));
    assert_eq!(facts(&fake).await.zone_group, ZoneGroupRead::Read(Vec::new()));

    refuse(&fake, &groups, 403, "AuthorizationFailed");
    assert!(matches!(facts(&fake).await.zone_group, ZoneGroupRead::Refused(text) if text.contains("corr-1")));
    refuse(&fake, NIC, 403, "AuthorizationFailed");
    assert!(read(&fake, &[]).await.expect_err("no source at all").is_forbidden());
}

#[tokio::test]
async fn an_unsettled_or_unapproved_endpoint_is_not_asked_for_its_zone_group() {
    let fake = healthy().await;
    let empty = || with(endpoint(), "/properties/customDnsConfigs", json!([]));
    // The recorded transient after creation: approved, interface present, no names yet.
    set(&fake, PE, with(empty(), "/properties/provisioningState", json!("Updating")));
    let updating = facts(&fake).await;
    assert_eq!((updating.settled, updating.provisioning_state.as_str()), (false, "Updating"));
    assert_eq!(updating.zone_group, ZoneGroupRead::NotNeeded);
    let pending = service_connection(APP, "Pending");
    set(&fake, PE, with(empty(), "/properties/privateLinkServiceConnections", pending));
    assert_eq!(facts(&fake).await.zone_group, ZoneGroupRead::NotNeeded);
}

#[tokio::test]
async fn the_connection_to_the_application_is_found_in_either_array() {
    let fake = healthy().await;
    let foreign = APP.replace("my-app", "foreign");
    let two = with(
        with(
            endpoint(),
            "/properties/privateLinkServiceConnections",
            service_connection(&foreign, "Rejected"),
        ),
        "/properties/manualPrivateLinkServiceConnections",
        service_connection(&APP.replace("iotApps", "IOTAPPS"), "Pending"),
    );
    set(&fake, PE, two.clone());
    let own = facts(&fake).await;
    assert_eq!((own.connection, own.link_service), (ConnectionState::Pending, Some(id(APP))));
    set(&fake, PE, with(two, "/properties/manualPrivateLinkServiceConnections", Value::Null));
    let other = facts(&fake).await;
    assert_eq!((other.connection, other.link_service), (ConnectionState::Rejected, Some(id(&foreign))));
    set(&fake, PE, without(endpoint(), "/properties/privateLinkServiceConnections"));
    let none = facts(&fake).await;
    assert_eq!((none.connection, none.link_service), (ConnectionState::Absent, None));
}

#[tokio::test]
async fn states_are_read_in_any_case_and_unknown_ones_named_so() {
    let fake = healthy().await;
    let service = |status| {
        with(endpoint(), "/properties/privateLinkServiceConnections", service_connection(APP, status))
    };
    for (status, state) in [
        ("APPROVED", ConnectionState::Approved),
        ("disconnected", ConnectionState::Disconnected),
        ("Timeout", ConnectionState::Unknown),
        ("", ConnectionState::Unknown),
    ] {
        set(&fake, PE, service(status));
        assert_eq!(facts(&fake).await.connection, state, "{status}");
    }
    let bare = json!([{ "properties": { "privateLinkServiceId": APP } }]);
    set(&fake, PE, with(endpoint(), "/properties/privateLinkServiceConnections", bare));
    assert_eq!(facts(&fake).await.connection, ConnectionState::Unknown);
}

#[tokio::test]
async fn what_records_depend_on_must_be_there() {
    let links = format!("{APP}/privateLinkResources");
    for (path, body) in [
        (APP, without(app(json!([])), "/properties")),
        (APP, app(json!([{ "id": "x" }]))),
        (
            APP,
            app(json!([{ "properties": { "privateLinkServiceConnectionState": { "status": "Approved" } } }])),
        ),
        (APP, app(json!({}))),
        (APP, with(app(json!([])), "/id", json!(APP.replace("my-app", "foreign")))),
        (links.as_str(), json!({})),
        (&links, json!([])),
        (&links, json!({ "value": [{ "name": "iotApp" }] })),
        (&links, without(link_resources(), "/value/0/properties/requiredMembers")),
        (&links, without(link_resources(), "/value/0/properties/requiredZoneNames")),
        (PE, without(endpoint(), "/properties")),
        (PE, with(endpoint(), "/properties/customDnsConfigs", json!("x"))),
        (NIC, without(nic(), "/properties")),
        (NIC, without(nic(), "/properties/ipConfigurations")),
        (NIC, without(nic(), "/properties/ipConfigurations/0/properties")),
    ] {
        let fake = healthy().await;
        set(&fake, path, body.clone());
        assert_invalid(&fake, &format!("{path}: {body}")).await;
    }
}

#[tokio::test]
async fn many_endpoints_are_read_in_order_and_absurdly_many_are_not() {
    let fake = healthy().await;
    let name = |number: usize| PE.replace("/pe", &format!("/pe{number:04}"));
    for number in 0..10 {
        set(&fake, &name(number), with(endpoint(), "/id", json!(name(number))));
    }
    set(&fake, APP, app((0..10).map(|n| connection(&name(n), "Approved")).collect()));
    let endpoints = found(&fake, &[]).await.endpoints;
    assert_eq!(
        endpoints.iter().map(|e| e.id.clone()).collect::<Vec<_>>(),
        (0..10).map(|n| id(&name(n))).collect::<Vec<_>>()
    );
    let many = app((0..=MANY).map(|n| connection(&name(n), "Approved")).collect());
    fake.answers(APP, [Canned::json(many).header("x-ms-correlation-request-id", "corr-1")]);
    let error = read(&fake, &[]).await.expect_err("too many");
    assert!(matches!(error.kind, ArmErrorKind::InvalidBody { .. }), "{error}");
    assert_eq!((error.operation, error.details.correlation_id.as_str()), (Operation::Application, "corr-1"));
}
