//! A client certificate without OpenSSL: a JWT signed with its key stands for it.
//!
//! Signed with PS256 and naming the certificate by `x5t#S256`, as Microsoft's "certificate
//! credentials" page asks and as its own libraries have done since 2024; the older RS256 with a
//! SHA-1 `x5t` is left to AD FS. The chain is not sent: Entra knows the certificate by its print.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PSS_SHA256, RsaKeyPair};
use aws_lc_rs::{digest, rand};
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use super::token::TokenError;

/// How long an assertion can be used; Microsoft advises 5 to 10 minutes.
const LIFETIME: Duration = Duration::from_secs(600);

/// Signs assertions for one service principal.
pub(super) struct CertificateAssertion {
    client_id: String,
    /// The token endpoint, which is the audience.
    endpoint: String,
    /// `x5t#S256` (RFC 7515 section 4.1.8).
    print: String,
    key: RsaKeyPair,
}

impl CertificateAssertion {
    /// `certificate` and `key` are PEM; of several certificates the first is the principal's own.
    ///
    /// # Errors
    /// When one of them is not usable, or they do not belong together.
    pub(super) fn new(
        client_id: &str,
        endpoint: String,
        certificate: (&Path, &[u8]),
        key: (&Path, &[u8]),
    ) -> Result<Self, TokenError> {
        let der = CertificateDer::from_pem_slice(certificate.1)
            .map_err(|error| file(certificate.0, format!("no PEM certificate in it ({error})")))?;
        let pair = match PrivateKeyDer::from_pem_slice(key.1)
            .map_err(|error| file(key.0, format!("no PEM private key in it ({error})")))?
        {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(file(key.0, "the key has to be RSA")),
        }
        .map_err(|error| file(key.0, format!("the key has to be RSA of 2048 to 8192 bits ({error})")))?;
        // The certificate carries the public key as the same DER, so no X.509 parser is needed.
        let public = pair.public_key().as_ref();
        if !der.windows(public.len()).any(|part| part == public) {
            return Err(file(key.0, format!("the key is not that of {}", certificate.0.display())));
        }
        let print = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &der));
        Ok(Self { client_id: client_id.to_owned(), endpoint, print, key: pair })
    }

    /// A signed assertion (RFC 7523 section 3), good from `now` on.
    fn sign(&self, now: Timestamp) -> Result<String, aws_lc_rs::error::Unspecified> {
        let mut id = [0; 16];
        rand::fill(&mut id)?;
        let issued = now.as_second();
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.print });
        let claims = json!({
            "aud": self.endpoint,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": BASE64_URL_SAFE_NO_PAD.encode(id),
            "iat": issued,
            "nbf": issued,
            "exp": issued.saturating_add_unsigned(LIFETIME.as_secs()),
        });
        let encode = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl std::fmt::Debug for CertificateAssertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAssertion").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl ClientAssertion for CertificateAssertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.sign(Timestamp::now())
            .map_err(|_| Error::with_message(ErrorKind::Credential, "signing the client assertion failed"))
    }
}

fn file(path: &Path, reason: impl Into<String>) -> TokenError {
    TokenError::File { path: PathBuf::from(path), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use rcgen::{CertificateParams, PKCS_RSA_SHA256, RsaKeySize};

    use super::*;

    fn certificate() -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key");
        let params = CertificateParams::new(["principal".to_owned()]).expect("parameters");
        (params.self_signed(&key).expect("a certificate"), key)
    }

    fn assertion(certificate: &str, key: &str) -> Result<CertificateAssertion, TokenError> {
        CertificateAssertion::new(
            "client",
            "https://login.test/tenant/oauth2/v2.0/token".to_owned(),
            (Path::new("c.pem"), certificate.as_bytes()),
            (Path::new("k.pem"), key.as_bytes()),
        )
    }

    #[test]
    fn the_certificates_key_verifies_the_assertion() {
        let (certificate, key) = certificate();
        // One file for both, as the configuration allows.
        let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
        let assertion = assertion(&pem, &pem).expect("an assertion");
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let jwt = assertion.sign(now).expect("signed");

        let (signed, signature) = jwt.rsplit_once('.').expect("three parts");
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, assertion.key.public_key().as_ref())
            .verify(signed.as_bytes(), &decode(signature))
            .expect("a good signature");

        let (header, claims) = signed.split_once('.').expect("two parts");
        let header: serde_json::Value = serde_json::from_slice(&decode(header)).expect("json");
        let print = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, certificate.der()));
        assert_eq!(header, json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": print }));
        let claims: serde_json::Value = serde_json::from_slice(&decode(claims)).expect("json");
        assert_eq!(claims["aud"], "https://login.test/tenant/oauth2/v2.0/token");
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("client"), &json!("client")));
        assert_eq!(claims["nbf"], now.as_second());
        assert_eq!(claims["exp"], now.as_second() + 600);
        assert_ne!(jwt, assertion.sign(now).expect("signed"), "every assertion has its own id");
        assert!(!format!("{assertion:?}").contains("BEGIN"));
    }

    #[test]
    fn unusable_files_are_named() {
        let (certificate, key) = certificate();
        let (_, foreign) = self::certificate();
        let elliptic = rcgen::KeyPair::generate().expect("a key");
        let text =
            |result: Result<CertificateAssertion, TokenError>| result.expect_err("refused").to_string();
        assert!(text(assertion("nothing", &key.serialize_pem())).contains("c.pem"));
        assert!(text(assertion(&certificate.pem(), "nothing")).contains("k.pem"));
        assert!(text(assertion(&certificate.pem(), &foreign.serialize_pem())).contains("not that of c.pem"));
        assert!(text(assertion(&certificate.pem(), &elliptic.serialize_pem())).contains("RSA"));
    }
}
