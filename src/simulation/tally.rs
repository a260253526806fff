//! What seeds came by: a simulation in which nothing happens shows nothing.

/// What happened in all runs of the book together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Book {
    pub(super) polls: u64,
    pub(super) failures: u64,
    pub(super) generations: u64,
    pub(super) removals: u64,
    pub(super) changes_transferred: u64,
    pub(super) pushes: u64,
    pub(super) restarts: u64,
}

impl std::ops::AddAssign for Book {
    fn add_assign(&mut self, other: Self) {
        self.polls += other.polls;
        self.failures += other.failures;
        self.generations += other.generations;
        self.removals += other.removals;
        self.changes_transferred += other.changes_transferred;
        self.pushes += other.pushes;
        self.restarts += other.restarts;
    }
}

impl Book {
    /// Whether so many seeds came by everything.
    pub(super) const fn is_lively(&self, seeds: u64) -> bool {
        self.polls > 20 * seeds
            && self.failures > seeds / 2
            && self.generations > 3 * seeds
            && self.removals > seeds / 2
            && self.changes_transferred > seeds / 8
            && self.pushes > seeds
            && self.restarts > seeds
    }
}

/// What happened in all runs of the running daemon together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) polls: u64,
    pub(super) generations: u64,
    pub(super) removals: u64,
    pub(super) transfers: u64,
    pub(super) notified: u64,
    pub(super) pushes: u64,
    pub(super) restarts: u64,
}

impl std::ops::AddAssign for Live {
    fn add_assign(&mut self, other: Self) {
        self.polls += other.polls;
        self.generations += other.generations;
        self.removals += other.removals;
        self.transfers += other.transfers;
        self.notified += other.notified;
        self.pushes += other.pushes;
        self.restarts += other.restarts;
    }
}

impl Live {
    /// Whether so many seeds came by everything.
    pub(super) const fn is_lively(&self, seeds: u64) -> bool {
        self.polls > 30 * seeds
            && self.generations > 3 * seeds
            && self.removals > seeds / 2
            && self.transfers > 10 * seeds
            && self.notified > 10 * seeds
            && self.pushes > 3 * seeds
            && self.restarts > seeds / 2
    }
}
