//! What each secondary asked for and got.

use crate::zones::DnsName;

/// What the secondaries did.
#[derive(Debug, Default)]
pub struct Records;

/// A transfer that has ended.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// What was sent.
    pub(super) kind: SentKind,
    /// The serial that it leads to.
    pub(super) serial: u32,
    /// All of it was sent.
    pub(super) complete: bool,
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

impl Records {
    /// A transfer was asked for, from the serial that the secondary holds.
    pub(super) fn asked(&self, secondary: &str, origin: &DnsName, serial: Option<u32>) {
        tracing::debug!(secondary, zone = %origin, serial, "transfer asked for");
    }

    /// A transfer has ended.
    pub(super) fn sent(&self, secondary: &str, origin: &DnsName, sent: &Sent) {
        tracing::debug!(secondary, zone = %origin, ?sent, "transfer ended");
    }
}
