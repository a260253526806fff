//! Any octets as a request: the response is sound in itself, fits the request and the client, and says
//! nothing that the generation does not say.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use domain::base::iana::{Class, Rtype};
use domain::base::{Message, Name, ToName};
use domain::rdata::A;

use super::super::{Asker, Outcome, Transport, answer};
use super::world::{WORLD, World, asker};
use crate::serve::message;
use crate::zones::DnsName;

/// Answers; three octets choose the world, the client and how it asks.
pub fn check(octets: &[u8]) {
    let &[choice, who, how, ref request @ ..] = octets else { return };
    let world = &*WORLD;
    let serving = world.serving(choice);
    let (_, asker) = asker(serving, who, how);
    let mut response = b"left over".to_vec();
    let outcome = answer(&serving.image, request, asker, &mut response);
    let mut again = Vec::new();
    assert_eq!(
        (answer(&serving.image, request, asker, &mut again), &again),
        (outcome, &response),
        "the same"
    );
    let Outcome::Answered { rcode, .. } = outcome else {
        assert!(response.is_empty(), "nothing is sent");
        let forwarded = asker.recursion && request.get(2).is_some_and(|flags| flags & 0xf9 == 0x01);
        let ignored = request.len() < 12 || request[2] & 0x80 != 0;
        match outcome {
            Outcome::Ignored => assert!(ignored),
            Outcome::Forward { .. } => assert!(forwarded || world_falls_back(choice, asker)),
            _ => {}
        }
        return;
    };
    sound(request, asker, &response);
    fits(serving, request, asker, &response);
    if !asker.allowed && !asker.recursion {
        assert!(matches!(rcode, 1 | 4 | 5 | 16), "a stranger learns nothing");
        let counts = Message::from_octets(&response[..]).expect("a header").header_counts();
        assert_eq!((counts.ancount(), counts.nscount()), (0, 0), "a stranger learns nothing");
    }
    if choice & 3 == 3 {
        assert!(!matches!(rcode, 0 | 3) || asker.truncate, "nothing is known and nothing denied");
    }
    true_to(world, serving.image.view(client(who)), asker, &response);
    if choice & 3 == 0 {
        whole(world, serving.image.view(client(who)), asker, request, &response);
    }
}

/// A name that is missing in our zones is public DNS's, with or without RD.
fn world_falls_back(choice: u8, asker: Asker) -> bool {
    asker.recursion && choice & 3 == 1
}

fn client(who: u8) -> std::net::IpAddr {
    super::world::CLIENTS[usize::from(who) % super::world::CLIENTS.len()].parse().expect("an address")
}

/// Header, question and OPT are as the request asks for, and `domain` reads everything.
fn sound(request: &[u8], asker: Asker, response: &[u8]) {
    super::readable(response);
    assert_eq!(response[..2], request[..2], "the id");
    assert_eq!(response[2] & 0xf9, 0x80 | request[2] & 0x79, "QR, opcode and RD");
    let available = if asker.recursion { 0x80 } else { 0 };
    assert_eq!(response[3] & 0xf0, request[3] & 0x10 | available, "RA and CD; neither Z nor AD");
    let message = Message::from_octets(response).expect("a header");
    let counts = message.header_counts();
    if counts.qdcount() == 1 {
        let mut questions = message.question();
        questions.next().expect("a question").expect("one that can be read");
        let end = questions.pos();
        assert_eq!(response[12..end], request[12..end], "the question, octet by octet");
    } else {
        assert_eq!(counts.qdcount(), 0);
        assert!(matches!(response[3] & 0x0f, 1 | 4), "only what cannot be read has no question");
    }
    let edns = message::read(request).ok().and_then(|query| query.edns);
    assert_eq!(message.opt().is_some(), edns.is_some(), "an OPT exactly for an OPT");
    if let (Some(opt), Some(edns)) = (message.opt(), edns) {
        assert_eq!((opt.version(), opt.dnssec_ok()), (0, edns.dnssec_ok));
    }
    if asker.truncate {
        assert!(response.len() <= request.len() + 6, "a slip amplifies nothing but by an extended error");
    }
}

/// The size is what the client takes, and TC is set exactly when something had to be left out.
fn fits(serving: &super::super::Serving, request: &[u8], asker: Asker, response: &[u8]) {
    let payload = message::read(request).ok().and_then(|query| query.edns).map(|edns| edns.payload);
    let limit = match asker.transport {
        Transport::Udp => usize::from(payload.unwrap_or(512).clamp(512, 1232)),
        _ => 65_535,
    };
    assert!(response.len() <= limit, "{} octets, {limit} allowed", response.len());
    let mut whole = Vec::new();
    answer(
        &serving.image,
        request,
        Asker { transport: Transport::Tcp, truncate: false, ..asker },
        &mut whole,
    );
    let is_cut = response[2] & 0x02 != 0;
    if asker.truncate {
        return;
    }
    assert_eq!(is_cut, whole.len() > limit, "TC exactly when it does not fit");
    if !is_cut {
        assert_eq!(response, whole, "the same over every transport");
    }
}

/// Every address is one that the generation gives the client for this name.
fn true_to(world: &World, view: Option<u16>, asker: Asker, response: &[u8]) {
    let message = Message::from_octets(response).expect("a header");
    let records = message.answer().expect("a section").limit_to::<A>();
    for record in records {
        let record = record.expect("a record");
        assert_eq!((record.class(), record.ttl().as_secs()), (Class::IN, 10));
        let owner: DnsName = record.owner().to_string().parse().expect("a name of ours");
        let known = addresses(world, &owner, view);
        assert!(known.is_some_and(|known| known.contains(&record.data().addr())), "{owner} {asker:?}");
    }
}

/// What the client gets for a name, by the rows of the generation.
fn addresses<'a>(world: &'a World, owner: &DnsName, view: Option<u16>) -> Option<&'a BTreeSet<Ipv4Addr>> {
    let views = world.generation.publication.views();
    let prefix = view.and_then(|view| views.get(usize::from(view))?.prefixes.first().copied());
    let zones = world.generation.zones.values().filter(|zone| zone.form.is_answered());
    zones
        .filter_map(|zone| {
            let seen = prefix.and_then(|prefix| zone.view(&prefix)).and_then(|view| view.get(owner));
            seen.or_else(|| zone.addresses.get(owner))
        })
        .next()
}

/// A plain question for the addresses of a name of ours gets all of them.
fn whole(world: &World, view: Option<u16>, asker: Asker, request: &[u8], response: &[u8]) {
    let Ok(query) = Message::from_octets(request) else { return };
    let usual = request[2] & 0xf8 == 0 && query.header_counts().qdcount() == 1 && !query.is_error();
    let Some(Ok(question)) = query.question().next().filter(|_| usual) else { return };
    let is_cut = response[2] & 0x02 != 0;
    let is_answered = response[3] & 0x0f == 0 && message::read(request).is_ok();
    if question.qtype() != Rtype::A || question.qclass() != Class::IN || is_cut || !is_answered {
        return;
    }
    let name: Name<Vec<u8>> = question.qname().to_name();
    let Ok(owner) = name.to_string().parse::<DnsName>() else { return };
    let Some(known) = addresses(world, &owner, view) else { return };
    let given: BTreeSet<Ipv4Addr> = Message::from_octets(response)
        .expect("a header")
        .answer()
        .expect("a section")
        .limit_to::<A>()
        .map(|record| record.expect("a record").data().addr())
        .collect();
    if asker.allowed && query.opt().is_none_or(|opt| opt.version() == 0) {
        assert_eq!(given, *known, "{owner}");
    }
}
