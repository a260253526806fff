//! `/metrics`: counters from their registry, and gauges read from the engine's view.
//!
//! States, and what is counted of an application, are computed when they are asked for, so they can
//! neither lag behind nor outlive what they describe. No label holds a name: zones are the required ones, and all per-name zones share
//! the label `per-name`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus::{Encoder, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::azure::{Observer, Operation, TokenError};
use crate::serve::SecondarySummary;
use crate::sync::View;
use crate::targets::TargetState;
use crate::zones::{FindingKind, Form, ResourceId, Severity};

/// The label of all zones for single names together.
const PER_NAME: &str = "per-name";

/// The registry of everything that is counted.
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// Metrics over the counters of `registry`.
    #[must_use]
    pub const fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Everything in the text format 0.0.4.
    ///
    /// # Errors
    /// When a metric is inconsistent, which a test rules out.
    pub fn render(
        &self,
        view: &View,
        secondaries: &[SecondarySummary],
        targets: &[TargetState],
    ) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(gauges(view, secondaries, targets)?.gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// A registry that takes one gauge after the other.
struct Gauges(Registry);

impl Gauges {
    fn set<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> prometheus::Result<()> {
        let gauge = GaugeVec::new(Opts::new(format!("privatelink_dns_{name}"), help), &labels)?;
        for (labels, value) in values {
            gauge.with_label_values(&labels).set(value);
        }
        self.0.register(Box::new(gauge))
    }

    fn one(&self, name: &str, help: &str, value: impl Into<Option<f64>>) -> prometheus::Result<()> {
        self.set(name, help, [], value.into().map(|value| ([], value)))
    }
}

/// What is shown of one zone label.
#[derive(Default)]
struct ZoneGauges {
    records: usize,
    changed: Option<Timestamp>,
    serial: u32,
    stale: bool,
    held: usize,
}

fn gauges(
    view: &View,
    secondaries: &[SecondarySummary],
    targets: &[TargetState],
) -> prometheus::Result<Registry> {
    let gauges = Gauges(Registry::new());
    let version = env!("CARGO_PKG_VERSION").to_owned();
    gauges.set("build_info", "The daemon's version.", ["version"], [([version], 1.0)])?;
    gauges.one("start_time_seconds", "When the daemon started.", seconds(view.started))?;
    gauges.one("ready", "Whether DNS answers can be given.", flag(view.is_ready()))?;
    gauges.one(
        "complete",
        "Whether every application has been observed at least once, so that missing names are denied.",
        flag(view.complete),
    )?;
    gauges.one(
        "config_last_reload_successful",
        "Whether the last load of the configuration was accepted.",
        flag(view.configuration.successful),
    )?;
    gauges.one(
        "config_last_reload_success_timestamp_seconds",
        "When a configuration was last accepted.",
        seconds(view.configuration.at),
    )?;
    gauges.one(
        "credential_expiry_timestamp_seconds",
        "When the token in use for Azure ends.",
        view.token_expiry.map(seconds),
    )?;
    applications(&gauges, view)?;
    zones(&gauges, view)?;
    findings(&gauges, view)?;
    self::secondaries(&gauges, secondaries)?;
    self::targets(&gauges, targets)?;
    Ok(gauges.0)
}

/// The labels of an application.
const LABELS: [&str; 2] = ["subscription", "app"];

/// Their values: the subscription, and resource group and name, which are unique only within it;
/// lower case, because Azure's spelling varies.
fn labels(application: &ResourceId) -> [String; 2] {
    let group = application.resource_group().unwrap_or_default();
    [application.subscription().to_owned(), format!("{group}/{}", application.name())]
        .map(|label| label.to_lowercase())
}

fn applications(gauges: &Gauges, view: &View) -> prometheus::Result<()> {
    let polls = IntCounterVec::new(
        Opts::new("privatelink_dns_poll_total", "Polls of an application, complete or failed."),
        &["subscription", "app", "result"],
    )?;
    for (id, report) in &view.applications {
        for (result, count) in [("success", report.succeeded), ("failure", report.failed)] {
            let [subscription, app] = labels(id);
            polls.with_label_values(&[&subscription, &app, result]).inc_by(count);
        }
    }
    gauges.0.register(Box::new(polls))?;
    let each = |value: &dyn Fn(&crate::sync::Report) -> Option<f64>| {
        let values = view.applications.iter().filter_map(|(id, report)| Some((labels(id), value(report)?)));
        values.collect::<Vec<_>>()
    };
    gauges.set(
        "poll_last_success_timestamp_seconds",
        "When the last complete poll of the application ended.",
        LABELS,
        each(&|report| report.last_success.map(seconds)),
    )?;
    gauges.set(
        "poll_consecutive_failures",
        "Failed polls of the application since the last complete one.",
        LABELS,
        each(&|report| Some(f64::from(report.consecutive_failures))),
    )?;
    let stale = view.applications.keys().map(|id| (labels(id), flag(view.stale.contains(id))));
    gauges.set(
        "application_stale",
        "Whether the application had no complete poll for longer than stale_after.",
        LABELS,
        stale,
    )?;
    let names = view.applications.keys().map(|id| {
        let share = view.generation.as_ref().and_then(|g| g.shares.get(id));
        (labels(id), share.map_or(0, |s| s.names().len()) as f64)
    });
    gauges.set("application_names", "Published names of the application.", LABELS, names)
}

fn zones(gauges: &Gauges, view: &View) -> prometheus::Result<()> {
    let mut zones = BTreeMap::<String, ZoneGauges>::new();
    let generation = view.generation.as_deref();
    for (origin, zone) in generation.iter().flat_map(|g| &g.zones) {
        let label = match zone.form {
            Form::Privatelink | Form::Catalog | Form::Rpz => origin.to_string(),
            Form::PerName => PER_NAME.to_owned(),
        };
        let entry = zones.entry(label).or_default();
        entry.records += zone.addresses.values().map(std::collections::BTreeSet::len).sum::<usize>();
        entry.stale |= !zone.applications.is_disjoint(&view.stale);
        if let Some(serial) = generation.and_then(|g| g.serials.get(origin)) {
            entry.changed = entry.changed.max(Some(serial.changed));
            entry.serial = serial.serial;
        }
    }
    for hold in &view.holds {
        let share = generation.and_then(|g| g.shares.get(&hold.application));
        let Some(placement) = share.and_then(|s| s.placement(&hold.endpoint, &hold.name)) else { continue };
        let zone = placement.zone.as_str();
        let label = if zones.contains_key(zone) { zone } else { PER_NAME };
        if let Some(entry) = zones.get_mut(label) {
            entry.held += 1;
        }
    }
    let each = |value: &dyn Fn(&ZoneGauges) -> Option<f64>| {
        let values = zones.iter().filter_map(|(zone, entry)| Some(([zone.clone()], value(entry)?)));
        values.collect::<Vec<_>>()
    };
    gauges.one(
        "generation",
        "The number of the accepted generation.",
        generation.map(|g| g.number as f64),
    )?;
    gauges.set(
        "served_records",
        "Address records that are served.",
        ["zone"],
        each(&|z| Some(z.records as f64)),
    )?;
    gauges.set("zone_loaded", "Whether the zone has data to answer from.", ["zone"], each(&|_| Some(1.0)))?;
    gauges.set(
        "zone_stale",
        "Whether an application of the zone had no complete poll for longer than stale_after.",
        ["zone"],
        each(&|z| Some(flag(z.stale))),
    )?;
    gauges.set(
        "zone_last_change_timestamp_seconds",
        "When the zone's content last changed.",
        ["zone"],
        each(&|z| z.changed.map(seconds)),
    )?;
    gauges.set(
        "guard_pending",
        "Removals that the guard holds back.",
        ["zone"],
        each(&|z| Some(z.held as f64)),
    )?;
    // Zones for single names have a serial each; together they have none.
    let serials = zones.iter().filter(|(zone, _)| *zone != PER_NAME);
    gauges.set(
        "zone_serial",
        "The zone's SOA serial.",
        ["zone"],
        serials.map(|(zone, entry)| ([zone.clone()], f64::from(entry.serial))),
    )
}

fn secondaries(gauges: &Gauges, secondaries: &[SecondarySummary]) -> prometheus::Result<()> {
    let each = |value: &dyn Fn(&SecondarySummary) -> Option<f64>| {
        let values = secondaries.iter().filter_map(|summary| Some(([summary.name.clone()], value(summary)?)));
        values.collect::<Vec<_>>()
    };
    gauges.set(
        "secondary_zones_behind",
        "Zones of which the secondary lacks changes.",
        ["secondary"],
        each(&|summary| Some(summary.behind as f64)),
    )?;
    gauges.set(
        "secondary_lag_seconds",
        "Age of the oldest change that the secondary lacks; 0 when it lacks none.",
        ["secondary"],
        each(&|summary| Some(summary.lag.as_secs_f64())),
    )?;
    gauges.set(
        "secondary_last_transfer_timestamp_seconds",
        "When the secondary last took a zone or its changes over.",
        ["secondary"],
        each(&|summary| summary.transferred.map(seconds)),
    )
}

fn targets(gauges: &Gauges, targets: &[TargetState]) -> prometheus::Result<()> {
    let each = |value: &dyn Fn(&TargetState) -> Option<f64>| {
        let values = targets.iter().filter_map(|target| Some(([target.name.clone()], value(target)?)));
        values.collect::<Vec<_>>()
    };
    gauges.set(
        "target_applied_generation",
        "The number of the generation that the target holds.",
        ["target"],
        each(&|target| target.applied.map(|number| number as f64)),
    )?;
    gauges.set(
        "target_last_success_timestamp_seconds",
        "When the target was last seen or made to be right.",
        ["target"],
        each(&|target| target.last_success.map(seconds)),
    )?;
    gauges.set(
        "target_pending",
        "Whether there is a generation that the target does not hold yet.",
        ["target"],
        each(&|target| Some(flag(target.pending))),
    )?;
    gauges.set(
        "target_failing",
        "Whether the last attempt to bring the target up to date failed.",
        ["target"],
        each(&|target| Some(flag(target.error.is_some()))),
    )?;
    gauges.set(
        "target_records",
        "Address records or lines of the target.",
        ["target"],
        each(&|target| Some(target.records as f64)),
    )?;
    gauges.set(
        "target_conflicts",
        "Names at the target that somebody else has, and that were left alone.",
        ["target"],
        each(&|target| Some(target.conflicts() as f64)),
    )
}

fn findings(gauges: &Gauges, view: &View) -> prometheus::Result<()> {
    let mut counts: BTreeMap<FindingKind, usize> = FindingKind::ALL.iter().map(|kind| (*kind, 0)).collect();
    for finding in &view.findings {
        *counts.entry(finding.kind).or_default() += 1;
    }
    let severity = |kind: FindingKind| match kind.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    gauges.set(
        "findings",
        "Things that a person should know, by kind.",
        ["kind", "severity"],
        counts
            .into_iter()
            .map(|(kind, count)| ([kind.code().to_owned(), severity(kind).to_owned()], count as f64)),
    )
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

/// Counts what Azure is asked.
pub struct ArmStatistics {
    requests: IntCounterVec,
    throttled: IntCounter,
    remaining: IntGaugeVec,
    token_failures: IntCounter,
}

impl ArmStatistics {
    /// Fresh counters in a registry.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_arm_requests_total",
                "Requests to Azure Resource Manager by HTTP status; code 0 means no answer.",
            ),
            &["operation", "code"],
        )?;
        let throttled = IntCounter::new(
            "privatelink_dns_arm_throttled_total",
            "Times that Azure Resource Manager asked to wait (429).",
        )?;
        let remaining = IntGaugeVec::new(
            Opts::new(
                "privatelink_dns_arm_ratelimit_remaining",
                "Reads that Azure Resource Manager still takes, as it told last.",
            ),
            &["subscription"],
        )?;
        let token_failures = IntCounter::new(
            "privatelink_dns_token_failures_total",
            "Times that no new token could be had; an old one is used until it ends.",
        )?;
        for operation in Operation::ALL {
            requests.with_label_values(&[operation.label(), "200"]);
        }
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(throttled.clone()))?;
        registry.register(Box::new(remaining.clone()))?;
        registry.register(Box::new(token_failures.clone()))?;
        Ok(Self { requests, throttled, remaining, token_failures })
    }
}

impl Observer for ArmStatistics {
    fn request(&self, operation: Operation, status: u16) {
        self.requests.with_label_values(&[operation.label(), &status.to_string()]).inc();
    }

    fn throttled(&self, _: Operation, _: &str) {
        self.throttled.inc();
    }

    fn remaining(&self, subscription: &str, reads: u64) {
        let reads = i64::try_from(reads).unwrap_or(i64::MAX);
        self.remaining.with_label_values(&[&subscription.to_ascii_lowercase()]).set(reads);
    }

    fn token_failed(&self, error: &TokenError) {
        self.token_failures.inc();
        tracing::warn!(%error, "no new token for Azure");
    }
}

#[cfg(test)]
mod tests;
