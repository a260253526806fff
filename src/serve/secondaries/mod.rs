//! Secondaries: told of every change (RFC 1996), watched until they have it.
//!
//! Transfers are the secondaries' own doing; what can fail silently is that they do not come. So each
//! secondary has a task of its own that notifies it until it acknowledges, asks it what it has when no
//! transfer follows, and a state in which transfers are noted too. One that is down, slow or refuses
//! disturbs no other. A secondary with a greater serial than ours would never take anything; it is a
//! reason to raise ours.

mod conversation;
mod findings;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod message;
mod metrics;
mod queue;
mod schedule;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod zone;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use metrics::SecondaryMetrics;
pub use schedule::Raise;
pub use state::{SecondaryState, SecondarySummary, SecondaryZoneState};

use super::Transfers;
use crate::config;
use crate::obituary::Obituary;
use crate::propagation::{Place, Propagation};
use crate::zones::{DnsName, Finding, Generation};
use conversation::Peer;
use schedule::Pace;
use task::Watched;
use zone::Moment;

/// Raises that wait for whoever accepts generations. One that finds no room is asked for again.
const RAISES: usize = 64;

/// A transfer that has ended.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// What was sent.
    pub(super) kind: SentKind,
    /// The serial that it leads to.
    pub(super) serial: u32,
    /// All of it was sent.
    pub(super) complete: bool,
    /// In a datagram: nobody knows whether it arrived, nor whether who asked has that address.
    pub(super) datagram: bool,
    /// Messages sent.
    pub(super) messages: u64,
    /// Octets sent, without the lengths in front of messages.
    pub(super) octets: u64,
}

/// What a transfer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SentKind {
    /// The whole zone.
    Axfr,
    /// What changed.
    Ixfr,
    /// The SOA alone.
    Current,
}

/// What is noted of each secondary: for its task, and for transfers.
pub struct Records {
    watched: Mutex<BTreeMap<String, Arc<Watched>>>,
    raises: mpsc::Sender<Raise>,
}

impl Default for Records {
    /// Of nobody.
    fn default() -> Self {
        Self { watched: Mutex::default(), raises: mpsc::channel(1).0 }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("secondaries", &lock(&self.watched).len()).finish()
    }
}

impl Records {
    /// A secondary asked for a transfer, with the serial that it has when it told. To be called for
    /// requests alone that came over TCP or are signed: a serial that is greater than ours raises ours.
    pub(super) fn asked(&self, secondary: &str, origin: &DnsName, serial: Option<u32>) {
        let Some(watched) = self.of(secondary) else { return };
        let raise = watched.asked(origin, serial, Moment::now());
        self.raise(raise);
    }

    /// A transfer to a secondary has ended, well or not.
    pub(super) fn sent(&self, secondary: &str, origin: &DnsName, sent: &Sent) {
        if let Some(watched) = self.of(secondary) {
            watched.sent(origin, sent, Moment::now());
        }
    }

    fn raise(&self, raise: Option<Raise>) {
        if let Some(raise) = raise {
            // A full queue means that it is asked for again when the serial is seen again.
            let _ = self.raises.try_send(raise);
        }
    }

    fn of(&self, secondary: &str) -> Option<Arc<Watched>> {
        lock(&self.watched).get(secondary).cloned()
    }
}

/// All secondaries, and the tasks that look after them.
pub struct Secondaries {
    records: Arc<Records>,
    inner: Mutex<Inner>,
    metrics: SecondaryMetrics,
    propagation: Propagation,
    deaths: mpsc::UnboundedSender<String>,
    pace: Pace,
}

struct Inner {
    generation: Option<Arc<Generation>>,
    lag_limit: Duration,
    tasks: BTreeMap<String, Task>,
}

struct Task {
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Secondaries {
    /// No secondary yet. The other end of `deaths` learns of tasks that end unasked. Whoever accepts
    /// generations has to take the raises.
    #[must_use]
    pub fn new(
        metrics: SecondaryMetrics,
        propagation: Propagation,
        deaths: mpsc::UnboundedSender<String>,
    ) -> (Self, mpsc::Receiver<Raise>) {
        let (raises, receiver) = mpsc::channel(RAISES);
        let secondaries = Self {
            records: Arc::new(Records { watched: Mutex::default(), raises }),
            inner: Mutex::new(Inner { generation: None, lag_limit: Duration::ZERO, tasks: BTreeMap::new() }),
            metrics,
            propagation,
            deaths,
            pace: Pace::default(),
        };
        (secondaries, receiver)
    }

    /// Where transfers are noted.
    #[must_use]
    pub fn records(&self) -> Arc<Records> {
        self.records.clone()
    }

    /// Takes a configuration, with the keys that were read for it. Secondaries that are the same, their
    /// keys included, keep their state; others begin anew, and those that are not in it end with their
    /// metrics. Needs a tokio runtime around it.
    pub async fn configure(&self, transfer: &config::Transfer, transfers: &Transfers) {
        let keys = &transfers.keys;
        let wanted: BTreeMap<&String, Peer> = transfer
            .secondaries
            .iter()
            .map(|secondary| {
                let key = secondary.key.as_ref().and_then(|key| keys.get(key)).cloned();
                (&secondary.name, Peer { settings: secondary.clone(), key })
            })
            .collect();
        let mut ending = Vec::new();
        {
            let mut inner = lock(&self.inner);
            let mut watched = lock(&self.records.watched);
            watched.retain(|name, watched| {
                let stays = wanted.get(name).is_some_and(|peer| *peer == watched.peer);
                if !stays {
                    ending.extend(inner.tasks.remove(name));
                }
                if !wanted.contains_key(name) {
                    self.metrics.forget(name);
                    self.propagation.leave(&Place::Secondary(name.clone()));
                }
                stays
            });
        }
        end(ending).await;
        let mut inner = lock(&self.inner);
        inner.lag_limit = transfer.lag_limit;
        for (name, peer) in wanted {
            if !inner.tasks.contains_key(name) {
                self.start(&mut inner, name, peer);
            }
        }
    }

    fn start(&self, inner: &mut Inner, name: &str, peer: Peer) {
        self.propagation.join(Place::Secondary(name.to_owned()));
        let (counters, propagation) = (self.metrics.secondary(name), self.propagation.clone());
        let watched = Arc::new(Watched::new(peer, self.pace, counters, propagation));
        if let Some(generation) = &inner.generation {
            watched.publish(generation, Moment::now());
        }
        lock(&self.records.watched).insert(name.to_owned(), watched.clone());
        let stop = CancellationToken::new();
        let obituary = Obituary::new(&self.deaths, format!("the task of secondary {name}"));
        let (stopped, records) = (stop.clone(), self.records.clone());
        let handle = tokio::spawn(async move {
            task::run(&watched, &records, &stopped).await;
            obituary.expected();
        });
        inner.tasks.insert(name.to_owned(), Task { stop, handle });
    }

    /// Notifies of a generation, as soon as transfers are made of it.
    pub fn publish(&self, generation: Arc<Generation>) {
        let mut inner = lock(&self.inner);
        if inner.generation.as_ref().is_some_and(|current| Arc::ptr_eq(current, &generation)) {
            return;
        }
        let now = Moment::now();
        for watched in lock(&self.records.watched).values() {
            watched.publish(&generation, now);
        }
        inner.generation = Some(generation);
    }

    /// What is known of each, with every zone.
    #[must_use]
    pub fn states(&self, now: Timestamp) -> Vec<SecondaryState> {
        self.each(|watched, now| watched.state(now), now)
    }

    /// What is known of each, in short.
    #[must_use]
    pub fn summaries(&self, now: Timestamp) -> Vec<SecondarySummary> {
        self.each(|watched, now| watched.summary(now), now)
    }

    /// What a person should know of them.
    #[must_use]
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let limit = lock(&self.inner).lag_limit;
        self.each(|watched, now| watched.findings(limit, now), now).into_iter().flatten().collect()
    }

    fn each<T>(&self, look: impl Fn(&Watched, Moment) -> T, time: Timestamp) -> Vec<T> {
        let now = Moment { time, ..Moment::now() };
        lock(&self.records.watched).values().map(|watched| look(watched, now)).collect()
    }

    /// Ends all tasks and waits for them.
    pub async fn stop(&self) {
        let tasks = std::mem::take(&mut lock(&self.inner).tasks);
        end(tasks.into_values().collect()).await;
    }
}

impl Drop for Secondaries {
    fn drop(&mut self) {
        lock(&self.inner).tasks.values().for_each(|task| task.stop.cancel());
    }
}

async fn end(tasks: Vec<Task>) {
    tasks.iter().for_each(|task| task.stop.cancel());
    for task in tasks {
        // A panic has been reported through `deaths`.
        let _ = task.handle.await;
    }
}

/// What a panic elsewhere left is still the best that is known.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
