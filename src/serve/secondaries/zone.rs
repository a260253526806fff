//! What is known of one zone at one secondary.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::queue::Rank;
use crate::outside;

/// A point in time on both clocks: waiting is by the one that nobody sets, telling by the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) time: Timestamp,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { at: tokio::time::Instant::now().into_std(), time: outside::now() }
    }

    /// How long ago it was.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }
}

/// A fact with its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted<T> {
    pub(super) value: T,
    pub(super) at: Moment,
}

/// What the secondary has, as far as it has shown since the zone's serial is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// It has shown nothing.
    Unknown,
    /// Something older, or nothing.
    Older,
    /// The current serial.
    Current,
    /// A greater serial: it takes nothing until ours is greater.
    Greater,
}

/// One kind of exchange about a zone.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    /// When it is tried next; nothing while it is under way, and when there is no reason to.
    pub(super) due: Option<Instant>,
    /// The one under way, and the serial that it is about.
    pub(super) under_way: Option<(u64, u32)>,
    /// How many have failed since there was reason for the first.
    pub(super) failures: u32,
    /// Why the last one failed; nothing after a success.
    pub(super) problem: Option<(Moment, String)>,
}

impl Attempts {
    const fn new() -> Self {
        Self { due: None, under_way: None, failures: 0, problem: None }
    }
}

/// A zone at a secondary.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) rank: Rank,
    /// The current serial.
    pub(super) serial: u32,
    /// Since when the secondary lacks something; nothing when it is current.
    pub(super) since: Option<Moment>,
    pub(super) holding: Holding,
    pub(super) notify: Attempts,
    pub(super) probe: Attempts,
    /// The last NOTIFY that timed out went over TCP.
    pub(super) tcp_failed: bool,
    /// Since when every NOTIFY is refused.
    pub(super) refused: Option<Moment>,
    /// A probe has failed since the current serial was acknowledged.
    pub(super) unprobed: bool,
    pub(super) acknowledged: Option<Noted<u32>>,
    /// A transfer was asked for, with the serial that the secondary has.
    pub(super) asked: Option<Noted<Option<u32>>>,
    pub(super) transferred: Option<Noted<u32>>,
    /// What a probe saw.
    pub(super) seen: Option<Noted<u32>>,
    /// When the last raise was asked for.
    pub(super) raised: Option<Instant>,
}

impl Zone {
    pub(super) const fn new(rank: Rank, serial: u32, now: Moment) -> Self {
        Self {
            rank,
            serial,
            since: Some(now),
            holding: Holding::Unknown,
            notify: Attempts::new(),
            probe: Attempts::new(),
            tcp_failed: false,
            refused: None,
            unprobed: false,
            acknowledged: None,
            asked: None,
            transferred: None,
            seen: None,
            raised: None,
        }
    }

    /// Whether a NOTIFY of the current serial was acknowledged.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged.is_some_and(|acknowledged| acknowledged.value == self.serial)
    }

    /// Whether nothing but a request shows that the secondary has something older, and it has
    /// acknowledged the current serial since without asking again.
    pub(super) fn has_let_be(&self) -> bool {
        let Some(asked) = self.asked.map(|asked| asked.at.at) else { return false };
        self.holding == Holding::Older
            && self.is_acknowledged()
            && self.acknowledged.is_some_and(|acknowledged| acknowledged.at.at > asked)
            && self.seen.is_none_or(|seen| seen.at.at < asked)
    }

    /// Whether the secondary has the current serial. Where it cannot be asked, its word counts that it
    /// was told of it.
    pub(super) fn is_current(&self) -> bool {
        match self.holding {
            Holding::Current => true,
            Holding::Older | Holding::Greater => false,
            Holding::Unknown => self.unprobed && self.is_acknowledged(),
        }
    }
}
