//! What is counted of updates.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::wire::update::Reply;

const RESULTS: [&str; 4] = ["done", "changed", "refused", "unknown"];

/// The counters of all targets of this kind.
#[derive(Clone)]
pub(in crate::targets) struct PushMetrics {
    drift: IntCounterVec,
    updates: IntCounterVec,
}

/// The counters of one target.
#[derive(Clone)]
pub(crate) struct PushCounters {
    pub(super) drift: IntCounter,
    updates: [IntCounter; 4],
}

impl PushMetrics {
    pub(in crate::targets) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(format!("privatelink_dns_target_{name}"), help), labels)
        };
        let metrics = Self {
            drift: counter(
                "drift_total",
                "Records of ours that somebody else had removed from a server.",
                &["target"],
            )?,
            updates: counter(
                "updates_total",
                "UPDATE messages: done; changed (a name holds something else); refused; unknown (no answer that can \
                 be verified).",
                &["target", "result"],
            )?,
        };
        registry.register(Box::new(metrics.drift.clone()))?;
        registry.register(Box::new(metrics.updates.clone()))?;
        Ok(metrics)
    }

    pub(in crate::targets) fn target(&self, name: &str) -> PushCounters {
        PushCounters {
            drift: self.drift.with_label_values(&[name]),
            updates: RESULTS.map(|result| self.updates.with_label_values(&[name, result])),
        }
    }

    pub(in crate::targets) fn forget(&self, name: &str) {
        // They are there, or never were.
        let _ = self.drift.remove_label_values(&[name]);
        for result in RESULTS {
            let _ = self.updates.remove_label_values(&[name, result]);
        }
    }
}

impl PushCounters {
    pub(super) fn count(&self, reply: &Reply) {
        let [done, changed, refused, unknown] = &self.updates;
        match reply {
            Reply::Done => done.inc(),
            Reply::Changed(_) => changed.inc(),
            Reply::Refused { .. } => refused.inc(),
            Reply::Unknown { .. } => unknown.inc(),
        }
    }
}
