//! Transfers by other people's tools: what they get, and what they say when they may not have it.

use std::net::SocketAddr;

use tokio::process::Command;

use super::{Peer, Site};
use crate::support::home::{Said, said};
use crate::support::program;

const ZONE: &str = "privatelink.azure-devices.net";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/transfers/transfer.py");

/// A key as it is given to a tool.
#[derive(Clone)]
struct Key {
    name: &'static str,
    secret: String,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Axfr,
    Ixfr(u32),
}

impl Kind {
    /// As dig writes it.
    fn text(self) -> String {
        match self {
            Self::Axfr => "AXFR".to_owned(),
            Self::Ixfr(serial) => format!("IXFR={serial}"),
        }
    }
}

/// dig and kdig, which take the same arguments.
async fn dig(tool: &str, server: SocketAddr, kind: Kind, key: Option<&Key>) -> Said {
    let mut command = Command::new(program(tool));
    command.args([format!("@{}", server.ip()), "-p".to_owned(), server.port().to_string()]);
    if let Some(Key { name, secret }) = key {
        command.args(["-y".to_owned(), format!("hmac-sha256:{name}:{secret}")]);
    }
    command.args([ZONE.to_owned(), kind.text()]);
    said(command).await
}

/// ldns, whose drill signs no IXFR.
async fn drill(server: SocketAddr, key: Option<&Key>) -> Said {
    let mut command = Command::new(program("drill"));
    command.args(["-p".to_owned(), server.port().to_string()]);
    if let Some(Key { name, secret }) = key {
        command.args(["-y".to_owned(), format!("{name}:{secret}:hmac-sha256")]);
    }
    command.args([format!("@{}", server.ip()), ZONE.to_owned(), "AXFR".to_owned()]);
    said(command).await
}

/// dnspython, of the system's Python; `case` is one of the script.
async fn dnspython(server: SocketAddr, kind: Kind, key: Option<&Key>, case: &str) -> Said {
    let (kind, serial) = match kind {
        Kind::Axfr => ("AXFR", 0),
        Kind::Ixfr(serial) => ("IXFR", serial),
    };
    let (name, secret) = key.map_or(("", ""), |key| (key.name, key.secret.as_str()));
    let mut command = Command::new("/usr/bin/python3");
    command.arg(SCRIPT).args([server.ip().to_string(), server.port().to_string(), format!("{ZONE}.")]);
    command.args([kind, &serial.to_string(), name, secret, case]);
    said(command).await
}

/// Type and data of the records, without owner and TTL, as every tool shows them.
fn records(said: &Said) -> Vec<String> {
    let lines = said.out.lines().filter(|line| !line.starts_with(';') && !line.contains("TSIG"));
    let records = lines.map(|line| line.split_whitespace().skip(1).filter(|word| *word != "IN"));
    let records = records.map(|words| words.skip_while(|word| word.parse::<u32>().is_ok()));
    records.map(|words| words.collect::<Vec<_>>().join(" ")).filter(|record| !record.is_empty()).collect()
}

/// The answer has this in its text, from standard output or error.
fn tells(said: &Said, text: &str) {
    assert!(said.out.contains(text) || said.err.contains(text), "no {text:?} in {said:?}");
    assert!(!said.out.contains("10.1.0."), "{said:?}");
}

#[tokio::test]
async fn tools_get_zones_with_the_right_key_and_are_told_what_is_wrong_with_others() {
    let peer = Peer::new("ns1", 1, "");
    let site = Site::new("", "", &[peer]).await;
    let server = site.daemon.dns();
    let before = site.zones().await[ZONE];
    let name = site.azure.scale_out();
    site.follows(&name).await;
    let now = super::serial(server, ZONE).await.expect("a serial");
    let soa = |serial: u32| format!("SOA ns.invalid. hostmaster.invalid. {serial} 300 60 1209600 10");
    let mut zone: Vec<String> = vec![soa(now), "NS ns.invalid.".to_owned()];
    let names = site.azure.names();
    let own = names.iter().filter(|(name, _)| name.ends_with(ZONE));
    zone.extend(own.map(|(_, addresses)| format!("A {}", addresses.first().expect("an address"))));
    zone.push(soa(now));
    let came = format!("A {}", names[&name].first().expect("an address"));
    let changes = vec![soa(now), soa(before), soa(now), came, soa(now)];

    let good = Key { name: "ns1-key", secret: site.secret(&peer) };
    for (kind, expected) in [(Kind::Axfr, &zone), (Kind::Ixfr(before), &changes)] {
        for tool in ["dig", "kdig"] {
            let said = dig(tool, server, kind, Some(&good)).await;
            assert_eq!((&records(&said), said.code), (expected, Some(0)), "{tool} {said:?}");
            assert!(!said.out.contains("verify"), "{said:?}");
        }
        let said = dnspython(server, kind, Some(&good), "good").await;
        assert_eq!((&records(&said), said.code), (expected, Some(0)), "{said:?}");
    }
    let said = drill(server, Some(&good)).await;
    assert_eq!((&records(&said), said.code), (&zone, Some(0)), "{said:?}");

    let unknown = Key { name: "other", ..good.clone() };
    let wrong = Key { secret: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(), ..good.clone() };
    for kind in [Kind::Axfr, Kind::Ixfr(before)] {
        // The codes of TSIG (RFC 8945 section 3): 17 and 16, which drill prints as numbers.
        for (key, code, number, exception) in
            [(&unknown, "BADKEY", " 17 0", "PeerBadKey"), (&wrong, "BADSIG", " 16 0", "PeerBadSignature")]
        {
            tells(&dig("dig", server, kind, Some(key)).await, code);
            tells(&dig("kdig", server, kind, Some(key)).await, code);
            tells(&dnspython(server, kind, Some(key), "good").await, &format!("{exception} NOTAUTH"));
            if kind == Kind::Axfr {
                let said = drill(server, Some(key)).await;
                tells(&said, "rcode: NOTAUTH");
                tells(&said, number);
            }
        }
        tells(&dig("dig", server, kind, None).await, "Transfer failed");
        tells(&dig("kdig", server, kind, None).await, "'REFUSED'");
        tells(&dnspython(server, kind, None, "good").await, "REFUSED signed=False");
        tells(&dnspython(server, kind, Some(&good), "late").await, "PeerBadTime NOTAUTH");
        // Cut MACs are taken by nobody who asks for full ones: BADTRUNC, or FORMERR when too short.
        let said = dnspython(server, kind, Some(&good), "truncated").await;
        tells(&said, "PeerBadTruncation NOTAUTH");
    }
    tells(&drill(server, None).await, "rcode: REFUSED");
}
