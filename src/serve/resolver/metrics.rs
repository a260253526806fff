//! What the resolver counts. Upstreams are labelled by their address, of which the configuration
//! allows few.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::wire::exchange::Mismatch;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A usable answer.
    Answered,
    /// SERVFAIL, REFUSED or the like.
    Refused,
    /// The connection failed, or the answer was garbage.
    Error,
    /// Nothing in time.
    Timeout,
    /// Another upstream was faster.
    Abandoned,
}

const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Answered, "answered"),
    (Outcome::Refused, "refused"),
    (Outcome::Error, "error"),
    (Outcome::Timeout, "timeout"),
    (Outcome::Abandoned, "abandoned"),
];

const MISMATCHES: [(Mismatch, &str); 4] = [
    (Mismatch::Malformed, "malformed"),
    (Mismatch::Id, "id"),
    (Mismatch::Question, "question"),
    (Mismatch::Case, "case"),
];

/// All counters of the resolver; they outlive a reload.
#[derive(Clone)]
pub struct ResolverMetrics {
    attempts: IntCounterVec,
    mismatches: IntCounterVec,
    up: IntGaugeVec,
    duration: Histogram,
    pub(super) hits: IntCounter,
    pub(super) misses: IntCounter,
    pub(super) overload: IntCounter,
    pub(super) leaks: IntCounter,
    pub(super) cache_bytes: IntGauge,
    pub(super) cache_entries: IntGauge,
}

impl ResolverMetrics {
    /// Fresh counters, registered.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let attempts = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_resolver_upstream_queries_total",
                "Queries sent to upstreams, by what became of them.",
            ),
            &["upstream", "result"],
        )?;
        let mismatches = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_resolver_upstream_mismatches_total",
                "Messages from upstreams that were no answer to the query: forged, late, or garbage.",
            ),
            &["upstream", "reason"],
        )?;
        let up = IntGaugeVec::new(
            Opts::new("privatelink_dns_resolver_upstream_up", "Whether the upstream has answered lately."),
            &["upstream"],
        )?;
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "privatelink_dns_resolver_upstream_duration_seconds",
                "Seconds from a query to an upstream to its usable answer.",
            )
            .buckets(vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]),
        )?;
        let cache = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_resolver_cache_requests_total",
                "Queries for names of public DNS, by whether the cache had the answer.",
            ),
            &["result"],
        )?;
        let overload = IntCounter::new(
            "privatelink_dns_resolver_overload_total",
            "Queries answered SERVFAIL because too many others were under way.",
        )?;
        let leaks = IntCounter::new(
            "privatelink_dns_resolver_leaked_total",
            "Queries for required members without an address that were answered from public DNS.",
        )?;
        let cache_bytes =
            IntGauge::new("privatelink_dns_resolver_cache_bytes", "Memory that cached answers take, about.")?;
        let cache_entries = IntGauge::new("privatelink_dns_resolver_cache_entries", "Answers in the cache.")?;
        registry.register(Box::new(attempts.clone()))?;
        registry.register(Box::new(mismatches.clone()))?;
        registry.register(Box::new(up.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(cache.clone()))?;
        registry.register(Box::new(overload.clone()))?;
        registry.register(Box::new(leaks.clone()))?;
        registry.register(Box::new(cache_bytes.clone()))?;
        registry.register(Box::new(cache_entries.clone()))?;
        Ok(Self {
            hits: cache.with_label_values(&["hit"]),
            misses: cache.with_label_values(&["miss"]),
            attempts,
            mismatches,
            up,
            duration,
            overload,
            leaks,
            cache_bytes,
            cache_entries,
        })
    }

    /// The counters of one upstream.
    pub(super) fn upstream(&self, label: &str) -> UpstreamMetrics {
        let up = self.up.with_label_values(&[label]);
        up.set(1);
        UpstreamMetrics {
            attempts: OUTCOMES.map(|(_, result)| self.attempts.with_label_values(&[label, result])),
            mismatches: MISMATCHES.map(|(_, reason)| self.mismatches.with_label_values(&[label, reason])),
            up,
            duration: self.duration.clone(),
        }
    }

    /// Ends the series of an upstream.
    pub(in crate::serve) fn forget(&self, label: &str) {
        // What is not there is gone already.
        for (_, result) in OUTCOMES {
            let _ = self.attempts.remove_label_values(&[label, result]);
        }
        for (_, reason) in MISMATCHES {
            let _ = self.mismatches.remove_label_values(&[label, reason]);
        }
        let _ = self.up.remove_label_values(&[label]);
    }
}

/// Counters of one upstream.
pub(super) struct UpstreamMetrics {
    attempts: [IntCounter; OUTCOMES.len()],
    mismatches: [IntCounter; MISMATCHES.len()],
    up: IntGauge,
    duration: Histogram,
}

impl UpstreamMetrics {
    pub(super) fn attempt(&self, outcome: Outcome, elapsed: Duration) {
        if let Some(index) = OUTCOMES.iter().position(|(o, _)| *o == outcome) {
            self.attempts[index].inc();
        }
        if outcome == Outcome::Answered {
            self.duration.observe(elapsed.as_secs_f64());
        }
    }

    pub(super) fn mismatch(&self, mismatch: Mismatch) {
        if let Some(index) = MISMATCHES.iter().position(|(m, _)| *m == mismatch) {
            self.mismatches[index].inc();
        }
    }

    pub(super) fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }
}
