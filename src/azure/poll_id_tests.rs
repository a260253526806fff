//! Where the ids in payloads lead, and those that are none.

use super::*;

#[tokio::test]
async fn ids_lead_nowhere_but_to_endpoints_and_interfaces() {
    let secret = "/subscriptions/s/resourceGroups/r/providers/Microsoft.KeyVault/vaults/v";
    for bad in [
        "pe",
        "https://evil.example/x",
        "/subscriptions/s/../x",
        secret,
        "/subscriptions/s?x=/providers/a/b/c",
    ] {
        let fake = healthy().await;
        set(&fake, APP, app(json!([connection(bad, "Approved")])));
        assert_invalid(&fake, bad).await;
        assert_eq!(fake.paths().len(), 2, "{bad}");

        let fake = healthy().await;
        set(&fake, PE, with(endpoint(), "/properties/networkInterfaces", json!([{ "id": bad }])));
        assert_invalid(&fake, bad).await;
        assert_eq!(fake.paths().len(), 3, "{bad}");
    }
    let fake = healthy().await;
    let service = "/properties/privateLinkServiceConnections/0/properties/privateLinkServiceId";
    set(&fake, PE, with(endpoint(), service, json!("nonsense")));
    assert_invalid(&fake, service).await;
}

#[tokio::test]
async fn an_id_that_is_none_harms_only_what_depends_on_it() {
    let fake = healthy().await;
    set(&fake, PE, with(endpoint(), "/properties/subnet/id", json!("nonsense")));
    assert_eq!(facts(&fake).await.subnet, None);
    set(&fake, PE, with(endpoint(), "/properties/subnet", json!({})));
    assert_eq!(facts(&fake).await.subnet, None);
    for status in ["Pending", "Rejected", "Disconnected", "Odd"] {
        for bad in ["nonsense", NIC] {
            set(&fake, APP, app(json!([connection(bad, status), connection(PE, "Approved")])));
            assert_eq!(found(&fake, &[]).await.endpoints.len(), 1, "{status}");
        }
    }
}

#[tokio::test]
async fn an_id_with_letters_of_another_script_is_percent_encoded() {
    let fake = healthy().await;
    let (named, path) = (PE.replace("/net/", "/Büro/"), PE.replace("/net/", "/B%C3%BCro/"));
    set(&fake, APP, app(json!([connection(&named, "Approved")])));
    set(&fake, &path, with(endpoint(), "/id", json!(PE.replace("/net/", "/BÜRO/"))));
    assert!(matches!(found(&fake, &[]).await.endpoints[0].outcome, EndpointOutcome::Found(_)));
    assert!(fake.paths().contains(&path));
}

#[tokio::test]
async fn a_connection_may_name_no_endpoint_unless_it_is_approved() {
    let fake = healthy().await;
    let nameless = |status| without(connection(PE, status), "/properties/privateEndpoint/id");
    set(&fake, APP, app(json!([nameless("Pending"), connection(PE, "Approved"), nameless("Rejected")])));
    assert_eq!(found(&fake, &[]).await.endpoints.len(), 1);
    set(&fake, APP, app(json!([nameless("Approved")])));
    assert_invalid(&fake, "approved and nameless").await;
}
