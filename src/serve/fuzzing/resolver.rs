//! What upstreams send: read, kept and given to a client.

use std::time::{Duration, Instant};

use domain::base::Message;
use domain::base::iana::Rtype;

use super::super::message;
use super::super::resolver::testing::{Entry, TtlLimits, respond};
use super::world::{WORLD, asker};
use crate::wire::exchange::check as belongs;
use crate::wire::octets::NAME;

/// Four octets choose the world, the client, how it asks, and the age in seconds; the next the length of
/// the client's query, which stands before the upstream's response.
pub fn check(octets: &[u8]) {
    let &[choice, who, how, age, length, ref rest @ ..] = octets else { return };
    let Some((request, response)) = rest.split_at_checked(usize::from(length)) else { return };
    if request.len() < 12 {
        return;
    }
    let Ok(query) = message::read(request) else { return };
    let Some(question) = query.question else { return };
    let mut buffer = [0; NAME];
    let Some(name) = question.lower(&mut buffer) else { return };
    // As the upstream was asked; the answer's id is right by then.
    let mut asked = response.get(..2).unwrap_or_default().to_vec();
    asked.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    asked.extend_from_slice(name);
    asked.extend(question.kind.to_be_bytes());
    asked.extend([0, 1]);
    if belongs(&asked, response).is_err() || !matches!(response[3] & 0x0f, 0 | 3) {
        return;
    }
    let now = Instant::now();
    let limits = TtlLimits { positive: Duration::from_secs(3600), negative: Duration::from_secs(60) };
    let Ok(entry) = Entry::read(response, name, question.kind, now, limits) else { return };
    assert!(!entry.is_fresh(now + limits.positive), "kept no longer than the configuration allows");
    assert!(entry.chain.len() <= 16);
    let serving = WORLD.serving(choice);
    let (_, asker) = asker(serving, who, how);
    let mut out = Vec::new();
    let later = now + Duration::from_secs(u64::from(age));
    let (_, zone) = respond(&entry, &serving.image, request, query, asker, later, &mut out);
    assert_eq!((&out[..2], out[2] & 0x80), (&request[..2], 0x80));
    let edns = query.edns.map(|edns| edns.payload);
    if asker.transport == super::super::Transport::Udp {
        assert!(out.len() <= usize::from(edns.unwrap_or(512).clamp(512, 1232)), "{} octets", out.len());
    }
    let end = 12 + question.bytes.len();
    assert_eq!(out[12..end], request[12..end], "the question, octet by octet");
    let is_ours = zone.is_some() || out[3] & 0x0f == 2;
    // Letters of a name may be octets of the header, which is each client's own.
    let is_odd = response[12..].windows(2).any(|pair| pair[0] == 0xc0 && pair[1] < 12);
    if is_ours {
        super::readable(&out);
    } else if out[2] & 0x02 == 0
        && !is_odd
        // A name may be made of the octets of a TTL, which change with its age.
        && age == 0
        && let Some(theirs) = records(response)
    {
        assert_eq!(records(&out), Some(theirs), "what the upstream said");
    }
}

/// All records but OPT and TSIG, and those behind them; nothing where something cannot be read.
fn records(message: &[u8]) -> Option<Vec<String>> {
    let message = Message::from_octets(message).ok()?;
    let mut all = Vec::new();
    for (number, record) in message.iter().enumerate() {
        let (record, section) = record.ok()?;
        if matches!(record.rtype(), Rtype::OPT | Rtype::TSIG) {
            break;
        }
        let ttl = record.ttl().as_secs();
        let ttl = if ttl >> 31 == 0 { ttl } else { 0 };
        let owner = record.owner().to_string();
        let data = record.to_any_record::<domain::rdata::AllRecordData<_, _>>().ok()?;
        let text = format!("{section:?} {owner} {} {} {:?}", record.rtype(), record.class(), data.data());
        // The question's letters are the client's.
        all.push(format!("{number} {ttl} {}", text.to_ascii_lowercase()));
    }
    Some(all)
}
