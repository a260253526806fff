//! What one secondary is told and asked next: its state without clock and sockets.
//!
//! Every entry takes the time as a value. The rules that hold whatever happens: while the newest serial
//! of a zone is not acknowledged, there is a next NOTIFY for it; at most [`SLOTS`] exchanges are under
//! way; pauses between attempts are bounded; a raise is asked for at most once a minute and zone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::queue::{Queue, Rank};
use super::zone::{Holding, Moment, Noted, Zone};
use crate::zones::DnsName;
use crate::zones::generation::is_greater;

/// Exchanges under way at a time.
#[cfg(test)]
pub(super) const SLOTS: usize = NOTIFIES + PROBES;

/// Of these, the ones for NOTIFY and for probes: neither waits for the other, whatever the secondary
/// leaves unanswered.
const NOTIFIES: usize = 6;
const PROBES: usize = 2;

/// Datagrams without an answer after which TCP has its turn.
const UNANSWERED: u32 = 3;

/// Probes that fail, of a secondary that acknowledges, after which it is not asked again.
const VAIN_PROBES: u32 = 3;

/// How fast things go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The pause after a first failure; it doubles from there on.
    pub(super) shortest: Duration,
    /// The longest pause.
    pub(super) longest: Duration,
    /// How long a transfer may take before the secondary is asked what it has; the pause after a first
    /// probe.
    pub(super) transfer: Duration,
    /// How long an answer may take.
    pub(super) answer: Duration,
    /// The shortest time between two raises of a zone.
    pub(super) raise: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(1),
            longest: Duration::from_secs(60),
            transfer: Duration::from_secs(5),
            answer: Duration::from_secs(2),
            raise: Duration::from_secs(60),
        }
    }
}

/// An exchange to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) kind: Kind,
    pub(super) origin: DnsName,
    /// The serial that the zone has.
    pub(super) serial: u32,
    /// Tells it from others of the zone.
    ticket: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Notify { tcp: bool },
    Probe,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Start(Job),
    /// Nothing before this time, or before something happens.
    Wait(Option<Instant>),
}

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The NOTIFY was acknowledged.
    Acknowledged,
    /// The secondary has this serial.
    Seen(u32),
    /// It answered that it does not want to.
    Refused(String),
    /// It did not answer in time.
    Timeout,
    /// The connection failed, or the answer was none.
    Error(String),
}

/// A secondary has a greater serial than we do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// The zone.
    pub zone: DnsName,
    /// The serial that the secondary has.
    pub seen: u32,
    /// The secondary.
    pub secondary: String,
}

/// The state of one secondary.
#[derive(Debug)]
pub(super) struct Schedule {
    name: String,
    /// Whether it is notified and probed; else it is only watched.
    active: bool,
    pace: Pace,
    zones: BTreeMap<DnsName, Zone>,
    /// The kinds of zones of which it ever had one, asked for one or acknowledged one.
    takes: BTreeSet<Rank>,
    notifies: Queue,
    probes: Queue,
    tickets: u64,
    /// Datagrams in a row without an answer.
    unanswered: u32,
    random: fastrand::Rng,
}

impl Schedule {
    pub(super) const fn new(name: String, active: bool, pace: Pace, random: fastrand::Rng) -> Self {
        Self {
            name,
            active,
            pace,
            zones: BTreeMap::new(),
            takes: BTreeSet::new(),
            notifies: Queue::new(NOTIFIES),
            probes: Queue::new(PROBES),
            tickets: 0,
            unanswered: 0,
            random,
        }
    }

    /// Takes the zones that there are now, with their serials.
    pub(super) fn publish(&mut self, zones: &BTreeMap<DnsName, (Rank, u32)>, now: Moment) {
        let gone: Vec<DnsName> = self.zones.keys().filter(|o| !zones.contains_key(*o)).cloned().collect();
        for origin in gone {
            self.plan_notify(&origin, None);
            self.plan_probe(&origin, None);
            self.zones.remove(&origin);
        }
        for (origin, (rank, serial)) in zones {
            let known = self.zones.get_mut(origin).filter(|zone| zone.rank == *rank);
            let Some(zone) = known else {
                self.plan_notify(origin, None);
                self.plan_probe(origin, None);
                self.zones.insert(origin.clone(), Zone::new(*rank, *serial, now));
                self.plan_notify(origin, Some(now.at));
                // It may have a greater serial, of an earlier primary.
                self.plan_probe(origin, Some(now.at));
                continue;
            };
            if zone.serial == *serial {
                continue;
            }
            zone.serial = *serial;
            zone.since.get_or_insert(now);
            (zone.holding, zone.unprobed) = (Holding::Unknown, false);
            (zone.notify.failures, zone.probe.failures) = (0, 0);
            self.plan_notify(origin, Some(now.at));
            self.plan_probe(origin, Some(now.at + self.pace.transfer));
        }
    }

    /// What is to be done now.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        while let Some(origin) = self.notifies.start(now) {
            let Some(zone) = self.zones.get_mut(&origin) else {
                self.notifies.end();
                continue;
            };
            self.tickets += 1;
            zone.notify.due = None;
            zone.notify.under_way = Some((self.tickets, zone.serial));
            let tcp = self.unanswered >= UNANSWERED && !zone.tcp_failed;
            let (serial, ticket) = (zone.serial, self.tickets);
            return Next::Start(Job { kind: Kind::Notify { tcp }, origin, serial, ticket });
        }
        while let Some(origin) = self.probes.start(now) {
            let Some(zone) = self.zones.get_mut(&origin) else {
                self.probes.end();
                continue;
            };
            self.tickets += 1;
            zone.probe.due = None;
            zone.probe.under_way = Some((self.tickets, zone.serial));
            let (serial, ticket) = (zone.serial, self.tickets);
            return Next::Start(Job { kind: Kind::Probe, origin, serial, ticket });
        }
        Next::Wait([self.notifies.wake(), self.probes.wake()].into_iter().flatten().min())
    }

    /// Takes what became of an exchange; a greater serial is a reason to raise ours.
    pub(super) fn ended(&mut self, job: &Job, outcome: Outcome, now: Moment) -> Option<Raise> {
        match job.kind {
            Kind::Notify { tcp } => {
                self.notifies.end();
                self.notified(job, tcp, outcome, now);
                None
            }
            Kind::Probe => {
                self.probes.end();
                self.probed(job, outcome, now)
            }
        }
    }

    fn notified(&mut self, job: &Job, tcp: bool, outcome: Outcome, now: Moment) {
        let is_silent = matches!(outcome, Outcome::Timeout | Outcome::Error(_));
        if !tcp {
            self.unanswered = if is_silent { self.unanswered.saturating_add(1) } else { 0 };
        }
        let Some(zone) = self.zones.get_mut(&job.origin) else { return };
        // Of a zone that went and came again meanwhile.
        if zone.notify.under_way != Some((job.ticket, job.serial)) {
            return;
        }
        zone.notify.under_way = None;
        if is_silent {
            zone.tcp_failed = tcp;
        }
        zone.notify.problem = problem(&outcome, now);
        let has_moved = zone.serial != job.serial;
        let was_acknowledged = zone.is_acknowledged();
        let due = match outcome {
            Outcome::Acknowledged | Outcome::Seen(_) => {
                zone.acknowledged = Some(Noted { value: job.serial, at: now });
                self.takes.insert(zone.rank);
                zone.refused = None;
                zone.notify.failures = 0;
                None
            }
            Outcome::Refused(_) | Outcome::Timeout | Outcome::Error(_) => {
                let is_refused = matches!(outcome, Outcome::Refused(_));
                zone.refused = if is_refused { zone.refused.or(Some(now)) } else { None };
                zone.notify.failures = if has_moved { 0 } else { zone.notify.failures.saturating_add(1) };
                let pause = pause(self.pace.shortest, self.pace.longest, zone.notify.failures);
                Some(now.at + jittered(pause, &mut self.random))
            }
        };
        let is_acknowledged = zone.is_acknowledged();
        if is_acknowledged && !was_acknowledged {
            zone.unprobed = false;
            zone.probe.failures = 0;
            if zone.holding != Holding::Current && zone.probe.under_way.is_none() {
                let soon = now.at + self.pace.transfer;
                let due = zone.probe.due.map_or(soon, |due| due.min(soon));
                self.plan_probe(&job.origin, Some(due));
            }
        }
        self.plan_notify(&job.origin, if has_moved { Some(now.at) } else { due });
        self.settle(&job.origin, now);
    }

    fn probed(&mut self, job: &Job, outcome: Outcome, now: Moment) -> Option<Raise> {
        let zone = self.zones.get_mut(&job.origin)?;
        if zone.probe.under_way != Some((job.ticket, job.serial)) {
            return None;
        }
        zone.probe.under_way = None;
        zone.probe.problem = problem(&outcome, now);
        if let Outcome::Seen(serial) = outcome {
            zone.seen = Some(Noted { value: serial, at: now });
            self.takes.insert(zone.rank);
            zone.unprobed = false;
            match zone.compare(serial) {
                // It was on its way when a transfer ended.
                Holding::Older if zone.holding == Holding::Current => {}
                holding => zone.holding = holding,
            }
        } else {
            zone.unprobed = zone.is_acknowledged();
            // It was somebody else who asked, or the transfer has come another way.
            if zone.has_let_be() {
                zone.holding = Holding::Unknown;
            }
        }
        zone.probe.failures = zone.probe.failures.saturating_add(1);
        let pause = pause(self.pace.transfer, self.pace.longest, zone.probe.failures);
        let in_vain = zone.is_current() && zone.probe.failures >= VAIN_PROBES;
        let is_over = zone.holding == Holding::Current || in_vain;
        // It lost the transfer that followed its acknowledgement; another NOTIFY makes it try again.
        let is_forgotten = zone.holding == Holding::Older && zone.is_acknowledged();
        let due = (!is_over).then(|| now.at + jittered(pause, &mut self.random));
        self.plan_probe(&job.origin, due);
        if is_forgotten {
            self.plan_notify(&job.origin, Some(now.at));
        }
        self.settle(&job.origin, now);
        self.raise(&job.origin, now)
    }

    /// The secondary asked for a transfer, with the serial that it has.
    pub(super) fn asked(&mut self, origin: &DnsName, serial: Option<u32>, now: Moment) -> Option<Raise> {
        let zone = self.zones.get_mut(origin)?;
        zone.asked = Some(Noted { value: serial, at: now });
        self.takes.insert(zone.rank);
        zone.holding = serial.map_or(Holding::Older, |serial| zone.compare(serial));
        self.settle(origin, now);
        self.raise(origin, now)
    }

    /// A transfer has ended well: the secondary has this serial.
    pub(super) fn transferred(&mut self, origin: &DnsName, serial: u32, now: Moment) {
        let Some(zone) = self.zones.get_mut(origin) else { return };
        zone.transferred = Some(Noted { value: serial, at: now });
        self.takes.insert(zone.rank);
        if zone.serial == serial {
            zone.holding = Holding::Current;
        }
        self.settle(origin, now);
    }

    /// All zones.
    pub(super) const fn zones(&self) -> &BTreeMap<DnsName, Zone> {
        &self.zones
    }

    /// Whether the secondary lacks something of the zone. One that is only watched lacks nothing that it
    /// never had.
    pub(super) fn is_behind(&self, zone: &Zone) -> bool {
        !zone.is_current() && self.is_expected(zone)
    }

    /// Whether the secondary has shown that it has all that it is there for.
    pub(super) fn is_current(&self) -> bool {
        let mut zones = self.zones.values();
        zones.clone().any(Zone::is_current) && !zones.any(|zone| self.is_behind(zone))
    }

    /// Whether the secondary is there for the zone. A resolver takes the policy zone alone, and who has
    /// the zones one by one no catalog; of one that has shown nothing yet nobody knows.
    pub(super) fn is_expected(&self, zone: &Zone) -> bool {
        let takes = |rank| self.takes.contains(&rank);
        let is_taken = match zone.rank {
            Rank::Other => takes(Rank::Other) || takes(Rank::Catalog),
            rank => takes(rank),
        };
        if self.active { is_taken || self.takes.is_empty() } else { zone.transferred.is_some() }
    }

    /// Brings what follows from an event in line with it.
    fn settle(&mut self, origin: &DnsName, now: Moment) {
        let Some(zone) = self.zones.get_mut(origin) else { return };
        if zone.is_current() {
            zone.since = None;
        } else {
            zone.since.get_or_insert(now);
        }
        if zone.holding == Holding::Current {
            zone.probe.failures = 0;
            self.plan_probe(origin, None);
        } else if !zone.is_current() && zone.probe.due.is_none() && zone.probe.under_way.is_none() {
            let due = now.at + self.pace.transfer;
            self.plan_probe(origin, Some(due));
        }
    }

    /// A wish to raise the zone's serial, when the secondary has a greater one.
    fn raise(&mut self, origin: &DnsName, now: Moment) -> Option<Raise> {
        let zone = self.zones.get_mut(origin).filter(|zone| zone.holding == Holding::Greater)?;
        let seen = [zone.seen.map(|seen| (seen.at.at, seen.value))]
            .into_iter()
            .chain([zone.asked.and_then(|asked| Some((asked.at.at, asked.value?)))])
            .flatten()
            .filter(|(_, serial)| is_greater(*serial, zone.serial))
            .max()?;
        if zone.raised.is_some_and(|at| now.at.saturating_duration_since(at) < self.pace.raise) {
            return None;
        }
        zone.raised = Some(now.at);
        Some(Raise { zone: origin.clone(), seen: seen.1, secondary: self.name.clone() })
    }

    /// Sets when the zone is notified next. While a NOTIFY is under way its end decides.
    fn plan_notify(&mut self, origin: &DnsName, due: Option<Instant>) {
        let Some(zone) = self.zones.get_mut(origin) else { return };
        if let Some(before) = zone.notify.due.take() {
            self.notifies.remove(before, zone.rank, origin);
        }
        if let Some(at) = due.filter(|_| self.active && zone.notify.under_way.is_none()) {
            zone.notify.due = Some(at);
            self.notifies.insert(at, zone.rank, origin);
        }
    }

    /// Sets when the zone is probed next. While a probe is under way its end decides.
    fn plan_probe(&mut self, origin: &DnsName, due: Option<Instant>) {
        let Some(zone) = self.zones.get_mut(origin) else { return };
        if let Some(before) = zone.probe.due.take() {
            self.probes.remove(before, zone.rank, origin);
        }
        if let Some(at) = due.filter(|_| self.active && zone.probe.under_way.is_none()) {
            zone.probe.due = Some(at);
            self.probes.insert(at, zone.rank, origin);
        }
    }

    #[cfg(test)]
    pub(super) const fn under_way(&self) -> usize {
        self.notifies.under_way() + self.probes.under_way()
    }
}

impl Zone {
    /// What it means that the secondary has this serial.
    fn compare(&self, serial: u32) -> Holding {
        if serial == self.serial {
            Holding::Current
        } else if is_greater(serial, self.serial) {
            Holding::Greater
        } else {
            Holding::Older
        }
    }
}

fn problem(outcome: &Outcome, now: Moment) -> Option<(Moment, String)> {
    let text = match outcome {
        Outcome::Acknowledged | Outcome::Seen(_) => return None,
        Outcome::Refused(text) | Outcome::Error(text) => text.clone(),
        Outcome::Timeout => "no answer".to_owned(),
    };
    Some((now, text))
}

/// The pause after so many failures.
fn pause(shortest: Duration, longest: Duration, failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    shortest.saturating_mul(doubled).min(longest)
}

/// A pause that is up to a quarter shorter, so that zones that failed together do not stay together.
fn jittered(pause: Duration, random: &mut fastrand::Rng) -> Duration {
    pause.mul_f64(1.0 - random.f64() / 4.0)
}
