//! The questions, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::{sleep, timeout};

use super::facts::{Answer, Authority, Facts, NameFacts, Reach, Reply, Sample, Truth, rcode};
use crate::wire::exchange;
use crate::zones::{DnsName, public_suffix};

/// How long one attempt may take; a resolver that has to ask others answers SERVFAIL within it.
const LIMIT: Duration = Duration::from_secs(3);

/// Attempts over UDP.
const ATTEMPTS: u32 = 2;

/// Questions that show one way.
const PROBES: u32 = 5;

/// How long it is listened to what others ask, before anything is asked.
const NOISE: Duration = Duration::from_secs(1);

/// Types that hardly anybody asks for; the daemon counts them together.
const RARE: [u16; 10] = [17, 18, 29, 35, 37, 44, 52, 61, 256, 257];

/// What EDNS allows: a size that passes everywhere.
const PAYLOAD: u16 = 1232;

/// Asks the resolver everything. `count` tells how many questions of rare types have arrived at the daemon
/// so far, where that can be known.
pub async fn examine(resolver: SocketAddr, truth: Truth, count: impl AsyncFn() -> Option<u64>) -> Facts {
    let before = count().await;
    sleep(NOISE).await;
    let noise = count().await.zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
    let mut names = Vec::new();
    for sample in &truth.samples {
        let facts = of_name(resolver, sample, &count).await;
        // Who says nothing at all says nothing to the next question.
        let is_silent = [&facts.public, &facts.private].iter().all(|reply| reply.answer().is_none());
        names.push(facts);
        if is_silent {
            break;
        }
    }
    let is_there = names.iter().any(|name| name.public.answer().is_some());
    let elsewhere = if is_there {
        let questions = RARE.map(|kind| (format!("{}.example.net", nobody()), kind));
        reach(resolver, questions, &count).await
    } else {
        None
    };
    Facts { resolver, truth, names, elsewhere, noise }
}

async fn of_name(resolver: SocketAddr, sample: &Sample, count: &impl AsyncFn() -> Option<u64>) -> NameFacts {
    let (public, private) = (sample.public.to_string(), sample.private.to_string());
    let zone = sample.zone.to_string();
    let suffix =
        public_suffix(&sample.zone).map_or_else(|| zone.clone(), |suffix: DnsName| suffix.to_string());
    let a = |name: String| async move { ask(resolver, &name, RecordType::A, Flags::RECURSIVE).await };
    let first = a(public.clone()).await;
    let mut facts = NameFacts {
        sample: sample.clone(),
        again: first.clone(),
        unchecked: None,
        private: a(private).await,
        soa: first.clone(),
        nobody_in_zone: first.clone(),
        nobody_below_suffix: first.clone(),
        public: first,
        reach: None,
        zone_reach: None,
        suffix_reach: None,
    };
    if facts.public.answer().is_none() && facts.private.answer().is_none() {
        return facts;
    }
    facts.soa = ask(resolver, &zone, RecordType::SOA, Flags::default()).await;
    facts.nobody_in_zone = a(format!("{}.{zone}", nobody())).await;
    facts.nobody_below_suffix = a(format!("{}.{suffix}", nobody())).await;
    if facts.public.is(rcode::SERVFAIL) {
        let flags = Flags { checking_disabled: true, ..Flags::RECURSIVE };
        facts.unchecked = Some(ask(resolver, &public, RecordType::A, flags).await);
    }
    facts.zone_reach = reach(resolver, RARE.map(|kind| (format!("{}.{zone}", nobody()), kind)), count).await;
    facts.suffix_reach =
        reach(resolver, RARE.map(|kind| (format!("{}.{suffix}", nobody()), kind)), count).await;
    facts.reach = reach(resolver, RARE.map(|kind| (public.clone(), kind)), count).await;
    // TTLs count in seconds.
    sleep(Duration::from_millis(1100)).await;
    facts.again = a(public).await;
    facts
}

/// A label that nobody has.
fn nobody() -> String {
    format!("doctor-{:016x}", fastrand::u64(..))
}

/// Asks some of the questions, and sees how many arrive at the daemon.
async fn reach(
    resolver: SocketAddr,
    mut questions: [(String, u16); RARE.len()],
    count: &impl AsyncFn() -> Option<u64>,
) -> Option<Reach> {
    let before = count().await?;
    // Others each time: what was asked moments ago may still be in the cache.
    fastrand::shuffle(&mut questions);
    let asked = questions.iter().take(PROBES as usize);
    join_all(asked.map(|(name, kind)| ask(resolver, name, RecordType::from(*kind), Flags::RECURSIVE))).await;
    let arrived = count().await?.saturating_sub(before);
    Some(Reach { asked: PROBES, arrived: u32::try_from(arrived).unwrap_or(u32::MAX) })
}

/// The flags of a question.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    recursion_desired: bool,
    checking_disabled: bool,
}

impl Flags {
    const RECURSIVE: Self = Self { recursion_desired: true, checking_disabled: false };
}

/// Asks over UDP, and over TCP when the answer does not fit.
async fn ask(resolver: SocketAddr, name: &str, kind: RecordType, flags: Flags) -> Reply {
    let query = match query(name, kind, flags) {
        Ok(query) => query,
        Err(error) => return Reply::Silent(error.to_string()),
    };
    let mut silence = "no answer".to_owned();
    for _ in 0..ATTEMPTS {
        let octets = match timeout(LIMIT, exchange::udp(resolver, &query, |_| {})).await {
            Ok(Ok(octets)) if exchange::is_truncated(&octets) => {
                match timeout(LIMIT, exchange::tcp(resolver, &query, |_| {})).await {
                    Ok(Ok(octets)) => octets,
                    Ok(Err(error)) => return Reply::Silent(format!("over TCP: {error}")),
                    Err(_) => return Reply::Silent("no answer over TCP".to_owned()),
                }
            }
            Ok(Ok(octets)) => octets,
            Ok(Err(error)) => {
                silence = error.to_string();
                continue;
            }
            Err(_) => continue,
        };
        return match Message::from_vec(&octets) {
            Ok(message) => Reply::Answer(read(&message)),
            Err(error) => Reply::Silent(format!("an answer that cannot be read: {error}")),
        };
    }
    Reply::Silent(silence)
}

fn query(
    name: &str,
    kind: RecordType,
    flags: Flags,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut owner = Name::from_ascii(name)?;
    owner.set_fqdn(true);
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = flags.recursion_desired;
    message.metadata.checking_disabled = flags.checking_disabled;
    message.add_query(Query::query(owner, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.set_edns(edns);
    Ok(message.to_vec()?)
}

/// What matters of an answer.
fn read(message: &Message) -> Answer {
    let text = |name: &Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mut answer = Answer {
        rcode: u16::from(message.metadata.response_code),
        authoritative: message.metadata.authoritative,
        recursion_available: message.metadata.recursion_available,
        ..Answer::default()
    };
    for record in &message.answers {
        match &record.data {
            RData::A(address) => {
                answer.addresses.insert(address.0);
            }
            RData::CNAME(target) => answer.aliases.push(text(&target.0)),
            _ => {}
        }
    }
    answer.ttl = message.answers.iter().map(|record| record.ttl).min();
    for record in message.answers.iter().chain(&message.authorities) {
        if let RData::SOA(soa) = &record.data {
            answer.ttl = answer.ttl.or(Some(record.ttl));
            answer.soa =
                Some(Authority { zone: text(&record.name), primary: text(&soa.mname), serial: soa.serial });
        }
    }
    answer
}
