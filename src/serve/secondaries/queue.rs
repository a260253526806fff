//! What is to be done when, and how much of it at a time.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::zones::{DnsName, Form};

/// Whose turn it is among those whose time has come: the catalog tells a secondary of the members that
/// it is notified of afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Catalog,
    Policy,
    Other,
}

impl Rank {
    pub(super) const fn of(form: Form) -> Self {
        match form {
            Form::Catalog => Self::Catalog,
            Form::Rpz => Self::Policy,
            Form::Privatelink | Form::PerName => Self::Other,
        }
    }
}

/// Zones with something to do; a zone is in it once at most.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: BTreeSet<(Instant, Rank, DnsName)>,
    /// In the order of rank, then of who waits longest: however many there are, all have their turn.
    ready: BTreeSet<(Rank, Instant, DnsName)>,
    under_way: usize,
    limit: usize,
}

impl Queue {
    pub(super) const fn new(limit: usize) -> Self {
        Self { waiting: BTreeSet::new(), ready: BTreeSet::new(), under_way: 0, limit }
    }

    pub(super) fn insert(&mut self, at: Instant, rank: Rank, origin: &DnsName) {
        self.waiting.insert((at, rank, origin.clone()));
    }

    pub(super) fn remove(&mut self, at: Instant, rank: Rank, origin: &DnsName) {
        if !self.waiting.remove(&(at, rank, origin.clone())) {
            self.ready.remove(&(rank, at, origin.clone()));
        }
    }

    /// The next whose time has come, while there is room for it; it counts as under way.
    pub(super) fn start(&mut self, now: Instant) -> Option<DnsName> {
        if self.under_way >= self.limit {
            return None;
        }
        while self.waiting.first().is_some_and(|(at, ..)| *at <= now)
            && let Some((at, rank, origin)) = self.waiting.pop_first()
        {
            self.ready.insert((rank, at, origin));
        }
        let (.., origin) = self.ready.pop_first()?;
        self.under_way += 1;
        Some(origin)
    }

    /// When [`start`](Self::start) will give something; nothing while only an end makes room.
    pub(super) fn wake(&self) -> Option<Instant> {
        if self.under_way >= self.limit { None } else { self.waiting.first().map(|(at, ..)| *at) }
    }

    /// Something that was under way has ended.
    pub(super) const fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    #[cfg(test)]
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }
}
