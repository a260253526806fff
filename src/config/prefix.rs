//! The words that stand for prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::zones::Prefix;

/// The words that stand for prefixes in `allow_query`.
pub(super) const KEYWORDS: [&str; 3] = ["loopback", "private", "any"];

/// The prefixes by the keyword that stands for them in `allow_query`.
pub(super) fn keyword(text: &str) -> Option<Vec<Prefix>> {
    let v4 = |a, b, length| Prefix { network: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), length };
    let v6 =
        |first, length| Prefix { network: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), length };
    match text.to_ascii_lowercase().as_str() {
        "any" => Some(vec![v4(0, 0, 0), v6(0, 0)]),
        "loopback" => {
            Some(vec![v4(127, 0, 8), Prefix { network: IpAddr::V6(Ipv6Addr::LOCALHOST), length: 128 }])
        }
        // RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291 section 2.5.6.
        "private" => Some(vec![
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            v4(100, 64, 10),
            v4(169, 254, 16),
            v6(0xfc00, 7),
            v6(0xfe80, 10),
        ]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_stand_for_networks() {
        let holds = |word: &str, text: &str| {
            keyword(word).expect("a keyword").iter().any(|p| p.contains(text.parse().expect("an address")))
        };
        for inside in
            ["10.1.1.1", "172.20.0.1", "192.168.7.7", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1"]
        {
            assert!(holds("private", inside), "{inside}");
            assert!(!holds("loopback", inside), "{inside}");
            assert!(holds("any", inside), "{inside}");
        }
        assert!(holds("Loopback", "127.3.2.1") && holds("loopback", "::1"));
        assert!(!holds("private", "8.8.8.8") && !holds("private", "2001:db8::1"));
        assert_eq!(keyword("everyone"), None);
    }
}
