//! What monitoring reads.

use std::process::Stdio;

use privatelink_dns::simulator::{Fault, FaultRule};
use privatelink_dns::zones::FindingKind;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::monitoring::tool;
use crate::support::azure::Azure;
use crate::support::dns::dig;
use crate::support::eventually;
use crate::support::home::Home;

/// Nobody listens there.
const SECONDARY: &str = "[[secondary]]\nname = \"ns1\"\naddress = \"127.0.0.1:9\"\ntransfer_by = \"address\"";

#[tokio::test]
async fn promtool_has_no_complaint_and_no_label_has_a_host_name() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    home.settings.publish = "per_name_zones = true\napplication_name = true";
    home.settings.transfer = SECONDARY.to_owned();
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    // Something in every family: answers, denials, refusals, failed polls, findings.
    dig(daemon.dns(), "none.privatelink.azure-devices.net", "A").await;
    dig(daemon.dns(), "example.com", "TXT").await;
    azure.with(|world| Ok(world.faults.add(FaultRule::new(Fault::ServiceUnavailable))));
    daemon.finding(FindingKind::PollFailed).await;

    let (code, text) = daemon.get("/metrics").await;
    assert_eq!(code, 200);
    let mut tool = tokio::process::Command::new(tool("promtool"));
    tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = tool.kill_on_drop(true).spawn().expect("promtool runs");
    let mut input = tool.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).await.expect("read by promtool");
    drop(input);
    let said = tool.wait_with_output().await.expect("promtool ends");
    let complaint = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && complaint.trim().is_empty(), "{complaint}");

    let names: Vec<String> =
        daemon.records().await.into_iter().map(|record| record.name.to_string()).collect();
    assert_eq!(names.len(), 6);
    for name in names {
        let label = name.split('.').next().expect("a label");
        // The application's name is in the label `app`, its host name nowhere.
        assert!(!text.contains(&name), "{name}");
        assert!(label == "contoso-iot" || !text.contains(label), "{label}");
    }
    for metric in [
        "privatelink_dns_ready 1",
        "privatelink_dns_complete 1",
        "privatelink_dns_poll_total{app=\"rg-iot/contoso-iot\",result=\"failure\",subscription=\"",
        "privatelink_dns_findings{kind=\"poll-failed\",severity=\"error\"} 1",
        "privatelink_dns_served_records{zone=\"privatelink.azure-devices.net\"} 2",
        "privatelink_dns_served_records{zone=\"per-name\"} 6",
        "privatelink_dns_dns_responses_total{rcode=\"REFUSED\",zone=\"none\"}",
        "privatelink_dns_changes_total{action=\"remove\",zone=\"privatelink.azure-devices.net\"} 0",
        "privatelink_dns_secondary_zones_behind{secondary=\"ns1\"} ",
        "privatelink_dns_secondary_notifies_total{result=\"acknowledged\",secondary=\"ns1\"} 0",
    ] {
        assert!(text.lines().any(|line| line.starts_with(metric)), "no {metric} in {text}");
    }
}

#[tokio::test]
async fn every_metric_that_the_readme_lists_is_there() {
    let azure = Azure::start().await;
    let mut home = Home::new(&azure);
    let hosts = home.path("hosts");
    std::fs::write(&hosts, "").expect("written");
    let target = format!(
        "[[target]]\nname = 'hosts'\ntype = 'hosts'\npath = {hosts:?}\n\
         [[target]]\nname = 'ns1'\ntype = 'rfc2136'\nservers = ['127.0.0.1:1']\n"
    );
    home.settings.transfer = format!("{SECONDARY}\n{target}");
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    eventually("a target", async || {
        let targets = daemon.status().await.targets;
        if targets.iter().any(|target| target.last_success.is_some()) {
            Ok(())
        } else {
            Err(format!("{targets:?}"))
        }
    })
    .await;
    let text = daemon.get("/metrics").await.1;
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let section = readme.split("## Metrics").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("it");
    // Counters with labels are there once something was counted.
    let later = [
        "arm_ratelimit_remaining",
        "dns_rate_limited_total",
        "secondary_last_transfer_timestamp_seconds",
        "resolver_upstream_queries_total",
        "resolver_upstream_mismatches_total",
        "resolver_upstream_up",
        // With `[verify] enabled`; all but the first after the first run.
        "verify_problems",
        "verify_names",
        "verify_last_run_timestamp_seconds",
        "verify_duration_seconds",
    ];
    let mut listed = 0;
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        for name in row.split('|').nth(1).expect("a cell").split('`').skip(1).step_by(2) {
            let name = name.split('{').next().expect("a name");
            listed += 1;
            let there = text.contains(&format!("\n# TYPE privatelink_dns_{name} "))
                || text.starts_with(&format!("# HELP privatelink_dns_{name} "));
            assert!(there || later.contains(&name), "{name} is in the README only");
        }
    }
    assert!(listed > 30, "{listed} metrics");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE privatelink_dns_")) {
        let name = line.split(' ').next().expect("a name");
        assert!(
            section.contains(&format!("`{name}`")) || section.contains(&format!("`{name}{{")),
            "{name}: undocumented"
        );
    }
}

#[tokio::test]
async fn health_and_records_as_json() {
    let azure = Azure::start().await;
    let home = Home::new(&azure);
    let daemon = home.start().await;
    daemon.shows(&azure).await;
    assert_eq!(daemon.get("/livez").await, (200, "ok\n".to_owned()));
    let (code, body) = daemon.get("/readyz").await;
    let ready: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (code, &ready["ready"], ready["reasons"].as_array().map(Vec::len)),
        (200, &Value::Bool(true), Some(0))
    );

    let records: Value = serde_json::from_str(&daemon.get("/api/v1/records").await.1).expect("JSON");
    let records = records.as_array().expect("a list");
    assert_eq!(records.len(), 6);
    for record in records {
        for field in
            ["name", "owner", "zone", "application", "endpoint", "interface", "member", "source", "since"]
        {
            assert!(record[field].as_str().is_some_and(|text| !text.is_empty()), "no {field} in {record}");
        }
        assert_eq!(record["addresses"].as_array().map(Vec::len), Some(1));
        assert_eq!(record["endpoint"], azure.endpoint.as_str());
        let (owner, zone) = (record["owner"].as_str().expect("text"), record["zone"].as_str().expect("text"));
        assert!(owner.ends_with(&format!(".{zone}")), "{record}");
    }
    assert_eq!(daemon.get("/nothing").await.0, 404);
}
