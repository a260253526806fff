//! Looks at the files that the configuration names, as their users will: whether they are there,
//! closed to others if they hold a secret, and hold what they should.

use std::error::Error;
use std::path::Path;

use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use reqwest::Certificate;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::zeroize::Zeroizing;

use super::reader::{Holds, NamedFile, Wrong};
use crate::files;

/// The most bytes of a file with a secret, certificate or key.
const SMALL: u64 = 64 << 10;

/// The most bytes of a bundle of certificates; that of a Linux distribution has 0.3 MB.
const BUNDLE: u64 = 16 << 20;

/// The content of a file that is there and, if it holds a secret, closed to others.
pub(super) fn open(named: &NamedFile) -> Result<Zeroizing<Vec<u8>>, Wrong> {
    let path = &named.path;
    let content = match named.holds {
        Holds::Authorities => files::read(path, BUNDLE),
        Holds::Certificate | Holds::Token => files::read(path, SMALL),
        _ => files::read_secret(path, SMALL),
    };
    content.map_err(|error| Wrong::new(error.problem(path), error.remedy(path)))
}

/// Whether the content is what it should be.
pub(super) fn inspect(named: &NamedFile, content: &[u8]) -> Result<(), Wrong> {
    let path = &named.path;
    match &named.holds {
        Holds::Token | Holds::Keys => Ok(()),
        Holds::Secret => secret(path, content),
        Holds::Authorities => authorities(path, content),
        Holds::Certificate => certificate(path, content).map(drop),
        Holds::CertificateAndKey => {
            let key = key(path, content)?;
            belongs(path, &key, path, &certificate(path, content)?)
        }
        Holds::KeyOf(of) => {
            let key = key(path, content)?;
            // What is wrong with the certificate is told where it is named.
            let Ok(content) = files::read(of, SMALL) else { return Ok(()) };
            certificate(of, &content).map_or(Ok(()), |certificate| belongs(path, &key, of, &certificate))
        }
        Holds::ServerPair(None) => server_pair(path, content, path, content),
        Holds::ServerPair(Some(of)) => {
            let Ok(chain) = files::read(of, SMALL) else { return Ok(()) };
            server_pair(path, content, of, &chain)
        }
    }
}

fn secret(path: &Path, content: &[u8]) -> Result<(), Wrong> {
    let problem = match std::str::from_utf8(content).map(str::trim) {
        Ok("") => "is empty",
        Ok(_) => return Ok(()),
        Err(_) => "is no text",
    };
    Err(Wrong::new(format!("{} {problem}", path.display()), "write the client secret into it"))
}

fn authorities(path: &Path, content: &[u8]) -> Result<(), Wrong> {
    let wrong = |reason: &str| {
        let problem = format!("{} holds no usable certificates: {reason}", path.display());
        Wrong::new(problem, "name a PEM file with the certificates of the authorities")
    };
    let certificates = Certificate::from_pem_bundle(content).map_err(|error| wrong(&cause(&error)))?;
    if certificates.is_empty() {
        return Err(wrong("there is none in it"));
    }
    // Only TLS looks into the certificates.
    let client = reqwest::Client::builder().tls_certs_only(certificates).build();
    client.map(drop).map_err(|error| wrong(&cause(&error)))
}

fn certificate<'a>(path: &Path, content: &'a [u8]) -> Result<CertificateDer<'a>, Wrong> {
    CertificateDer::from_pem_slice(content).map_err(|error| {
        let problem = format!("{} holds no PEM certificate ({error})", path.display());
        Wrong::new(problem, "name the PEM file with the certificate of the service principal")
    })
}

/// Whether TLS takes the key with the certificate, as the listener will.
fn server_pair(path: &Path, content: &[u8], of: &Path, chain: &[u8]) -> Result<(), Wrong> {
    let wrong = |path: &Path, problem: String| {
        let problem = format!("{} {problem}", path.display());
        Wrong::new(problem, "name the PEM files with the listener's certificate and its private key")
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(of, format!("holds no PEM certificate ({error})")))?;
    let key = PrivateKeyDer::from_pem_slice(content)
        .map_err(|error| wrong(path, format!("holds no PEM private key ({error})")))?;
    CertifiedKey::from_der(chain, key, &default_provider()).map(drop).map_err(|error| {
        wrong(path, format!("cannot be used with the certificate in {} ({error})", of.display()))
    })
}

fn wrong_key(path: &Path, problem: &str) -> Wrong {
    Wrong::new(
        format!("{} {problem}", path.display()),
        "name the PEM file with the certificate's private key, RSA of 2048 to 8192 bits",
    )
}

fn key(path: &Path, content: &[u8]) -> Result<RsaKeyPair, Wrong> {
    let key = PrivateKeyDer::from_pem_slice(content)
        .map_err(|error| wrong_key(path, &format!("holds no PEM private key ({error})")))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err(wrong_key(path, "holds a key that is not RSA")),
    };
    pair.map_err(|error| wrong_key(path, &format!("holds a key that cannot be used ({error})")))
}

/// Whether the key is that of the certificate, which carries the public key as the same DER.
fn belongs(path: &Path, key: &RsaKeyPair, of: &Path, certificate: &[u8]) -> Result<(), Wrong> {
    let public = key.public_key().as_ref();
    if certificate.windows(public.len()).any(|part| part == public) {
        return Ok(());
    }
    Err(wrong_key(path, &format!("holds a key that is not that of the certificate in {}", of.display())))
}

/// The innermost cause.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, PKCS_RSA_SHA256, RsaKeySize};

    use super::*;
    use crate::config::error::Place;

    fn told(path: &Path, holds: Holds, content: &str) -> String {
        fs::write(path, content).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
        let named = NamedFile { path: path.to_owned(), key: String::new(), place: Place::File, holds };
        let result = open(&named).and_then(|content| inspect(&named, &content));
        result.err().map_or_else(String::new, |wrong| format!("{wrong:?}"))
    }

    #[test]
    fn contents_are_looked_at() {
        let directory = tempfile::tempdir().expect("a directory");
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        let key = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let foreign = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let elliptic = rcgen::KeyPair::generate().expect("a key").serialize_pem();
        let params = CertificateParams::new(["principal".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let (key, foreign) = (key.serialize_pem(), foreign.serialize_pem());
        let garbage = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n";

        assert_eq!(told(&one, Holds::Secret, "hunter2\n"), "");
        assert!(told(&one, Holds::Secret, " \n").contains("is empty"));
        assert!(told(&one, Holds::Secret, &"x".repeat(70_000)).contains("more than 64 KiB"));

        assert_eq!(told(&one, Holds::Authorities, &certificate), "");
        assert!(told(&one, Holds::Authorities, "nonsense").contains("there is none in it"));
        let said = told(&one, Holds::Authorities, garbage);
        assert!(said.contains("holds no usable certificates"), "{said}");

        assert_eq!(told(&one, Holds::Certificate, &certificate), "");
        assert!(told(&one, Holds::Certificate, &key).contains("no PEM certificate"));

        let both = format!("{key}{certificate}");
        assert_eq!(told(&one, Holds::CertificateAndKey, &both), "");
        assert!(told(&one, Holds::CertificateAndKey, &key).contains("no PEM certificate"));
        assert!(told(&one, Holds::CertificateAndKey, &certificate).contains("no PEM private key"));

        fs::write(&other, &certificate).expect("written");
        let key_of = || Holds::KeyOf(other.clone());
        assert_eq!(told(&one, key_of(), &key), "");
        for (content, expected) in [
            (foreign.as_str(), "not that of the certificate"),
            (&elliptic, "cannot be used"),
            ("nonsense", "no PEM private key"),
        ] {
            let said = told(&one, key_of(), content);
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains("BEGIN"), "{said}");
        }
        // What is wrong with the certificate is told with the certificate.
        fs::remove_file(&other).expect("removed");
        assert_eq!(told(&one, key_of(), &key), "");
    }
}
