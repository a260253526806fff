//! What is counted of secondaries. Labels are their names, of which the configuration allows few; no
//! label is a zone.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::schedule::Outcome;
use super::{Sent, SentKind};

const RESULTS: [&str; 4] = ["acknowledged", "refused", "timeout", "error"];
const KINDS: [&str; 3] = ["axfr", "ixfr", "current"];
const ENDS: [&str; 2] = ["complete", "aborted"];

/// All counters of secondaries; they outlive a reload.
#[derive(Clone)]
pub struct SecondaryMetrics {
    notifies: IntCounterVec,
    transfers: IntCounterVec,
    octets: IntCounterVec,
}

impl SecondaryMetrics {
    /// Fresh counters, registered.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let notifies = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_secondary_notifies_total",
                "NOTIFY messages to a secondary, by what became of them.",
            ),
            &["secondary", "result"],
        )?;
        let transfers = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_secondary_transfers_total",
                "Transfers to a secondary: of the whole zone, of changes, or of a SOA alone because it was current.",
            ),
            &["secondary", "kind", "result"],
        )?;
        let octets = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_secondary_transfer_octets_total",
                "Octets of DNS messages that transfers to a secondary took.",
            ),
            &["secondary"],
        )?;
        registry.register(Box::new(notifies.clone()))?;
        registry.register(Box::new(transfers.clone()))?;
        registry.register(Box::new(octets.clone()))?;
        Ok(Self { notifies, transfers, octets })
    }

    /// The counters of one secondary, all there from the start.
    pub(super) fn secondary(&self, name: &str) -> Counters {
        Counters {
            notifies: RESULTS.map(|result| self.notifies.with_label_values(&[name, result])),
            transfers: KINDS.map(|kind| ENDS.map(|end| self.transfers.with_label_values(&[name, kind, end]))),
            octets: self.octets.with_label_values(&[name]),
        }
    }

    /// Ends the series of a secondary.
    pub(super) fn forget(&self, name: &str) {
        // What is not there is gone already.
        for result in RESULTS {
            let _ = self.notifies.remove_label_values(&[name, result]);
        }
        for (kind, end) in KINDS.iter().flat_map(|kind| ENDS.map(|end| (kind, end))) {
            let _ = self.transfers.remove_label_values(&[name, kind, end]);
        }
        let _ = self.octets.remove_label_values(&[name]);
    }
}

/// The counters of one secondary.
#[derive(Clone)]
pub(super) struct Counters {
    notifies: [IntCounter; RESULTS.len()],
    transfers: [[IntCounter; ENDS.len()]; KINDS.len()],
    octets: IntCounter,
}

impl Counters {
    pub(super) fn notified(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Acknowledged | Outcome::Seen(_) => 0,
            Outcome::Refused(_) => 1,
            Outcome::Timeout => 2,
            Outcome::Error(_) => 3,
        };
        self.notifies[result].inc();
    }

    pub(super) fn sent(&self, sent: &Sent) {
        let kind = match sent.kind {
            SentKind::Axfr => 0,
            SentKind::Ixfr => 1,
            SentKind::Current => 2,
        };
        self.transfers[kind][usize::from(!sent.complete)].inc();
        self.octets.inc_by(sent.octets);
    }
}
