//! What the reads tell about themselves, for metrics; this room knows no metrics library.

use super::{Operation, TokenError};

/// Hears of every request. Called from the middle of a read, so it must not block.
pub trait Observer: Send + Sync {
    /// A request got an answer with this HTTP status, or none: then 0. Every try counts.
    fn request(&self, operation: Operation, status: u16);

    /// ARM asked to leave the subscription alone for a while (429).
    fn throttled(&self, operation: Operation, subscription: &str);

    /// How many reads ARM still takes of the subscription right now, when it tells.
    fn remaining(&self, subscription: &str, reads: u64);

    /// A token could not be fetched. With a token that still lives, reads go on.
    fn token_failed(&self, error: &TokenError);
}

/// Hears of nothing.
impl Observer for () {
    fn request(&self, _: Operation, _: u16) {}

    fn throttled(&self, _: Operation, _: &str) {}

    fn remaining(&self, _: &str, _: u64) {}

    fn token_failed(&self, _: &TokenError) {}
}
