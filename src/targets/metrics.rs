//! What is counted of targets. Labels are their names, of which the configuration allows few.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::rfc2136::{PushCounters, PushMetrics};

/// All counters of targets; they outlive a reload.
#[derive(Clone)]
pub struct TargetMetrics {
    errors: IntCounterVec,
    writes: IntCounterVec,
    pushes: PushMetrics,
}

/// The counters of one target.
#[derive(Clone)]
pub(super) struct Counters {
    pub(super) errors: IntCounter,
    pub(super) writes: IntCounter,
}

impl TargetMetrics {
    /// Fresh counters, registered.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            IntCounterVec::new(Opts::new(format!("privatelink_dns_target_{name}"), help), &["target"])
        };
        let metrics = Self {
            errors: counter("errors_total", "Failed attempts to bring a target up to date.")?,
            writes: counter("writes_total", "Files and records that were written at a target.")?,
            pushes: PushMetrics::new(registry)?,
        };
        registry.register(Box::new(metrics.errors.clone()))?;
        registry.register(Box::new(metrics.writes.clone()))?;
        Ok(metrics)
    }

    pub(super) fn target(&self, name: &str) -> Counters {
        let of = |counters: &IntCounterVec| counters.with_label_values(&[name]);
        Counters { errors: of(&self.errors), writes: of(&self.writes) }
    }

    /// Those of a server that takes updates.
    pub(super) fn pushes(&self, name: &str) -> PushCounters {
        self.pushes.target(name)
    }

    pub(super) fn forget(&self, name: &str) {
        self.pushes.forget(name);
        // They are there, or never were.
        let _ = self.errors.remove_label_values(&[name]);
        let _ = self.writes.remove_label_values(&[name]);
    }
}
