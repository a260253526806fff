//! Answering DNS: a pure function first, the sockets around it.
//!
//! A generation is compiled into an [`Image`]; [`answer`](answer()) turns a query's octets into a
//! response's octets from it. UDP runs in threads of its own, TCP in tasks; both read the current
//! [`Serving`] without a lock, so a new generation or a reloaded configuration reaches them with
//! the next batch.

mod answer;
mod counters;
mod image;
mod listen;
mod message;
mod mmsg;
mod rate_limit;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use answer::{Asker, Outcome, UDP_PAYLOAD, answer};
pub use counters::{Counters, Transport, ZoneCounters};
pub use image::{Image, ImageError};
pub use listen::{ListenError, Listeners, Passed};
pub use rate_limit::{RateLimiter, Verdict};

use crate::config::{Dns, Prefix};

/// What every answer is made from, replaced as a whole.
pub struct Serving {
    /// The current generation.
    pub image: Arc<Image>,
    /// Who may ask.
    pub allow: Vec<Prefix>,
    /// Limits UDP responses.
    pub limiter: Arc<RateLimiter>,
    /// Limits of TCP.
    pub tcp: TcpLimits,
}

/// Limits of TCP connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time of one client address.
    pub connections_per_client: usize,
    /// How long a client may be silent, or take to accept an answer.
    pub idle_timeout: Duration,
}

/// The current [`Serving`], for all readers.
pub type Shared = Arc<ArcSwap<Serving>>;

impl Serving {
    /// Answers from `image` under the limits of the configuration; a limiter of the same settings
    /// is kept with its buckets.
    #[must_use]
    pub fn new(image: Arc<Image>, dns: &Dns, limiter: Option<Arc<RateLimiter>>) -> Self {
        let limiter = limiter
            .filter(|l| l.settings() == dns.rate_limit)
            .unwrap_or_else(|| Arc::new(RateLimiter::new(dns.rate_limit)));
        Self {
            image,
            allow: dns.allow_query.clone(),
            limiter,
            tcp: TcpLimits {
                connections: dns.tcp_connections,
                connections_per_client: dns.tcp_connections_per_client,
                idle_timeout: dns.tcp_idle_timeout,
            },
        }
    }

    fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.allow.iter().any(|prefix| prefix.contains(client))
    }
}

impl Counters {
    /// Counts what became of a query.
    fn count(&self, image: &Image, transport: Transport, client: SocketAddr, outcome: Outcome) {
        match outcome {
            Outcome::Ignored => self.ignored.inc(),
            Outcome::Answered { rcode, kind, zone } => {
                self.request(transport, client.ip().to_canonical().is_ipv6(), kind);
                zone.and_then(|index| image.zones.get(index as usize))
                    .map_or(&self.no_zone, |zone| &zone.counters)
                    .response(rcode);
            }
        }
    }
}
