//! The messages of transfers, read by an independent parser: what they hold, and who gets them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use domain::base::Message;
use domain::base::iana::Rtype;
use domain::rdata::AllRecordData;
use jiff::Timestamp;
use proptest::prelude::*;

use super::super::query::{Step, take};
use super::super::secondaries::Records;
use super::super::{Asker, Counters, Outcome, Serving, Transfers};
use super::build::*;
use super::server::dns;
use crate::config::{Access, Notification, Secondary};
use crate::wire::tsig::{Algorithm, Key, Keys, sign_request};
use crate::zones::generation::succeed;
use crate::zones::{Catalog, Difference, Form, Generation, Publication};

const AXFR: u16 = 252;
const IXFR: u16 = 251;
const DEVICES: &str = "privatelink.azure-devices.net";
const CATALOG: &str = "catalog.example.net";
const RPZ: &str = "rpz.example.net";

pub(super) fn secondary(name: &str, address: &str, key: Option<&str>, access: Access) -> Secondary {
    Secondary {
        name: name.to_owned(),
        address: address.parse().expect("an address"),
        key: key.map(super::build::name),
        access,
        source: None,
        notification: Notification::Off,
    }
}

pub(super) fn key(name: &str) -> Key {
    Key::new(super::build::name(name), Algorithm::HmacSha256, &[7; 32]).expect("a key")
}

/// One that is known by its address alone, and one by its key alone.
fn transfers() -> Transfers {
    let secondaries = vec![
        secondary("by-address", "192.0.2.1:53", None, Access::Address),
        secondary("by-key", "192.0.2.2:53", Some("key"), Access::Key),
        secondary("by-either", "192.0.2.3:53", Some("either"), Access::KeyOrAddress),
        secondary("by-both", "192.0.2.4:53", Some("both"), Access::KeyAndAddress),
    ];
    let keys: Keys = ["key", "either", "both", "unused"].map(key).into_iter().collect();
    Transfers::of(secondaries, keys, Arc::new(Records::default()))
}

/// Generations that follow one another.
#[derive(Default)]
struct Story {
    generations: Vec<Generation>,
    history: VecDeque<Difference>,
}

impl Story {
    fn tell(&mut self, publication: &Publication, shares: Vec<crate::zones::Share>) {
        let shares = shares.into_iter().map(|share| (share.application.clone(), Arc::new(share))).collect();
        let now = Timestamp::from_second(i64::from(SERIAL) + self.generations.len() as i64).expect("a time");
        let next = succeed(self.generations.last(), shares, publication, "test", now);
        if let Some((generation, difference)) = next {
            self.generations.push(generation);
            self.history.push_back(difference);
        }
    }

    fn last(&self) -> &Generation {
        self.generations.last().expect("a generation")
    }

    fn serving(&self) -> Serving {
        let image = compile(self.last(), true);
        let mut serving = Serving::new(Arc::new(image), &dns(&["127.0.0.1:0"]), None, None);
        serving.transfers = Arc::new(transfers());
        let generation = Arc::new(self.last().clone());
        serving.source =
            Some(Arc::new(super::super::Source { generation, history: Arc::new(self.history.clone()) }));
        serving
    }
}

fn everything() -> Publication {
    let catalog = Catalog { origin: name(CATALOG), group: Some("iot".to_owned()) };
    Publication { catalog: Some(catalog), rpz: Some(name(RPZ)), ..publication() }
}

fn story() -> Story {
    let mut story = Story::default();
    story.tell(&everything(), sample_shares());
    story
}

/// All messages for a request of a client, each as it goes out.
fn messages(serving: &Serving, from: &str, base: Asker, request: &[u8]) -> Vec<Vec<u8>> {
    let counters = Counters::new().expect("counters");
    let client: IpAddr = from.parse().expect("an address");
    let asker = Asker { secondary: serving.transfers.knows(client), ..base };
    let mut out = Vec::new();
    match take(serving, &counters, (client, 1024).into(), asker, request, &mut out) {
        Step::Answered(Outcome::Answered { .. }) => vec![out],
        Step::Transfer(mut transfer) => {
            let mut all = Vec::new();
            while transfer.next(u64::from(SERIAL), 16 * 1024, &mut out) {
                all.push(out.clone());
            }
            all
        }
        _ => panic!("neither an answer nor a transfer"),
    }
}

/// A record as text: owner, type, data.
type Line = (String, Rtype, String);

/// All answer records of messages.
fn lines(messages: &[Vec<u8>]) -> Vec<Line> {
    let mut lines = Vec::new();
    for message in messages {
        let message = Message::from_octets(message.as_slice()).expect("a message");
        for record in message.answer().expect("a section") {
            let record = record.expect("a record");
            let record = record.to_record::<AllRecordData<_, _>>().expect("readable").expect("known");
            let data = format!("{}", record.data());
            lines.push((record.owner().to_string(), record.rtype(), data));
        }
    }
    lines
}

/// A response without records: its RCODE, and the extended error.
fn refusal(messages: &[Vec<u8>]) -> u8 {
    assert_eq!(messages.len(), 1);
    assert_eq!(lines(messages), [], "no record");
    messages[0][3] & 0x0f
}

/// A request for what changed since a serial.
fn since(zone: &str, serial: u32) -> Vec<u8> {
    let mut request = query(zone, IXFR);
    request[9] = 1;
    // The owner points to the question; MNAME and RNAME are the root.
    request.extend(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
    request.extend(serial.to_be_bytes());
    request.extend([0; 16]);
    request
}

/// What a zone has by the generation, as the records of a transfer would say it.
fn expected(generation: &Generation, origin: &str) -> BTreeSet<Line> {
    let zone = &generation.zones[&name(origin)];
    let addresses = zone.addresses.iter().flat_map(|(owner, addresses)| {
        addresses.iter().map(move |address| (format!("{owner}"), Rtype::A, address.to_string()))
    });
    let ns = if zone.form == Form::Catalog { "invalid." } else { "ns1.example.net." };
    addresses.chain([(origin.to_owned(), Rtype::NS, ns.to_owned())]).collect()
}

fn serial(line: &Line) -> u32 {
    assert_eq!(line.1, Rtype::SOA);
    line.2.split_whitespace().nth(2).and_then(|serial| serial.parse().ok()).expect("a serial")
}

#[test]
fn a_zone_comes_whole_between_two_equal_soa_records() {
    let story = story();
    let serving = story.serving();
    for zone in [DEVICES, "privatelink.servicebus.windows.net", "iotc-2.azure-devices.net", RPZ] {
        let got = lines(&messages(&serving, "192.0.2.1", TCP, &query(zone, AXFR)));
        let [first, between @ .., last] = got.as_slice() else { panic!("{got:?}") };
        assert_eq!(first, last);
        assert_eq!(Some(serial(first)), story.last().serial(&name(zone)));
        let distinct: BTreeSet<Line> = between.iter().cloned().collect();
        assert_eq!(distinct.len(), between.len(), "each record once");
        assert_eq!(distinct, expected(story.last(), zone));
    }
}

#[test]
fn the_catalog_lists_every_other_zone_under_a_label_of_its_own() {
    let got = lines(&messages(&story().serving(), "192.0.2.1", TCP, &query(CATALOG, AXFR)));
    let of = |kind: Rtype| got.iter().filter(move |line| line.1 == kind);
    let members: BTreeMap<&str, &str> =
        of(Rtype::PTR).map(|(owner, _, member)| (member.as_str(), owner.as_str())).collect();
    let zones: Vec<&str> = members.keys().copied().collect();
    assert_eq!(
        zones,
        [
            "a.b.servicebus.windows.net.",
            "iotc-1.azure-devices.net.",
            "iotc-2.azure-devices.net.",
            "privatelink.azure-devices.net.",
            "privatelink.servicebus.windows.net.",
        ]
    );
    let labels: BTreeSet<&&str> = members.values().collect();
    assert_eq!(labels.len(), members.len());
    // Written down so that it stays the same: another label makes consumers drop the zone and its data.
    assert_eq!(
        members["privatelink.azure-devices.net."],
        "622065aa4ad52196c3660157b5a3f653.zones.catalog.example.net"
    );
    let texts: BTreeMap<&str, &str> =
        of(Rtype::TXT).map(|(o, _, text)| (o.as_str(), text.as_str())).collect();
    assert_eq!(texts["version.catalog.example.net"], "\"2\"");
    for owner in members.values() {
        assert_eq!(texts[format!("group.{owner}").as_str()], "\"iot\"");
    }
    assert_eq!(texts.len(), 1 + members.len());
    assert_eq!(of(Rtype::NS).map(|line| line.2.as_str()).collect::<Vec<_>>(), ["invalid."]);
}

#[test]
fn large_zones_take_full_messages_that_all_answer_the_question() {
    let names: Vec<String> = (0..3000).map(|n| format!("iotc-{n:04}.azure-devices.net")).collect();
    let rows: Vec<Name<'_>> = names
        .iter()
        .map(|n| (n.as_str(), DEVICES, vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]))
        .collect();
    let mut story = Story::default();
    story.tell(&privatelink(), vec![share(1, &[DEVICES], &rows)]);
    let all = messages(&story.serving(), "192.0.2.1", TCP, &edns(DEVICES, AXFR));
    assert!(all.len() > 5, "{} messages", all.len());
    let (last, full) = all.split_last().expect("messages");
    assert!(full.iter().all(|message| (15_000..=16 * 1024).contains(&message.len())));
    assert!(last.len() <= 16 * 1024);
    for message in &all {
        assert_eq!(message[..4], [0x12, 0x34, 0x85, 0], "id, QR, AA, RD as asked, NOERROR");
        assert_eq!(message[12..12 + wire(DEVICES).len()], wire(DEVICES), "the question");
        let message = Message::from_octets(message.as_slice()).expect("a message");
        assert!(message.opt().is_some(), "EDNS was asked for");
    }
    assert_eq!(lines(&all).len(), 6000 + 3);
}

#[test]
fn names_keep_their_case_however_they_are_asked_for() {
    let asked = "PrivateLink.Azure-Devices.NET";
    let got = messages(&story().serving(), "192.0.2.1", TCP, &query(asked, AXFR));
    assert_eq!(got[0][12..12 + wire(asked).len()], wire(asked), "the question as sent");
    assert!(lines(&got).iter().all(|(owner, _, _)| *owner == owner.to_lowercase()));
}

#[test]
fn only_secondaries_get_a_transfer() {
    let serving = story().serving();
    let signed = |key_name: &str, mut request: Vec<u8>| {
        sign_request(&Arc::new(key(key_name)), &mut request, now());
        request
    };
    let ask = |from: &str, request: Vec<u8>| lines(&messages(&serving, from, TCP, &request)).len() > 3;
    let plain = || query(DEVICES, AXFR);
    for (from, key, allowed) in [
        ("192.0.2.9", None, false),
        ("192.0.2.1", None, true),
        ("::ffff:192.0.2.1", None, true),
        ("192.0.2.1", Some("unused"), true),
        ("192.0.2.2", None, false),
        ("192.0.2.2", Some("unused"), false),
        ("192.0.2.9", Some("unused"), false),
        ("192.0.2.9", Some("key"), true),
        ("192.0.2.3", None, true),
        ("192.0.2.9", Some("either"), true),
        ("192.0.2.4", None, false),
        ("192.0.2.9", Some("both"), false),
        ("192.0.2.4", Some("key"), true),
        ("192.0.2.4", Some("both"), true),
    ] {
        let request = key.map_or_else(plain, |key| signed(key, plain()));
        assert_eq!(ask(from, request), allowed, "{from} {key:?}");
    }
    let transfers = transfers();
    let who = |from: [u8; 4], key: Option<&str>| {
        let key = key.map(name);
        transfers.secondary(from.into(), key.as_ref()).map(|secondary| secondary.name.clone())
    };
    assert_eq!(who([192, 0, 2, 1], Some("key")).as_deref(), Some("by-key"), "the key tells more");
    assert_eq!(who([192, 0, 2, 3], None).as_deref(), Some("by-either"));
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).expect("after 1970")
}

#[test]
fn refusals_say_why() {
    let story = story();
    let mut serving = story.serving();
    let code = |serving: &Serving, from: &str, base: Asker, request: &[u8]| {
        refusal(&messages(serving, from, base, request))
    };
    assert_eq!(code(&serving, "192.0.2.9", TCP, &edns(DEVICES, AXFR)), 5, "REFUSED");
    assert_eq!(code(&serving, "192.0.2.9", TCP, &query("example.org", AXFR)), 5, "no word of what there is");
    assert_eq!(code(&serving, "192.0.2.1", TCP, &query("example.org", AXFR)), 9, "NOTAUTH");
    assert_eq!(code(&serving, "192.0.2.1", TCP, &query(&format!("x.{DEVICES}"), AXFR)), 9, "no apex");
    assert_eq!(code(&serving, "192.0.2.1", UDP, &query(DEVICES, AXFR)), 5, "over UDP");
    assert_eq!(code(&serving, "192.0.2.1", TCP, &query(DEVICES, IXFR)), 1, "IXFR without SOA");
    // Not every application was read: a secondary would lose names.
    serving.source = None;
    assert_eq!(code(&serving, "192.0.2.1", TCP, &query(DEVICES, AXFR)), 2, "SERVFAIL");
}

#[test]
fn zones_for_secondaries_have_an_soa_for_them_alone() {
    let serving = story().serving();
    for zone in [CATALOG, RPZ] {
        for base in [UDP, TCP] {
            let got = lines(&messages(&serving, "192.0.2.1", base, &query(zone, SOA)));
            assert_eq!(serial(&got[0]), SERIAL, "{zone}");
            assert_eq!(refusal(&messages(&serving, "192.0.2.9", base, &query(zone, SOA))), 5);
            assert_eq!(refusal(&messages(&serving, "192.0.2.1", base, &query(zone, A))), 5);
        }
    }
    let mut request = query(CATALOG, SOA);
    sign_request(&Arc::new(key("key")), &mut request, now());
    assert_eq!(lines(&messages(&serving, "192.0.2.9", UDP, &request)).len(), 1, "by its key");
}

/// Plays the records of an IXFR response onto what a secondary holds (RFC 1995 section 4).
fn play(held: &mut BTreeSet<Line>, mut from: u32, got: &[Line]) -> u32 {
    let to = serial(&got[0]);
    if got.len() == 1 {
        return from;
    }
    if got[1].1 != Rtype::SOA {
        *held = got[1..got.len() - 1].iter().cloned().collect();
        return to;
    }
    assert_eq!(got.first(), got.last());
    let mut adding = true;
    for line in &got[1..got.len() - 1] {
        if line.1 == Rtype::SOA {
            adding = !adding;
            if adding {
                from = serial(line);
            } else {
                assert_eq!(serial(line), from, "the differences follow one another");
            }
        } else if adding {
            assert!(held.insert(line.clone()), "{line:?} was there");
        } else {
            assert!(held.remove(line), "{line:?} was not there");
        }
    }
    assert_eq!(from, to);
    to
}

#[test]
fn what_changed_is_told_to_signed_datagrams_when_it_fits_and_else_the_serial() {
    let mut story = story();
    let devices = |count: u8| {
        let names: Vec<String> = (0..count).map(|n| format!("iotc-{n}.azure-devices.net")).collect();
        let rows: Vec<Name<'_>> =
            names.iter().map(|n| (n.as_str(), DEVICES, vec![Ipv4Addr::new(10, 0, 9, 9)])).collect();
        vec![share(1, &[DEVICES], &rows)]
    };
    story.tell(&everything(), devices(5));
    story.tell(&everything(), devices(6));
    story.tell(&everything(), devices(120));
    let serving = story.serving();
    let serials: Vec<u32> =
        story.generations.iter().filter_map(|generation| generation.serial(&name(DEVICES))).collect();
    let signed = |serving: &Serving, serial: u32, base: Asker| {
        let mut request = since(DEVICES, serial);
        let mut verifier = sign_request(&Arc::new(key("key")), &mut request, now());
        let mut response = messages(serving, "192.0.2.9", base, &request);
        if base.transport == UDP.transport {
            assert!(response[0].len() <= 512, "{} octets with the signature", response[0].len());
            verifier.verify(&mut response[0], now()).expect("signed");
        }
        response
    };
    let ask = |serial: u32, asker: Asker| signed(&serving, serial, asker);
    let one = lines(&ask(serials[2], UDP));
    assert_eq!(one.len(), 1, "114 names do not fit into 512 octets");
    assert_eq!(serial(&one[0]), serials[3]);
    assert_eq!(lines(&ask(serials[3], UDP)).len(), 1, "nothing lacks");
    assert_eq!(lines(&ask(serials[3] + 7, TCP)).len(), 1, "ahead of us");
    assert_eq!(lines(&ask(serials[3] - 10_000, UDP)).len(), 1, "no zone over UDP");
    let mut before = Story { generations: story.generations[..3].to_vec(), history: story.history.clone() };
    before.history.truncate(3);
    let serving = before.serving();
    let small = signed(&serving, serials[1], UDP);
    let mut held = expected(&before.generations[1], DEVICES);
    assert_eq!(play(&mut held, serials[1], &lines(&small)), serials[2]);
    assert_eq!(held, expected(&before.generations[2], DEVICES));
    // Whoever writes the address of a secondary into a datagram makes nothing larger of it.
    let request = since(DEVICES, serials[1]);
    let forged = messages(&serving, "192.0.2.1", UDP, &request);
    assert_eq!(serial(&lines(&forged)[0]), serials[2]);
    assert_eq!(lines(&forged).len(), 1);
    assert!(forged[0].len() < 2 * request.len(), "{} octets for {}", forged[0].len(), request.len());
}

#[test]
fn a_datagram_is_never_longer_than_the_client_takes() {
    let label = "a".repeat(60);
    let long = format!("{label}.{label}.{label}.example.net");
    let named = Publication {
        name_servers: vec![name(&format!("ns.{long}"))],
        hostmaster: name(&format!("hostmaster.{long}")),
        ..everything()
    };
    let mut story = Story::default();
    story.tell(&named, sample_shares());
    let mut serving = story.serving();
    let all = [key("key"), key(&long)].into_iter().collect();
    let secondaries = vec![
        secondary("short", "192.0.2.1:53", Some("key"), Access::KeyOrAddress),
        secondary("long", "192.0.2.2:53", Some(&long), Access::Key),
    ];
    serving.transfers = Arc::new(Transfers::of(secondaries, all, Arc::new(Records::default())));
    let soa = |response: &[u8]| (u16::from_be_bytes([response[6], response[7]]), response[2] & 0x02 != 0);
    let plain = messages(&serving, "192.0.2.1", UDP, &since(DEVICES, 1));
    assert_eq!(soa(&plain[0]), (1, false), "it fits without a signature");
    for with in ["key", &long] {
        let mut request = since(DEVICES, 1);
        let mut verifier = sign_request(&Arc::new(key(with)), &mut request, now());
        let mut response = messages(&serving, "192.0.2.9", UDP, &request).remove(0);
        assert!(response.len() <= 512, "{} octets", response.len());
        verifier.verify(&mut response, now()).expect("signed");
        assert_eq!(soa(&response), (0, true), "over TCP it is");
        assert_eq!(lines(&[response]), [], "readable");
    }
}

/// Some of twelve names with one or two of three addresses.
fn some_names() -> impl Strategy<Value = Vec<(u8, BTreeSet<u8>)>> {
    let addresses = prop::collection::btree_set(1..=3_u8, 1..=2);
    prop::collection::btree_map(0..12_u8, addresses, 0..12).prop_map(|names| names.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secondary_follows_from_any_serial(
        steps in prop::collection::vec((some_names(), prop_oneof![9 => Just(10_u32), 1 => Just(20)]), 2..12),
    ) {
        let mut story = Story::default();
        for (names, ttl) in steps {
            let text: Vec<(String, Vec<Ipv4Addr>)> = names
                .into_iter()
                .map(|(n, all)| {
                    let addresses = all.into_iter().map(|a| Ipv4Addr::new(10, 0, n, a)).collect();
                    (format!("iotc-{n}.azure-devices.net"), addresses)
                })
                .collect();
            let rows: Vec<Name<'_>> = text.iter().map(|(n, a)| (n.as_str(), DEVICES, a.clone())).collect();
            let publication = Publication { ttl, ..everything() };
            story.tell(&publication, vec![share(1, &[DEVICES], &rows)]);
        }
        let serving = story.serving();
        for zone in [DEVICES, RPZ] {
            let current = story.last().serial(&name(zone)).expect("a serial");
            for before in &story.generations {
                let from = before.serial(&name(zone)).expect("a serial");
                let got = lines(&messages(&serving, "192.0.2.1", TCP, &since(zone, from)));
                let mut held = expected(before, zone);
                prop_assert_eq!(play(&mut held, from, &got), current);
                prop_assert_eq!(held, expected(story.last(), zone));
            }
        }
    }

    #[test]
    fn no_octets_make_it_fail(mut request in prop::collection::vec(any::<u8>(), 12..80), kind in 250..=252_u16) {
        let serving = story().serving();
        let counters = Counters::new().expect("counters");
        request[2] &= 0x07;
        let zone = question(DEVICES, kind);
        let asked = [&request[..12], &zone, &request[12..]].concat();
        for request in [&request, &asked] {
            for base in [UDP, TCP] {
                let asker = Asker { secondary: true, ..base };
                let client = ([192, 0, 2, 1], 1024).into();
                take(&serving, &counters, client, asker, request, &mut Vec::new());
            }
        }
    }
}
