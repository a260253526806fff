//! The status as JSON: what `privatelink-dns status` and scripts read.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::propagation::Arrival;
use crate::serve::{SecondaryState, SecondaryZoneState};
use crate::sync::View;
use crate::targets::TargetState;
use crate::verify::{Problem, Report, ServerReport};
use crate::zones::{
    Absence, DnsName, Finding, FindingKind, Form, Generation, Hold, Needs, Placement, ResourceId, Severity,
    Share, Source,
};

/// The daemon's state at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// When this status was made.
    pub at: Timestamp,
    /// Whether DNS answers can be given.
    pub ready: bool,
    /// Where they are given, over UDP and TCP.
    #[serde(default)]
    pub listeners: Vec<SocketAddr>,
    /// Whether every application has been observed at least once.
    pub complete: bool,
    /// The accepted generation.
    pub generation: Option<GenerationStatus>,
    /// The applications that are polled.
    pub applications: Vec<ApplicationStatus>,
    /// The zones that are served.
    pub zones: Vec<ZoneStatus>,
    /// Who takes the zones over.
    #[serde(default)]
    pub secondaries: Vec<SecondaryStatus>,
    /// What is kept in step by writing to it.
    #[serde(default)]
    pub targets: Vec<TargetStatus>,
    /// How long the last change took to each place that was there for it.
    #[serde(default)]
    pub propagation: Vec<PropagationStatus>,
    /// What the daemon's last run of `verify` has shown; nothing without `[verify]` or before the first one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verify: Option<VerifyStatus>,
    /// Held removals.
    pub holds: Vec<HoldStatus>,
    /// What a person should know, most important first.
    pub findings: Vec<FindingStatus>,
}

/// The accepted generation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
    /// When it was accepted.
    pub created: Timestamp,
    /// Why it differs from the one before.
    pub cause: String,
    /// Published names.
    pub names: usize,
}

/// An application that is polled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplicationStatus {
    /// Its resource id.
    pub id: ResourceId,
    /// Published names.
    pub names: usize,
    /// The endpoints that are published from.
    pub endpoints: Vec<ResourceId>,
    /// When the last complete poll ended.
    pub last_success: Option<Timestamp>,
    /// When the last poll ended.
    pub last_attempt: Option<Timestamp>,
    /// Failed polls since the last complete one.
    pub consecutive_failures: u32,
    /// No complete poll for too long.
    pub stale: bool,
}

/// A zone that is served.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// Its name.
    pub origin: DnsName,
    /// Its form.
    pub form: Form,
    /// Its SOA serial.
    pub serial: u32,
    /// When its content last changed.
    pub changed: Timestamp,
    /// Its names with addresses.
    pub names: usize,
}

/// A server that takes the zones over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecondaryStatus {
    /// Its name.
    pub name: String,
    /// Where it is notified.
    pub address: SocketAddr,
    /// Zones that it has as they are.
    pub current: usize,
    /// Zones of which it lacks something.
    pub behind: usize,
    /// Seconds since the oldest change that it lacks; 0 when it lacks none.
    pub lag_seconds: f64,
    /// When it last acknowledged a NOTIFY.
    pub last_acknowledged: Option<Timestamp>,
    /// When it last asked for a transfer.
    pub last_asked: Option<Timestamp>,
    /// When it last took a zone or its changes over.
    pub last_transfer: Option<Timestamp>,
    /// The last thing that went wrong, unless it went well since.
    pub error: Option<SecondaryError>,
    /// Each zone.
    pub zones: Vec<SecondaryZoneStatus>,
}

/// Something that went wrong with a secondary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecondaryError {
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: String,
}

/// A zone at a secondary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondaryZoneStatus {
    /// The zone.
    pub origin: DnsName,
    /// Its serial here.
    pub serial: u32,
    /// Whether the secondary has it.
    pub current: bool,
    /// The serial of the last NOTIFY that it acknowledged.
    pub acknowledged: Option<u32>,
    /// The serial that it had when it last asked for a transfer.
    pub asked: Option<u32>,
    /// The serial that its last transfer led to.
    pub transferred: Option<u32>,
    /// The serial that it had when it was last asked.
    pub seen: Option<u32>,
}

/// Something that is kept in step by writing to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Its type, as in the configuration.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is.
    pub place: String,
    /// It is told what would be written, and nothing is written.
    pub dry_run: bool,
    /// The generation that it holds.
    pub generation: Option<u64>,
    /// There is a generation that it does not hold yet.
    pub pending: bool,
    /// Its address records or lines.
    pub records: usize,
    /// When it was last seen or made to be right.
    pub last_success: Option<Timestamp>,
    /// What would be written, with `dry_run`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub planned: Option<String>,
    /// Since when it fails, and how it failed last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<TargetProblem>,
}

/// How a target fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetProblem {
    /// Since when.
    pub since: Timestamp,
    /// What happened last, and what to do.
    pub message: String,
}

/// What a run of `verify` has shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyStatus {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// The servers that were asked.
    pub servers: Vec<ServerReport>,
    /// What is wrong, most important first; at most 500 of it.
    pub problems: Vec<Problem>,
}

/// The last change that a poll brought, at one place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PropagationStatus {
    /// The place: `answer`, `target:NAME`, `secondary:NAME` or `resolver:WHO`.
    pub to: String,
    /// The generation that the change made.
    pub generation: u64,
    /// When the poll ended that saw it.
    pub seen: Timestamp,
    /// Seconds from then until it arrived; nothing while it is under way.
    pub seconds: Option<f64>,
}

impl From<Arrival> for PropagationStatus {
    fn from(arrival: Arrival) -> Self {
        let Arrival { place, generation, seen, seconds } = arrival;
        Self { to: place.to_string(), generation, seen, seconds }
    }
}

/// A held removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldStatus {
    /// The public name.
    pub name: DnsName,
    /// The application.
    pub application: ResourceId,
    /// The endpoint that gave the name.
    pub endpoint: ResourceId,
    /// Why the latest complete poll lacks it.
    pub absence: Absence,
    /// The same in words.
    pub reason: String,
    /// When it was first missing.
    pub since: Timestamp,
    /// Complete polls in a row in which the absence was proven.
    pub polls: u32,
    /// What ends the hold.
    pub needs: Needs,
    /// An operator rejected the removal.
    pub rejected: bool,
}

/// Something a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingStatus {
    /// How much it matters.
    pub severity: Severity,
    /// The stable code.
    pub kind: FindingKind,
    /// The application that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub application: Option<ResourceId>,
    /// The resource, name or zone in question.
    pub subject: String,
    /// What happened and what to do.
    pub message: String,
}

/// A published name at one endpoint, with where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordStatus {
    /// The public name.
    pub name: DnsName,
    /// The owner name in the privatelink zone.
    pub owner: Option<DnsName>,
    /// The privatelink zone.
    pub zone: DnsName,
    /// The addresses that this endpoint gives.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// The application.
    pub application: ResourceId,
    /// The endpoint.
    pub endpoint: ResourceId,
    /// The network interface, when it was the source.
    pub interface: Option<ResourceId>,
    /// The required member behind the name.
    pub member: Option<String>,
    /// The read that gave the addresses.
    pub source: Source,
    /// When these addresses were first observed.
    pub since: Timestamp,
    /// Whether it is the application's own name (web interface and APIs).
    #[serde(default)]
    pub own_name: bool,
    /// The names under which it is answered by who has the zones.
    #[serde(default)]
    pub owners: Vec<OwnerStatus>,
    /// What clients get for the name, from all endpoints: first those outside of all client prefixes, then
    /// those who see something else.
    #[serde(default)]
    pub answers: Vec<BTreeSet<Ipv4Addr>>,
}

/// A name under which a public name is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerStatus {
    /// The zone.
    pub zone: DnsName,
    /// The name in it.
    pub name: DnsName,
}

impl Status {
    /// The status of a view, of secondaries and of targets.
    #[must_use]
    pub fn of(view: &View, secondaries: &[SecondaryState], targets: &[TargetState]) -> Self {
        let generation = view.generation.as_deref();
        let share = |id: &ResourceId| generation.and_then(|g| g.shares.get(id));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: view.started,
            at: view.at,
            ready: view.is_ready(),
            complete: view.complete,
            generation: generation.map(|g| GenerationStatus {
                number: g.number,
                created: g.created,
                cause: g.cause.clone(),
                names: g.names(),
            }),
            applications: view
                .applications
                .iter()
                .map(|(id, report)| ApplicationStatus {
                    id: id.clone(),
                    names: share(id).map_or(0, |s| s.names().len()),
                    endpoints: view.endpoints(id).into_iter().collect(),
                    last_success: report.last_success,
                    last_attempt: report.last_attempt,
                    consecutive_failures: report.consecutive_failures,
                    stale: view.stale.contains(id),
                })
                .collect(),
            zones: generation
                .into_iter()
                .flat_map(|g| {
                    g.zones.iter().filter_map(|(origin, zone)| Some((origin, zone, g.serials.get(origin)?)))
                })
                .map(|(origin, zone, serial)| ZoneStatus {
                    origin: origin.clone(),
                    form: zone.form,
                    serial: serial.serial,
                    changed: serial.changed,
                    names: zone.addresses.len(),
                })
                .collect(),
            secondaries: secondaries.iter().map(SecondaryStatus::of).collect(),
            targets: targets.iter().map(TargetStatus::of).collect(),
            listeners: Vec::new(),
            propagation: Vec::new(),
            verify: None,
            holds: view.holds.iter().map(HoldStatus::of).collect(),
            findings: view.findings.iter().map(FindingStatus::of).collect(),
        }
    }
}

impl SecondaryStatus {
    fn of(state: &SecondaryState) -> Self {
        let summary = &state.summary;
        Self {
            name: summary.name.clone(),
            address: summary.address,
            current: summary.current,
            behind: summary.behind,
            lag_seconds: summary.lag.as_secs_f64(),
            last_acknowledged: summary.acknowledged,
            last_asked: summary.asked,
            last_transfer: summary.transferred,
            error: summary.error.clone().map(|(at, message)| SecondaryError { at, message }),
            zones: state.zones.iter().map(SecondaryZoneStatus::of).collect(),
        }
    }
}

impl SecondaryZoneStatus {
    pub(super) fn of(zone: &SecondaryZoneState) -> Self {
        Self {
            origin: zone.origin.clone(),
            serial: zone.serial,
            current: zone.current,
            acknowledged: zone.acknowledged,
            asked: zone.asked,
            transferred: zone.transferred,
            seen: zone.seen,
        }
    }
}

impl TargetStatus {
    fn of(state: &TargetState) -> Self {
        let problem = |(since, message): &(Timestamp, String)| TargetProblem {
            since: *since,
            message: message.clone(),
        };
        Self {
            name: state.name.clone(),
            kind: state.kind.to_owned(),
            place: state.place.clone(),
            dry_run: state.dry_run,
            generation: state.applied,
            pending: state.pending,
            records: state.records,
            last_success: state.last_success,
            planned: state.planned.clone(),
            error: state.error.as_ref().map(problem),
        }
    }
}

impl VerifyStatus {
    /// Of a run.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        Self {
            at: report.at,
            seconds: report.seconds,
            servers: report.servers.clone(),
            problems: report.problems.clone(),
        }
    }
}

impl HoldStatus {
    pub(super) fn of(hold: &Hold) -> Self {
        Self {
            name: hold.name.clone(),
            application: hold.application.clone(),
            endpoint: hold.endpoint.clone(),
            absence: hold.absence.clone(),
            reason: hold.absence.to_string(),
            since: hold.since,
            polls: hold.proven.polls,
            needs: hold.needs,
            rejected: hold.rejected,
        }
    }
}

impl FindingStatus {
    pub(super) fn of(finding: &Finding) -> Self {
        Self {
            severity: finding.kind.severity(),
            kind: finding.kind,
            application: finding.application.clone(),
            subject: finding.subject.clone(),
            message: finding.message.clone(),
        }
    }
}

/// Every name that any endpoint gives, with where it came from; which of several endpoints count is
/// not told.
#[must_use]
pub fn records(view: &View) -> Vec<RecordStatus> {
    each_record(view).collect()
}

/// The same, one after the other.
pub(super) fn each_record(view: &View) -> impl Iterator<Item = RecordStatus> {
    let shares = view.generation.iter().flat_map(|g| g.shares.values().map(move |share| (g, share)));
    shares.flat_map(|(generation, share)| {
        share.placements().map(move |(endpoint, name, placement)| {
            record_status(generation, share, endpoint, name, placement)
        })
    })
}

/// An age in its largest unit.
#[must_use]
pub fn age(since: Timestamp, now: Timestamp) -> String {
    match now.duration_since(since).as_secs() {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// A name at one endpoint, with where it came from.
pub(super) fn record_status(
    generation: &Generation,
    share: &Share,
    endpoint: &ResourceId,
    name: &DnsName,
    placement: &Placement,
) -> RecordStatus {
    RecordStatus {
        name: name.clone(),
        owner: placement.owner(name),
        zone: placement.zone.clone(),
        addresses: placement.addresses.clone(),
        application: share.application.clone(),
        endpoint: endpoint.clone(),
        interface: placement.interface.clone(),
        member: placement.member.clone(),
        source: placement.source,
        since: placement.since,
        own_name: placement.own_name,
        owners: generation
            .owners(name, placement)
            .map(|(zone, name)| OwnerStatus { zone: zone.clone(), name })
            .collect(),
        answers: generation.answers(name, placement),
    }
}
