//! Sizes: what fits, what is truncated, and the truncation that the rate limit asks for.

use std::collections::BTreeSet;

use super::super::{Asker, Image};
use super::build::*;
use super::summary::summary;

const BIG: &str = "h.privatelink.x.net";

/// One name with `count` addresses.
fn image(count: u32) -> Image {
    let addresses = (0..count).map(|i| (0x0a00_0000 + i).into()).collect();
    let share = share(1, &[], &[("h.x.net", "privatelink.x.net", addresses)]);
    compile(&generation(&publication(), vec![share]), true)
}

/// Octets of a response to `BIG` with `count` addresses.
fn size(count: u32, opt: usize) -> usize {
    12 + question(BIG, A).len() + 16 * count as usize + opt
}

#[test]
fn without_edns_512_octets() {
    // 12 + 25 + 29 * 16 = 501, one more is 517.
    for (count, flags, answers) in [(29, "aa rd", 29), (30, "aa tc rd", 0)] {
        let response = respond(&image(count), &query(BIG, A), UDP).expect("a response");
        let summary = summary(&response);
        assert_eq!((summary.rcode, summary.flags.as_str(), summary.answers.len()), (0, flags, answers));
        assert!(response.len() <= 512);
        assert!((count == 29) == (size(count, 0) <= 512), "the table is at the border");
    }
}

#[test]
fn with_edns_what_the_client_takes_up_to_1232_octets() {
    for payload in [0, 511, 512, 513, 600, 1231, 1232, 1233, 4096, u16::MAX] {
        let limit = usize::from(payload.clamp(512, 1232));
        let fitting = (1..100).rfind(|count| size(*count, 11) <= limit).expect("some fit");
        for (count, truncated) in [(fitting, false), (fitting + 1, true)] {
            let request = with_opt(query(BIG, A), payload, 0, 0, &[]);
            let response = respond(&image(count), &request, UDP).expect("a response");
            let summary = summary(&response);
            assert_eq!(summary.flags.contains("tc"), truncated, "{count} addresses, payload {payload}");
            assert_eq!(summary.answers.len(), if truncated { 0 } else { count as usize });
            assert!(response.len() <= limit);
            assert_eq!(summary.edns.as_deref(), Some("edns"));
        }
    }
}

#[test]
fn over_tcp_everything() {
    for request in [query(BIG, A), with_opt(query(BIG, A), 512, 0, 0, &[])] {
        let summary = summary(&respond(&image(4000), &request, TCP).expect("a response"));
        assert_eq!((summary.flags.as_str(), summary.answers.len()), ("aa rd", 4000));
        assert_eq!(summary.answers.iter().collect::<BTreeSet<_>>().len(), 4000);
    }
}

#[test]
fn an_extended_error_goes_before_data_does() {
    // With the extended error the response is up to 6 octets too long (RFC 8914 section 3).
    let fitting = (1..100).rfind(|count| size(*count, 11) <= 1232).expect("some fit");
    let image = image(fitting);
    assert!(size(fitting, 17) > 1232, "the case is at the border");
    image.mark_stale(&BTreeSet::from([application(1)]));
    let summary = summary(&respond(&image, &edns(BIG, A), UDP).expect("a response"));
    assert_eq!((summary.answers.len(), summary.flags.as_str()), (fitting as usize, "aa tc rd"));
    assert_eq!(summary.edns.as_deref(), Some("edns"));
}

#[test]
fn a_denial_that_does_not_fit_is_truncated() {
    let long = |first: &str| name(&[first, &"a".repeat(63), &"b".repeat(63), &"c".repeat(63)].join("."));
    let publication = crate::zones::Publication {
        name_servers: vec![long("ns")],
        hostmaster: long("mail"),
        ..publication()
    };
    let image = compile(&generation(&publication, sample_shares()), true);
    let name = format!("{}.{}.privatelink.azure-devices.net", "x".repeat(63), "y".repeat(63));
    let summary_of = |asker| summary(&respond(&image, &query(&name, A), asker).expect("a response"));
    let udp = summary_of(UDP);
    assert_eq!((udp.rcode, udp.flags.as_str(), udp.authority.len()), (3, "aa tc rd", 0));
    let tcp = summary_of(TCP);
    assert_eq!((tcp.rcode, tcp.flags.as_str(), tcp.authority.len()), (3, "aa rd", 1));
}

#[test]
fn a_slip_says_nothing_but_truncated() {
    let slip = Asker { truncate: true, ..UDP };
    let line = |request: &[u8]| summary(&respond(&sample(), request, slip).expect("a response")).to_string();
    // Nothing tells what lies behind the question, and nothing is larger than it.
    for name in ["iotc-1.azure-devices.net", "x.iotc-1.azure-devices.net", "example.org"] {
        assert_eq!(line(&query(name, A)), "NOERROR tc rd |  | ", "{name}");
        assert_eq!(line(&edns(name, A)), "NOERROR tc rd |  |  | edns", "{name}");
        assert_eq!(respond(&sample(), &edns(name, A), slip).expect("a response").len(), edns(name, A).len());
    }
    // Errors are as small, and final.
    assert_eq!(line(&query("example.org", 41)), "FORMERR rd |  | ");
}
