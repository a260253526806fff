//! One upstream: how it is asked, and whether it has answered lately.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hickory_net::NetError;
use hickory_net::h2::HttpsClientStream;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tls::tls_exchange;
use hickory_net::xfer::{DnsExchange, DnsHandle, FirstAnswer};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, Message};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;

use super::cache::Key;
use super::entry::{Entry, TtlLimits};
use super::metrics::{Outcome, UpstreamMetrics};
use crate::config::{Upstream as Settings, UpstreamTransport};
use crate::serve::answer::UDP_PAYLOAD;
use crate::wire::exchange::{self, Mismatch};

/// Failures in a row after which an upstream is asked last.
const FAILURES: u32 = 3;

/// Queries at a time on one encrypted connection.
const ON_CONNECTION: usize = 256;

/// A server that knows public DNS.
pub(super) struct Upstream {
    address: SocketAddr,
    transport: UpstreamTransport,
    tls: Arc<ClientConfig>,
    /// The longest time for one attempt.
    limit: Duration,
    ttl_limits: TtlLimits,
    /// Runs the encrypted connections; they end with it.
    provider: TokioRuntimeProvider,
    /// The encrypted connection, while there is one.
    connection: Mutex<Option<DnsExchange<TokioRuntimeProvider>>>,
    failures: AtomicU32,
    metrics: UpstreamMetrics,
}

/// Why an attempt gave nothing.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Net(#[from] NetError),
    #[error("the query cannot be encoded: {0}")]
    Query(#[from] hickory_proto::serialize::binary::DecodeError),
    #[error("the system has no random numbers")]
    Random,
    #[error("the response is malformed")]
    Malformed,
    #[error("the response has RCODE {0}")]
    Refused(u8),
}

impl Upstream {
    pub(super) fn new(
        settings: &Settings,
        tls: Arc<ClientConfig>,
        limit: Duration,
        ttl_limits: TtlLimits,
        metrics: UpstreamMetrics,
    ) -> Self {
        Self {
            address: settings.address,
            transport: settings.transport.clone(),
            tls,
            limit,
            ttl_limits,
            provider: TokioRuntimeProvider::default(),
            connection: Mutex::default(),
            failures: AtomicU32::new(0),
            metrics,
        }
    }

    /// Whether it has answered lately.
    pub(super) fn is_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < FAILURES
    }

    /// Asks once; nothing when no usable answer comes in time.
    pub(super) async fn ask(&self, key: &Key) -> Option<Entry> {
        let mut attempt = Attempt { upstream: self, start: Instant::now(), outcome: None };
        let result = tokio::time::timeout(self.limit, self.answer(key)).await;
        let (outcome, entry) = match result {
            Ok(Ok(entry)) => (Outcome::Answered, Some(entry)),
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.address, %error, "no answer");
                (error.outcome(), None)
            }
            Err(_) => (Outcome::Timeout, None),
        };
        attempt.outcome = Some(outcome);
        entry
    }

    async fn answer(&self, key: &Key) -> Result<Entry, AskError> {
        let response = match &self.transport {
            UpstreamTransport::Udp => {
                let query = query(key, true).ok_or(AskError::Random)?;
                match exchange::udp(self.address, &query, |m| self.metrics.mismatch(m)).await {
                    Ok(response) if !exchange::is_truncated(&response) => response,
                    Ok(_) => self.over_tcp(key).await?,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => self.over_tcp(key).await?,
                    Err(error) => return Err(error.into()),
                }
            }
            UpstreamTransport::Tcp => self.over_tcp(key).await?,
            UpstreamTransport::Tls { .. } | UpstreamTransport::Https { .. } => self.encrypted(key).await?,
        };
        // NXDOMAIN is an answer, everything else but NOERROR the lack of one.
        match response.get(3).map(|flags| flags & 0x0f) {
            Some(0 | 3) => {}
            Some(rcode) => return Err(AskError::Refused(rcode)),
            None => return Err(AskError::Malformed),
        }
        Entry::read(&response, key.name(), key.kind(), Instant::now(), self.ttl_limits).map_err(|_| {
            self.metrics.mismatch(Mismatch::Malformed);
            AskError::Malformed
        })
    }

    async fn over_tcp(&self, key: &Key) -> Result<Vec<u8>, AskError> {
        // Who cannot see the connection cannot forge on it, so the case of letters proves nothing.
        let query = query(key, false).ok_or(AskError::Random)?;
        Ok(exchange::tcp(self.address, &query, |m| self.metrics.mismatch(m)).await?)
    }

    /// Asks on the kept connection; anew on a fresh one when the kept one has ended meanwhile.
    async fn encrypted(&self, key: &Key) -> Result<Vec<u8>, AskError> {
        // Nobody in between can forge, so the case of letters proves nothing here.
        let query = query(key, false).ok_or(AskError::Random)?;
        let kept = self.connection.lock().await.clone();
        let is_kept = kept.is_some();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = match self.send(&connection, &query).await {
            Err(_) if is_kept => {
                let connection = self.connect().await?;
                self.send(&connection, &query).await
            }
            sent => sent,
        };
        if sent.is_err() {
            *self.connection.lock().await = None;
        }
        let response = sent?;
        exchange::check(&query, &response).map_err(|mismatch| {
            self.metrics.mismatch(mismatch);
            AskError::Malformed
        })?;
        Ok(response)
    }

    async fn connect(&self) -> Result<DnsExchange<TokioRuntimeProvider>, NetError> {
        let provider = self.provider.clone();
        let connection = match &self.transport {
            UpstreamTransport::Https { server_name, path } => {
                let mut config = (*self.tls).clone();
                config.alpn_protocols = vec![b"h2".to_vec()];
                let mut builder = HttpsClientStream::builder(Arc::new(config), provider);
                builder.request_timeout(self.limit);
                builder.exchange(self.address, server_name.as_str().into(), path.as_str().into()).await?
            }
            UpstreamTransport::Tls { server_name } => {
                let name = ServerName::try_from(server_name.clone())
                    .map_err(|_| NetError::from("the configured name is no server name"))?;
                let config = (*self.tls).clone();
                tls_exchange(self.address, name, config, self.limit, Some(ON_CONNECTION), provider).await?
            }
            UpstreamTransport::Udp | UpstreamTransport::Tcp => {
                return Err(NetError::from("plain transports keep no connection"));
            }
        };
        *self.connection.lock().await = Some(connection.clone());
        Ok(connection)
    }

    async fn send(
        &self,
        connection: &DnsExchange<TokioRuntimeProvider>,
        query: &[u8],
    ) -> Result<Vec<u8>, AskError> {
        let request = DnsRequest::new(Message::from_vec(query)?, DnsRequestOptions::default());
        let mut response = connection.send(request).first_answer().await?.into_buffer();
        // The connection gives every query an id of its own, and has checked it.
        if let (Some(id), Some(ours)) = (response.get_mut(..2), query.get(..2)) {
            id.copy_from_slice(ours);
        }
        Ok(response)
    }

    fn note(&self, outcome: Outcome, elapsed: Duration) {
        self.metrics.attempt(outcome, elapsed);
        let was_up = self.is_up();
        match outcome {
            Outcome::Answered => self.failures.store(0, Ordering::Relaxed),
            // Who says SERVFAIL is there; it may be the name's own fault.
            Outcome::Abandoned | Outcome::Refused => return,
            _ => drop(self.failures.fetch_add(1, Ordering::Relaxed)),
        }
        if self.is_up() != was_up {
            self.metrics.up(self.is_up());
            if self.is_up() {
                tracing::info!(upstream = %self.address, "the upstream answers again");
            } else {
                tracing::warn!(upstream = %self.address, "the upstream does not answer; it is asked last");
            }
        }
    }
}

impl AskError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Refused(_) => Outcome::Refused,
            Self::Net(NetError::Timeout) => Outcome::Timeout,
            Self::Io(_) | Self::Net(_) | Self::Query(_) | Self::Random | Self::Malformed => Outcome::Error,
        }
    }
}

/// An attempt under way. One that is dropped has lost against another upstream's answer.
struct Attempt<'a> {
    upstream: &'a Upstream,
    start: Instant,
    outcome: Option<Outcome>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let elapsed = self.start.elapsed();
        // Who is overtaken after this long would not have answered in time for a client either.
        let slow = elapsed >= super::pool::RETRY;
        let lost = if slow { Outcome::Timeout } else { Outcome::Abandoned };
        self.upstream.note(self.outcome.unwrap_or(lost), elapsed);
    }
}

/// A query with a random id, and a random case where answers can be forged.
fn query(key: &Key, random_case: bool) -> Option<Vec<u8>> {
    let mut query = Vec::with_capacity(12 + key.name().len() + 4 + 11);
    let mut random = [0; 2 + 32];
    // Without random numbers nothing can be asked safely; the system has them always.
    aws_lc_rs::rand::fill(&mut random).ok()?;
    let (id, cases) = random.split_at(2);
    query.extend_from_slice(id);
    // RD; AD asks to be told whether the data was validated (RFC 6840 section 5.7).
    query.extend_from_slice(&[0x01, 0x20 | if key.checking_disabled() { 0x10 } else { 0 }]);
    query.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
    let start = query.len();
    query.extend_from_slice(key.name());
    if random_case {
        for (i, octet) in
            query[start..].iter_mut().enumerate().filter(|(_, octet)| octet.is_ascii_lowercase())
        {
            // One bit for each of up to 255 octets; the case bit of a letter is 0x20.
            *octet ^= cases[i / 8] >> (i % 8) << 5 & 0x20;
        }
    }
    query.extend_from_slice(&key.kind().to_be_bytes());
    query.extend_from_slice(&[0, 1]);
    let [high, low] = UDP_PAYLOAD.to_be_bytes();
    let dnssec_ok = if key.dnssec_ok() { 0x80 } else { 0 };
    query.extend_from_slice(&[0, 0, 41, high, low, 0, 0, dnssec_ok, 0, 0, 0]);
    Some(query)
}
