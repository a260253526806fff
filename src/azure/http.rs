//! The HTTP clients: one for the world, one for the machine itself.
//!
//! Managed identities are handed out over plain HTTP by addresses that mean "this machine". Through
//! a proxy they would be somebody else's identity, so plain HTTP never takes the system's proxy:
//! [`Http::client`] decides by URL, nobody chooses by hand. Redirects are never followed, because a
//! request carries a bearer token.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Response, Url, redirect};

use super::text::with_causes;

/// The most bytes of a response body, after decompression.
pub(super) const BODY_LIMIT: usize = 16 << 20;

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
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Longer than the limit.
    TooLarge,
    /// The connection failed, or the response is garbled.
    Broken(reqwest::Error),
}

impl Http {
    /// Clients whose requests end after `request_timeout`, from connecting to the body's last byte,
    /// and which trust the authorities in `ca_file` beside the system's.
    pub(super) fn new(request_timeout: Duration, ca_file: Option<&Path>) -> Result<Self, SetupError> {
        let authorities = ca_file.map(read_authorities).transpose()?.unwrap_or_default();
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
        Ok(Self { outside: build(builder())?, direct: build(builder().no_proxy())? })
    }

    /// The client for `url`: without proxy when it is plain HTTP or this machine.
    pub(super) fn client(&self, url: &Url) -> &Client {
        if url.scheme() == "http" || is_loopback(url) { &self.direct } else { &self.outside }
    }
}

/// Whether the host of `url` is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host.eq_ignore_ascii_case("localhost")
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// The body of `response`, if it has at most `limit` bytes.
pub(super) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>, SetupError> {
    let pem = std::fs::read(path)
        .map_err(|error| SetupError::CaFileUnreadable { path: path.to_owned(), reason: error.to_string() })?;
    let invalid = |reason: String| SetupError::CaFileInvalid { path: path.to_owned(), reason };
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| invalid(with_causes(&error)))?;
    if certificates.is_empty() { Err(invalid("it is empty".to_owned())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_recognised() {
        let local = |url: &str| is_loopback(&url.parse().expect("a url"));
        assert!(local("http://localhost:40342/x") && local("http://127.0.0.9/") && local("https://[::1]:1/"));
        assert!(!local("http://169.254.169.254/") && !local("https://localhost.example/"));
    }

    #[test]
    fn a_ca_file_must_hold_certificates() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ca.pem");
        let new = || Http::new(Duration::from_secs(1), Some(&path));
        assert!(matches!(new(), Err(SetupError::CaFileUnreadable { .. })));
        std::fs::write(&path, "no certificate").expect("written");
        assert!(matches!(new(), Err(SetupError::CaFileInvalid { .. })));
        let certified = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).expect("a certificate");
        std::fs::write(&path, certified.cert.pem()).expect("written");
        new().expect("clients");
    }
}
