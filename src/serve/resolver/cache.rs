//! What public DNS said, kept for as long as it allows, in bounded memory.
//!
//! `quick_cache` keeps the entries: bounded by weight, sharded so that the threads do not wait for each
//! other, and with a guard per key, so that many clients with one question make one query upstream.

use std::sync::Arc;
use std::time::Instant;

use quick_cache::sync::{Cache as Map, DefaultLifecycle, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Weighter};

use super::entry::Entry;
use crate::serve::message::Query;
use crate::wire::octets::NAME;

/// Octets that the map itself takes for an entry, about.
const OVERHEAD: usize = 128;

/// A usual entry with its key, for the map's first estimate.
const USUAL: usize = 512;

/// A question as the cache knows it: lower-case wire name, type, and the bits that change what
/// upstreams answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    octets: [u8; NAME + 3],
    length: usize,
}

impl Key {
    /// A question for the root's name servers.
    pub(super) const ROOT: Self = {
        let mut octets = [0; NAME + 3];
        octets[2] = 2;
        Self { octets, length: 4 }
    };

    /// The key of a query; nothing for one without a question.
    pub(super) fn of(request: &[u8], query: Query<'_>) -> Option<Self> {
        let question = query.question?;
        let mut name = [0; NAME];
        let length = question.lower(&mut name)?.len();
        let mut octets = [0; NAME + 3];
        octets[..length].copy_from_slice(&name[..length]);
        let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
        let checking_disabled = request.get(3)? & 0x10 != 0;
        let [high, low] = question.kind.to_be_bytes();
        let bits = u8::from(dnssec_ok) | u8::from(checking_disabled) << 1;
        octets[length..length + 3].copy_from_slice(&[high, low, bits]);
        Some(Self { octets, length: length + 3 })
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// The name in lower-case wire format.
    pub(super) fn name(&self) -> &[u8] {
        &self.octets[..self.length - 3]
    }

    /// QTYPE.
    pub(super) fn kind(&self) -> u16 {
        u16::from_be_bytes([self.octets[self.length - 3], self.octets[self.length - 2]])
    }

    /// The client wants DNSSEC records.
    pub(super) fn dnssec_ok(&self) -> bool {
        self.octets[self.length - 1] & 1 != 0
    }

    /// The client validates by itself.
    pub(super) fn checking_disabled(&self) -> bool {
        self.octets[self.length - 1] & 2 != 0
    }
}

#[derive(Clone)]
struct Octets;

impl Weighter<Vec<u8>, Arc<Entry>> for Octets {
    fn weight(&self, key: &Vec<u8>, entry: &Arc<Entry>) -> u64 {
        (key.len() + entry.size() + OVERHEAD) as u64
    }
}

/// The cache.
pub(super) struct Cache(Map<Vec<u8>, Arc<Entry>, Octets>);

/// Nothing beside the entry happens when one is thrown out.
type Nothing = DefaultLifecycle<Vec<u8>, Arc<Entry>>;

/// The right, and the duty, to ask an upstream.
pub(super) struct Ticket<'a>(PlaceholderGuard<'a, Vec<u8>, Arc<Entry>, Octets, DefaultHashBuilder, Nothing>);

impl Ticket<'_> {
    /// Gives the entry to everybody who waits for it.
    pub(super) fn fill(self, entry: &Arc<Entry>) {
        // Refused only when it was removed meanwhile, which those who wait do not notice.
        let _ = self.0.insert(entry.clone());
    }
}

impl Cache {
    /// A cache of at most so many octets.
    pub(super) fn new(octets: usize) -> Self {
        Self(Map::with(
            octets / USUAL,
            octets as u64,
            Octets,
            DefaultHashBuilder::default(),
            Nothing::default(),
        ))
    }

    /// What is known and not too old.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        self.0.get(key.octets()).filter(|entry| entry.is_fresh(now))
    }

    /// What is known and not too old, or what the one who asks already gets, or the ticket to ask.
    pub(super) async fn get_or_ask(&self, key: &Key, now: Instant) -> Result<Arc<Entry>, Ticket<'_>> {
        self.0.remove_if(key.octets(), |entry| !entry.is_fresh(now));
        self.0.get_value_or_guard_async(key.octets()).await.map_err(Ticket)
    }

    /// Octets and entries now.
    pub(super) fn size(&self) -> (u64, usize) {
        (self.0.weight(), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::serve::message;
    use crate::serve::resolver::entry::TtlLimits;

    const LIMITS: TtlLimits =
        TtlLimits { positive: Duration::from_secs(86_400), negative: Duration::from_secs(900) };

    /// A query for an address of a name with a number, and an answer with a TTL of a minute.
    fn conversation(number: u32) -> (Key, Arc<Entry>) {
        let mut query = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x0a".to_vec();
        query.extend_from_slice(format!("{number:010}").as_bytes());
        query.extend_from_slice(b"\x04test\0\0\x01\0\x01");
        let key = Key::of(&query, message::read(&query).expect("a query")).expect("a key");
        let mut response = query;
        response[2] |= 0x80;
        response[7] = 1;
        response.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x01");
        let entry = Entry::read(&response, key.name(), key.kind(), Instant::now(), LIMITS);
        (key, Arc::new(entry.expect("an entry")))
    }

    #[tokio::test]
    async fn a_million_names_do_not_exceed_the_bound() {
        const BOUND: usize = 4 << 20;
        let cache = Cache::new(BOUND);
        let now = Instant::now();
        for number in 0..1_000_000 {
            let (key, entry) = conversation(number);
            let Err(ticket) = cache.get_or_ask(&key, now).await else { panic!("nobody asked before") };
            ticket.fill(&entry);
        }
        let (octets, entries) = cache.size();
        assert!(octets <= BOUND as u64, "{octets}");
        assert!(entries > 5_000, "it keeps what fits: {entries}");
        // What is asked again and again stays.
        let (key, entry) = conversation(7);
        for number in 2_000_000..2_100_000 {
            if cache.get(&key, now).is_none()
                && let Err(ticket) = cache.get_or_ask(&key, now).await
            {
                ticket.fill(&entry);
            }
            let (other, entry) = conversation(number);
            if let Err(ticket) = cache.get_or_ask(&other, now).await {
                ticket.fill(&entry);
            }
        }
        assert!(cache.get(&key, now).is_some());
    }

    #[tokio::test]
    async fn what_is_too_old_is_asked_anew() {
        let cache = Cache::new(1 << 20);
        let (key, entry) = conversation(1);
        let now = Instant::now();
        let Err(ticket) = cache.get_or_ask(&key, now).await else { panic!("nobody asked before") };
        ticket.fill(&entry);
        assert!(cache.get(&key, now + Duration::from_secs(59)).is_some());
        let late = now + Duration::from_secs(61);
        assert!(cache.get(&key, late).is_none());
        assert!(cache.get_or_ask(&key, late).await.is_err(), "a ticket");
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_ticket_to_the_next() {
        let cache = Cache::new(1 << 20);
        let (key, entry) = conversation(1);
        let now = Instant::now();
        let Err(first) = cache.get_or_ask(&key, now).await else { panic!("nobody asked before") };
        let next = async {
            let Err(ticket) = cache.get_or_ask(&key, now).await else { panic!("nobody has answered") };
            ticket.fill(&entry);
        };
        let last = cache.get_or_ask(&key, now);
        let ((), (), answer) = tokio::join!(async { drop(first) }, next, last);
        assert!(answer.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_who_waits_is_forgotten() {
        let cache = Arc::new(Cache::new(1 << 20));
        for number in 0..2_000 {
            let mut waiting = tokio::task::JoinSet::new();
            for _ in 0..20 {
                let cache = cache.clone();
                waiting.spawn(async move {
                    let (key, entry) = conversation(number);
                    match cache.get_or_ask(&key, Instant::now()).await {
                        Ok(_) => 0,
                        Err(ticket) => {
                            tokio::task::yield_now().await;
                            ticket.fill(&entry);
                            1
                        }
                    }
                });
            }
            let all = async {
                let mut asked = 0;
                while let Some(one) = waiting.join_next().await {
                    asked += one.expect("no panic");
                }
                asked
            };
            let asked = tokio::time::timeout(Duration::from_secs(20), all).await;
            assert_eq!(asked.expect("everybody has an answer"), 1, "{number}");
        }
    }
}
