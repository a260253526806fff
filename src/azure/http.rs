//! The HTTP clients: one for the world, one for the machine itself.
//!
//! Managed identities are handed out over plain HTTP by addresses that mean "this machine". Through
//! a proxy they would be somebody else's identity, so plain HTTP never takes the system's proxy:
//! [`Http::client`] decides by URL, nobody chooses by hand. Redirects are never followed, because a
//! request carries a bearer token.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, Url, redirect};
use tokio::sync::Semaphore;

use super::text::with_causes;

/// The most bytes of a response body, after decompression.
pub(super) const BODY_LIMIT: usize = 16 << 20;

/// What a body may have without waiting; ordinary ones have some KiB.
const SMALL: usize = 64 << 10;

/// Larger bodies at a time: when a proxy gives every poll something without an end, all together need no
/// more than this.
static TURNS: Semaphore = Semaphore::const_new(4);

/// The longest wait for a connection, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("privatelink-dns/", env!("CARGO_PKG_VERSION"));

/// Why Azure cannot be spoken to at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The file with further authorities is missing or not readable.
    #[error("cannot read the CA file {}: {reason}", path.display())]
    CaFileUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file with further authorities holds no certificate.
    #[error("the CA file {} holds no usable certificate ({reason}): it has to be PEM", path.display())]
    CaFileInvalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The TLS client could not be made.
    #[error("cannot set up TLS ({0}): are the system's CA certificates installed?")]
    Tls(String),
    /// The URL of Azure Resource Manager is none.
    #[error("{url:?} cannot be the URL of Azure Resource Manager: {reason}")]
    ResourceManager {
        /// The configured URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The two clients, which share every setting but the proxy.
#[derive(Debug, Clone)]
pub(super) struct Http {
    outside: Client,
    direct: Client,
    /// Answers in place of the network.
    #[cfg(any(test, fuzzing))]
    pub(super) inside: Option<super::inside::Inside>,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// The connection failed, or the response is garbled.
    Broken(reqwest::Error),
}

/// The file with further authorities as it was read; its content may be replaced under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CaFile {
    path: PathBuf,
    pem: Vec<u8>,
}

impl CaFile {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, SetupError> {
        let pem = std::fs::read(path).map_err(|error| SetupError::CaFileUnreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { path: path.to_owned(), pem })
    }

    fn certificates(&self) -> Result<Vec<Certificate>, SetupError> {
        let invalid = |reason: String| SetupError::CaFileInvalid { path: self.path.clone(), reason };
        let certificates =
            Certificate::from_pem_bundle(&self.pem).map_err(|error| invalid(with_causes(&error)))?;
        if certificates.is_empty() { Err(invalid("it is empty".to_owned())) } else { Ok(certificates) }
    }
}

impl Http {
    /// Clients whose requests end after `request_timeout`, from connecting to the body's last byte,
    /// and which trust the authorities in `ca_file` beside the system's.
    pub(super) fn new(request_timeout: Duration, ca_file: Option<&CaFile>) -> Result<Self, SetupError> {
        let authorities = ca_file.map(CaFile::certificates).transpose()?.unwrap_or_default();
        let builder = || {
            ClientBuilder::new()
                .user_agent(USER_AGENT)
                .redirect(redirect::Policy::none())
                .referer(false)
                .gzip(true)
                .connect_timeout(CONNECT_TIMEOUT.min(request_timeout))
                .timeout(request_timeout)
                // Firewalls forget idle connections silently, between one poll and the next.
                .tcp_keepalive(Duration::from_secs(30))
                .tls_certs_merge(authorities.iter().cloned())
        };
        let build =
            |builder: ClientBuilder| builder.build().map_err(|error| SetupError::Tls(with_causes(&error)));
        Ok(Self {
            outside: build(builder())?,
            direct: build(builder().no_proxy())?,
            #[cfg(any(test, fuzzing))]
            inside: None,
        })
    }

    /// The client for `url`: without proxy when it is plain HTTP or this machine.
    pub(super) fn client(&self, url: &Url) -> &Client {
        if url.scheme() == "http" || is_loopback(url) { &self.direct } else { &self.outside }
    }
}

impl Http {
    /// Sends a request of one of the clients.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        #[cfg(any(test, fuzzing))]
        if let Some(inside) = &self.inside {
            return inside.answer(request.build()?).await;
        }
        request.send().await
    }
}

/// Whether the host of `url` is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// The body of `response`, if it has at most `limit` bytes. A large one waits its turn, which the time limit of
/// the request ends.
pub(super) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    let mut turn = None;
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        if body.len() + chunk.len() > SMALL && turn.is_none() {
            // Never closed.
            turn = TURNS.acquire().await.ok();
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Poll;

    use rustls_pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::{ServerConfig, crypto};

    use super::*;

    #[test]
    fn this_machine_is_recognised() {
        let local = |url: &str| is_loopback(&url.parse().expect("a url"));
        assert!(local("http://localhost:40342/x") && local("http://127.0.0.9/") && local("https://[::1]:1/"));
        assert!(!local("http://169.254.169.254/") && !local("https://localhost.example/"));
    }

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_do_not_wait() {
        let body = |length: usize| Response::from(axum::http::Response::new(vec![b' '; length]));
        let turns = TURNS.acquire_many(4).await.expect("never closed");
        assert_eq!(read_body(body(SMALL), BODY_LIMIT).await.expect("a body").len(), SMALL);
        let mut large = std::pin::pin!(read_body(body(SMALL + 1), BODY_LIMIT));
        let waits = std::future::poll_fn(|context| Poll::Ready(large.as_mut().poll(context).is_pending()));
        assert!(waits.await);
        drop(turns);
        assert_eq!(large.await.expect("a body").len(), SMALL + 1);
    }

    #[test]
    fn a_ca_file_must_hold_certificates() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let new = || Http::new(Duration::from_secs(1), Some(&CaFile::read(&path)?));
        assert!(matches!(new(), Err(SetupError::CaFileUnreadable { .. })));
        std::fs::write(&path, "no certificate").expect("written");
        assert!(matches!(new(), Err(SetupError::CaFileInvalid { .. })));
        let certified = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).expect("a certificate");
        std::fs::write(&path, certified.cert.pem()).expect("written");
        new().expect("clients");
    }

    /// An authority, as PEM, and a TLS server on a loopback port whose certificate is signed by it.
    async fn tls_server() -> (String, String) {
        let key = || rcgen::KeyPair::generate().expect("a key");
        let (ca_key, server_key) = (key(), key());
        let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("an authority").pem();
        let server = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        let signed = server.signed_by(&server_key, &rcgen::Issuer::new(ca, &ca_key)).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![signed.der().clone()],
                PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key"),
            )
            .expect("a server");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust the authority ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        (format!("https://localhost:{port}/"), ca_pem)
    }

    #[tokio::test]
    async fn a_server_is_trusted_by_the_authority_of_the_ca_file() {
        let (url, pem) = tls_server().await;
        let (_, other) = tls_server().await;
        let file = |pem: &str| CaFile { path: "ca.pem".into(), pem: pem.as_bytes().to_vec() };
        let get = async |ca_file: Option<CaFile>| {
            let http = Http::new(Duration::from_secs(20), ca_file.as_ref()).expect("clients");
            let url: Url = url.parse().expect("a url");
            http.client(&url).get(url).send().await
        };
        assert_eq!(get(Some(file(&pem))).await.expect("an answer").status(), 200);
        assert_eq!(get(Some(file(&format!("{other}{pem}")))).await.expect("an answer").status(), 200);
        for wrong in [None, Some(file(&other))] {
            let error = with_causes(&get(wrong).await.expect_err("not trusted"));
            assert!(error.contains("certificate"), "{error}");
        }
    }
}
