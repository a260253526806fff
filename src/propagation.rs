//! How long a change takes from Azure to everybody who has to know it.
//!
//! What matters to a device is not when a poll saw its hub, but when the server that it asks says so. So
//! whoever brings a generation somewhere tells it here, and the time since the end of the poll is
//! counted. The rooms that tell lie below the engine, hence a place of its own below all of them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::{HistogramOpts, HistogramVec, Registry};

/// Changes that are remembered for places that do not have them yet; of more than these the oldest are
/// not counted there.
const CHANGES: usize = 256;

/// From a file on the same host to a server that is away for minutes, in seconds.
const BUCKETS: [f64; 15] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Where a change has to arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The answers of this daemon.
    Answer,
    /// A target that holds the generation.
    Target(String),
    /// A secondary that has all of the generation's zones.
    Secondary(String),
    /// A resolver of `[verify]` that knows every name rightly.
    Resolver(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Target(name) => write!(f, "target:{name}"),
            Self::Secondary(name) => write!(f, "secondary:{name}"),
            Self::Resolver(name) => write!(f, "resolver:{name}"),
        }
    }
}

/// The last change at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// The place.
    pub place: Place,
    /// The generation that the change made.
    pub generation: u64,
    /// When the poll ended that saw it.
    pub seen: Timestamp,
    /// Seconds from then until it arrived; nothing while it is under way.
    pub seconds: Option<f64>,
}

/// A change under way.
#[derive(Debug, Clone, Copy)]
struct Change {
    generation: u64,
    seen: Timestamp,
}

/// A place that changes have to arrive at.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// The last generation that it is known to have, or that was there before the place.
    generation: u64,
    /// The last change that arrived, and how long that took.
    last: Option<(u64, f64)>,
}

/// What is under way; without clock and metrics.
#[derive(Debug, Default)]
struct Tracker {
    /// Newest last.
    changes: VecDeque<Change>,
    places: BTreeMap<Place, Reached>,
}

impl Tracker {
    /// A poll brought a generation.
    fn seen(&mut self, generation: u64, seen: Timestamp) {
        self.changes.push_back(Change { generation, seen });
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
    }

    /// A place that is there from now on; earlier changes are none of its own.
    fn join(&mut self, place: Place) {
        let generation = self.changes.back().map_or(0, |change| change.generation);
        self.places.entry(place).or_insert(Reached { generation, last: None });
    }

    fn leave(&mut self, place: &Place) {
        self.places.remove(place);
    }

    /// A place has a generation, and so every change before; gives the seconds that each took which it
    /// did not have yet.
    fn reached(&mut self, place: &Place, generation: u64, now: Timestamp) -> Vec<f64> {
        let Some(reached) = self.places.get_mut(place) else { return Vec::new() };
        let is_new =
            |change: &&Change| reached.generation < change.generation && change.generation <= generation;
        let arrived: Vec<(u64, f64)> = self
            .changes
            .iter()
            .filter(is_new)
            // A clock that was set back makes no time negative.
            .map(|change| (change.generation, now.duration_since(change.seen).as_secs_f64().max(0.0)))
            .collect();
        reached.generation = reached.generation.max(generation);
        reached.last = arrived.last().copied().or(reached.last);
        arrived.into_iter().map(|(_, seconds)| seconds).collect()
    }

    /// The last change at every place that was there for it.
    fn last(&self) -> Vec<Arrival> {
        let Some(change) = self.changes.back() else { return Vec::new() };
        let arrival = |(place, reached): (&Place, &Reached)| {
            let last = reached.last.filter(|(generation, _)| *generation == change.generation);
            let seconds = last.map(|(_, seconds)| seconds);
            let is_of_it = seconds.is_some() || reached.generation < change.generation;
            is_of_it.then(|| Arrival {
                place: place.clone(),
                generation: change.generation,
                seen: change.seen,
                seconds,
            })
        };
        self.places.iter().filter_map(arrival).collect()
    }
}

/// The times of changes to every place; its clones are the same.
#[derive(Clone)]
pub struct Propagation {
    tracker: Arc<Mutex<Tracker>>,
    seconds: HistogramVec,
}

impl Propagation {
    /// Nothing under way yet, and one place, [`Place::Answer`].
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(
            "privatelink_dns_propagation_duration_seconds",
            "Seconds from the end of the poll that saw a change until it was answered here, held by a target, had \
             by a secondary, or known to a resolver of [verify].",
        );
        let seconds = HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["to"])?;
        registry.register(Box::new(seconds.clone()))?;
        let propagation = Self { tracker: Arc::default(), seconds };
        propagation.join(Place::Answer);
        Ok(propagation)
    }

    /// A poll that ended at `seen` has made a generation.
    pub fn seen(&self, generation: u64, seen: Timestamp) {
        self.with(|tracker| tracker.seen(generation, seen));
    }

    /// A place that changes have to arrive at from now on; nothing happens when it is there already.
    pub fn join(&self, place: Place) {
        self.with(|tracker| {
            // The series is there from the start.
            self.seconds.with_label_values(&[&place.to_string()]);
            tracker.join(place);
        });
    }

    /// A place that is no more; its series ends.
    pub fn leave(&self, place: &Place) {
        self.with(|tracker| {
            tracker.leave(place);
            // It is there, or never was.
            let _ = self.seconds.remove_label_values(&[&place.to_string()]);
        });
    }

    /// A place has a generation.
    pub fn reached(&self, place: &Place, generation: u64) {
        // Under the lock, so that a series that has ended does not come back.
        self.with(|tracker| {
            let arrived = tracker.reached(place, generation, Timestamp::now());
            if !arrived.is_empty() {
                let seconds = self.seconds.with_label_values(&[&place.to_string()]);
                arrived.into_iter().for_each(|time| seconds.observe(time));
            }
        });
    }

    /// The last change at every place that was there for it.
    #[must_use]
    pub fn last(&self) -> Vec<Arrival> {
        self.with(|tracker| tracker.last())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Tracker) -> T) -> T {
        // What a panic elsewhere left is still the best that is known.
        act(&mut self.tracker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_755_216_000 + seconds).expect("a time")
    }

    fn target(name: &str) -> Place {
        Place::Target(name.to_owned())
    }

    /// Place, generation and seconds of the last change.
    fn last(tracker: &Tracker) -> Vec<(String, u64, Option<f64>)> {
        tracker.last().into_iter().map(|a| (a.place.to_string(), a.generation, a.seconds)).collect()
    }

    #[test]
    fn a_place_that_leaps_over_generations_has_all_of_them() {
        let mut tracker = Tracker::default();
        tracker.join(target("t"));
        tracker.join(target("slow"));
        for generation in [3, 4, 6] {
            tracker.seen(generation, at(generation as i64));
        }
        assert_eq!(tracker.reached(&target("t"), 4, at(10)), [7.0, 6.0]);
        assert!(tracker.reached(&target("t"), 4, at(11)).is_empty(), "once");
        assert_eq!(tracker.reached(&target("t"), 7, at(12)), [6.0], "5 and 7 were brought by no poll");
        assert!(tracker.reached(&target("t"), 3, at(13)).is_empty(), "what is older is there");
        assert!(tracker.reached(&target("other"), 7, at(13)).is_empty(), "nobody waits for it");
        assert_eq!(last(&tracker), [("target:slow".into(), 6, None), ("target:t".into(), 6, Some(6.0))]);
    }

    #[test]
    fn who_comes_late_is_not_late() {
        let mut tracker = Tracker::default();
        tracker.seen(1, at(0));
        tracker.join(target("new"));
        assert!(tracker.reached(&target("new"), 1, at(500)).is_empty());
        assert_eq!(last(&tracker), []);
        tracker.seen(2, at(600));
        // A new configuration of the same place changes nothing.
        tracker.join(target("new"));
        assert_eq!(tracker.reached(&target("new"), 2, at(590)), [0.0], "the clock was set back");
        tracker.leave(&target("new"));
        assert_eq!(last(&tracker), []);
    }

    #[test]
    fn a_place_that_is_away_costs_no_memory() {
        let mut tracker = Tracker::default();
        tracker.join(target("away"));
        for generation in 1..=1000 {
            tracker.seen(generation, at(0));
        }
        assert_eq!(tracker.changes.len(), CHANGES);
        assert_eq!(tracker.reached(&target("away"), 1000, at(1)).len(), CHANGES);
    }

    #[test]
    fn the_series_of_a_place_ends_with_it() {
        let registry = Registry::new();
        let propagation = Propagation::new(&registry).expect("metrics");
        let places = || -> Vec<String> {
            let families = registry.gather();
            let metrics = families.first().map(|family| family.get_metric().to_vec()).unwrap_or_default();
            metrics.iter().map(|metric| metric.get_label()[0].value().to_owned()).collect()
        };
        propagation.join(Place::Secondary("ns1".to_owned()));
        assert_eq!(places(), ["answer", "secondary:ns1"]);
        propagation.leave(&Place::Secondary("ns1".to_owned()));
        // What is still told of it brings it back no more.
        propagation.reached(&Place::Secondary("ns1".to_owned()), 1);
        assert_eq!(places(), ["answer"]);
    }
}
