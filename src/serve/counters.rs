//! What the DNS side counts, with every label resolved before the first query.
//!
//! No look-up, lock or allocation per query: a counter is found by index and raised with one
//! relaxed addition. Labels are bounded: zones by the required zones, types by a list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts};

use crate::wire::tsig::Reason;

/// RCODEs that are sent, with their names; the index is [`rcode_index`]'s.
const RCODES: [(u16, &str); 8] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (9, "NOTAUTH"),
    (16, "BADVERS"),
];

/// Types with a label of their own; every other is `other`.
const TYPES: [(u16, &str); 11] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (16, "TXT"),
    (28, "AAAA"),
    (65, "HTTPS"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
];

/// Why a signature was rejected; the index is the reason's.
const REASONS: [(Reason, &str); 5] = [
    (Reason::Malformed, "malformed"),
    (Reason::BadKey, "badkey"),
    (Reason::BadSig, "badsig"),
    (Reason::BadTime, "badtime"),
    (Reason::BadTrunc, "badtrunc"),
];

/// The transport of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams, at most 512 octets or what EDNS allows.
    Udp,
    /// Connections, at most 65,535 octets.
    Tcp,
    /// Connections under TLS (RFC 7858).
    Tls,
    /// Requests of HTTP/2 (RFC 8484).
    Https,
}

/// Counters of one zone label.
pub struct ZoneCounters {
    responses: [IntCounter; RCODES.len()],
}

/// All counters of the DNS side.
pub struct Counters {
    requests: [[[IntCounter; TYPES.len() + 1]; 2]; 4],
    responses: IntCounterVec,
    zones: Mutex<HashMap<String, Arc<ZoneCounters>>>,
    /// Responses about no zone of ours.
    pub(super) no_zone: Arc<ZoneCounters>,
    /// Messages that got no answer: too short, or answers themselves.
    pub(super) ignored: IntCounter,
    /// Responses that went out truncated because of the rate limit.
    pub(super) slipped: IntCounter,
    /// Responses that did not go out because of the rate limit.
    pub(super) limited: IntCounter,
    /// Seconds from receiving a query to handing its answer to the system.
    pub(super) duration: Histogram,
    /// TCP connections now.
    pub(super) connections: IntGauge,
    /// TCP connections that were closed at once because of a limit.
    pub(super) connections_refused: IntCounter,
    /// Failed `accept` and receive calls.
    pub(super) socket_errors: IntCounter,
    /// Transfers that were asked for and refused.
    pub(super) transfers_refused: IntCounter,
    tsig: [IntCounter; REASONS.len()],
    families: Vec<Box<dyn Collector>>,
}

impl Counters {
    /// Fresh counters, not yet registered anywhere.
    ///
    /// # Errors
    /// When a metric's name or label is invalid, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_dns_requests_total",
                "DNS queries received, but for those that the rate limit dropped.",
            ),
            &["proto", "family", "type"],
        )?;
        let responses = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_dns_responses_total",
                "DNS responses handed to the system, by zone and RCODE; none: of no zone of ours, or refused.",
            ),
            &["zone", "rcode"],
        )?;
        let limited = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_dns_rate_limited_total",
                "UDP responses over the rate limit, sent truncated (slip) or not at all (drop).",
            ),
            &["action"],
        )?;
        let ignored = IntCounter::new(
            "privatelink_dns_dns_ignored_total",
            "Messages that got no answer: too short for a header, or responses themselves.",
        )?;
        let duration = Histogram::with_opts(
            HistogramOpts::new(
                "privatelink_dns_dns_request_duration_seconds",
                "Seconds from receiving a batch of queries to handing its answers to the system, one \
                 observation a batch.",
            )
            .buckets(vec![0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 1.0]),
        )?;
        let connections = IntGauge::new("privatelink_dns_dns_tcp_connections", "TCP connections now.")?;
        let connections_refused = IntCounter::new(
            "privatelink_dns_dns_tcp_connections_refused_total",
            "TCP connections closed at once because of a limit.",
        )?;
        let socket_errors = IntCounter::new(
            "privatelink_dns_dns_socket_errors_total",
            "Failed calls to accept a connection or to receive or send datagrams.",
        )?;
        let transfers_refused = IntCounter::new(
            "privatelink_dns_dns_transfers_refused_total",
            "Transfers (AXFR, IXFR) that were asked for and refused.",
        )?;
        let tsig = IntCounterVec::new(
            Opts::new(
                "privatelink_dns_dns_tsig_rejected_total",
                "Signed messages (TSIG) that were rejected, by reason.",
            ),
            &["reason"],
        )?;
        let by_type = |proto: &str, family: &str| {
            std::array::from_fn(|i| {
                let name = TYPES.get(i).map_or("other", |(_, name)| name);
                requests.with_label_values(&[proto, family, name])
            })
        };
        Ok(Self {
            requests: ["udp", "tcp", "tls", "https"].map(|proto| [by_type(proto, "4"), by_type(proto, "6")]),
            no_zone: zone_counters(&responses, "none"),
            zones: Mutex::default(),
            slipped: limited.with_label_values(&["slip"]),
            tsig: REASONS.map(|(_, reason)| tsig.with_label_values(&[reason])),
            limited: limited.with_label_values(&["drop"]),
            families: vec![
                Box::new(requests),
                Box::new(responses.clone()),
                Box::new(limited),
                Box::new(ignored.clone()),
                Box::new(duration.clone()),
                Box::new(connections.clone()),
                Box::new(connections_refused.clone()),
                Box::new(socket_errors.clone()),
                Box::new(transfers_refused.clone()),
                Box::new(tsig),
            ],
            responses,
            ignored,
            duration,
            connections,
            connections_refused,
            socket_errors,
            transfers_refused,
        })
    }

    /// Registers everything.
    ///
    /// # Errors
    /// When a metric of the same name is there already.
    pub fn register(&mut self, registry: &prometheus::Registry) -> prometheus::Result<()> {
        self.families.drain(..).try_for_each(|family| registry.register(family))
    }

    /// The counters of a zone label.
    pub(super) fn zone(&self, label: &str) -> Arc<ZoneCounters> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = zones.get(label) {
            return counters.clone();
        }
        let counters = zone_counters(&self.responses, label);
        zones.insert(label.to_owned(), counters.clone());
        counters
    }

    /// Counts a signature that was rejected.
    pub(super) fn tsig_rejected(&self, reason: Reason) {
        if let Some(index) = REASONS.iter().position(|(other, _)| *other == reason) {
            self.tsig[index].inc();
        }
    }

    /// Counts a query.
    pub(super) fn request(&self, transport: Transport, ipv6: bool, kind: u16) {
        let kind = TYPES.iter().position(|(code, _)| *code == kind).unwrap_or(TYPES.len());
        self.requests[transport as usize][usize::from(ipv6)][kind].inc();
    }
}

impl ZoneCounters {
    /// Counts a response; an RCODE that is never sent is not counted.
    pub(super) fn response(&self, rcode: u16) {
        if let Some(index) = RCODES.iter().position(|(code, _)| *code == rcode) {
            self.responses[index].inc();
        }
    }
}

fn zone_counters(responses: &IntCounterVec, zone: &str) -> Arc<ZoneCounters> {
    let responses = std::array::from_fn(|i| responses.with_label_values(&[zone, RCODES[i].1]));
    Arc::new(ZoneCounters { responses })
}
