//! The dashboard for Grafana: its structure, and that a Prometheus has data for every query.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::prometheus::Prometheus;
use super::{World, text};
use crate::support::eventually;

fn dashboard() -> Value {
    serde_json::from_str(&text("dashboard.json")).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// What is replaced for Prometheus, as Grafana does it.
fn filled(query: &str) -> String {
    let query = query.replace("$__rate_interval", "10s").replace("$job", "privatelink-dns");
    let query = query.replace("$instance", ".*");
    assert!(!query.contains('$'), "an unknown variable in {query}");
    query
}

#[test]
fn panels_have_ids_of_their_own_a_unit_and_a_description_and_do_not_overlap() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "privatelink-dns");
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36), "Grafana 10 and 11");
    let variables: Vec<&str> =
        list(&dashboard["templating"]["list"]).iter().map(|v| string(&v["name"])).collect();
    assert_eq!(variables, ["datasource", "job", "instance"]);
    let (mut ids, mut cells, mut rows) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for panel in list(&dashboard["panels"]) {
        let title = string(&panel["title"]);
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
        assert!(place("w") >= 1 && place("h") >= 1 && place("x") + place("w") <= 24, "{title}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                let other = cells.insert((x, y), title);
                assert_eq!(other, None, "{title} lies over it");
            }
        }
        if panel["type"] == "row" {
            rows.push(title);
            continue;
        }
        assert!(["stat", "table", "timeseries"].contains(&string(&panel["type"])), "{title}");
        assert!(
            panel["description"].as_str().is_some_and(|text| text.len() > 8),
            "{title} has no description"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let references: BTreeSet<&str> =
            list(&panel["targets"]).iter().map(|t| string(&t["refId"])).collect();
        assert!(!references.is_empty() && references.len() == list(&panel["targets"]).len(), "{title}");
    }
    let expected = [
        "Is it right?",
        "Polls and Azure",
        "Zones and changes",
        "DNS",
        "Targets",
        "Secondaries",
        "Resolver",
        "Process",
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn prometheus_has_data_for_every_query() {
    let dashboard = dashboard();
    let world = World::start().await;
    let prometheus = Prometheus::start(world.daemon.admin).await;
    let mut queries = Vec::new();
    for panel in list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row") {
        for target in list(&panel["targets"]) {
            queries.push((string(&panel["title"]).to_owned(), filled(string(&target["expr"]))));
        }
    }
    for variable in list(&dashboard["templating"]["list"]).iter().filter(|v| v["type"] == "query") {
        let query = string(&variable["query"]["query"]);
        let query = query.strip_prefix("label_values(").and_then(|q| q.rsplit_once(", "));
        queries.push((string(&variable["name"]).to_owned(), filled(query.expect("label_values").0)));
    }
    assert!(queries.len() > 60, "{} queries", queries.len());
    for (title, query) in queries {
        eventually(&format!("data for {title}: {query}"), async || {
            world.asked().await;
            match prometheus.series(&query).await {
                Ok(0) => Err("none".to_owned()),
                Ok(_) => Ok(()),
                Err(error) => panic!("{title}: {query}: {error}"),
            }
        })
        .await;
    }
}
