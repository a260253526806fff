//! What the engine counts. States, and the counts that belong to an application and end with it,
//! are read from the [`View`](super::View) instead.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use crate::zones::{Change, DnsName};

const ACTIONS: [&str; 3] = ["add", "change", "remove"];

/// How long polls took, and counters of changes and saves.
pub struct Statistics {
    duration: Histogram,
    changes: IntCounterVec,
    saves: [IntCounter; 2],
}

impl Statistics {
    /// Fresh counters in a registry.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let duration = Histogram::with_opts(
            HistogramOpts::new("privatelink_dns_poll_duration_seconds", "Seconds that a poll took.")
                .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]),
        )?;
        let changes = IntCounterVec::new(
            Opts::new("privatelink_dns_changes_total", "Names added, changed or removed, by zone."),
            &["zone", "action"],
        )?;
        let saves = IntCounterVec::new(
            Opts::new("privatelink_dns_state_saves_total", "Writes of the state file."),
            &["result"],
        )?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(changes.clone()))?;
        registry.register(Box::new(saves.clone()))?;
        let saves = [saves.with_label_values(&["failure"]), saves.with_label_values(&["success"])];
        Ok(Self { duration, changes, saves })
    }

    pub(super) fn polled(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }

    /// Shows the counters of these zones from now on: a series that begins with its first removal would
    /// not be seen to rise.
    pub(super) fn zones<'a>(&self, zones: impl IntoIterator<Item = &'a DnsName>) {
        for zone in zones {
            for action in ACTIONS {
                self.changes.with_label_values(&[zone.as_str(), action]);
            }
        }
    }

    pub(super) fn changed(&self, changes: &[Change]) {
        for change in changes {
            let action = match (change.old.is_empty(), change.new.is_empty()) {
                (true, _) => "add",
                (_, true) => "remove",
                _ => "change",
            };
            self.changes.with_label_values(&[change.zone.as_str(), action]).inc();
        }
    }

    pub(super) fn saved(&self, success: bool) {
        self.saves[usize::from(success)].inc();
    }
}
