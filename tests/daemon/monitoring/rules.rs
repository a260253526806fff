//! The alert rules: Prometheus takes them, each fires and is silent in its test, knows only metrics that
//! there are, and leads to an entry of the runbook.

use std::collections::BTreeSet;

use privatelink_dns::simulator::{Fault, FaultRule};
use tokio::process::Command;
use tokio::time::timeout;

use super::prometheus::Prometheus;
use super::{World, file, metrics, text, tool};
use crate::docs::anchors;
use crate::support::{DEADLINE, eventually};

/// Stands in `runbook_url` for where the repository is, until Cargo.toml says it.
const PLACEHOLDER: &str = "https://REPOSITORY";

/// A rule, read line by line: the file is written one key a line.
struct Rule {
    name: String,
    text: String,
}

fn rules() -> Vec<Rule> {
    let text = text("alerts.yml");
    let parts = text.split("\n      - alert: ").skip(1);
    let rules: Vec<_> = parts
        .map(|part| {
            let (name, text) = part.split_once('\n').expect("a name and more");
            Rule { name: name.to_owned(), text: text.to_owned() }
        })
        .collect();
    assert!(rules.len() >= 22, "{} rules", rules.len());
    rules
}

impl Rule {
    fn value(&self, key: &str) -> String {
        let start = format!("{key}: ");
        let line = self.text.lines().find_map(|line| line.trim_start().strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{}: no {key}", self.name)).to_owned()
    }

    /// The lines from `expr` to the next key of the rule.
    fn query(&self) -> String {
        let lines = self.text.lines().skip_while(|line| !line.starts_with("        expr:"));
        let first = lines.clone().take(1);
        let more = lines.skip(1).take_while(|line| line.starts_with("          "));
        first.chain(more).collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn promtool_takes_them_and_each_fires_and_is_silent() {
    for (kind, name) in [("check", "alerts.yml"), ("test", "alerts_test.yml")] {
        let mut command = Command::new(tool("promtool"));
        command.args([kind, "rules"]).arg(file(name));
        // It goes through hours of many small worlds, which takes seconds of a whole core.
        let output = timeout(4 * DEADLINE, command.kill_on_drop(true).output()).await;
        let output = output.expect("promtool ends").expect("promtool runs");
        let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success(), "{}", told.concat());
    }
    let tests = text("alerts_test.yml");
    let cases: Vec<&str> = tests.split("        alertname: ").skip(1).collect();
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for case in cases {
        let (name, rest) = case.split_once('\n').expect("a name and more");
        let expected = rest.trim_start().strip_prefix("exp_alerts:").expect("what is expected");
        if expected.starts_with(" []") {
            silent.insert(name);
            continue;
        }
        // Each severity is a rule of its own.
        let lines = expected.lines().take_while(|line| line.is_empty() || line.starts_with("          "));
        fires.extend(lines.filter_map(|line| Some((name, line.trim().strip_prefix("severity: ")?))));
    }
    for rule in rules() {
        let severity = rule.value("severity");
        assert!(fires.contains(&(&*rule.name, &*severity)), "{} {severity} fires in no test", rule.name);
        assert!(silent.contains(&*rule.name), "{} is silent in no test", rule.name);
    }
}

#[test]
fn every_rule_tells_what_happened_and_where_to_read_on() {
    let base = match env!("CARGO_PKG_REPOSITORY") {
        "" => PLACEHOLDER,
        repository => repository,
    };
    let mut entries = anchors("docs/runbook.md");
    entries.retain(|anchor| anchor.starts_with("alert-"));
    let mut linked = BTreeSet::new();
    for rule in rules() {
        assert!(["warning", "critical"].contains(&&*rule.value("severity")), "{}", rule.name);
        for key in ["summary", "description"] {
            assert!(rule.value(key).len() > 20, "{}: {key}", rule.name);
        }
        let anchor = format!("alert-{}", rule.name.to_lowercase());
        assert_eq!(rule.value("runbook_url"), format!("{base}/blob/main/docs/runbook.md#{anchor}"));
        linked.insert(anchor);
    }
    assert_eq!(linked, entries, "rules, and entries in docs/runbook.md");
}

#[tokio::test]
async fn every_metric_of_a_rule_is_shown_or_missed() {
    let world = World::start().await;
    let rules = rules();
    let used: BTreeSet<String> = rules.iter().flat_map(|rule| metrics(&rule.query())).collect();
    eventually("every metric", async || {
        let shown = world.shown().await;
        let missing = used.difference(&shown);
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
    // A series that is not there says nothing. So a rule asks for it, or another that comes with it.
    let missed: BTreeSet<String> = rules
        .iter()
        .flat_map(|rule| rule.query().lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| Some(metrics(line.split_once("unless")?.1)))
        .flatten()
        .collect();
    let comes_with = [
        // What comes and goes with the configuration alone is missed by nobody.
        ("privatelink_dns_guard_pending", "privatelink_dns_zone_loaded"),
        ("privatelink_dns_changes_total", "privatelink_dns_zone_loaded"),
        ("privatelink_dns_target_failing", "privatelink_dns_target_last_success_timestamp_seconds"),
        ("privatelink_dns_target_pending", "privatelink_dns_target_last_success_timestamp_seconds"),
        ("privatelink_dns_target_conflicts", "privatelink_dns_target_last_success_timestamp_seconds"),
        ("privatelink_dns_target_drift_total", "privatelink_dns_target_last_success_timestamp_seconds"),
        ("privatelink_dns_secondary_lag_seconds", ""),
        ("privatelink_dns_verify_problems", "privatelink_dns_verify_last_run_timestamp_seconds"),
        ("privatelink_dns_verify_names", "privatelink_dns_verify_last_run_timestamp_seconds"),
        ("privatelink_dns_propagation_duration_seconds", ""),
    ];
    for name in &used {
        let other = comes_with.iter().find(|(one, _)| one == name).map(|(_, other)| *other);
        let is_missed =
            missed.contains(name) || other.is_some_and(|other| other.is_empty() || missed.contains(other));
        assert!(is_missed, "nobody would notice that {name} is missing");
    }
}

#[tokio::test]
async fn prometheus_alerts_of_what_is_wrong_and_of_nothing_else() {
    let world = World::start().await;
    let prometheus = Prometheus::start(world.daemon.admin).await;
    let alerts = async |expected: &[&str]| {
        let expected: BTreeSet<String> =
            expected.iter().map(|name| format!("PrivatelinkDns{name}")).collect();
        eventually(&format!("{expected:?}"), async || match prometheus.alerts().await? {
            alerts if alerts == expected => Ok(()),
            alerts => Err(format!("{alerts:?}")),
        })
        .await;
    };
    // Nobody listens where the second target writes.
    let target = ["FindingError", "TargetFailing", "TargetPending"];
    alerts(&target).await;
    world.azure.with(|simulated| Ok(simulated.faults.add(FaultRule::new(Fault::ServiceUnavailable))));
    alerts(&[&target[..], &["PollFailing"]].concat()).await;
    world.daemon.kill().await;
    alerts(&["Down"]).await;
}
