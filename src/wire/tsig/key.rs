//! Keys: a name, an algorithm and a secret that both sides know.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac, rand};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice};

use crate::zones::DnsName;

/// The fewest octets of a secret; with fewer it can be found by trying (RFC 8945 section 10).
const SHORTEST: usize = 16;

/// How a MAC is computed (RFC 8945 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `hmac-sha256`, which everybody has.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

/// A text that names no algorithm known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no known algorithm: hmac-sha256, hmac-sha384 and hmac-sha512 are")]
pub struct UnknownAlgorithm;

impl Algorithm {
    const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// The name as BIND writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Octets of a MAC, and of a secret that is as strong.
    pub(super) fn length(self) -> usize {
        self.hmac().tag_len()
    }

    /// The name in canonical wire format.
    pub(super) fn to_wire(self) -> Vec<u8> {
        let name = self.as_str();
        // One label of 11 octets.
        let mut wire = vec![name.len() as u8];
        wire.extend_from_slice(name.as_bytes());
        wire.push(0);
        wire
    }

    const fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Takes any case, and a dot at the end.
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let same = |algorithm: &Self| algorithm.as_str().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(same).ok_or(UnknownAlgorithm)
    }
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret of so few octets can be guessed.
    #[error("the secret has {0} octets, at least {SHORTEST} are needed")]
    Short(usize),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A key. Never prints its secret, and wipes it when it is dropped.
#[derive(Debug, Clone)]
pub struct Key {
    name: DnsName,
    algorithm: Algorithm,
    secret: SecretSlice<u8>,
    hmac: hmac::Key,
}

impl Key {
    /// A key from its parts.
    ///
    /// # Errors
    /// [`KeyError::Short`] for a secret of less than 16 octets.
    pub fn new(name: DnsName, algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SHORTEST {
            return Err(KeyError::Short(secret.len()));
        }
        let hmac = hmac::Key::new(algorithm.hmac(), secret);
        Ok(Self { name, algorithm, secret: Box::<[u8]>::from(secret).into(), hmac })
    }

    /// A new key with a random secret, as long as the algorithm's hash.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no random numbers.
    pub fn generate(name: DnsName, algorithm: Algorithm) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new(vec![0; algorithm.length()]);
        rand::fill(&mut secret).map_err(|_| KeyError::Random)?;
        Self::new(name, algorithm, &secret)
    }

    /// The name, by which both sides know the key.
    #[must_use]
    pub const fn name(&self) -> &DnsName {
        &self.name
    }

    /// The one algorithm that the key is for.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn secret(&self) -> &[u8] {
        self.secret.expose_secret()
    }

    /// The beginning of a digest with this key.
    pub(super) fn digest(&self) -> hmac::Context {
        hmac::Context::with_key(&self.hmac)
    }

    /// The beginning of a digest that starts with an earlier message's MAC (RFC 8945 section 4.3.1).
    pub(super) fn digest_after(&self, mac: &[u8]) -> hmac::Context {
        let mut digest = self.digest();
        // Whoever calls has a MAC of at most 64 octets.
        digest.update(&(mac.len() as u16).to_be_bytes());
        digest.update(mac);
        digest
    }
}

/// Compares the secrets in constant time.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.algorithm) == (&other.name, other.algorithm)
            && constant_time::verify_slices_are_equal(self.secret(), other.secret()).is_ok()
    }
}

impl Eq for Key {}

/// Keys by name; a name has one key.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Keys(pub(super) BTreeMap<DnsName, Arc<Key>>);

impl Keys {
    /// The key of that name.
    #[must_use]
    pub fn get(&self, name: &DnsName) -> Option<&Arc<Key>> {
        self.0.get(name)
    }

    /// All keys in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.0.values()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of two keys with one name the later one stays.
impl FromIterator<Key> for Keys {
    fn from_iter<T: IntoIterator<Item = Key>>(keys: T) -> Self {
        Self(keys.into_iter().map(|key| (key.name.clone(), Arc::new(key))).collect())
    }
}
