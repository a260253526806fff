//! What is answered for names that are ours: hits, NODATA, NXDOMAIN.

use std::collections::BTreeSet;

use super::build::*;
use super::summary::summary;
use crate::zones::Publication;

const DEVICE: &str = "iotc-1.privatelink.azure-devices.net";
const DEVICES: &str = "privatelink.azure-devices.net";
const SOA_DEVICES: &str =
    "privatelink.azure-devices.net SOA 5 ns1.example.net hostmaster.example.net 1700000000 min 5";
const SOA_BUS: &str =
    "privatelink.servicebus.windows.net SOA 5 ns1.example.net hostmaster.example.net 1700000000 min 5";
const SOA_NAME: &str =
    "iotc-1.azure-devices.net SOA 5 ns1.example.net hostmaster.example.net 1700000000 min 5";

fn line(request: &[u8]) -> String {
    summary(&respond(&sample(), request, UDP).expect("a response")).to_string()
}

#[test]
fn a_hit_octet_by_octet() {
    let mut expected = b"\x12\x34\x85\x00\0\x01\0\x01\0\0\0\0".to_vec();
    expected.extend(b"\x06iotc-1\x0bprivatelink\x0dazure-devices\x03net\0\0\x01\0\x01");
    // The owner is a pointer to octet 12; TTL 10; four octets of address.
    expected.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x04\x0a\0\0\x04");
    assert_eq!(respond(&sample(), &query(DEVICE, A), UDP), Some(expected.clone()));

    // With EDNS an empty OPT follows and nothing else changes.
    expected[11] = 1;
    expected.extend(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    assert_eq!(respond(&sample(), &edns(DEVICE, A), UDP), Some(expected));
}

#[test]
fn a_denial_octet_by_octet() {
    let mut expected = b"\x12\x34\x85\x03\0\x01\0\0\0\x01\0\0".to_vec();
    expected.extend(b"\x01x\x0bprivatelink\x0dazure-devices\x03net\0\0\x01\0\x01");
    // The SOA's owner points behind the label `x` of the question, to octet 14.
    expected.extend(b"\xc0\x0e\0\x06\0\x01\0\0\0\x05\0\x3d");
    expected.extend(b"\x03ns1\x07example\x03net\0\x0ahostmaster\x07example\x03net\0");
    // Serial, refresh, retry, expire, minimum.
    for number in [SERIAL, 300, 60, 14 * 24 * 3600, 5] {
        expected.extend(number.to_be_bytes());
    }
    assert_eq!(respond(&sample(), &query("x.privatelink.azure-devices.net", A), UDP), Some(expected));
}

#[test]
fn records_of_names_that_exist() {
    let table = [
        (DEVICE, A, "iotc-1.privatelink.azure-devices.net A 10 10.0.0.4".to_owned()),
        (
            "iotc-2.privatelink.azure-devices.net",
            A,
            "iotc-2.privatelink.azure-devices.net A 10 10.0.0.5, \
             iotc-2.privatelink.azure-devices.net A 10 10.0.1.5"
                .to_owned(),
        ),
        (
            "a.b.privatelink.servicebus.windows.net",
            A,
            "a.b.privatelink.servicebus.windows.net A 10 10.0.0.6".to_owned(),
        ),
        // One zone per public name, its addresses at the apex.
        ("iotc-1.azure-devices.net", A, "iotc-1.azure-devices.net A 10 10.0.0.4".to_owned()),
        // SOA and NS at each apex, with the TTL of positive answers.
        (DEVICES, SOA, SOA_DEVICES.replace("SOA 5", "SOA 10")),
        ("iotc-1.azure-devices.net", SOA, SOA_NAME.replace("SOA 5", "SOA 10")),
        (DEVICES, NS, "privatelink.azure-devices.net NS 10 ns1.example.net".to_owned()),
        ("iotc-1.azure-devices.net", NS, "iotc-1.azure-devices.net NS 10 ns1.example.net".to_owned()),
        // ANY gets one RRset (RFC 8482 section 4.1).
        (DEVICE, ANY, "iotc-1.privatelink.azure-devices.net A 10 10.0.0.4".to_owned()),
        ("iotc-1.azure-devices.net", ANY, "iotc-1.azure-devices.net A 10 10.0.0.4".to_owned()),
        (DEVICES, ANY, SOA_DEVICES.replace("SOA 5", "SOA 10")),
    ];
    for (name, kind, answers) in table {
        assert_eq!(line(&query(name, kind)), format!("NOERROR aa rd | {answers} | "), "{name} {kind}");
        assert_eq!(line(&edns(name, kind)), format!("NOERROR aa rd | {answers} |  | edns"), "{name} {kind}");
    }
}

#[test]
fn nodata_and_nxdomain_are_told_apart() {
    let table = [
        // The name exists, the type does not.
        (DEVICE, AAAA, "NOERROR", SOA_DEVICES),
        (DEVICE, SOA, "NOERROR", SOA_DEVICES),
        (DEVICE, NS, "NOERROR", SOA_DEVICES),
        (DEVICES, A, "NOERROR", SOA_DEVICES),
        ("iotc-1.azure-devices.net", AAAA, "NOERROR", SOA_NAME),
        // An empty non-terminal exists (RFC 4592 section 2.2.2), for every type.
        ("b.privatelink.servicebus.windows.net", A, "NOERROR", SOA_BUS),
        ("b.privatelink.servicebus.windows.net", SOA, "NOERROR", SOA_BUS),
        ("b.privatelink.servicebus.windows.net", ANY, "NOERROR", SOA_BUS),
        // Unknown types are only types that nothing has (RFC 3597): 0, DS, HTTPS, CAA, private use.
        (DEVICE, 0, "NOERROR", SOA_DEVICES),
        (DEVICE, 43, "NOERROR", SOA_DEVICES),
        (DEVICE, 65, "NOERROR", SOA_DEVICES),
        (DEVICE, 257, "NOERROR", SOA_DEVICES),
        (DEVICE, 65280, "NOERROR", SOA_DEVICES),
        (DEVICE, 65535, "NOERROR", SOA_DEVICES),
        // Beside, below and beyond what exists.
        ("iotc-3.privatelink.azure-devices.net", A, "NXDOMAIN", SOA_DEVICES),
        ("iotc-1.x.privatelink.azure-devices.net", A, "NXDOMAIN", SOA_DEVICES),
        ("x.iotc-1.privatelink.azure-devices.net", A, "NXDOMAIN", SOA_DEVICES),
        ("x.b.privatelink.servicebus.windows.net", A, "NXDOMAIN", SOA_BUS),
        ("x.y.a.b.privatelink.servicebus.windows.net", ANY, "NXDOMAIN", SOA_BUS),
        ("*.privatelink.azure-devices.net", A, "NXDOMAIN", SOA_DEVICES),
        ("x.iotc-1.azure-devices.net", A, "NXDOMAIN", SOA_NAME),
        ("x.iotc-1.azure-devices.net", 65280, "NXDOMAIN", SOA_NAME),
    ];
    for (name, kind, rcode, soa) in table {
        assert_eq!(line(&query(name, kind)), format!("{rcode} aa rd |  | {soa}"), "{name} {kind}");
        assert_eq!(line(&edns(name, kind)), format!("{rcode} aa rd |  | {soa} | edns"), "{name} {kind}");
    }
}

#[test]
fn a_denial_lives_as_long_as_the_smaller_of_both_ttls() {
    for (ttl, negative_ttl, expected) in [(10, 5, 5), (10, 60, 10), (0, 60, 0), (3600, 0, 0)] {
        let publication = Publication { ttl, negative_ttl, ..publication() };
        let image = compile(&generation(&publication, sample_shares()), true);
        let ask = |name, kind| summary(&respond(&image, &query(name, kind), UDP).expect("a response"));
        let soa = format!(
            "{DEVICES} SOA {expected} ns1.example.net hostmaster.example.net 1700000000 min {negative_ttl}"
        );
        for denied in [ask("x.privatelink.azure-devices.net", A), ask(DEVICE, AAAA)] {
            assert_eq!(denied.authority, std::slice::from_ref(&soa));
        }
        assert!(ask(DEVICES, SOA).answers[0].contains(&format!("SOA {ttl} ")));
        assert!(ask(DEVICES, NS).answers[0].contains(&format!("NS {ttl} ")));
        assert!(ask(DEVICE, A).answers[0].contains(&format!("A {ttl} ")));
    }
}

#[test]
fn the_case_of_the_question_comes_back() {
    let odd = "iOtC-1.PRIVATElink.Azure-Devices.nEt";
    let response = respond(&sample(), &query(odd, A), UDP).expect("a response");
    assert_eq!(response[12..12 + question(odd, A).len()], question(odd, A));
    assert_eq!(summary(&response).to_string(), format!("NOERROR aa rd | {odd} A 10 10.0.0.4 | "));
    let denied = respond(&sample(), &query("X.PRIVATElink.Azure-Devices.nEt", A), UDP).expect("a response");
    assert!(summary(&denied).authority[0].starts_with("PRIVATElink.Azure-Devices.nEt SOA"));
}

#[test]
fn all_name_servers_are_told() {
    let name_servers = (1..=13).map(|i| name(&format!("ns{i}.example.net"))).collect();
    let publication = Publication { name_servers, ..publication() };
    let image = compile(&generation(&publication, sample_shares()), true);
    let response = respond(&image, &edns(DEVICES, NS), UDP).expect("a response");
    let expected: Vec<_> = (1..=13).map(|i| format!("{DEVICES} NS 10 ns{i}.example.net")).collect();
    assert_eq!(summary(&response).answers, expected);
}

#[test]
fn flags_of_the_query() {
    // Of AA, TC, RD and RA, Z, AD, CD only RD and CD come back.
    for (high, low, flags) in
        [(0x00, 0x00, "aa"), (0x07, 0xf0, "aa rd cd"), (0x06, 0xe0, "aa"), (0x00, 0x0f, "aa")]
    {
        let mut request = query(DEVICE, A);
        (request[2], request[3]) = (high, low);
        let summary = summary(&respond(&sample(), &request, UDP).expect("a response"));
        assert_eq!((summary.rcode, summary.flags.as_str()), (0, flags));
    }
}

#[test]
fn one_form_without_the_other() {
    let only = |privatelink_zones, per_name_zones| {
        let publication = Publication { privatelink_zones, per_name_zones, ..publication() };
        compile(&generation(&publication, sample_shares()), true)
    };
    let rcode = |image, name| summary(&respond(image, &query(name, A), UDP).expect("a response")).rcode;
    let (privatelink, per_name) = (only(true, false), only(false, true));
    assert_eq!(rcode(&privatelink, DEVICE), 0);
    assert_eq!(rcode(&privatelink, "iotc-1.azure-devices.net"), 5);
    assert_eq!(rcode(&per_name, DEVICE), 5);
    assert_eq!(rcode(&per_name, "iotc-1.azure-devices.net"), 0);
    // Never a zone for a whole public suffix.
    assert_eq!(rcode(&per_name, "iotc-9.azure-devices.net"), 5);
    assert_eq!(rcode(&per_name, "azure-devices.net"), 5);
}

#[test]
fn a_required_zone_without_names_is_served() {
    let image = compile(&generation(&publication(), vec![share(1, &["privatelink.x.net"], &[])]), true);
    assert!(image.is_loaded());
    let rcode = |name, kind| summary(&respond(&image, &query(name, kind), UDP).expect("a response")).rcode;
    assert_eq!(rcode("privatelink.x.net", SOA), 0);
    assert_eq!(rcode("h.privatelink.x.net", A), 3);
}

#[test]
fn stale_data_is_served_and_says_so() {
    let image = sample();
    image.mark_stale(&BTreeSet::from([application(2)]));
    let edns_of = |request: &[u8]| summary(&respond(&image, request, UDP).expect("a response")).edns;
    let stale = edns("a.b.privatelink.servicebus.windows.net", A);
    assert_eq!(edns_of(&stale).as_deref(), Some("edns ede 3"));
    assert_eq!(edns_of(&edns("a.b.servicebus.windows.net", AAAA)).as_deref(), Some("edns ede 3"));
    let denied = edns("x.privatelink.servicebus.windows.net", A);
    assert_eq!(edns_of(&denied).as_deref(), Some("edns ede 19"));
    assert_eq!(edns_of(&edns(DEVICE, A)).as_deref(), Some("edns"), "the other application is fresh");
    assert_eq!(edns_of(&query("a.b.servicebus.windows.net", A)), None, "nobody asked for EDNS");
    image.mark_stale(&BTreeSet::new());
    assert_eq!(edns_of(&stale).as_deref(), Some("edns"));
}
