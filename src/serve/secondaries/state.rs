//! What is told of secondaries: to status, metrics and findings.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::schedule::Schedule;
use super::task::{State, Watched};
use super::zone::{Moment, Zone};
use crate::zones::DnsName;

/// A secondary at one moment, in short.
#[derive(Debug, Clone)]
pub struct SecondarySummary {
    /// Its name.
    pub name: String,
    /// Where it takes NOTIFY.
    pub address: SocketAddr,
    /// Zones that it has as they are.
    pub current: usize,
    /// Zones of which it lacks something.
    pub behind: usize,
    /// The age of the oldest change that it lacks; zero when it lacks none.
    pub lag: Duration,
    /// When it last acknowledged a NOTIFY.
    pub acknowledged: Option<Timestamp>,
    /// When it last asked for a transfer.
    pub asked: Option<Timestamp>,
    /// When it last took a transfer of a zone or of changes to its end.
    pub transferred: Option<Timestamp>,
    /// The last thing that went wrong, unless it went well since.
    pub error: Option<(Timestamp, String)>,
}

/// A secondary at one moment.
#[derive(Debug, Clone)]
pub struct SecondaryState {
    /// In short.
    pub summary: SecondarySummary,
    /// Each zone.
    pub zones: Vec<SecondaryZoneState>,
}

/// A zone at a secondary.
#[derive(Debug, Clone)]
pub struct SecondaryZoneState {
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
    /// The serial that its last complete transfer led to.
    pub transferred: Option<u32>,
    /// The serial that it had when it was last asked.
    pub seen: Option<u32>,
}

impl Watched {
    pub(super) fn summary(&self, now: Moment) -> SecondarySummary {
        self.look(|state| self.summary_of(state, now))
    }

    pub(super) fn state(&self, now: Moment) -> SecondaryState {
        self.look(|state| SecondaryState {
            summary: self.summary_of(state, now),
            zones: state.schedule.zones().iter().map(|(origin, zone)| zone_state(origin, zone)).collect(),
        })
    }

    fn summary_of(&self, state: &State, now: Moment) -> SecondarySummary {
        let schedule = &state.schedule;
        let zones = || schedule.zones().values();
        SecondarySummary {
            name: self.peer.settings.name.clone(),
            address: self.peer.settings.address,
            current: zones().filter(|zone| zone.is_current()).count(),
            behind: zones().filter(|zone| schedule.is_behind(zone)).count(),
            lag: lag(schedule, now),
            acknowledged: zones().filter_map(|zone| Some(zone.acknowledged?.at.time)).max(),
            asked: zones().filter_map(|zone| Some(zone.asked?.at.time)).max(),
            transferred: state.transferred.as_ref().map(|transferred| transferred.at.time),
            error: error(schedule),
        }
    }
}

fn zone_state(origin: &DnsName, zone: &Zone) -> SecondaryZoneState {
    SecondaryZoneState {
        origin: origin.clone(),
        serial: zone.serial,
        current: zone.is_current(),
        acknowledged: zone.acknowledged.map(|noted| noted.value),
        asked: zone.asked.and_then(|noted| noted.value),
        transferred: zone.transferred.map(|noted| noted.value),
        seen: zone.seen.map(|noted| noted.value),
    }
}

/// The age of the oldest change that the secondary lacks.
fn lag(schedule: &Schedule, now: Moment) -> Duration {
    let behind = schedule.zones().values().filter(|zone| schedule.is_behind(zone));
    behind.filter_map(|zone| Some(zone.since?.age(now.at))).max().unwrap_or_default()
}

/// The newest problem that is none of the past, with its zone. Where the secondary is current it does
/// not matter whether it can be asked.
fn error(schedule: &Schedule) -> Option<(Timestamp, String)> {
    let expected = schedule.zones().iter().filter(|(_, zone)| schedule.is_expected(zone));
    let problems = expected.flat_map(|(origin, zone)| {
        let probe = zone.probe.problem.as_ref().filter(|_| !zone.is_current());
        let notify = zone.notify.problem.iter().map(|problem| ("NOTIFY", problem));
        notify.chain(probe.map(|problem| ("SOA query", problem))).map(move |found| (origin, found))
    });
    let (origin, (what, (at, text))) = problems.max_by_key(|(_, (_, (at, _)))| at.at)?;
    Some((at.time, format!("{what} of {origin}: {text}")))
}
