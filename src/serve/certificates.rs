//! The certificate of the encrypted listeners, read anew when its files change.
//!
//! Certificates are renewed every few weeks by something that knows nothing of this daemon, so
//! nobody has to tell it: every handshake looks at the files first. A pair that cannot be used, one
//! half of it not written yet for example, leaves the one before in use.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file's state cannot be told.
    #[error("cannot read {}: {source}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate and key do not belong together, or the key's kind is unknown.
    #[error("certificate {} and key {} cannot be used together: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// A certificate with its key, and the files that they come from.
#[derive(Debug)]
pub(super) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
    /// What the files looked like when they were last read, rightly or not.
    stamp: Mutex<[Stamp; 2]>,
}

/// Tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, CertificateError> {
        let found: Metadata = std::fs::metadata(path)
            .map_err(|source| CertificateError::Missing { path: path.to_owned(), source })?;
        Ok(Self { inode: found.ino(), length: found.len(), modified: (found.mtime(), found.mtime_nsec()) })
    }
}

impl Certificates {
    /// Reads both files.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let stamp = [Stamp::of(certificate)?, Stamp::of(key)?];
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: ArcSwap::from_pointee(pair(certificate, key)?),
            stamp: Mutex::new(stamp),
        })
    }

    /// Reads the files again when they have changed. A pair that is wrong stays out of use, and is told
    /// once for each of its states.
    pub(super) fn refresh(&self) {
        if let Err(error) = self.try_refresh() {
            tracing::warn!(%error, "the new certificate cannot be used, the one before stays in use");
        }
    }

    fn try_refresh(&self) -> Result<(), CertificateError> {
        let now = match (Stamp::of(&self.certificate), Stamp::of(&self.key)) {
            (Ok(certificate), Ok(key)) => [certificate, key],
            // Between two renames; the next handshake looks again.
            _ => return Ok(()),
        };
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *stamp == now {
            return Ok(());
        }
        *stamp = now;
        self.current.store(Arc::new(pair(&self.certificate, &self.key)?));
        tracing::info!(file = %self.certificate.display(), "a new certificate is in use");
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
    CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()).map_err(|source| {
        CertificateError::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(directory: &Path, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        fs::write(directory.join("cert.pem"), made.cert.pem()).expect("written");
        made.cert.der().to_vec()
    }

    #[test]
    fn a_replaced_certificate_is_used_and_a_wrong_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        assert!(matches!(Certificates::read(&cert, &key), Err(CertificateError::Missing { .. })));
        let first = write(directory.path(), "a.test");
        let certificates = Certificates::read(&cert, &key).expect("a pair");
        let current = || certificates.current.load().cert[0].to_vec();
        certificates.refresh();
        assert_eq!(current(), first);
        let second = write(directory.path(), "b.test");
        certificates.refresh();
        assert_eq!(current(), second);
        // A certificate whose key is not there yet.
        let other = rcgen::generate_simple_self_signed(vec!["c.test".to_owned()]).expect("a certificate");
        fs::write(&cert, other.cert.pem()).expect("written");
        assert!(matches!(certificates.try_refresh(), Err(CertificateError::Pair { .. })));
        assert_eq!(current(), second);
        fs::write(&cert, "nonsense").expect("written");
        certificates.refresh();
        assert_eq!(current(), second);
        fs::remove_file(&cert).expect("removed");
        certificates.refresh();
        assert_eq!(current(), second);
        let third = write(directory.path(), "d.test");
        certificates.refresh();
        assert_eq!(current(), third);
    }
}
