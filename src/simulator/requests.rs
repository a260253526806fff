//! What was asked: a bounded log that tests can wait on, so that none has to sleep.
//!
//! Tokens are never recorded, only whether one came.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::Fault;

/// Records kept; older ones are dropped, counters are not.
const CAPACITY: usize = 4096;

/// Longest path, query, host and method that is kept of a request, in characters.
const TEXT: usize = 2048;

/// The reads of the simulated service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// GET of an application.
    ApplicationGet,
    /// List of applications of a subscription or resource group.
    ApplicationList,
    /// `privateLinkResources`, the list or one group of it.
    PrivateLinkResources,
    /// `privateEndpointConnections`, the list or one of them.
    Connections,
    /// GET of a private endpoint.
    Endpoint,
    /// GET of a network interface.
    Interface,
    /// `privateDnsZoneGroups`, the list or one of them.
    ZoneGroup,
    /// GET of a token from the managed identity.
    Token,
}

impl Operation {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::ApplicationGet,
        Self::ApplicationList,
        Self::PrivateLinkResources,
        Self::Connections,
        Self::Endpoint,
        Self::Interface,
        Self::ZoneGroup,
        Self::Token,
    ];

    /// The action of Azure's access control that allows it; empty for tokens.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::ApplicationGet | Self::ApplicationList => "Microsoft.IoTCentral/IoTApps/read",
            Self::PrivateLinkResources => "Microsoft.IoTCentral/IoTApps/privateLinkResources/read",
            Self::Connections => "Microsoft.IoTCentral/IoTApps/privateEndpointConnections/read",
            Self::Endpoint => "Microsoft.Network/privateEndpoints/read",
            Self::Interface => "Microsoft.Network/networkInterfaces/read",
            Self::ZoneGroup => "Microsoft.Network/privateEndpoints/privateDnsZoneGroups/read",
            Self::Token => "",
        }
    }

    /// Whether the answer is a list with `value`, which a `nextLink` may continue.
    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::ApplicationList | Self::PrivateLinkResources | Self::Connections | Self::ZoneGroup
        )
    }
}

/// A request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Number of the request, from 0.
    pub sequence: u64,
    /// HTTP method.
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// The header `Host`.
    pub host: String,
    /// Whether a header `Authorization` came.
    pub authorized: bool,
    /// What was asked for; nothing when the path is none of the served ones.
    pub operation: Option<Operation>,
    /// Status of the answer; nothing when it was never sent.
    pub status: Option<u16>,
    /// `x-ms-correlation-request-id` of the answer.
    pub correlation_id: String,
    /// The injected fault.
    pub fault: Option<Fault>,
}

/// The requests so far. The newest 4096 are kept, the counters know all.
#[derive(Debug)]
pub struct RequestLog {
    entries: Mutex<Entries>,
    total: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    ring: VecDeque<RequestRecord>,
    counts: Vec<(Operation, u64)>,
    total: u64,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self { entries: Mutex::default(), total: watch::Sender::new(0) }
    }
}

impl RequestLog {
    /// The newest records, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<RequestRecord> {
        self.with(|entries| entries.ring.iter().cloned().collect())
    }

    /// How many requests there were; also the sequence number that the next one gets.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.with(|entries| entries.total)
    }

    /// How many requests of one kind there were.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.with(|entries| entries.counts.iter().find(|(o, _)| *o == operation).map_or(0, |(_, n)| *n))
    }

    /// Waits for the first request with a sequence number of at least `from` that `matches` takes.
    /// Returns when the answer is decided; it may not have arrived yet. Give it a timeout.
    pub async fn wait_for_request(
        &self,
        from: u64,
        mut matches: impl FnMut(&RequestRecord) -> bool,
    ) -> RequestRecord {
        let mut next = from;
        self.wait(move |entries| {
            let found = entries.ring.iter().find(|r| r.sequence >= next && matches(r)).cloned();
            next = next.max(entries.total);
            found
        })
        .await
    }

    /// Waits until there were at least `count` requests of one kind since the start. Give it a
    /// timeout.
    pub async fn wait_for_count(&self, operation: Operation, count: u64) {
        self.wait(|entries| entries.counts.iter().find(|(o, n)| *o == operation && *n >= count).copied())
            .await;
    }

    async fn wait<T>(&self, mut look: impl FnMut(&Entries) -> Option<T>) -> T {
        let mut changes = self.total.subscribe();
        loop {
            if let Some(found) = self.with(|entries| look(entries)) {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Adds a record, whose sequence number is set here.
    pub(super) fn add(&self, mut record: RequestRecord) {
        for text in [&mut record.method, &mut record.path, &mut record.query, &mut record.host] {
            if let Some((cut, _)) = text.char_indices().nth(TEXT) {
                text.truncate(cut);
            }
        }
        let total = self.with(|entries| {
            record.sequence = entries.total;
            if let Some(operation) = record.operation {
                match entries.counts.iter_mut().find(|(o, _)| *o == operation) {
                    Some((_, n)) => *n += 1,
                    None => entries.counts.push((operation, 1)),
                }
            }
            if entries.ring.len() == CAPACITY {
                entries.ring.pop_front();
            }
            entries.ring.push_back(record);
            entries.total += 1;
            entries.total
        });
        self.total.send_replace(total);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Entries) -> T) -> T {
        act(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(operation: Operation) -> RequestRecord {
        RequestRecord {
            sequence: 0,
            method: "GET".to_owned(),
            path: "/x".to_owned(),
            query: String::new(),
            host: String::new(),
            authorized: true,
            operation: Some(operation),
            status: Some(200),
            correlation_id: String::new(),
            fault: None,
        }
    }

    #[test]
    fn is_bounded_and_goes_on_counting() {
        let log = RequestLog::default();
        for _ in 0..CAPACITY + 10 {
            log.add(RequestRecord { path: "ä".repeat(5000), ..record(Operation::Endpoint) });
        }
        let all = log.all();
        assert_eq!(all.len(), CAPACITY);
        assert_eq!(all[0].sequence, 10);
        assert_eq!(all[0].path.chars().count(), TEXT);
        assert_eq!(log.count(Operation::Endpoint), CAPACITY as u64 + 10);
        assert_eq!(log.count(Operation::Token), 0);
    }

    #[tokio::test]
    async fn waits_for_what_comes_later() {
        let log = RequestLog::default();
        log.add(record(Operation::Endpoint));
        let from = log.total();
        let later = async {
            tokio::task::yield_now().await;
            log.add(record(Operation::Interface));
            log.add(record(Operation::Endpoint));
        };
        let wanted = |r: &RequestRecord| r.operation == Some(Operation::Endpoint);
        let (found, (), ()) = tokio::join!(
            log.wait_for_request(from, wanted),
            log.wait_for_count(Operation::Endpoint, 2),
            later
        );
        assert_eq!(found.sequence, 2);
    }
}
