//! The API as its document describes it: what is answered and what is not.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::azure::Azure;
use crate::support::home::{Home, said};
use crate::support::{eventually, python_program};

/// Schemathesis asks some hundred things.
const PATIENCE: Duration = Duration::from_secs(240);

/// A daemon's home with something in every list of the status.
fn home(azure: &Azure) -> Home {
    let mut home = Home::new(azure);
    let [hosts, others] = ["hosts", "others"].map(|name| home.path(name));
    for path in [&hosts, &others] {
        fs::write(path, "127.0.0.1 localhost\n").expect("written");
    }
    home.settings.publish = "per_name_zones = true";
    home.settings.transfer = format!(
        "[[secondary]]\nname = \"ns1\"\naddress = \"127.0.0.2:1\"\ntransfer_by = \"address\"\n\n\
         [[target]]\nname = \"hosts\"\ntype = \"hosts\"\npath = {hosts:?}\n\n\
         [[target]]\nname = \"gone\"\ntype = \"hosts\"\npath = {:?}\n\n\
         [[target]]\nname = \"dry\"\ntype = \"hosts\"\npath = {others:?}\ndry_run = true\n",
        home.path("not-there")
    );
    home
}

#[tokio::test]
async fn the_document_is_valid_and_the_daemon_does_what_it_says() {
    let azure = Azure::start().await;
    let home = home(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    azure.lose_everything();
    eventually("holds", async || {
        let holds = daemon.status().await.holds.len();
        if holds > 0 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    let document = home.path("openapi.json");
    fs::write(&document, daemon.get("/api/v1/openapi.json").await.1).expect("written");
    let mut validator = Command::new(python_program("openapi-spec-validator"));
    validator.arg(&document);
    let valid = said(validator).await;
    assert_eq!(valid.code, Some(0), "{valid:?}");

    let token = fs::read_to_string(home.state().join("admin.token")).expect("a token");
    let mut schemathesis = Command::new(python_program("schemathesis"));
    schemathesis
        .arg("run")
        .arg(&document)
        .args(["--url", &format!("http://{}", daemon.admin), "--checks", "all", "--continue-on-failure"])
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        // A stream does not end for long; it has a test of its own.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--max-examples", "30", "--generation-deterministic", "--no-color"])
        // Where it keeps what it found.
        .current_dir(home.path("."))
        .kill_on_drop(true);
    let output = timeout(PATIENCE, schemathesis.output()).await.expect("it ends").expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("Tested: 13"), "{told}");
    assert_eq!(daemon.get("/livez").await.0, 200);
}

/// Says which fields of a value its schema does not have, or has and the value lacks.
fn differences(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).expect("the schema is there");
        return differences(document, schema, value, at, found);
    }
    match value {
        Value::Array(items) => {
            for item in items {
                differences(document, &schema["items"], item, &format!("{at}[]"), found);
            }
        }
        Value::Object(fields) => {
            let choices = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
            if let Some(choice) = choices.and_then(|choices| {
                choices.iter().find(|one| one["type"] != "null" && one.get("enum").is_none())
            }) {
                return differences(document, choice, value, at, found);
            }
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let lacking = required.filter(|name| !fields.contains_key(*name));
            found.extend(lacking.map(|name| format!("{at}.{name}, which is not there")));
            for (name, value) in fields {
                match schema["properties"].get(name) {
                    Some(schema) => differences(document, schema, value, &format!("{at}.{name}"), found),
                    None => found.push(format!("{at}.{name}")),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_field_is_described() {
    let azure = Azure::start().await;
    let home = home(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    let hub = azure.hub();
    azure.lose_everything();
    let status = eventually("something in every list", async || {
        let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").await.1).expect("JSON");
        let lists = ["applications", "zones", "secondaries", "targets", "holds", "findings"];
        let full = lists.iter().all(|list| status[list].as_array().is_some_and(|list| !list.is_empty()));
        let failing =
            status["targets"].as_array().is_some_and(|t| t.iter().any(|t| t.get("error").is_some()));
        let planned =
            status["targets"].as_array().is_some_and(|t| t.iter().any(|t| t.get("planned").is_some()));
        let unreached = !status["secondaries"][0]["error"].is_null();
        if full && failing && planned && unreached { Ok(status) } else { Err(status.to_string()) }
    })
    .await;
    let get = async |path: &str| -> Value { serde_json::from_str(&daemon.get(path).await.1).expect("JSON") };
    let document = get("/api/v1/openapi.json").await;
    let mut found = Vec::new();
    for (path, value) in [
        ("/api/v1/status", status),
        ("/api/v1/records", get("/api/v1/records").await),
        ("/api/v1/export/json", get("/api/v1/export/json").await),
        ("/readyz", get("/readyz").await),
        ("/api/v1/history", get("/api/v1/history").await),
        ("/api/v1/diff", get("/api/v1/diff?from=0&to=1").await),
        ("/api/v1/explain", get(&format!("/api/v1/explain/{hub}")).await),
    ] {
        let described = path.replace("/json", "/{format}").replace("/explain", "/explain/{name}");
        let schema =
            &document["paths"][described]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}");
        differences(&document, schema, &value, path, &mut found);
    }
    assert!(found.is_empty(), "src/admin/openapi.json does not describe {found:?}");
}
