//! The encrypted listeners: DNS over TLS (RFC 7858) and over HTTPS (RFC 8484).
//!
//! The same connections as over TCP, with a handshake in front: the same limits, the same answers.
//! hickory-server is not used for them: its accept loop has no limit of connections, spins when
//! descriptors run out, and its HTTP side bounds neither requests nor silence. None of that can be
//! fenced from outside, because it takes a listener and not a connection.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificates::{CertificateError, Certificates};
use super::counters::{Counters, Transport};
use super::listen::{ListenError, Listener, Listeners};
use super::{Shared, doh, tcp};
use crate::config::Tls;

/// The encrypted listeners cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// Certificate or key cannot be used.
    #[error("{0} ([dns.tls])")]
    Certificate(#[from] CertificateError),
    /// TLS cannot be set up.
    #[error("cannot set up TLS for [dns.tls]: {0}")]
    Tls(#[from] rustls::Error),
    /// An address cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// What stands in front of a connection's queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Tls,
    Https,
}

/// What all encrypted listeners share; a reload replaces it.
struct Setting {
    certificates: Arc<Certificates>,
    tls: TlsAcceptor,
    https: TlsAcceptor,
    path: Arc<str>,
}

/// The open encrypted listeners.
#[derive(Default)]
pub(super) struct Encrypted {
    setting: Option<Arc<ArcSwap<Setting>>>,
    open: BTreeMap<(Protocol, SocketAddr), Listener>,
}

impl Encrypted {
    /// All open listeners, for the end.
    pub(super) fn into_listeners(self) -> impl Iterator<Item = Listener> {
        self.open.into_values()
    }
}

impl Setting {
    fn new(tls: &Tls) -> Result<Self, EncryptionError> {
        let certificates = Arc::new(Certificates::read(&tls.certificate_file, &tls.key_file)?);
        let acceptor = |protocol: &[u8]| -> Result<TlsAcceptor, rustls::Error> {
            let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_cert_resolver(certificates.clone());
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Self {
            tls: acceptor(b"dot")?,
            https: acceptor(b"h2")?,
            path: tls.https_path.as_str().into(),
            certificates,
        })
    }
}

impl Listeners {
    /// Opens the encrypted listeners that are not open yet and closes those that are not wanted any
    /// more; all of them without a setting. When something fails, nothing changes. Needs a tokio
    /// runtime around it.
    ///
    /// # Errors
    /// When the certificate cannot be used, or an address cannot be opened.
    pub fn encrypt(&mut self, tls: Option<&Tls>) -> Result<(), EncryptionError> {
        let Some(tls) = tls else {
            self.encrypted = Encrypted::default();
            return Ok(());
        };
        let setting = Arc::new(Setting::new(tls)?);
        let shared =
            self.encrypted.setting.clone().unwrap_or_else(|| Arc::new(ArcSwap::new(setting.clone())));
        let wanted: Vec<(Protocol, SocketAddr)> = tls
            .listen
            .iter()
            .map(|address| (Protocol::Tls, *address))
            .chain(tls.https_listen.iter().map(|address| (Protocol::Https, *address)))
            .collect();
        let mut opened = Vec::new();
        for key in wanted.iter().filter(|key| !self.encrypted.open.contains_key(key)) {
            opened.push((*key, self.open_encrypted(*key, shared.clone())?));
        }
        shared.store(setting);
        self.encrypted.setting = Some(shared);
        self.encrypted.open.retain(|key, _| wanted.contains(key));
        self.encrypted.open.extend(opened);
        Ok(())
    }

    /// The addresses of DNS over TLS and over HTTPS, with the port that the system chose for port 0.
    #[must_use]
    pub fn encrypted_addresses(&self) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let of = |wanted| {
            let open = self.encrypted.open.iter();
            open.filter(|((protocol, _), _)| *protocol == wanted)
                .map(|(_, listener)| listener.address)
                .collect()
        };
        (of(Protocol::Tls), of(Protocol::Https))
    }

    fn open_encrypted(
        &self,
        (protocol, address): (Protocol, SocketAddr),
        setting: Arc<ArcSwap<Setting>>,
    ) -> Result<Listener, ListenError> {
        let shared = self.work.shared.clone();
        let counters = self.work.counters.clone();
        self.work.open_tcp(address, move |stream, client| {
            let (setting, shared, counters) = (setting.clone(), shared.clone(), counters.clone());
            async move { serve(protocol, stream, client, &setting.load_full(), &shared, &counters).await }
        })
    }
}

async fn serve(
    protocol: Protocol,
    stream: TcpStream,
    client: SocketAddr,
    setting: &Setting,
    shared: &Shared,
    counters: &Arc<Counters>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    setting.certificates.refresh();
    let acceptor = match protocol {
        Protocol::Tls => &setting.tls,
        Protocol::Https => &setting.https,
    };
    let idle = shared.load().tcp.idle_timeout;
    let stream = timeout(idle, acceptor.accept(stream)).await??;
    match protocol {
        Protocol::Tls => tcp::serve(stream, client, Transport::Tls, shared, counters).await,
        Protocol::Https => doh::serve(stream, client, setting.path.clone(), shared, counters).await,
    }
}
