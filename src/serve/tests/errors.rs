//! What is not answered with data: FORMERR, NOTIMP, REFUSED, SERVFAIL, BADVERS, silence.

use super::super::{Image, Outcome, answer};
use super::build::*;
use super::summary::summary;

const DEVICE: &str = "iotc-1.privatelink.azure-devices.net";

fn line(request: &[u8]) -> String {
    line_of(&sample(), request)
}

fn line_of(image: &Image, request: &[u8]) -> String {
    summary(&respond(image, request, UDP).expect("a response")).to_string()
}

#[test]
fn silence() {
    for length in 0..12 {
        assert_eq!(
            respond(&sample(), &query(DEVICE, A)[..length], UDP),
            None,
            "{length} octets are no header"
        );
    }
    let mut response = query(DEVICE, A);
    response[2] |= 0x80;
    assert_eq!(respond(&sample(), &response, UDP), None, "answering responses makes loops");
    let mut out = b"left over".to_vec();
    assert_eq!(answer(&sample(), &response, UDP, &mut out), Outcome::Ignored);
    assert_eq!(out, b"", "nothing to send by accident");
}

#[test]
fn a_bare_header_is_a_format_error() {
    let request = [0xab, 0xcd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let expected = [0xab, 0xcd, 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(respond(&sample(), &request, UDP).as_deref(), Some(&expected[..]));
    // As when a client asks for nothing but a cookie (RFC 7873 section 5.4): no cookies here.
    let cookie = with_opt(request.to_vec(), 1232, 0, 0, b"\0\x0a\0\x08abcdefgh");
    assert_eq!(line(&cookie), "FORMERR rd |  |  | edns");
}

#[test]
fn not_exactly_one_question_is_a_format_error() {
    let mut two = query(DEVICE, A);
    two.extend(question("iotc-2.privatelink.azure-devices.net", A));
    two[5] = 2;
    assert_eq!(line(&two), "FORMERR rd |  | ");
    assert_eq!(line(&with_opt(two, 1232, 0, 0, &[])), "FORMERR rd |  |  | edns");
    let mut many = query(DEVICE, A);
    (many[4], many[5]) = (0xff, 0xff);
    assert_eq!(line(&many), "FORMERR rd |  | ");
}

#[test]
fn what_cannot_be_read_is_a_format_error() {
    let good = edns(DEVICE, A);
    for length in 12..good.len() {
        assert_eq!(line(&good[..length]), "FORMERR rd |  | ", "cut to {length} octets");
    }
    let question_with = |name: &[u8]| [&query(".", A)[..12], name, &[0, 1, 0, 1]].concat();
    let long_label = [&[64][..], &[b'a'; 64], &[0]].concat();
    let long_name = [&[1, b'a'].repeat(127)[..], &[1, b'a', 0]].concat();
    for (name, why) in [
        (&b"\xc0\x0c"[..], "a pointer to itself"),
        (b"\x01a\xc0\x0c", "a pointer in a question"),
        (b"\x40\0", "a label type of the past"),
        (b"\x80\0", "a label type that never was"),
        (&long_label, "a label of 64 octets"),
        (&long_name, "a name of 257 octets"),
    ] {
        assert_eq!(line(&question_with(name)), "FORMERR rd |  | ", "{why}");
    }
    let longest = [&[1, b'a'].repeat(127)[..], &[0]].concat();
    assert_eq!(longest.len(), 255);
    assert_eq!(line(&question_with(&longest)), "REFUSED rd |  | ", "255 octets are a name");
}

#[test]
fn a_bad_opt_is_a_format_error() {
    let bad = |request: Vec<u8>, why: &str| assert_eq!(line(&request), "FORMERR rd |  | ", "{why}");
    bad(with_opt(edns(DEVICE, A), 1232, 0, 0, &[]), "two of them (RFC 6891 section 6.1.1)");
    let mut elsewhere = edns(DEVICE, A);
    (elsewhere[7], elsewhere[11]) = (1, 0);
    bad(elsewhere, "in the answer section");
    let mut elsewhere = edns(DEVICE, A);
    (elsewhere[9], elsewhere[11]) = (1, 0);
    bad(elsewhere, "in the authority section");
    let mut named = query(DEVICE, A);
    named[11] = 1;
    named.extend(b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0");
    bad(named, "with an owner that is not the root");
    bad(with_opt(query(DEVICE, A), 1232, 0, 0, &[0, 10, 0]), "with half an option");
    bad(with_opt(query(DEVICE, A), 1232, 0, 0, &[0, 10, 0, 2, 1]), "with an option that is too long");
}

#[test]
fn unknown_options_and_flags_are_ignored() {
    let options = [&b"\0\x03\0\0"[..], b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02", b"\xff\xff\0\x01x"].concat();
    let request = with_opt(query(DEVICE, A), 4096, 0, 0x7fff, &options);
    assert_eq!(line(&request), format!("NOERROR aa rd | {DEVICE} A 10 10.0.0.4 |  | edns"));
    let dnssec_ok = with_opt(query(DEVICE, A), 4096, 0, 0x8000, &[]);
    assert_eq!(line(&dnssec_ok), format!("NOERROR aa rd | {DEVICE} A 10 10.0.0.4 |  | edns do"));
}

#[test]
fn other_records_of_a_query_are_read_over() {
    let mut request = query(DEVICE, A);
    // An A record whose owner points to the question, in front of the OPT.
    request.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04");
    request[11] = 1;
    let request = with_opt(request, 1232, 0, 0, &[]);
    assert_eq!(line(&request), format!("NOERROR aa rd | {DEVICE} A 10 10.0.0.4 |  | edns"));
}

#[test]
fn a_newer_edns_is_told_our_version() {
    let table = [(DEVICE, A), ("x.privatelink.azure-devices.net", A), ("example.org", A), (DEVICE, 41)];
    for (name, kind) in table {
        let request = with_opt(query(name, kind), 1232, 1, 0x8000, b"\0\x0a\0\0");
        assert_eq!(line(&request), "BADVERS rd |  |  | edns do", "{name}");
    }
    let request = with_opt(query(DEVICE, A), 1232, 255, 0, &[]);
    let response = respond(&sample(), &request, UDP).expect("a response");
    // RCODE 16 is 0 in the header and 1 in the OPT's TTL (RFC 6891 section 6.1.3).
    assert_eq!(response[3], 0);
    assert_eq!(response[response.len() - 11..], *b"\0\0\x29\x04\xd0\x01\0\0\0\0\0");
}

#[test]
fn other_opcodes_are_not_implemented() {
    for opcode in 1..16 {
        let mut request = edns(DEVICE, A);
        request[2] = opcode << 3 | 1;
        let response = respond(&sample(), &request, UDP).expect("a response");
        assert_eq!(summary(&response).to_string(), "NOTIMP rd |  |  | edns", "opcode {opcode}");
        assert_eq!(response[2] >> 3 & 15, opcode);
        assert_eq!(response[12..12 + question(DEVICE, A).len()], question(DEVICE, A));
        request.truncate(20);
        assert_eq!(line(&request), "NOTIMP rd |  | ", "opcode {opcode}, unreadable");
    }
}

#[test]
fn other_classes_are_refused() {
    for class in [0, 2, 3, 4, 254, 255, 65535_u16] {
        let mut request = query(DEVICE, A);
        let at = request.len() - 2;
        request[at..].copy_from_slice(&class.to_be_bytes());
        assert_eq!(line(&request), "REFUSED rd |  | ", "class {class}");
        assert_eq!(line(&with_opt(request, 1232, 0, 0, &[])), "REFUSED rd |  |  | edns ede 21");
    }
}

#[test]
fn types_that_are_no_data() {
    for (kind, expected) in [
        (41, "FORMERR rd |  |  | edns"),
        (249, "FORMERR rd |  |  | edns"),
        (250, "FORMERR rd |  |  | edns"),
        (253, "NOTIMP rd |  |  | edns"),
        (254, "NOTIMP rd |  |  | edns"),
    ] {
        assert_eq!(line(&edns(DEVICE, kind)), expected, "type {kind}");
        let response =
            respond(&sample(), &edns("privatelink.azure-devices.net", kind), TCP).expect("a response");
        assert_eq!(summary(&response).to_string(), expected, "type {kind} over TCP");
    }
}

#[test]
fn zones_not_ours_are_refused() {
    for name in [
        ".",
        "net",
        "azure-devices.net",
        "example.org",
        "xprivatelink.azure-devices.net",
        "privatelink.azure-devices.net.example",
        "iotc-9.azure-devices.net",
        "b.servicebus.windows.net",
    ] {
        assert_eq!(line(&edns(name, A)), "REFUSED rd |  |  | edns ede 20", "{name}");
        assert_eq!(line(&query(name, SOA)), "REFUSED rd |  | ", "{name}");
    }
}

#[test]
fn clients_that_may_not_ask_are_refused() {
    let stranger = super::super::Asker { allowed: false, ..UDP };
    for name in [DEVICE, "x.privatelink.azure-devices.net", "example.org"] {
        for kind in [A, 252] {
            let response = respond(&sample(), &edns(name, kind), stranger).expect("a response");
            assert_eq!(summary(&response).to_string(), "REFUSED rd |  |  | edns ede 18", "{name}");
        }
    }
}

#[test]
fn before_a_zone_is_loaded() {
    let empty = Image::default();
    assert!(!empty.is_loaded());
    for name in [DEVICE, "iotc-1.azure-devices.net", "example.org", "."] {
        assert_eq!(line_of(&empty, &edns(name, A)), "SERVFAIL rd |  |  | edns ede 14", "{name}");
    }
}

#[test]
fn as_long_as_an_application_was_never_read_nothing_is_denied() {
    let image = compile(&generation(&publication(), sample_shares()), false);
    let hit = format!("NOERROR aa rd | {DEVICE} A 10 10.0.0.4 |  | edns");
    assert_eq!(line_of(&image, &edns(DEVICE, A)), hit);
    for name in [
        "iotc-3.privatelink.azure-devices.net",
        "x.iotc-1.azure-devices.net",
        "iotc-9.azure-devices.net",
        "privatelink.azureiotcentral.com",
        // An empty non-terminal may get addresses from the other application.
        "b.privatelink.servicebus.windows.net",
    ] {
        assert_eq!(line_of(&image, &edns(name, A)), "SERVFAIL rd |  |  | edns ede 14", "{name}");
    }
    // The apex of a zone never depends on what is still to come.
    for (name, kind, answers) in [("privatelink.azure-devices.net", SOA, 1), (DEVICE, AAAA, 0)] {
        let summary = summary(&respond(&image, &edns(name, kind), UDP).expect("a response"));
        assert_eq!((summary.rcode, summary.answers.len()), (0, answers), "{name}");
    }
}

#[test]
fn without_any_zone_everything_is_refused() {
    let publication =
        crate::zones::Publication { privatelink_zones: false, per_name_zones: false, ..publication() };
    let image = compile(&generation(&publication, sample_shares()), true);
    assert_eq!(line_of(&image, &edns(DEVICE, A)), "REFUSED rd |  |  | edns ede 20");
}
