//! Looking for applications: every one of a subscription or resource group, by tag if wanted.

use std::collections::BTreeSet;

use super::Operation;
use super::arm::ArmClient;
use super::error::ArmError;
use super::payload::ListedApplication;
use crate::config::Discovery;
use crate::zones::ResourceId;

/// The applications that the discovery takes. A failed read is an error, never an empty set.
pub(super) async fn discover(
    client: &ArmClient,
    discovery: &Discovery,
) -> Result<BTreeSet<ResourceId>, ArmError> {
    let path = scope(discovery);
    let (listed, origin): (Vec<ListedApplication>, _) =
        client.list(Operation::Applications, &discovery.subscription, &path).await?;
    let mut taken = BTreeSet::new();
    for application in listed {
        // Nobody cares what the others are called.
        if !discovery.matches(&application.tags) {
            continue;
        }
        let id = origin.id(&application.id)?;
        if !id.resource_type().eq_ignore_ascii_case("Microsoft.IoTCentral/iotApps") || !discovery.covers(&id)
        {
            return Err(origin.invalid(format!("{id} is no application of this scope")));
        }
        taken.insert(id);
    }
    Ok(taken)
}

/// The path of the list.
pub(super) fn scope(discovery: &Discovery) -> String {
    let group = discovery.resource_group.as_ref().map(|g| format!("/resourceGroups/{g}")).unwrap_or_default();
    format!("/subscriptions/{}{group}/providers/Microsoft.IoTCentral/iotApps", discovery.subscription)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::ArmErrorKind;
    use crate::azure::fake::{Canned, Fake};

    fn discovery(tag: Option<(&str, Option<&str>)>) -> Discovery {
        Discovery {
            subscription: "s1".to_owned(),
            resource_group: Some("rg".to_owned()),
            tag: tag.map(|(name, value)| (name.to_owned(), value.map(str::to_owned))),
        }
    }

    fn app(name: &str, tags: serde_json::Value) -> serde_json::Value {
        let id = format!("/subscriptions/S1/resourcegroups/RG/providers/Microsoft.IoTCentral/IoTApps/{name}");
        json!({ "id": id, "name": name, "tags": tags, "properties": {} })
    }

    const PATH: &str = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.IoTCentral/iotApps";

    #[tokio::test]
    async fn pages_are_followed_and_tags_filter() {
        let fake = Fake::start().await;
        let link = format!("{}{PATH}?api-version=2021-11-01-preview&page=2", fake.url());
        let first = [app("a", json!({ "DNS": "on" })), app("b", json!({})), app("c", json!(null))];
        let second = [app("d", json!({ "dns": "off" }))];
        fake.answers(
            PATH,
            [
                Canned::json(json!({ "value": first, "nextLink": link })),
                Canned::json(json!({ "value": second, "nextLink": null })),
            ],
        );
        let client = fake.client();
        let names =
            |taken: BTreeSet<ResourceId>| taken.iter().map(|id| id.name().to_owned()).collect::<Vec<_>>();
        let taken = discover(&client, &discovery(Some(("dns", None)))).await.expect("a set");
        assert_eq!(names(taken), ["a", "d"]);

        fake.answers(PATH, [Canned::json(json!({ "value": first }))]);
        let taken = discover(&client, &discovery(Some(("dns", Some("on"))))).await.expect("a set");
        assert_eq!(names(taken), ["a"]);
        let taken = discover(&client, &discovery(Some(("dns", Some("ON"))))).await.expect("a set");
        assert!(names(taken).is_empty());
        let taken = discover(&client, &discovery(None)).await.expect("a set");
        assert_eq!(names(taken), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn an_id_that_is_none_matters_only_when_the_tag_takes_it() {
        let fake = Fake::start().await;
        let odd = |tag: &str| json!({ "id": "/odd?", "tags": { "dns": tag }, "properties": {} });
        let taking = discovery(Some(("dns", Some("on"))));
        fake.answers(
            PATH,
            [Canned::json(json!({ "value": [odd("off"), app("a", json!({ "dns": "on" }))] }))],
        );
        assert_eq!(discover(&fake.client(), &taking).await.expect("a set").len(), 1);
        fake.answers(PATH, [Canned::json(json!({ "value": [odd("on")] }))]);
        discover(&fake.client(), &taking).await.expect_err("it is taken, and nobody can ask for it");
    }

    #[tokio::test]
    async fn a_group_of_another_script_is_percent_encoded() {
        let fake = Fake::start().await;
        let discovery = Discovery { resource_group: Some("grün".to_owned()), ..discovery(None) };
        let path = PATH.replace("/rg/", "/gr%C3%BCn/");
        let id = format!("{}/a", PATH.replace("/rg/", "/GRÜN/"));
        fake.answers(&path, [Canned::json(json!({ "value": [{ "id": id, "properties": {} }] }))]);
        let taken = discover(&fake.client(), &discovery).await.expect("a set");
        assert_eq!(taken.iter().map(ResourceId::name).collect::<Vec<_>>(), ["a"]);
        assert_eq!(fake.paths(), [path]);
    }

    #[tokio::test]
    async fn a_failure_is_never_an_empty_set() {
        let fake = Fake::start().await;
        let client = fake.client();
        let foreign = "/subscriptions/s2/resourceGroups/rg/providers/Microsoft.IoTCentral/iotApps/x";
        for body in [json!({}), json!({ "value": null }), json!({ "value": [{ "id": foreign }] })] {
            fake.answers(PATH, [Canned::json(body)]);
            let error = discover(&client, &discovery(None)).await.expect_err("refused");
            assert!(matches!(error.kind, ArmErrorKind::InvalidBody { .. }), "{error}");
        }
        fake.answers(PATH, [Canned::error(404, "SubscriptionNotFound", "no")]);
        let error = discover(&client, &discovery(None)).await.expect_err("refused");
        assert_eq!(error.kind, ArmErrorKind::NotFoundOther);
    }
}
