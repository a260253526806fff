//! Zone files (RFC 1035 section 5) of the few types that zones here hold.
//!
//! Own code, and little of it: every name is written out with its final dot and every line has its TTL
//! and class, so that a file means the same whatever `$ORIGIN` and `$TTL` stand around it, and the text
//! is the same whenever the records are. hickory's `Display` writes what people read: names without
//! their final dot, for one. Host names need no escapes (see [`DnsName`]).

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

use crate::zones::DnsName;

/// The data of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// Start of authority.
    Soa(Soa<'a>),
    /// A name server.
    Ns(&'a DnsName),
    /// An IPv4 address.
    A(Ipv4Addr),
}

/// Start of authority (RFC 1035 section 3.3.13); times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soa<'a> {
    /// MNAME.
    pub primary: &'a DnsName,
    /// RNAME.
    pub hostmaster: &'a DnsName,
    /// SERIAL.
    pub serial: u32,
    /// REFRESH.
    pub refresh: u32,
    /// RETRY.
    pub retry: u32,
    /// EXPIRE.
    pub expire: u32,
    /// MINIMUM: the TTL of negative answers (RFC 2308).
    pub minimum: u32,
}

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soa(soa) => write!(
                f,
                "SOA {}. {}. {} {} {} {} {}",
                soa.primary, soa.hostmaster, soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum
            ),
            Self::Ns(server) => write!(f, "NS {server}."),
            Self::A(address) => write!(f, "A {address}"),
        }
    }
}

/// Adds the line of a record, with its line ending.
pub fn record(out: &mut String, owner: &DnsName, ttl: u32, data: Data<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{owner}. {ttl} IN {data}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_stands_for_itself() {
        let name = |text: &str| text.parse::<DnsName>().expect("a name");
        let (zone, server, mail) = (name("example.net"), name("ns.example.net"), name("host.example.net"));
        let soa = Soa {
            primary: &server,
            hostmaster: &mail,
            serial: u32::MAX,
            refresh: 1,
            retry: 2,
            expire: 3,
            minimum: 4,
        };
        let mut text = String::new();
        record(&mut text, &zone, 10, Data::Soa(soa));
        record(&mut text, &zone, 10, Data::Ns(&server));
        record(&mut text, &name("_a-b.example.net"), 0, Data::A([10, 0, 0, 1].into()));
        assert_eq!(
            text,
            "example.net. 10 IN SOA ns.example.net. host.example.net. 4294967295 1 2 3 4\n\
             example.net. 10 IN NS ns.example.net.\n\
             _a-b.example.net. 0 IN A 10.0.0.1\n"
        );
    }
}
