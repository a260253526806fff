//! What becomes of an upstream's response: nothing is lost, nothing of ours leaves the private network.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A as Address, CNAME, NULL, SOA as Soa, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::super::message;
use super::super::resolver::testing::{Entry, TtlLimits, respond};
use super::super::{Asker, Context, Image};
use super::build::{A, AAAA, UDP, compile_with, edns, generation, privatelink, query, sample_shares, wire};
use super::summary::{Summary, summary};

const RECURSIVE: Asker = Asker { recursion: true, ..UDP };
const LIMITS: TtlLimits =
    TtlLimits { positive: Duration::from_secs(86_400), negative: Duration::from_secs(900) };

fn name(text: &str) -> Name {
    Name::from_str(text).expect("a name")
}

fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

fn address(owner: &str, ttl: u32, octets: [u8; 4]) -> Record {
    Record::from_rdata(name(owner), ttl, RData::A(Address(Ipv4Addr::from(octets))))
}

fn soa(zone: &str, ttl: u32, minimum: u32) -> Record {
    Record::from_rdata(
        name(zone),
        ttl,
        RData::SOA(Soa::new(name("ns.test."), name("h.test."), 1, 2, 3, 4, minimum)),
    )
}

/// A response with an OPT record, as upstreams send it.
fn upstream(question: &str, kind: u16, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = Message::new(7, MessageType::Response, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(Query::query(name(question), RecordType::from(kind)));
    message.add_answers(answers);
    message.add_authorities(authorities);
    message.edns = Some(Edns::new());
    message
}

fn entry(message: &Message, now: Instant) -> Entry {
    let query = message.queries.first().expect("a question");
    let name = wire(&query.name().to_ascii().to_lowercase());
    let octets = message.to_vec().expect("octets");
    Entry::read(&octets, &name, query.query_type().into(), now, LIMITS).expect("readable")
}

fn image() -> Image {
    let context = Context { complete: true, resolver: true, fallback: true, ..Context::default() };
    compile_with(&generation(&privatelink(), sample_shares()), context)
}

/// What a client gets so many seconds later.
fn later(entry: &Entry, request: &[u8], seconds: u64, asker: Asker) -> Summary {
    later_from(entry, &image(), request, seconds, asker)
}

fn later_from(entry: &Entry, image: &Image, request: &[u8], seconds: u64, asker: Asker) -> Summary {
    let mut out = Vec::new();
    let query = message::read(request).expect("a query");
    respond(entry, image, request, query, asker, entry.stored() + Duration::from_secs(seconds), &mut out);
    assert!(out.len() <= 1232);
    summary(&out)
}

#[test]
fn an_answer_is_handed_on_with_its_ttls_counted_down() {
    let now = Instant::now();
    let answers = vec![
        alias("www.example.com.", 300, "host.example.net."),
        address("host.example.net.", 60, [192, 0, 2, 1]),
    ];
    let entry = entry(&upstream("www.example.com.", A, answers, vec![]), now);
    let said = later(&entry, &edns("wWw.Example.com", A), 20, RECURSIVE);
    assert_eq!((said.rcode, said.flags.as_str(), said.edns.as_deref()), (0, "rd ra", Some("edns")));
    assert_eq!(
        said.answers,
        ["wWw.Example.com CNAME 280 host.example.net", "host.example.net A 40 192.0.2.1"]
    );
    assert!(entry.is_fresh(now + Duration::from_secs(59)) && !entry.is_fresh(now + Duration::from_secs(60)));
    assert_eq!(later(&entry, &query("www.example.com", A), 0, RECURSIVE).edns, None, "no OPT unless asked");
}

#[test]
fn a_chain_into_a_zone_of_ours_is_continued_from_our_data() {
    let hub = "iotc-1.privatelink.azure-devices.net.";
    let chain = |depth: usize| {
        let mut answers = Vec::new();
        for i in 0..depth {
            answers.push(alias(&format!("n{i}.test."), 100, &format!("n{}.test.", i + 1)));
        }
        answers.push(alias(&format!("n{depth}.test."), 100, hub));
        answers.push(alias(hub, 100, "front.cloudapp.test."));
        answers.push(address("front.cloudapp.test.", 100, [203, 0, 113, 9]));
        answers
    };
    for depth in [0, 1, 5] {
        for reversed in [false, true] {
            let mut answers = chain(depth);
            if reversed {
                answers.reverse();
            }
            let entry = entry(&upstream("n0.test.", A, answers, vec![]), Instant::now());
            let said = later(&entry, &edns("n0.test", A), 30, RECURSIVE);
            assert_eq!(said.answers.len(), depth + 2, "{said:?}");
            assert_eq!(said.answers[depth], format!("n{depth}.test CNAME 70 {}", hub.trim_end_matches('.')));
            assert_eq!(said.answers[depth + 1], format!("{} A 10 10.0.0.4", hub.trim_end_matches('.')));
            assert!(
                !said.answers.iter().any(|line| line.contains("203.0.113.9") || line.contains("cloudapp"))
            );
        }
    }
    // Other types end at the private zone.
    let entry = entry(&upstream("n0.test.", AAAA, chain(0), vec![]), Instant::now());
    let said = later(&entry, &edns("n0.test", AAAA), 0, RECURSIVE);
    assert_eq!((said.rcode, said.answers.len()), (0, 1));
    assert!(said.authority[0].starts_with("privatelink.azure-devices.net SOA"), "{said:?}");
}

#[test]
fn a_chain_into_a_name_that_we_do_not_hold_is_left_alone() {
    let other = "other.privatelink.azure-devices.net.";
    let answers = vec![
        alias("other.azure-devices.net.", 60, other),
        alias(other, 60, "front.test."),
        address("front.test.", 60, [203, 0, 113, 9]),
    ];
    let entry = entry(&upstream("other.azure-devices.net.", A, answers, vec![]), Instant::now());
    let said = later(&entry, &query("other.azure-devices.net", A), 0, RECURSIVE);
    assert_eq!(said.answers[2], "front.test A 60 203.0.113.9");
    // As long as an application was never read, the name may be one of its own.
    let context = Context { resolver: true, fallback: true, ..Context::default() };
    let image = compile_with(&generation(&privatelink(), sample_shares()), context);
    assert_eq!(later_from(&entry, &image, &query("other.azure-devices.net", A), 0, RECURSIVE).rcode, 2);
    assert_eq!(
        later_from(&entry, &Image::default(), &query("other.azure-devices.net", A), 0, RECURSIVE).rcode,
        2
    );
}

#[test]
fn a_name_that_becomes_ours_leaves_its_old_denial_behind() {
    // Asked too early: public DNS had no such alias yet, and the answer is cached.
    let early = upstream(
        "www.test.",
        A,
        vec![alias("www.test.", 900, "iotc-9.privatelink.azure-devices.net.")],
        vec![soa("test.", 900, 900)],
    );
    let entry = entry(&early, Instant::now());
    let before = later(&entry, &query("www.test", A), 1, RECURSIVE);
    assert_eq!(before.answers.len(), 1);
    let mut shares = sample_shares();
    let devices = "privatelink.azure-devices.net";
    shares.push(super::build::share(
        3,
        &[devices],
        &[("iotc-9.azure-devices.net", devices, vec![[10, 0, 0, 99].into()])],
    ));
    let context = Context { complete: true, resolver: true, fallback: true, ..Context::default() };
    let image = compile_with(&generation(&privatelink(), shares), context);
    let after = later_from(&entry, &image, &query("www.test", A), 1, RECURSIVE);
    assert_eq!(after.answers[1], "iotc-9.privatelink.azure-devices.net A 10 10.0.0.99");
}

#[test]
fn loops_and_endless_chains_end() {
    let answers = vec![alias("a.test.", 5, "b.test."), alias("b.test.", 5, "a.test.")];
    let looped = entry(&upstream("a.test.", A, answers, vec![]), Instant::now());
    assert_eq!(later(&looped, &query("a.test", A), 0, RECURSIVE).answers.len(), 2, "as it came");
    let long = (0..40).map(|i| alias(&format!("n{i}.test."), 5, &format!("n{}.test.", i + 1))).collect();
    let long = entry(&upstream("n0.test.", A, long, vec![]), Instant::now());
    let tcp = Asker { transport: super::super::Transport::Tcp, ..RECURSIVE };
    let mut out = Vec::new();
    let request = query("n0.test", A);
    respond(
        &long,
        &image(),
        &request,
        message::read(&request).expect("a query"),
        tcp,
        Instant::now(),
        &mut out,
    );
    assert_eq!(summary(&out).answers.len(), 40);
}

#[test]
fn denials_live_as_long_as_their_soa_says() {
    let now = Instant::now();
    let life = |message: &Message| {
        let entry = entry(message, now);
        (0..100_000).find(|s| !entry.is_fresh(now + Duration::from_secs(*s))).expect("an end")
    };
    let mut missing = upstream("x.test.", A, vec![], vec![soa("test.", 600, 60)]);
    assert_eq!(life(&missing), 60, "NODATA: the smaller of TTL and MINIMUM");
    missing.metadata.response_code = ResponseCode::NXDomain;
    assert_eq!(life(&missing), 60);
    missing.authorities[0].ttl = 30;
    assert_eq!(life(&missing), 30);
    missing.authorities.clear();
    assert_eq!(life(&missing), 0, "without a SOA it is not kept");
    assert_eq!(life(&upstream("x.test.", A, vec![], vec![soa("test.", 80_000, 80_000)])), 900, "the limit");
    assert_eq!(life(&upstream("x.test.", A, vec![address("x.test.", 0, [1, 1, 1, 1])], vec![])), 0);
    assert_eq!(
        life(&upstream("x.test.", A, vec![address("x.test.", u32::MAX, [1, 1, 1, 1])], vec![])),
        0,
        "RFC 2181"
    );
    assert_eq!(
        life(&upstream("x.test.", 5, vec![alias("x.test.", 77, "y.test.")], vec![])),
        77,
        "asked for the alias"
    );
}

#[test]
fn flags_are_the_clients_and_the_upstreams() {
    let mut message = upstream("x.test.", A, vec![address("x.test.", 9, [1, 1, 1, 1])], vec![]);
    message.metadata.authentic_data = true;
    message.metadata.authoritative = true;
    let entry = entry(&message, Instant::now());
    let flags = |request: &[u8]| later(&entry, request, 0, RECURSIVE).flags;
    let mut request = query("x.test", A);
    assert_eq!(flags(&request), "rd ra", "nobody asked whether it is authentic");
    request[3] = 0x30;
    assert_eq!(flags(&request), "rd ra ad cd");
    assert_eq!(flags(&super::build::with_opt(query("x.test", A), 1232, 0, 0x8000, &[])), "rd ra ad");
}

#[test]
fn what_does_not_fit_is_truncated() {
    let answers = (0..100).map(|i| address("x.test.", 9, [10, 0, 0, i])).collect();
    let entry = entry(&upstream("x.test.", A, answers, vec![]), Instant::now());
    let said = later(&entry, &query("x.test", A), 0, RECURSIVE);
    assert_eq!((said.flags.as_str(), said.answers.len()), ("tc rd ra", 0));
    assert_eq!(later(&entry, &edns("x.test", A), 0, RECURSIVE).flags, "tc rd ra");
}

#[test]
fn no_answer_is_servfail_with_the_reason() {
    let failure = Entry::failure(Instant::now());
    let said = later(&failure, &edns("x.test", A), 0, RECURSIVE);
    assert_eq!((said.rcode, said.edns.as_deref()), (2, Some("edns ede 22")));
}

/// Records of types that are known and unknown, below a few names.
fn record() -> impl Strategy<Value = Record> {
    let owner = prop_oneof![Just("x.test."), Just("a.very.long.name.below.test."), Just("B.Other.example.")];
    let data = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| RData::A(Address(octets.into()))),
        "[ -~]{0,200}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
        prop::collection::vec(any::<u8>(), 1..100)
            .prop_map(|data| RData::Unknown { code: RecordType::Unknown(65_280), rdata: NULL::with(data) }),
        Just(RData::CNAME(CNAME(name("z.test.")))),
    ];
    (owner, 1_u32..=i32::MAX as u32, data)
        .prop_map(|(owner, ttl, data)| Record::from_rdata(name(owner), ttl, data))
}

proptest! {
    #[test]
    fn nothing_is_lost_on_the_way(
        answers in prop::collection::vec(record(), 0..8),
        authorities in prop::collection::vec(record(), 0..4),
        additionals in prop::collection::vec(record(), 0..4),
        seconds in 0..40_000_u64,
    ) {
        let mut message = upstream("x.test.", 65_280, answers, authorities);
        message.add_additionals(additionals);
        let entry = entry(&message, Instant::now());
        let mut out = Vec::new();
        let request = query("x.test", 65_280);
        let tcp = Asker { transport: super::super::Transport::Tcp, ..RECURSIVE };
        let now = entry.stored() + Duration::from_secs(seconds);
        respond(&entry, &image(), &request, message::read(&request).expect("a query"), tcp, now, &mut out);
        let got = Message::from_vec(&out).expect("a message");
        let aged = |records: &[Record]| -> Vec<Record> {
            records.iter().cloned().map(|mut record| {
                record.ttl = record.ttl.saturating_sub(seconds as u32);
                record
            }).collect()
        };
        prop_assert_eq!(got.id, 0x1234);
        prop_assert_eq!(got.answers, aged(&message.answers));
        prop_assert_eq!(got.authorities, aged(&message.authorities));
        prop_assert_eq!(got.additionals, aged(&message.additionals));
        prop_assert!(got.edns.is_none());
    }

    #[test]
    fn any_octets_are_survived(
        mut message in prop::collection::vec(any::<u8>(), 0..300),
        counts in any::<[u8; 3]>(),
    ) {
        if message.len() > 12 {
            message[6..12].copy_from_slice(&[0, counts[0] % 4, 0, counts[1] % 4, 0, counts[2] % 4]);
        }
        if let Ok(entry) = Entry::read(&message, &wire("x.test"), A, Instant::now(), LIMITS) {
            let mut out = Vec::new();
            let request = query("x.test", A);
            respond(&entry, &image(), &request, message::read(&request).expect("a query"), RECURSIVE, Instant::now(), &mut out);
            prop_assert!(out.len() >= 12);
        }
    }

    #[test]
    fn damage_is_survived(
        answers in prop::collection::vec(record(), 0..8),
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let message = upstream("x.test.", A, answers, vec![soa("test.", 5, 5)]);
        let mut octets = message.to_vec().expect("octets");
        let place = at.index(octets.len());
        octets[place] = octet;
        octets.truncate(cut.index(octets.len() + 1));
        let _ = Entry::read(&octets, &wire("x.test"), A, Instant::now(), LIMITS);
    }
}
