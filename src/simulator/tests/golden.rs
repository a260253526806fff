//! Every payload against what was recorded of the real service, or is printed in its documentation.

use super::*;
use serde_json::json;

const SUB: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/clitest.rg000001/providers";

fn id(text: &str) -> ResourceId {
    text.replace("SUB", SUB).parse().expect("an id")
}

fn member(name: &str, kind: MemberKind, suffix: &str) -> Member {
    Member { name: name.to_owned(), kind, fqdns: vec![format!("{name}.{suffix}")] }
}

/// Names and GUIDs of the recordings, put into a world.
struct Recorded {
    bench: Bench,
    app: ResourceId,
    endpoint: ResourceId,
}

impl Recorded {
    async fn new(members: &[Member]) -> Self {
        let bench = Bench::new().await;
        let (app, endpoint) = bench.world(|world| {
            let options = ApplicationOptions {
                resource_group: "clitest.rg000001".to_owned(),
                name: "iotc-cli-test000002".to_owned(),
                location: "westus".to_owned(),
                hubs: 0,
                ..ApplicationOptions::default()
            };
            let app = world.add_application(&options).expect("an application");
            let found = world.applications.get_mut(&app).expect("the application");
            found.application_id = "b9dbd9f6-db03-4dd6-a723-e8774924bfc5".to_owned();
            found.etag = "46009e7b-0000-0100-0000-689f85280000".to_owned();
            found.required = members.to_vec();
            let options = EndpointOptions {
                name: "cli-pe-000005".to_owned(),
                virtual_network: "cli-vnet-000003".to_owned(),
                ..EndpointOptions::default()
            };
            // The bench's own endpoint has the same network and was here first.
            world.hosts.clear();
            let endpoint = world.add_endpoint(&app, &options).expect("an endpoint");
            Self::name(world, &endpoint);
            (app, endpoint)
        });
        Self { bench, app, endpoint }
    }

    fn name(world: &mut World, endpoint: &ResourceId) {
        let found = world.endpoints.get_mut(endpoint).expect("the endpoint");
        found.etag = "3a7760f1-3830-4d8e-964b-79c7c3044f5b".to_owned();
        found.resource_guid = "45ad12e7-e05f-451f-9785-8f38b65e7348".to_owned();
        found.link_name = "cli-pec-000006".to_owned();
        found.connection_name = "iotc-cli-test000002.c55a74d6-0228-45ed-9f4e-97f096dbaedf".to_owned();
        found.subnet = id("SUB/Microsoft.Network/virtualNetworks/cli-vnet-000003/subnets/cli-subnet-000004");
        let interface = "SUB/Microsoft.Network/networkInterfaces/\
                         cli-pe-000005.nic.4a9b293a-c54b-44bd-a070-32c93460e2da";
        found.interface.id = id(interface);
    }

    fn settle(&self) {
        self.bench.world(|world| {
            world.settle(&self.endpoint).expect("settled");
            Self::name(world, &self.endpoint);
        });
    }
}

/// As recorded in August 2025.
fn one_hub() -> Vec<Member> {
    vec![
        member("iotc-cli-test000002", MemberKind::Application, "azureiotcentral.com"),
        member("iotc-e915c120-4e41-4eb0-a515-7e22e708ac85", MemberKind::Hub, "azure-devices.net"),
        member("iothub-ns-iotc-e915c-66760041-c781ba5278", MemberKind::EventHubs, "servicebus.windows.net"),
        member(
            "saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a",
            MemberKind::Provisioning,
            "azure-devices-provisioning.net",
        ),
    ]
}

fn text(json: &str) -> Value {
    serde_json::from_str(&json.replace("SUB", SUB)).expect("JSON")
}

/// Everything in `wanted` is in `got` with the same value; `got` may have more fields.
fn assert_within(wanted: &Value, got: &Value, at: &str) {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let got = got.get(key).unwrap_or_else(|| panic!("{at}: no {key}"));
                assert_within(value, got, &format!("{at}.{key}"));
            }
        }
        (Value::Array(wanted), Value::Array(got)) => {
            assert_eq!(wanted.len(), got.len(), "{at}");
            for (index, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                assert_within(wanted, got, &format!("{at}[{index}]"));
            }
        }
        _ => assert_eq!(wanted, got, "{at}"),
    }
}

const CONNECTION: &str = r#"{
  "id":"SUB/Microsoft.IoTCentral/iotApps/iotc-cli-test000002/privateEndpointConnections/iotc-cli-test000002.c55a74d6-0228-45ed-9f4e-97f096dbaedf",
  "name":"iotc-cli-test000002.c55a74d6-0228-45ed-9f4e-97f096dbaedf",
  "type":"Microsoft.IoTCentral/IoTApps/privateEndpointConnections",
  "properties":{
    "groupIds":["iotApp"],
    "privateEndpoint":{"id":"SUB/Microsoft.Network/privateEndpoints/cli-pe-000005"},
    "privateLinkServiceConnectionState":{"status":"Approved","description":"Auto-approved","actionsRequired":"None"}}}"#;

#[tokio::test]
async fn private_link_resources_of_2022_and_2025() {
    let template = |members: &str| {
        text(&format!(
            r#"{{"value":[{{
              "id":"SUB/Microsoft.IoTCentral/iotApps/iotc-cli-test000002/privateLinkResources/iotApp",
              "name":"iotApp",
              "type":"Microsoft.IoTCentral/IoTApps/privateLinkResources",
              "properties":{{
                "groupId":"iotApp",
                "requiredMembers":[{members}],
                "requiredZoneNames":[
                  "privatelink.azureiotcentral.com",
                  "privatelink.azure-devices.net",
                  "privatelink.servicebus.windows.net",
                  "privatelink.azure-devices-provisioning.net"]}}}}]}}"#
        ))
    };
    let recorded = Recorded::new(&one_hub()).await;
    let (status, got) = recorded.bench.json(&format!("{}/privateLinkResources?{IOT}", recorded.app)).await;
    let wanted = template(
        r#""iotc-cli-test000002","iotc-e915c120-4e41-4eb0-a515-7e22e708ac85",
           "iothub-ns-iotc-e915c-66760041-c781ba5278","saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a""#,
    );
    assert_eq!((status, got), (200, wanted.clone()));
    let one = recorded.bench.json(&format!("{}/privateLinkResources/IOTAPP?{IOT}", recorded.app)).await;
    assert_eq!(one, (200, wanted["value"][0].clone()));

    let two_hubs = [
        "iotc-cli-test000002",
        "iotc-b21d481a-8349-43b9-bbf4-453616ea43a9",
        "iothub-ns-iotc-b21d4-19222067-df46ec888d",
        "iotc-0232b084-354d-4ae4-80b1-9efd270434fe",
        "iothub-ns-iotc-0232b-19222041-ce427cca3f",
        "saas-dps-663c160d-a3cb-48c9-be51-0ae6dbc1f078",
    ];
    let members: Vec<Member> = two_hubs.iter().map(|name| member(name, MemberKind::Other, "x")).collect();
    let recorded = Recorded::new(&members).await;
    let (_, got) = recorded.bench.json(&format!("{}/privateLinkResources?{IOT}", recorded.app)).await;
    assert_eq!(got, template(&two_hubs.map(|name| format!("{name:?}")).join(",")));
}

#[tokio::test]
async fn private_link_resources_of_the_documentation() {
    let bench = Bench::new().await;
    let app = bench.world(|world| {
        let options = ApplicationOptions {
            name: "sample".to_owned(),
            flavour: Flavour::Documentation,
            ..ApplicationOptions::default()
        };
        world.add_application(&options).expect("an application")
    });
    let (_, got) = bench.json(&format!("{app}/privateLinkResources?{IOT}")).await;
    let item = &got["value"][0];
    assert_eq!(item["name"], "ioTApp");
    assert_eq!(item["location"], "westeurope");
    assert_eq!(item["properties"]["provisioningState"], "Succeeded");
    assert!(item["id"].as_str().is_some_and(|id| id.contains("/IoTApps/sample/privateLinkResources/iotApp")));
    let members: Vec<&str> = item["properties"]["requiredMembers"]
        .as_array()
        .expect("members")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let kinds = ["sample", "saas-dps-", "iotc-", "iotc-", "iothub-ns-iotc-", "iothub-ns-iotc-"];
    assert_eq!(members.len(), kinds.len());
    assert!(members.iter().zip(kinds).all(|(member, kind)| member.starts_with(kind)), "{members:?}");
}

#[tokio::test]
async fn application_and_connections() {
    let recorded = Recorded::new(&one_hub()).await;
    recorded.settle();
    let path = format!("{}/privateEndpointConnections?{IOT}", recorded.app);
    assert_eq!(recorded.bench.json(&path).await, (200, json!({"value": [text(CONNECTION)]})));

    let response = recorded.bench.get(&format!("{}?{IOT}", recorded.app)).send().await.expect("an answer");
    assert_eq!(response.headers()["etag"], "W/\"46009e7b-0000-0100-0000-689f85280000\"");
    let mut wanted = text(
        r#"{"id":"SUB/Microsoft.IoTCentral/iotApps/iotc-cli-test000002",
         "name":"iotc-cli-test000002","type":"Microsoft.IoTCentral/IoTApps","location":"westus","tags":{},
         "properties":{"state":"created","provisioningState":"Succeeded",
          "applicationId":"b9dbd9f6-db03-4dd6-a723-e8774924bfc5",
          "displayName":"iotc-cli-test000002","subdomain":"iotc-cli-test000002",
          "template":"iotc-pnp-preview@1.0.0","publicNetworkAccess":"Enabled",
          "networkRuleSets":{"defaultAction":"Allow","applyToDevices":false,"applyToIoTCentral":false,"ipRules":[]}},
         "sku":{"name":"ST2"},"identity":{"type":"None"}}"#,
    );
    wanted["properties"]["privateEndpointConnections"] = json!([text(CONNECTION)]);
    assert_eq!(response.json::<Value>().await.expect("JSON"), wanted);

    let (_, stable) = recorded.bench.json(&format!("{}?api-version=2021-06-01", recorded.app)).await;
    for absent in ["publicNetworkAccess", "networkRuleSets", "privateEndpointConnections"] {
        assert!(stable["properties"].get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn endpoint_while_updating_and_settled() {
    let recorded = Recorded::new(&one_hub()).await;
    let template = |state: &str, description: &str, dns: &str| {
        text(&format!(
            r#"{{"name":"cli-pe-000005",
             "id":"SUB/Microsoft.Network/privateEndpoints/cli-pe-000005",
             "etag":"W/\"3a7760f1-3830-4d8e-964b-79c7c3044f5b\"",
             "type":"Microsoft.Network/privateEndpoints","location":"westus",
             "properties":{{
              "provisioningState":"{state}",
              "resourceGuid":"45ad12e7-e05f-451f-9785-8f38b65e7348",
              "privateLinkServiceConnections":[{{
                "name":"cli-pec-000006",
                "id":"SUB/Microsoft.Network/privateEndpoints/cli-pe-000005/privateLinkServiceConnections/cli-pec-000006",
                "etag":"W/\"3a7760f1-3830-4d8e-964b-79c7c3044f5b\"",
                "type":"Microsoft.Network/privateEndpoints/privateLinkServiceConnections",
                "properties":{{"provisioningState":"Succeeded",
                  "privateLinkServiceId":"SUB/Microsoft.IoTCentral/iotApps/iotc-cli-test000002",
                  "groupIds":["iotApp"],
                  "privateLinkServiceConnectionState":{{"status":"Approved","description":"{description}","actionsRequired":"None"}}}}}}],
              "manualPrivateLinkServiceConnections":[],
              "customNetworkInterfaceName":"",
              "subnet":{{"id":"SUB/Microsoft.Network/virtualNetworks/cli-vnet-000003/subnets/cli-subnet-000004"}},
              "ipConfigurations":[],
              "networkInterfaces":[{{"id":"SUB/Microsoft.Network/networkInterfaces/cli-pe-000005.nic.4a9b293a-c54b-44bd-a070-32c93460e2da"}}],
              "customDnsConfigs":[{dns}]}}}}"#
        ))
    };
    let path = format!("{}?{NETWORK}", recorded.endpoint);
    assert_eq!(recorded.bench.json(&path).await, (200, template("Updating", "Auto Approved", "")));
    recorded.settle();
    let response = recorded.bench.get(&path).send().await.expect("an answer");
    assert_eq!(response.headers()["etag"], "W/\"3a7760f1-3830-4d8e-964b-79c7c3044f5b\"");
    let dns = r#"
       {"fqdn":"iotc-cli-test000002.azureiotcentral.com","ipAddresses":["10.0.0.4"]},
       {"fqdn":"iotc-e915c120-4e41-4eb0-a515-7e22e708ac85.azure-devices.net","ipAddresses":["10.0.0.5"]},
       {"fqdn":"iothub-ns-iotc-e915c-66760041-c781ba5278.servicebus.windows.net","ipAddresses":["10.0.0.6"]},
       {"fqdn":"saas-dps-5ff6ca27-1193-4ec9-95df-fb17922de77a.azure-devices-provisioning.net","ipAddresses":["10.0.0.7"]}"#;
    assert_eq!(response.json::<Value>().await.expect("JSON"), template("Succeeded", "Auto-approved", dns));
}

#[tokio::test]
async fn interface() {
    let recorded = Recorded::new(&one_hub()).await;
    recorded.settle();
    let path =
        "SUB/Microsoft.Network/networkInterfaces/cli-pe-000005.nic.4a9b293a-c54b-44bd-a070-32c93460e2da";
    let (_, got) = recorded.bench.json(&format!("{}?api-version=2019-04-01", id(path))).await;
    assert_eq!(got["properties"]["ipConfigurations"].as_array().map(Vec::len), Some(4));
    let wanted = text(
        r#"{
          "properties":{
            "provisioningState":"Succeeded",
            "privateIPAddress":"10.0.0.5","privateIPAddressVersion":"IPv4","privateIPAllocationMethod":"Dynamic",
            "privateLinkConnectionProperties":{
              "groupId":"iotApp",
              "requiredMemberName":"iotc-e915c120-4e41-4eb0-a515-7e22e708ac85",
              "fqdns":["iotc-e915c120-4e41-4eb0-a515-7e22e708ac85.azure-devices.net"]}}}"#,
    );
    assert_within(&wanted, &got["properties"]["ipConfigurations"][1], "hub");
    assert_eq!(got["properties"]["ipConfigurations"][0]["properties"]["primary"], true);
    let wanted = text(
        r#"{"name":"cli-pe-000005.nic.4a9b293a-c54b-44bd-a070-32c93460e2da",
         "properties":{"provisioningState":"Succeeded",
          "privateEndpoint":{"id":"SUB/Microsoft.Network/privateEndpoints/cli-pe-000005"}}}"#,
    );
    assert_within(&wanted, &got, "interface");
    assert!(got["etag"].as_str().is_some_and(|etag| etag.starts_with("W/\"")));
}

#[tokio::test]
async fn several_names_and_a_wildcard_on_one_address() {
    let recorded = Recorded::new(&one_hub()).await;
    recorded.bench.world(|world| {
        let app = world.applications.get_mut(&recorded.app).expect("the application");
        app.required[1].fqdns.push("*.eastus.inference.ml.azure.com".to_owned());
    });
    recorded.settle();
    let (_, got) = recorded.bench.json(&format!("{}?{NETWORK}", recorded.endpoint)).await;
    let dns = &got["properties"]["customDnsConfigs"];
    assert_eq!(dns[1]["ipAddresses"], dns[2]["ipAddresses"]);
    assert_eq!(dns[2]["fqdn"], "*.eastus.inference.ml.azure.com");
}

#[tokio::test]
async fn zone_groups() {
    let recorded = Recorded::new(&one_hub()).await;
    recorded.settle();
    let path = format!("{}/privateDnsZoneGroups?{NETWORK}", recorded.endpoint);
    assert_eq!(recorded.bench.json(&path).await, (200, json!({"value": []})));
    let attach = |coverage| {
        recorded.bench.world(|world| {
            world.attach_zone_group(&recorded.endpoint, coverage).expect("attached");
        });
    };
    attach(ZoneCoverage::Partial(vec!["privatelink.azure-devices.net".to_owned()]));
    let (_, got) = recorded.bench.json(&path).await;
    let wanted = text(
        r#"{"value":[{"name":"default",
         "id":"SUB/Microsoft.Network/privateEndpoints/cli-pe-000005/privateDnsZoneGroups/default",
         "type":"Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
         "properties":{"provisioningState":"Succeeded","privateDnsZoneConfigs":[{
           "name":"privatelink-azure-devices-net",
           "type":"Microsoft.Network/privateEndpoints/privateDnsZoneGroups/privateDnsZoneConfigs",
           "properties":{"provisioningState":"Succeeded",
             "privateDnsZoneId":"SUB/Microsoft.Network/privateDnsZones/privatelink.azure-devices.net",
             "recordSets":[{"recordType":"A",
                "recordSetName":"iotc-e915c120-4e41-4eb0-a515-7e22e708ac85",
                "fqdn":"iotc-e915c120-4e41-4eb0-a515-7e22e708ac85.privatelink.azure-devices.net",
                "ipAddresses":["10.0.0.5"],"provisioningState":"Succeeded","ttl":10}]}}]}}]}"#,
    );
    assert_within(&wanted, &got, "group");
    assert!(got["value"][0]["etag"].is_string());

    attach(ZoneCoverage::Complete);
    let (_, got) = recorded.bench.json(&path).await;
    let configs = got["value"][0]["properties"]["privateDnsZoneConfigs"].as_array().expect("zones");
    assert_eq!(configs.len(), 4);
    assert!(
        configs.iter().all(|c| c["properties"]["recordSets"].as_array().is_some_and(|sets| sets.len() == 1))
    );
    let dns = async || {
        let (_, got) = recorded.bench.json(&format!("{}?{NETWORK}", recorded.endpoint)).await;
        got["properties"]["customDnsConfigs"].as_array().map(Vec::len)
    };
    assert_eq!(dns().await, Some(0), "hidden by a group that matches");

    attach(ZoneCoverage::Mismatch);
    let (_, got) = recorded.bench.json(&path).await;
    let config = &got["value"][0]["properties"]["privateDnsZoneConfigs"][0]["properties"];
    assert_eq!(config["provisioningState"], "Succeeded");
    assert_eq!(config["recordSets"], json!([]));
    assert_eq!(dns().await, Some(4), "a group that does not match hides nothing");
}
