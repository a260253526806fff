//! One connection to a private address: TCP, and TLS with the public name, as a device makes it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{CertificateError, ClientConfig, Error};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Check;
use crate::files;
use crate::zones::DnsName;

/// A private endpoint is near; a firewall that drops is told from a long way by this.
const CONNECT: Duration = Duration::from_secs(3);

/// For the whole handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The most octets of a file with authorities.
const AUTHORITIES: u64 = 16 << 20;

/// The most characters of what is told of a certificate.
const TEXT: usize = 300;

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The file with authorities cannot be used.
    #[error("cannot use the certificate authorities of verify.ca_file: {0}")]
    Authorities(String),
    /// The system has no authorities, or they cannot be read.
    #[error("cannot set up TLS: {0}; install the system's certificate authorities (ca-certificates)")]
    System(#[from] Error),
}

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Connected {
    /// TCP and TLS, with a certificate for the name.
    Good,
    /// No TCP connection.
    Closed(Check, String),
    /// TCP only.
    Tls(Check, String),
}

/// What connects.
#[derive(Clone)]
pub struct Prober {
    tls: TlsConnector,
}

impl Prober {
    /// Trusts the system's authorities, and those of a PEM file. Reads files, so not on the runtime's threads.
    ///
    /// # Errors
    /// When there are no authorities, or the file cannot be used.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsSetupError> {
        let authorities = match ca_file {
            None => Vec::new(),
            Some(path) => authorities(path).map_err(TlsSetupError::Authorities)?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(authorities, provider.clone())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Connects to an address as a client of `name` does.
    pub(super) async fn connect(&self, address: Ipv4Addr, port: u16, name: &DnsName) -> Connected {
        let stream = match timeout(CONNECT, TcpStream::connect(SocketAddr::from((address, port)))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Connected::Closed(Check::ConnectRefused, "refused".to_owned());
            }
            Ok(Err(error)) => return Connected::Closed(Check::ConnectFailed, error.to_string()),
            Err(_) => {
                let seen = format!("no reply within {} s", CONNECT.as_secs());
                return Connected::Closed(Check::ConnectTimeout, seen);
            }
        };
        let server_name = match ServerName::try_from(name.as_str().to_owned()) {
            Ok(server_name) => server_name,
            Err(error) => {
                return Connected::Tls(Check::TlsFailed, format!("{name} is no name for TLS: {error}"));
            }
        };
        match timeout(HANDSHAKE, self.tls.connect(server_name, stream)).await {
            Ok(Ok(_)) => Connected::Good,
            Ok(Err(error)) => {
                let (check, seen) = fault(&error);
                Connected::Tls(check, seen)
            }
            Err(_) => {
                let seen = format!("TCP connects, and TLS is not answered within {} s", HANDSHAKE.as_secs());
                Connected::Tls(Check::TlsTimeout, seen)
            }
        }
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let content = files::read(path, AUTHORITIES).map_err(|error| error.problem(path))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    read.map_err(|error| format!("{}: {error}", path.display()))
}

/// What a failed handshake means.
fn fault(error: &io::Error) -> (Check, String) {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        let ended =
            error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::ConnectionReset;
        let seen = if ended { "the other side ends the connection".to_owned() } else { error.to_string() };
        return (Check::TlsFailed, seen);
    };
    let Error::InvalidCertificate(certificate) = tls else { return (Check::TlsFailed, tls.to_string()) };
    let check = match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Check::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Check::CertificateNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Check::CertificateWrongName
        }
        // The latter: an authority of the same name, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Check::CertificateUnknownAuthority
        }
        _ => Check::CertificateInvalid,
    };
    (check, bounded(&certificate.to_string()))
}

/// Short enough to be read: a certificate may have hundreds of names, and all of them are told.
fn bounded(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_certificate_says_is_told_and_bounded() {
        let told = |error| fault(&io::Error::other(Error::InvalidCertificate(error)));
        let presented = vec!["DnsName(\"proxy.example.net\")".to_owned(); 1000];
        let expected = ServerName::try_from("hub.azure-devices.net").expect("a name");
        let (check, seen) = told(CertificateError::NotValidForNameContext { expected, presented });
        assert_eq!((check, seen.chars().count()), (Check::CertificateWrongName, TEXT + 1));
        assert!(seen.contains("proxy.example.net") && seen.ends_with('…'), "{seen}");
        assert_eq!(told(CertificateError::Expired).0, Check::CertificateExpired);
        assert_eq!(told(CertificateError::Revoked).0, Check::CertificateInvalid);
        let (check, seen) = fault(&io::ErrorKind::UnexpectedEof.into());
        assert_eq!((check, seen.as_str()), (Check::TlsFailed, "the other side ends the connection"));
    }
}
