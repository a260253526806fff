//! IP prefixes: networks of clients.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IP prefix; the bits behind it are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    /// The network's address.
    pub network: IpAddr,
    /// The prefix length in bits.
    pub length: u8,
}

/// Why a text is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Neither `ADDRESS/LENGTH` nor an address.
    #[error("is neither an IP address nor a prefix ADDRESS/LENGTH")]
    Syntax,
    /// The length exceeds what the family has.
    #[error("has a length above {maximum}")]
    Length {
        /// The longest length of the family.
        maximum: u8,
    },
    /// Bits behind the prefix are set.
    #[error("has bits set behind its first {}", meant.length)]
    HostBits {
        /// The prefix that the address lies in.
        meant: Prefix,
    },
    /// An IPv4 prefix in IPv6 clothes, which no client's address would match.
    #[error("is an IPv4 prefix written as IPv6")]
    Mapped {
        /// The same prefix as IPv4.
        meant: Prefix,
    },
}

impl Prefix {
    /// The prefix of this length around an address, with the bits behind it cleared; `None` when
    /// the length exceeds 32 for IPv4 or 128 for IPv6.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        let network = match address {
            IpAddr::V4(v4) => {
                let behind = 32_u32.checked_sub(length.into())?;
                IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(behind).unwrap_or(0)).into())
            }
            IpAddr::V6(v6) => {
                let behind = 128_u32.checked_sub(length.into())?;
                IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(behind).unwrap_or(0)).into())
            }
        };
        Some(Self { network, length })
    }

    /// Whether the address lies in the prefix. An IPv4 address is the same in both its forms, plain
    /// and mapped into IPv6.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4()
            && Self::around(address, self.length).is_some_and(|p| p.network == self.network)
    }

    /// Whether every address of `other` lies in this prefix.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `ADDRESS/LENGTH`, or an address as the prefix that holds nothing else.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => {
                let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
                (address, Some(length).filter(|_| digits).ok_or(PrefixError::Syntax)?)
            }
            None => (text, ""),
        };
        let network: IpAddr = address.parse().map_err(|_| PrefixError::Syntax)?;
        let maximum = if network.is_ipv4() { 32 } else { 128 };
        let length = if length.is_empty() {
            maximum
        } else {
            length.parse().map_err(|_| PrefixError::Length { maximum })?
        };
        let meant = Self::around(network, length).ok_or(PrefixError::Length { maximum })?;
        if let (IpAddr::V6(v6), Some(length)) = (meant.network, length.checked_sub(96))
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Err(PrefixError::Mapped { meant: Self { network: v4.into(), length } });
        }
        if meant.network == network { Ok(meant) } else { Err(PrefixError::HostBits { meant }) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn holds_its_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("172.16.0.0/12", "172.31.255.255", "172.32.0.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("fc00::/7", "fdff::1", "fe00::1"),
            ("::1/128", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
        ] {
            assert!(prefix(text).contains(address(inside)), "{inside} in {text}");
            assert!(!prefix(text).contains(address(outside)), "{outside} not in {text}");
        }
    }

    #[test]
    fn everything_is_per_family() {
        assert!(prefix("0.0.0.0/0").contains(address("255.255.255.255")));
        assert!(!prefix("0.0.0.0/0").contains(address("::1")));
        assert!(prefix("::/0").contains(address("2001:db8::1")));
        assert!(!prefix("::/0").contains(address("192.0.2.1")));
        assert!(!prefix("::/0").contains(address("::ffff:192.0.2.1")));
    }

    #[test]
    fn says_which_prefix_was_meant() {
        assert_eq!(
            "10.1.2.3/8".parse::<Prefix>(),
            Err(PrefixError::HostBits { meant: prefix("10.0.0.0/8") })
        );
        assert_eq!(
            "::ffff:10.0.0.0/104".parse::<Prefix>(),
            Err(PrefixError::Mapped { meant: prefix("10.0.0.0/8") })
        );
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), Err(PrefixError::Length { maximum: 32 }));
        assert_eq!("::/999".parse::<Prefix>(), Err(PrefixError::Length { maximum: 128 }));
        for bad in ["", "/", "/8", "10.0.0.0/", "10/8", "10.0.0.0/+8", "10.0.0.0/8/8", "localhost"] {
            assert_eq!(bad.parse::<Prefix>(), Err(PrefixError::Syntax), "{bad}");
        }
    }

    #[test]
    fn covers_what_lies_in_it() {
        for (outer, inner) in
            [("10.0.0.0/8", "10.1.0.0/16"), ("10.0.0.0/8", "10.0.0.0/8"), ("::/0", "fc00::/7")]
        {
            assert!(prefix(outer).covers(&prefix(inner)), "{outer} {inner}");
        }
        for (outer, other) in
            [("10.1.0.0/16", "10.0.0.0/8"), ("10.0.0.0/9", "10.128.0.0/9"), ("::/0", "10.0.0.0/8")]
        {
            assert!(!prefix(outer).covers(&prefix(other)), "{outer} {other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bits in any::<u32>(), length in 0..=32_u8) {
            let prefix = Prefix::around(Ipv4Addr::from_bits(bits).into(), length).expect("a prefix");
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            prop_assert!(prefix.contains(Ipv4Addr::from_bits(bits).into()));
        }

        #[test]
        fn any_text_is_survived(text in "[0-9a-f:./]{0,40}") {
            let _ = text.parse::<Prefix>();
        }
    }
}
