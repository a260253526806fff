//! Answering DNS: a pure function first, the sockets around it.
//!
//! A generation is compiled into an [`Image`]; [`answer`](answer()) turns a query's octets into a
//! response's octets from it. UDP runs in threads of its own, TCP in tasks; both read the current
//! [`Serving`] without a lock, so a new generation or a reloaded configuration reaches them with
//! the next batch.

mod answer;
mod apex;
mod certificates;
mod counters;
mod doh;
mod encrypted;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod image;
mod listen;
mod message;
mod mmsg;
mod query;
mod rate_limit;
mod resolver;
mod secondaries;
mod tcp;
#[cfg(test)]
mod tests;
mod transfer;
mod udp;
mod views;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use answer::{Asker, Outcome, UDP_PAYLOAD, answer};
pub use certificates::CertificateError;
pub use counters::{Counters, Transport, ZoneCounters};
pub use encrypted::EncryptionError;
pub use image::{Context, Image, ImageError};
pub use listen::{ListenError, Listeners, Passed};
pub use rate_limit::{RateLimiter, Verdict};
pub use resolver::{Resolver, ResolverError, ResolverMetrics};
pub use secondaries::{
    Raise, Records, Secondaries, SecondaryMetrics, SecondaryState, SecondarySummary, SecondaryZoneState,
};
#[cfg(test)]
pub(crate) use transfer::messages as transfer_messages;
pub use transfer::{Source, TransferError, Transfers};

use crate::config::{self, Dns, Prefix};

/// What every answer is made from, replaced as a whole.
pub struct Serving {
    /// The current generation.
    pub image: Arc<Image>,
    /// Who may ask.
    pub allow: Vec<Prefix>,
    /// What knows public DNS; nothing when the daemon is no resolver.
    pub recursion: Option<Recursion>,
    /// Who may transfer the zones.
    pub transfers: Arc<Transfers>,
    /// What transfers are made from; nothing before every application was read once.
    pub source: Option<Arc<Source>>,
    /// Limits UDP responses.
    pub limiter: Arc<RateLimiter>,
    /// Limits of TCP.
    pub tcp: TcpLimits,
}

/// The resolver, and for whom.
#[derive(Clone)]
pub struct Recursion {
    /// What asks public DNS.
    pub resolver: Arc<Resolver>,
    /// Who may ask for names of public DNS.
    pub allow: Vec<Prefix>,
    /// What it was made from, and the content of the file with authorities.
    source: Arc<(config::Resolver, Option<Vec<u8>>)>,
}

impl Recursion {
    /// The resolver of a configuration; nothing where none is configured. That of `before` with its
    /// cache, when nothing has changed, else one with an empty cache. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// When TLS to its upstreams cannot be set up.
    pub fn new(
        config: Option<&config::Resolver>,
        metrics: &ResolverMetrics,
        before: Option<&Self>,
    ) -> Result<Option<Self>, ResolverError> {
        let Some(config) = config else { return Ok(None) };
        let authorities = config.ca_file.as_deref().map(resolver::read_authorities).transpose()?;
        let source = (config.clone(), authorities);
        if let Some(before) = before.filter(|before| *before.source == source) {
            return Ok(Some(before.clone()));
        }
        let resolver = Arc::new(Resolver::new(config, source.1.as_deref(), metrics.clone())?);
        Ok(Some(Self { resolver, allow: config.allow.clone(), source: Arc::new(source) }))
    }

    /// Lets the metrics end of upstreams that a later resolver does not ask any more.
    pub fn retire(&self, later: Option<&Self>, metrics: &ResolverMetrics) {
        for upstream in &self.source.0.upstreams {
            if !later.is_some_and(|later| later.source.0.upstreams.contains(upstream)) {
                metrics.forget(&upstream.to_string());
            }
        }
    }
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
    /// Answers from `image`, and from public DNS where `recursion` is given, under the limits of the
    /// configuration; a limiter of the same settings is kept with its buckets. Nobody may transfer yet.
    #[must_use]
    pub fn new(
        image: Arc<Image>,
        dns: &Dns,
        recursion: Option<Recursion>,
        limiter: Option<Arc<RateLimiter>>,
    ) -> Self {
        let limiter = limiter
            .filter(|l| l.settings() == dns.rate_limit)
            .unwrap_or_else(|| Arc::new(RateLimiter::new(dns.rate_limit)));
        Self {
            image,
            allow: dns.allow_query.clone(),
            recursion,
            transfers: Arc::default(),
            source: None,
            limiter,
            tcp: TcpLimits {
                connections: dns.tcp_connections,
                connections_per_client: dns.tcp_connections_per_client,
                idle_timeout: dns.tcp_idle_timeout,
            },
        }
    }

    /// Whether the client may ask nothing at all, as far as its address tells: who has the address of a
    /// secondary may have its key.
    fn is_stranger(&self, client: IpAddr) -> bool {
        let asker = self.asker(client, Transport::Tcp, false);
        !asker.allowed && !asker.recursion && !self.transfers.has(client.to_canonical())
    }

    /// Who asks, over which transport.
    fn asker(&self, client: IpAddr, transport: Transport, truncate: bool) -> Asker {
        let client = client.to_canonical();
        let is_in = |prefixes: &[Prefix]| prefixes.iter().any(|prefix| prefix.contains(client));
        let secondary = self.transfers.knows(client);
        Asker {
            transport,
            allowed: secondary || is_in(&self.allow),
            recursion: self.recursion.as_ref().is_some_and(|r| is_in(&r.allow)),
            truncate,
            view: self.image.view(client),
            secondary,
            reserve: 0,
        }
    }
}

impl Counters {
    /// Counts what became of a query.
    fn count(&self, image: &Image, transport: Transport, client: SocketAddr, outcome: Outcome) {
        match outcome {
            Outcome::Ignored | Outcome::Forward { .. } | Outcome::Signed | Outcome::Transfer => {
                self.ignored.inc();
            }
            Outcome::Answered { rcode, kind, zone } => {
                self.request(transport, client.ip().to_canonical().is_ipv6(), kind);
                zone.and_then(|index| image.zones.get(index as usize))
                    .map_or(&self.no_zone, |zone| &zone.counters)
                    .response(rcode);
            }
        }
    }
}
