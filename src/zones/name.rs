//! Host names as they travel from Azure to DNS answers.
//!
//! One spelling, so that two names are equal exactly when DNS says so: lower case, no root dot.
//! Only the letters of host names are taken (RFC 952, RFC 1123, and the underscore that is common
//! in DNS), so the text needs no escapes in state files, logs and zone files.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A fully qualified host name: lower case, without the trailing dot, 1 to 253 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct DnsName(Box<str>);

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but an optional root dot.
    #[error("the name is empty")]
    Empty,
    /// Longer than RFC 1035 section 2.3.4 allows.
    #[error("the name has {0} characters, at most 253 are allowed (RFC 1035 section 2.3.4)")]
    TooLong(usize),
    /// A label of no or of more than 63 characters.
    #[error("label {0:?} has to have 1 to 63 characters (RFC 1035 section 2.3.4)")]
    Label(String),
    /// A character that no host name has.
    #[error("{0:?} cannot be in a host name")]
    Character(char),
}

impl DnsName {
    /// The name as text, without the root dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// The part left of `suffix`, if this name lies strictly below it.
    #[must_use]
    pub fn below(&self, suffix: &Self) -> Option<&str> {
        self.0.strip_suffix(&*suffix.0)?.strip_suffix('.')
    }

    /// The name without its first label, or nothing for a single label.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, rest)| Self(rest.into()))
    }

    /// `prefix.self`.
    ///
    /// # Errors
    /// When the result is no host name.
    pub fn prepend(&self, prefix: &str) -> Result<Self, NameError> {
        format!("{prefix}.{}", self.0).parse()
    }

    /// The name in wire format (RFC 1035 section 3.1), lower case, with the root label.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.0.len() + 2);
        for label in self.labels() {
            // A label has at most 63 octets: checked when the name was made.
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        wire
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > 253 {
            return Err(NameError::TooLong(name.chars().count()));
        }
        if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        {
            return Err(NameError::Character(bad));
        }
        if let Some(label) = name.split('.').find(|l| l.is_empty() || l.len() > 63) {
            return Err(NameError::Label(label.to_owned()));
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }
}

impl TryFrom<String> for DnsName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<DnsName> for String {
    fn from(name: DnsName) -> Self {
        name.0.into()
    }
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Text compares as names do, so that maps of names are searched without a new name.
impl Borrow<str> for DnsName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().expect("a name")
    }

    #[test]
    fn one_spelling() {
        assert_eq!(name("IoTc-1.Azure-Devices.NET."), name("iotc-1.azure-devices.net"));
        assert_eq!(name("a.b").to_wire(), b"\x01a\x01b\0");
    }

    #[test]
    fn below_respects_label_borders() {
        let zone = name("azure-devices.net");
        assert_eq!(name("x.y.azure-devices.net").below(&zone), Some("x.y"));
        assert_eq!(name("azure-devices.net").below(&zone), None);
        assert_eq!(name("notazure-devices.net").below(&zone), None);
    }

    #[test]
    fn refuses_what_is_no_host_name() {
        assert_eq!("".parse::<DnsName>(), Err(NameError::Empty));
        assert_eq!(".".parse::<DnsName>(), Err(NameError::Empty));
        assert_eq!("*.x".parse::<DnsName>(), Err(NameError::Character('*')));
        assert_eq!("a..b".parse::<DnsName>(), Err(NameError::Label(String::new())));
        assert!(matches!("a b".parse::<DnsName>(), Err(NameError::Character(' '))));
        assert!(matches!("é.net".parse::<DnsName>(), Err(NameError::Character('é'))));
        assert!("a".repeat(64).parse::<DnsName>().is_err());
        assert!(vec!["a".repeat(60); 5].join(".").parse::<DnsName>().is_err());
    }
}
