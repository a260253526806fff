//! Any octets as a request: no panic, and a response that is sound in itself and fits the request.

use domain::base::Message;
use domain::base::iana::Rtype;
use proptest::prelude::*;

use super::super::{Asker, Image, Outcome, Transport, answer};
use super::build::*;
use super::model::{World, world};
use super::summary::summary;

fn asker() -> impl Strategy<Value = Asker> {
    let transport = prop_oneof![Just(Transport::Udp), Just(Transport::Tcp)];
    let view = prop::option::of(0..3_u16);
    (transport, prop::bool::weighted(0.9), any::<bool>(), prop::bool::weighted(0.1), view).prop_map(
        |(transport, allowed, recursion, slip, view)| Asker {
            transport,
            allowed,
            recursion,
            truncate: slip && transport == Transport::Udp,
            view,
            secondary: false,
            reserve: 0,
        },
    )
}

/// A header that looks like a query's, with small counts, and any octets behind it.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let octets = |range| prop::collection::vec(any::<u8>(), range);
    let headed = (any::<[u8; 4]>(), any::<[bool; 5]>(), octets(0..200)).prop_map(|(start, bits, rest)| {
        let counts = bits[..4].iter().flat_map(|b| [0, u8::from(*b)]).collect::<Vec<_>>();
        let mut request = [&start[..], &counts, &rest].concat();
        if bits[4] {
            request[2] &= 0x07;
        }
        request
    });
    prop_oneof![octets(0..600), headed]
}

/// A change of a request.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Repeat(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), prop::sample::select(vec![0, 1, 12, 41, 63, 64, 0x80, 0xc0, 0xff])).prop_map(|(i, b)| Change::Set(i, b)),
        4 => (at(), 0..8_u32).prop_map(|(i, bit)| Change::Flip(i, 1 << bit)),
        1 => (at(), any::<u8>()).prop_map(|(i, b)| Change::Insert(i, b)),
        1 => at().prop_map(Change::Remove),
        1 => at().prop_map(Change::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Change::Append),
        1 => at().prop_map(Change::Repeat),
    ]
}

fn apply(request: &mut Vec<u8>, change: Change) {
    if request.is_empty() {
        return;
    }
    match change {
        Change::Set(i, value) => *i.get_mut(request) = value,
        Change::Flip(i, mask) => *i.get_mut(request) ^= mask,
        Change::Insert(i, value) => request.insert(i.index(request.len()), value),
        Change::Remove(i) => drop(request.remove(i.index(request.len()))),
        Change::Cut(i) => request.truncate(i.index(request.len())),
        Change::Append(tail) => request.extend(tail),
        Change::Repeat(i) => request.extend_from_within(i.index(request.len())..),
    }
}

/// A good query for a name of the world, changed in a few places.
fn nearly(world: &World) -> impl Strategy<Value = Vec<u8>> + use<> {
    let mut names: Vec<String> =
        world.generation.zones.values().flat_map(|z| z.addresses.keys().map(ToString::to_string)).collect();
    names.push("a.b.privatelink.x".to_owned());
    let options = prop::sample::select(vec![&[][..], b"\0\x0a\0\x08abcdefgh", b"\0\x0c\0\0"]);
    let opt = (any::<u16>(), prop::bool::weighted(0.1), any::<u16>(), options);
    let kind = prop::sample::select(vec![A, SOA, NS, AAAA, ANY, 41, 250, 251, 252, 253, 65280]);
    let good = (prop::sample::select(names), kind, prop::option::of(opt)).prop_map(|(name, kind, opt)| {
        let query = query(&name, kind);
        match opt {
            Some((payload, newer, flags, options)) => {
                with_opt(query, payload, u8::from(newer), flags, options)
            }
            None => query,
        }
    });
    (good, prop::collection::vec(change(), 0..5)).prop_map(|(mut request, changes)| {
        changes.into_iter().for_each(|change| apply(&mut request, change));
        request
    })
}

/// Whether the request has an OPT record in its additional section, and with which payload, as
/// `domain` sees it; nothing when it cannot tell.
fn opt_of(request: &[u8]) -> Option<Option<u16>> {
    let message = Message::from_octets(request).ok()?;
    let mut payload = None;
    for record in message.additional().ok()? {
        let record = record.ok()?;
        if record.rtype() == Rtype::OPT {
            payload = Some(record.class().to_int());
        }
    }
    Some(payload)
}

fn check(image: &Image, request: &[u8], asker: Asker) -> Result<(), TestCaseError> {
    if matches!(answer(image, request, asker, &mut Vec::new()), Outcome::Signed | Outcome::Transfer) {
        return Ok(());
    }
    let Some(response) = respond(image, request, asker) else {
        let forwarded = asker.recursion && request.len() >= 12 && request[2] & 0xf9 == 0x01;
        prop_assert!(
            request.len() < 12 || request[2] & 0x80 != 0 || forwarded,
            "only these are ignored or left to public DNS"
        );
        return Ok(());
    };
    // Reads all sections, follows all names, and finds nothing left over.
    let summary = summary(&response);
    prop_assert_eq!(&response[..2], &request[..2], "the id");
    prop_assert_eq!(response[2] & 0x78, request[2] & 0x78, "the opcode");
    prop_assert_eq!(response[2] & 0x01, request[2] & 0x01, "RD");
    let available = if asker.recursion { 0x80 } else { 0 };
    prop_assert_eq!(response[3] & 0xf0, request[3] & 0x10 | available, "CD and RA, and neither Z nor AD");

    let message = Message::from_octets(&response[..]).expect("a header");
    let counts = message.header_counts();
    match counts.qdcount() {
        1 => {
            let sections = message.question();
            let mut rest = sections;
            rest.next().expect("a question").expect("a question that can be read");
            let end = rest.pos();
            prop_assert_eq!(&response[12..end], &request[12..end], "the question, octet by octet");
        }
        count => {
            prop_assert_eq!(count, 0);
            prop_assert!(matches!(summary.rcode, 1 | 4), "only what cannot be read has no question");
        }
    }
    if summary.flags.contains("tc") && summary.edns.is_none() {
        prop_assert_eq!((counts.ancount(), counts.nscount()), (0, 0), "truncated means nothing");
    }
    if asker.truncate {
        prop_assert!(
            response.len() <= request.len() + 6,
            "a slip amplifies nothing but by an extended error"
        );
    }
    if let Some(asked) = opt_of(request) {
        prop_assert!(asked.is_some() || summary.edns.is_none(), "no OPT unless asked");
    }
    let limit = match (asker.transport, &summary.edns, opt_of(request)) {
        (Transport::Tcp, ..) => 65_535,
        (_, None, _) => 512,
        (_, Some(_), Some(Some(payload))) => usize::from(payload.clamp(512, 1232)),
        (_, Some(_), _) => 1232,
    };
    prop_assert!(response.len() <= limit, "{} octets, {} allowed", response.len(), limit);
    if summary.edns.is_none() {
        prop_assert!(summary.rcode < 16, "no extended RCODE without OPT");
    }
    if !summary.answers.is_empty() {
        prop_assert_eq!((summary.rcode, summary.authority.len()), (0, 0));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_answered_soundly(world in world(), requests in prop::collection::vec((noise(), asker()), 1..16)) {
        let image = world.image();
        for (request, asker) in requests {
            check(&image, &request, asker)?;
        }
    }

    #[test]
    fn queries_with_faults_are_answered_soundly(
        (world, requests) in world().prop_flat_map(|world| {
            let requests = prop::collection::vec((nearly(&world), asker()), 1..16);
            (Just(world), requests)
        })
    ) {
        let image = world.image();
        for (request, asker) in requests {
            check(&image, &request, asker)?;
        }
    }
}
