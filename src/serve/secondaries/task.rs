//! One secondary: its state, which everybody may look at, and the task that acts on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::conversation::Peer;
use super::metrics::Counters;
use super::queue::Rank;
use super::schedule::{Job, Kind, Next, Outcome, Pace, Raise, Schedule};
use super::zone::{Moment, Noted};
use super::{Records, Sent, SentKind, lock};
use crate::config::Notification;
use crate::propagation::{Place, Propagation};
use crate::zones::{DnsName, Generation};

/// A secondary that is looked after.
pub(super) struct Watched {
    pub(super) peer: Peer,
    state: Mutex<State>,
    wake: Notify,
    pace: Pace,
    counters: Counters,
    propagation: Propagation,
}

/// What changes. Locked for moments only, and for no ordinary query.
pub(super) struct State {
    pub(super) schedule: Schedule,
    generation: Option<Arc<Generation>>,
    /// The last transfer that was sent to its end, with its zone.
    pub(super) transferred: Option<Noted<DnsName>>,
}

impl Watched {
    pub(super) fn new(peer: Peer, pace: Pace, counters: Counters, propagation: Propagation) -> Self {
        let settings = &peer.settings;
        let active = settings.notification != Notification::Off;
        let schedule = Schedule::new(settings.name.clone(), active, pace, fastrand::Rng::new());
        let state = Mutex::new(State { schedule, generation: None, transferred: None });
        Self { peer, state, wake: Notify::new(), pace, counters, propagation }
    }

    pub(super) fn publish(&self, generation: &Arc<Generation>, now: Moment) {
        let zones: BTreeMap<DnsName, (Rank, u32)> = generation
            .zones
            .iter()
            .filter_map(|(origin, zone)| {
                Some((origin.clone(), (Rank::of(zone.form), generation.serial(origin)?)))
            })
            .collect();
        self.change(|state| {
            state.generation = Some(generation.clone());
            state.schedule.publish(&zones, now);
        });
    }

    pub(super) fn asked(&self, origin: &DnsName, serial: Option<u32>, now: Moment) -> Option<Raise> {
        self.change(|state| state.schedule.asked(origin, serial, now))
    }

    pub(super) fn sent(&self, origin: &DnsName, sent: &Sent, now: Moment) {
        self.counters.sent(sent);
        if sent.complete && !sent.datagram && sent.kind != SentKind::Current {
            self.change(|state| {
                state.transferred = Some(Noted { value: origin.clone(), at: now });
                state.schedule.transferred(origin, sent.serial, now);
            });
        }
    }

    /// Changes the state, which is a reason for the task to look at it.
    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let result = act(&mut state);
        self.arrived(&state);
        drop(state);
        self.wake.notify_one();
        result
    }

    /// Tells when the secondary has all of a generation.
    fn arrived(&self, state: &State) {
        if let Some(generation) = state.generation.as_ref().filter(|_| state.schedule.is_current()) {
            let place = Place::Secondary(self.peer.settings.name.clone());
            self.propagation.reached(&place, generation.number);
        }
    }

    pub(super) fn look<T>(&self, at: impl FnOnce(&State) -> T) -> T {
        at(&lock(&self.state))
    }

    /// The next thing to do, and the generation that it is about.
    fn next(&self) -> (Next, Option<Arc<Generation>>) {
        let mut state = lock(&self.state);
        (state.schedule.next(Instant::now().into_std()), state.generation.clone())
    }

    async fn exchange(&self, job: Job, generation: Option<Arc<Generation>>) -> (Job, Outcome) {
        let outcome = match generation {
            Some(generation) => self.peer.talk(&job, &generation.publication, self.pace).await,
            // There is no job before there is a generation.
            None => Outcome::Timeout,
        };
        (job, outcome)
    }

    fn ended(&self, job: &Job, outcome: Outcome) -> Option<Raise> {
        if matches!(job.kind, Kind::Notify { .. }) {
            self.counters.notified(&outcome);
        }
        tracing::debug!(
            secondary = %self.peer.settings.name, zone = %job.origin, serial = job.serial, kind = ?job.kind, ?outcome,
            "exchange with a secondary"
        );
        let mut state = lock(&self.state);
        let raise = state.schedule.ended(job, outcome, Moment::now());
        self.arrived(&state);
        raise
    }
}

/// Tells and asks the secondary what is due, until `stop`.
pub(super) async fn run(watched: &Watched, records: &Records, stop: &CancellationToken) {
    let mut under_way = FuturesUnordered::new();
    loop {
        let until = match watched.next() {
            (Next::Start(job), generation) => {
                under_way.push(watched.exchange(job, generation));
                continue;
            }
            (Next::Wait(until), _) => until.map(Instant::from_std),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = watched.wake.notified() => {}
            Some((job, outcome)) = under_way.next(), if !under_way.is_empty() => {
                records.raise(watched.ended(&job, outcome));
            }
            () = wait(until) => {}
        }
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
