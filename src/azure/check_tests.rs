use std::collections::BTreeSet;

use serde_json::json;

use super::super::fake::{Canned, Fake};
use super::super::poll::poll;
use super::*;

const APP: &str = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.IoTCentral/iotApps/my-app";
const NET: &str = "/subscriptions/s2/resourceGroups/net/providers/Microsoft.Network";

fn endpoint(name: &str) -> String {
    format!("{NET}/privateEndpoints/{name}")
}

fn interface(name: &str) -> String {
    format!("{NET}/networkInterfaces/{name}")
}

fn connection(name: &str, status: &str) -> serde_json::Value {
    json!({ "properties": { "privateEndpoint": { "id": endpoint(name) },
                            "privateLinkServiceConnectionState": { "status": status } } })
}

/// An application with one approved endpoint and one that waits.
async fn healthy(custom_dns: bool) -> Fake {
    let fake = Fake::start().await;
    let set = |path: &str, body| fake.answers(path, [Canned::json(body)]);
    let connections = json!([connection("pe", "Approved"), connection("late", "Pending")]);
    set(APP, json!({ "id": APP, "properties": { "privateEndpointConnections": connections } }));
    set(&format!("{APP}/privateEndpointConnections"), json!({ "value": connections }));
    let resource = json!({ "groupId": "iotApp", "requiredMembers": [], "requiredZoneNames": [] });
    set(&format!("{APP}/privateLinkResources"), json!({ "value": [{ "properties": resource }] }));
    let configs =
        if custom_dns { json!([{ "fqdn": "a.b", "ipAddresses": ["10.0.0.1"] }]) } else { json!([]) };
    set(
        &endpoint("pe"),
        json!({ "id": endpoint("pe"), "properties": {
            "provisioningState": "Succeeded", "customDnsConfigs": configs,
            "networkInterfaces": [{ "id": interface("nic") }],
            "privateLinkServiceConnections": [{ "properties": {
                "privateLinkServiceId": APP, "privateLinkServiceConnectionState": { "status": "Approved" } } }] } }),
    );
    set(&interface("nic"), json!({ "id": interface("nic"), "properties": { "ipConfigurations": [] } }));
    set(&format!("{}/privateDnsZoneGroups", endpoint("pe")), json!({ "value": [] }));
    fake
}

fn refuse(fake: &Fake, path: &str) {
    fake.answers(path, [Canned::error(403, "AuthorizationFailed", "no")]);
}

async fn checked(fake: &Fake) -> Readings {
    check(&fake.client(), &APP.parse().expect("an id")).await
}

/// The label of every read that failed, and whether a poll needs it.
fn failed(readings: &Readings) -> Vec<(&'static str, bool)> {
    let failed = readings.reads.iter().filter(|read| read.result.is_err());
    failed.map(|read| (read.operation.label(), read.needed)).collect()
}

#[tokio::test]
async fn every_kind_of_read_that_the_role_is_for_is_made() {
    let fake = healthy(true).await;
    let readings = checked(&fake).await;
    assert_eq!(failed(&readings), []);
    let mut made: BTreeSet<Operation> = readings.reads.iter().map(|read| read.operation).collect();
    // Lists of applications are a discovery's.
    made.insert(Operation::Applications);
    assert_eq!(made, BTreeSet::from(Operation::ALL));
    let waiting: Vec<_> = readings.not_approved.iter().map(|(id, state)| (id.name(), *state)).collect();
    assert_eq!(waiting, [("late", ConnectionState::Pending)]);
}

#[tokio::test]
async fn no_poll_makes_a_read_that_is_not_checked() {
    for custom_dns in [true, false] {
        let fake = healthy(custom_dns).await;
        checked(&fake).await;
        let checked: BTreeSet<String> = fake.paths().into_iter().collect();
        let before = fake.paths().len();
        let application = APP.parse().expect("an id");
        poll(&fake.client(), &application, &BTreeSet::new(), jiff::Timestamp::now).await.expect("complete");
        let polled: BTreeSet<String> = fake.paths().split_off(before).into_iter().collect();
        assert!(polled.is_subset(&checked), "{polled:?} {checked:?}");
    }
}

#[tokio::test]
async fn a_poll_fails_exactly_when_a_needed_read_does() {
    let connections = format!("{APP}/privateEndpointConnections");
    let link = format!("{APP}/privateLinkResources");
    let groups = format!("{}/privateDnsZoneGroups", endpoint("pe"));
    let (pe, nic) = (endpoint("pe"), interface("nic"));
    let paths: [&str; 6] = [APP, &connections, &link, &pe, &nic, &groups];
    for custom_dns in [true, false] {
        // Every refusal, and every two of them.
        for refused in (0_u32..1 << paths.len()).filter(|refused| refused.count_ones() <= 2) {
            let fake = healthy(custom_dns).await;
            for (bit, path) in paths.iter().enumerate() {
                if refused & (1 << bit) != 0 {
                    refuse(&fake, path);
                }
            }
            let readings = checked(&fake).await;
            let application = APP.parse().expect("an id");
            let polled = poll(&fake.client(), &application, &BTreeSet::new(), jiff::Timestamp::now).await;
            let fails = failed(&readings).iter().any(|(_, needed)| *needed);
            assert_eq!(polled.is_err(), fails, "{custom_dns} {refused:06b}: {readings:?}");
        }
    }
}

#[tokio::test]
async fn what_fails_does_not_hide_what_else_is_missing() {
    let fake = healthy(false).await;
    for path in [
        &interface("nic"),
        &format!("{APP}/privateLinkResources"),
        &format!("{APP}/privateEndpointConnections"),
    ] {
        refuse(&fake, path);
    }
    refuse(&fake, &format!("{}/privateDnsZoneGroups", endpoint("pe")));
    let readings = checked(&fake).await;
    assert_eq!(
        failed(&readings),
        [("connections", false), ("link-resources", true), ("interface", false), ("zone-groups", true)]
    );
    let scopes: Vec<String> =
        readings.reads.iter().filter(|r| r.result.is_err()).map(Reading::scope).collect();
    let group = "/subscriptions/s2/resourceGroups/net";
    assert_eq!(scopes, [APP, APP, group, group]);
}

#[tokio::test]
async fn an_application_that_may_not_be_read_still_shows_its_endpoints_in_the_list() {
    let fake = healthy(true).await;
    refuse(&fake, APP);
    let readings = checked(&fake).await;
    assert_eq!(failed(&readings), [("application", true)]);
    assert!(readings.knows_endpoints && readings.reads.len() == 6);
    refuse(&fake, &format!("{APP}/privateEndpointConnections"));
    let readings = checked(&fake).await;
    assert!(!readings.knows_endpoints);
    assert_eq!(readings.reads.len(), 3);
}

#[tokio::test]
async fn the_scope_of_a_discovery_is_what_it_lists() {
    let fake = Fake::start().await;
    let discovery =
        Discovery { subscription: "s1".to_owned(), resource_group: Some("rg".to_owned()), tag: None };
    let (reading, taken) = check_discovery(&fake.client(), &discovery).await;
    assert!(reading.result.is_err() && taken.is_empty());
    assert_eq!(reading.scope(), "/subscriptions/s1/resourceGroups/rg");
}
