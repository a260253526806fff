//! What the daemon's own runs have shown, as metrics. Labels are codes and words of the configuration.

use std::collections::BTreeMap;

use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};

use super::{Report, codes};

/// The gauges; they outlive a reload.
#[derive(Clone)]
pub struct VerifyMetrics {
    problems: IntGaugeVec,
    names: IntGaugeVec,
    /// Both without labels, and without a value before the first run.
    last_run: GaugeVec,
    duration: GaugeVec,
}

impl VerifyMetrics {
    /// Fresh gauges, registered.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(format!("privatelink_dns_verify_{name}"), help);
        let problems = opts("problems", "What the last run of verify found to be wrong, by check.");
        let names = opts("names", "Names at the servers of a resolver, by how they are known there.");
        let last_run = opts("last_run_timestamp_seconds", "When the last run of verify ended.");
        let duration = opts("duration_seconds", "How long the last run of verify took.");
        let metrics = Self {
            problems: IntGaugeVec::new(problems, &["check"])?,
            names: IntGaugeVec::new(names, &["resolver", "result"])?,
            last_run: GaugeVec::new(last_run, &[])?,
            duration: GaugeVec::new(duration, &[])?,
        };
        registry.register(Box::new(metrics.problems.clone()))?;
        registry.register(Box::new(metrics.names.clone()))?;
        registry.register(Box::new(metrics.last_run.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        Ok(metrics)
    }

    /// As when nothing is verified: no problems would be a claim that somebody has looked.
    pub(super) fn reset(&self) {
        self.problems.reset();
        self.names.reset();
        self.last_run.reset();
        self.duration.reset();
    }

    /// As before the first run: every check is there, so that a missing run shows.
    pub(super) fn expect(&self) {
        for code in codes() {
            self.problems.with_label_values(&[code]);
        }
    }

    /// Shows a run; notes are no problems.
    pub(super) fn set(&self, report: &Report) {
        let failures = || report.problems.iter().filter(|problem| problem.is_failure());
        for code in codes() {
            let count = failures().filter(|problem| problem.check == code).count();
            self.problems.with_label_values(&[code]).set(whole(count));
        }
        let mut names = BTreeMap::<(&str, &str), usize>::new();
        for server in &report.servers {
            let results =
                [("right", server.right), ("wrong", server.wrong), ("unanswered", server.unanswered)];
            for (result, count) in results {
                *names.entry((&server.configured, result)).or_default() += count;
            }
        }
        for ((resolver, result), count) in names {
            self.names.with_label_values(&[resolver, result]).set(whole(count));
        }
        let none: &[&str] = &[];
        let end = report.at.as_millisecond() as f64 / 1000.0 + report.seconds;
        self.last_run.with_label_values(none).set(end);
        self.duration.with_label_values(none).set(report.seconds);
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
