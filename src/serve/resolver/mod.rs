//! The resolver: what only public DNS knows.
//!
//! A virtual machine that has this daemon for its only resolver must get every name right: ours from
//! the image, all others as public DNS gives them. The pure [`answer`](super::answer()) decides which
//! is which; here are the cache, the upstreams, and the limits on both.

mod cache;
mod entry;
mod metrics;
mod pool;
mod respond;
mod upstream;

/// What the tests of the room look into.
#[cfg(any(test, fuzzing))]
pub(super) mod testing {
    pub(in crate::serve) use super::entry::{Entry, TtlLimits};
    pub(in crate::serve) use super::respond::respond;
}

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

pub use metrics::ResolverMetrics;

use self::cache::{Cache, Key};
use self::entry::{Entry, TtlLimits};
use self::pool::Pool;
use self::respond::respond;
use self::upstream::Upstream;
use super::answer::{self, Asker, Outcome, Reply, answer, ede, rcode};
use super::image::Image;
use super::{Shared, Transport, message};
use crate::config;

/// Clients that wait for one query that is asked upstream, on average: a bound on what waits.
const WAITING_PER_QUERY: usize = 4;

/// The resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The file with further authorities cannot be used.
    #[error("cannot use {path} ([resolver] ca_file): {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS client could not be made.
    #[error("cannot set up TLS for the resolver's upstreams: {0}")]
    Tls(#[from] rustls::Error),
    /// Not called within a runtime.
    #[error("{0}")]
    Runtime(#[from] tokio::runtime::TryCurrentError),
}

impl ResolverError {
    fn authorities(path: &Path, reason: String) -> Self {
        Self::Authorities { path: path.display().to_string(), reason }
    }
}

/// The resolver of one configuration.
pub struct Resolver {
    cache: Cache,
    pool: Arc<Pool>,
    /// Queries that may be under way at the upstreams.
    asking: Semaphore,
    /// Clients that may wait.
    waiting: Arc<Semaphore>,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    probe: AbortHandle,
    metrics: ResolverMetrics,
}

/// A client's right to wait.
pub(super) struct Waiting(#[allow(dead_code)] OwnedSemaphorePermit);

impl Drop for Resolver {
    fn drop(&mut self) {
        self.probe.abort();
    }
}

impl Resolver {
    /// A resolver with an empty cache. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(
        config: &config::Resolver,
        authorities: Option<&[u8]>,
        metrics: ResolverMetrics,
    ) -> Result<Self, ResolverError> {
        let runtime = tokio::runtime::Handle::try_current()?;
        let authorities = match (&config.ca_file, authorities) {
            (Some(path), Some(content)) => parse_authorities(path, content)?,
            _ => Vec::new(),
        };
        let tls = Arc::new(tls(authorities)?);
        let ttl_limits = TtlLimits { positive: config.max_ttl, negative: config.max_negative_ttl };
        let upstreams = config.upstreams.iter().map(|settings| {
            let metrics = metrics.upstream(&settings.to_string());
            Arc::new(Upstream::new(settings, tls.clone(), config.timeout, ttl_limits, metrics))
        });
        let pool = Arc::new(Pool::new(upstreams.collect(), config.race, config.timeout));
        let probing = pool.clone();
        let probe = runtime.spawn(async move { probing.probe().await }).abort_handle();
        Ok(Self {
            cache: Cache::new(config.cache_bytes),
            pool,
            asking: Semaphore::new(config.max_in_flight),
            waiting: Arc::new(Semaphore::new(config.max_in_flight * WAITING_PER_QUERY)),
            tasks: TaskTracker::new(),
            runtime,
            probe,
            metrics,
        })
    }

    /// The response to a query that [`answer`](super::answer()) forwards, when the cache has it.
    #[must_use]
    pub fn cached(&self, image: &Image, request: &[u8], asker: Asker, out: &mut Vec<u8>) -> Option<Outcome> {
        let query = message::read(request).ok()?;
        let key = Key::of(request, query)?;
        let now = Instant::now();
        let entry = self.cache.get(&key, now)?;
        self.metrics.hits.inc();
        Some(self.respond(&key, &entry, image, request, query, asker, now, out))
    }

    /// The right to wait for an answer; nothing when too many wait already.
    pub(super) fn wait(&self) -> Option<Waiting> {
        let permit = self.waiting.clone().try_acquire_owned();
        if permit.is_err() {
            self.metrics.overload.inc();
        }
        permit.ok().map(Waiting)
    }

    /// Answers a query for which nobody may wait any more.
    pub(super) fn overloaded(request: &[u8], asker: Asker, out: &mut Vec<u8>) -> Outcome {
        let Ok(query) = message::read(request) else { return Outcome::Ignored };
        let reply = Reply::error(rcode::SERVFAIL, Some(ede::NO_REACHABLE_AUTHORITY));
        answer::write(request, query, &reply, asker, out);
        let kind = query.question.map_or(0, |question| question.kind);
        Outcome::Answered { rcode: rcode::SERVFAIL, kind, zone: None }
    }

    /// Runs work that a thread without a runtime cannot wait for.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(work, &self.runtime);
    }

    /// Answers a query that [`answer`](super::answer()) forwards: from the cache, or by asking.
    /// Nothing is older than the image at the end: a name that has become ours meanwhile is answered
    /// from it. The response leaves so many octets free for a signature.
    pub async fn resolve(
        &self,
        shared: &Shared,
        client: SocketAddr,
        (transport, reserve): (Transport, u16),
        request: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        out.clear();
        let Ok(query) = message::read(request) else { return Outcome::Ignored };
        let Some(key) = Key::of(request, query) else { return Outcome::Ignored };
        let entry = self.entry(&key).await;
        let serving = shared.load_full();
        let (image, asker) = (&serving.image, serving.asker(client.ip(), transport, false));
        let asker = Asker { reserve, ..asker };
        match answer(image, request, asker, out) {
            Outcome::Forward { .. } => {
                self.respond(&key, &entry, image, request, query, asker, Instant::now(), out)
            }
            ours => ours,
        }
    }

    async fn entry(&self, key: &Key) -> Arc<Entry> {
        let ticket = match self.cache.get_or_ask(key, Instant::now()).await {
            Ok(entry) => {
                self.metrics.hits.inc();
                return entry;
            }
            Err(ticket) => ticket,
        };
        self.metrics.misses.inc();
        let Ok(_permit) = self.asking.try_acquire() else {
            self.metrics.overload.inc();
            return Arc::new(Entry::failure(Instant::now()));
        };
        let answer = self.pool.ask(key).await;
        let entry = Arc::new(answer.unwrap_or_else(|| Entry::failure(Instant::now())));
        ticket.fill(&entry);
        let (bytes, entries) = self.cache.size();
        self.metrics.cache_bytes.set(bytes.try_into().unwrap_or(i64::MAX));
        self.metrics.cache_entries.set(entries.try_into().unwrap_or(i64::MAX));
        entry
    }

    #[allow(clippy::too_many_arguments)]
    fn respond(
        &self,
        key: &Key,
        entry: &Entry,
        image: &Image,
        request: &[u8],
        query: message::Query<'_>,
        asker: Asker,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Outcome {
        if !entry.is_failure() && image.count_leak(key.name()) {
            self.metrics.leaks.inc();
        }
        let (rcode, zone) = respond(entry, image, request, query, asker, now, out);
        Outcome::Answered { rcode, kind: key.kind(), zone }
    }

    /// Lets what is under way end.
    pub async fn stop(&self) {
        self.probe.abort();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The TLS client for upstreams: the system's authorities, and those of a file.
fn tls(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, ResolverError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, provider.clone())?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The content of a file with authorities.
pub(super) fn read_authorities(path: &Path) -> Result<Vec<u8>, ResolverError> {
    std::fs::read(path).map_err(|error| ResolverError::authorities(path, error.to_string()))
}

fn parse_authorities(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, ResolverError> {
    let certificates = CertificateDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ResolverError::authorities(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(ResolverError::authorities(path, "it holds no certificate".to_owned()));
    }
    Ok(certificates)
}
