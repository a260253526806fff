//! What `dig` and `kdig` show of every class of answer. Both have to be installed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Output;

use tokio::process::Command;

use super::super::Image;
use super::build::*;
use super::server::*;
use crate::config::Dns;

const DEVICE: &str = "iotc-1.privatelink.azure-devices.net";
const ZONE: &str = "privatelink.azure-devices.net";
const DENIED: &str = "x.privatelink.azure-devices.net";

/// Runs a tool against the server, once, without its own configuration.
async fn run(tool: &str, server: SocketAddr, arguments: &str) -> String {
    // dig reads ~/.digrc unless told not to; kdig counts retries, not tries.
    let (ours, patience): (&[&str], &str) = match tool {
        "dig" => (&["-r"], "+tries=1"),
        _ => (&[], "+retry=0"),
    };
    let mut command = Command::new(tool);
    command.args(ours).arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(arguments.split(' ')).args([patience, "+time=20"]).kill_on_drop(true);
    let output = within(command.output()).await;
    let Output { stdout, stderr, .. } = output.unwrap_or_else(|e| {
        panic!("{tool} has to be installed for this test (bind9-dnsutils, knot-dnsutils): {e}")
    });
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

/// One line: status, flags, section sizes, records without their TTL's padding, extended error.
fn digest(text: &str) -> String {
    let field = |key: &str| {
        let rest = text.split_once(key).map_or("", |(_, rest)| rest);
        rest.split([',', ';', '\n']).next().unwrap_or_default().trim().to_ascii_lowercase()
    };
    let mut parts = vec![field("status: ").to_ascii_uppercase(), field("lags: ")];
    let records = text.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    parts.extend(records.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
    // `EDE: 20 (Not Authoritative)` of both.
    if let Some((_, rest)) = text.split_once("EDE: ") {
        parts.push(format!("ede {}", rest.split_whitespace().next().unwrap_or_default()));
    }
    parts.join(" | ")
}

async fn table(dns: &Dns, image: Option<Image>, table: &[(&str, &str)]) {
    let server = Server::start(dns);
    if let Some(image) = image {
        server.publish(image, dns);
    }
    for (arguments, expected) in table {
        for tool in ["dig", "kdig"] {
            let text = run(tool, server.address(), arguments).await;
            assert_eq!(digest(&text), *expected, "{tool} {arguments}\n{text}");
            // Such as octets behind the message, or an id or question that does not match.
            let warned = text.lines().any(|l| l.contains("WARN") && !l.contains("recursion requested"));
            assert!(!warned, "{tool} {arguments}\n{text}");
        }
    }
    server.stop().await;
}

/// The only record of a negative answer.
fn soa(zone: &str, ttl: u32) -> String {
    format!("{zone}. {ttl} IN SOA ns1.example.net. hostmaster.example.net. 1700000000 300 60 1209600 5")
}

#[tokio::test]
async fn every_class_of_answer() {
    let (negative, own) = (soa(ZONE, 5), soa(ZONE, 10));
    let hit = format!("NOERROR | qr aa | {DEVICE}. 10 IN A 10.0.0.4");
    let nodata = format!("NOERROR | qr aa | {negative}");
    let nxdomain = format!("NXDOMAIN | qr aa | {negative}");
    let rows = [
        (format!("+norec +edns=0 {DEVICE} A"), hit.clone()),
        (format!("+norec +noedns {DEVICE} A"), hit.clone()),
        (format!("+norec +tcp {DEVICE} A"), hit.clone()),
        (format!("+norec {DEVICE} ANY +notcp"), hit.clone()),
        (format!("+rec {DEVICE} A"), hit.replace("qr aa", "qr aa rd")),
        (
            "+norec iotc-1.azure-devices.net A".to_owned(),
            "NOERROR | qr aa | iotc-1.azure-devices.net. 10 IN A 10.0.0.4".to_owned(),
        ),
        (format!("+norec {ZONE} SOA"), format!("NOERROR | qr aa | {own}")),
        (format!("+norec {ZONE} NS"), format!("NOERROR | qr aa | {ZONE}. 10 IN NS ns1.example.net.")),
        (format!("+norec {DEVICE} AAAA"), nodata.clone()),
        (format!("+norec {DEVICE} TYPE65280"), nodata.clone()),
        (format!("+norec {ZONE} A"), nodata),
        (format!("+norec {DENIED} A"), nxdomain.clone()),
        (format!("+norec +tcp +noedns {DENIED} A"), nxdomain),
        (
            "+norec b.privatelink.servicebus.windows.net A".to_owned(),
            format!("NOERROR | qr aa | {}", soa("privatelink.servicebus.windows.net", 5)),
        ),
        ("+norec +edns=0 example.org A".to_owned(), "REFUSED | qr | ede 20".to_owned()),
        ("+norec +noedns example.org A".to_owned(), "REFUSED | qr".to_owned()),
        ("+norec +edns=0 . NS".to_owned(), "REFUSED | qr | ede 20".to_owned()),
        ("+norec +edns=0 version.bind CH TXT".to_owned(), "REFUSED | qr | ede 21".to_owned()),
    ];
    let rows: Vec<_> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    table(&dns(&["127.0.0.1:0"]), None, &rows).await;
    table(&dns(&["[::1]:0"]), None, &rows[..3]).await;
}

#[tokio::test]
async fn states_of_the_daemon() {
    let stale = sample();
    stale.mark_stale(&BTreeSet::from([application(1)]));
    let hit = format!("NOERROR | qr aa | {DEVICE}. 10 IN A 10.0.0.4 | ede 3");
    let nxdomain = format!("NXDOMAIN | qr aa | {} | ede 19", soa(ZONE, 5));
    let (ask, ask_denied) = (format!("+norec +edns=0 {DEVICE} A"), format!("+norec +edns=0 {DENIED} A"));
    let open = dns(&["127.0.0.1:0"]);
    table(&open, Some(stale), &[(&ask, &hit), (&ask_denied, &nxdomain)]).await;
    let not_ready = "SERVFAIL | qr | ede 14";
    table(&open, Some(Image::default()), &[(&ask, not_ready), (&ask_denied, not_ready)]).await;
    let closed = Dns { allow_query: vec![prefix("192.0.2.0/24")], ..dns(&["127.0.0.1:0"]) };
    table(&closed, None, &[(&ask, "REFUSED | qr | ede 18")]).await;
}

#[tokio::test]
async fn truncated_answers_come_over_tcp() {
    let addresses: Vec<_> = (0..100).map(|i| [10, 0, 1, i].into()).collect();
    let share = share(1, &[], &[("h.x.net", "privatelink.x.net", addresses)]);
    let image = || compile(&generation(&publication(), vec![share.clone()]), true);
    let all = (0..100).map(|i| format!(" | h.privatelink.x.net. 10 IN A 10.0.1.{i}")).collect::<String>();
    let dns = dns(&["127.0.0.1:0"]);
    let server = Server::start(&dns);
    server.publish(image(), &dns);
    for tool in ["dig", "kdig"] {
        for edns in ["+noedns", "+edns=0 +bufsize=4096"] {
            let ignoring =
                run(tool, server.address(), &format!("+norec +ignore {edns} h.privatelink.x.net")).await;
            assert_eq!(digest(&ignoring), "NOERROR | qr aa tc", "{tool} {edns}\n{ignoring}");
            let retried = run(tool, server.address(), &format!("+norec {edns} h.privatelink.x.net")).await;
            let retried = digest(&retried);
            assert!(retried.ends_with(&format!("NOERROR | qr aa{all}")), "{tool} {edns}\n{retried}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_only_dig_can_ask() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let shown = async |arguments: &str| {
        let text = run("dig", server.address(), arguments).await;
        (digest(&text), text)
    };
    // RFC 8906 section 8: versions, options, flags and opcodes of the future.
    let (digest, text) = shown(&format!("+norec +edns=100 +noednsnegotiation {DEVICE} A")).await;
    assert_eq!(digest, "BADVERS | qr");
    assert!(text.contains("EDNS: version: 0, flags:; udp: 1232"), "{text}");
    let hit = format!("NOERROR | qr aa | {DEVICE}. 10 IN A 10.0.0.4");
    assert_eq!(shown(&format!("+norec +edns=0 +ednsopt=100 {DEVICE} A")).await.0, hit);
    assert_eq!(shown(&format!("+norec +edns=0 +ednsflags=0x80 {DEVICE} A")).await.0, hit);
    assert_eq!(shown(&format!("+norec +zflag +adflag {DEVICE} A")).await.0, hit);
    assert_eq!(shown(&format!("+norec +cdflag {DEVICE} A")).await.0, hit.replace("qr aa", "qr aa cd"));
    let (digest, text) = shown(&format!("+norec +dnssec {DEVICE} A")).await;
    assert_eq!(digest, hit);
    assert!(text.contains("version: 0, flags: do; udp: 1232"), "{text}");
    assert_eq!(shown(&format!("+norec +opcode=15 {DEVICE} A")).await.0, "NOTIMP | qr");
    assert_eq!(shown("+norec +header-only +noedns").await.0, "FORMERR | qr");
    // Transfers go to nobody.
    for arguments in [format!("{ZONE} AXFR"), format!("+tcp {ZONE} IXFR=1")] {
        let text = run("dig", server.address(), &arguments).await;
        assert!(text.contains("Transfer failed") || text.contains("status: REFUSED"), "{arguments}\n{text}");
        assert!(!text.contains("10.0.0.4"), "{text}");
    }
    // Several queries over one connection.
    let text =
        run("dig", server.address(), &format!("+tcp +keepopen +short {DEVICE} iotc-2.{ZONE} {DENIED}")).await;
    assert_eq!(text.lines().collect::<BTreeSet<_>>(), BTreeSet::from(["10.0.0.4", "10.0.0.5", "10.0.1.5"]));
    server.stop().await;
}
