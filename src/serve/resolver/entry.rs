//! An upstream's response, read once and ready to be sent many times.
//!
//! Octets, not records: types that nobody here knows, DNSSEC data and the order of everything pass
//! through unharmed, and sending one is a copy with its TTLs counted down. Only what is hop by hop is
//! left out: id, question and OPT.

use std::time::{Duration, Instant};

use crate::serve::image::Link;
use crate::wire::octets::{HEADER, Malformed, number, skip_name};

const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_DNAME: u16 = 39;
const TYPE_OPT: u16 = 41;
const TYPE_RRSIG: u16 = 46;
const TYPE_TSIG: u16 = 250;
const TYPE_ANY: u16 = 255;

/// Aliases that are followed in one response; a chain that is longer is handed on as it is.
const LINKS: usize = 16;

/// How long a response whose upstream tells no time is kept, and a failure (RFC 9520 section 3.2).
pub(super) const FAILURE: Duration = Duration::from_secs(1);

/// The longest times that responses are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) struct TtlLimits {
    /// For what exists.
    pub(in crate::serve) positive: Duration,
    /// For what does not (RFC 2308 section 5).
    pub(in crate::serve) negative: Duration,
}

/// An upstream's response, or the lack of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::serve) struct Entry {
    /// RCODE; SERVFAIL where no upstream answered.
    pub(super) rcode: u8,
    /// The upstream says that it validated the data (RFC 4035 section 3.2.3).
    pub(super) authentic: bool,
    /// Records in the answer, authority and additional sections.
    pub(super) counts: [u16; 3],
    /// The sections behind the question.
    pub(super) records: Box<[u8]>,
    /// Where TTLs stand in the records, with their values.
    ttls: Box<[(u32, u32)]>,
    /// The aliases from the name that was asked for.
    pub(in crate::serve) chain: Box<[Link]>,
    /// When it came.
    stored: Instant,
    /// When it is too old.
    expires: Instant,
}

impl Entry {
    /// No answer could be had: remembered shortly, so that a broken upstream is not asked for every
    /// query.
    pub(in crate::serve) fn failure(now: Instant) -> Self {
        Self {
            rcode: 2,
            authentic: false,
            counts: [0; 3],
            records: Box::default(),
            ttls: Box::default(),
            chain: Box::default(),
            stored: now,
            expires: now + FAILURE,
        }
    }

    /// Reads a response to a question of type `kind` for `name`, which is in lower-case wire format.
    pub(in crate::serve) fn read(
        response: &[u8],
        name: &[u8],
        kind: u16,
        now: Instant,
        limits: TtlLimits,
    ) -> Result<Self, Malformed> {
        let asked = kind;
        let number = |at| number(response, at);
        let start = HEADER + name.len() + 4;
        let flags = *response.get(3).ok_or(Malformed)?;
        let mut counts = [0; 3];
        let mut ttls = Vec::new();
        let mut aliases = Vec::new();
        let (mut negative, mut data_count) = (None, 0_u16);
        let (mut at, mut end) = (start, None);
        for (section, kept) in counts.iter_mut().enumerate() {
            for _ in 0..number(6 + 2 * section)? {
                let owner = at;
                at = skip_name(response, at)?;
                let kind = number(at)?;
                let ttl = read_ttl(response, at + 4)?;
                let data = at + 10;
                let next = data + usize::from(number(at + 8)?);
                if next > response.len() {
                    return Err(Malformed);
                }
                if matches!(kind, TYPE_OPT | TYPE_TSIG) {
                    // Hop by hop, and at the end of every usual message; what stands behind one is
                    // left out as well, because its names may point past it.
                    if section != 2 {
                        return Err(Malformed);
                    }
                    end = end.or(Some(owner));
                } else if end.is_none() {
                    *kept += 1;
                    ttls.push(((at + 4 - start) as u32, ttl));
                    match (section, kind) {
                        (0, TYPE_CNAME) => {
                            aliases.push((expand(response, owner)?, expand(response, data)?, ttl));
                        }
                        (0, TYPE_DNAME | TYPE_RRSIG) => {}
                        (0, _) => data_count += 1,
                        (1, TYPE_SOA) if negative.is_none() => {
                            // MINIMUM is the last of five numbers.
                            let minimum = read_ttl(response, next.checked_sub(4).ok_or(Malformed)?)?;
                            negative = Some(ttl.min(minimum));
                        }
                        _ => {}
                    }
                }
                at = next;
            }
        }
        let records = response.get(start..end.unwrap_or(at)).ok_or(Malformed)?;
        let rcode = flags & 0x0f;
        let least = ttls.iter().map(|(_, ttl)| *ttl).min();
        let age = |ttl: u32| Duration::from_secs(u64::from(ttl));
        // A denial, and an answer of nothing but aliases, lives as long as its SOA says.
        let wants_alias = matches!(asked, TYPE_CNAME | TYPE_DNAME | TYPE_RRSIG | TYPE_ANY);
        let denies = rcode == 3 || data_count == 0 && !(wants_alias && counts[0] > 0);
        let life = match (denies, negative, least) {
            (true, Some(negative), least) => {
                age(negative.min(least.unwrap_or(negative))).min(limits.negative)
            }
            (false, _, Some(least)) => age(least).min(limits.positive),
            // A denial without a SOA must not be kept (RFC 2308 section 5).
            _ => Duration::ZERO,
        };
        Ok(Self {
            rcode,
            authentic: flags & 0x20 != 0,
            counts,
            records: records.into(),
            ttls: ttls.into(),
            chain: chain(name, &aliases),
            stored: now,
            expires: now + life,
        })
    }

    /// When it came.
    #[cfg(test)]
    pub(in crate::serve) fn stored(&self) -> Instant {
        self.stored
    }

    /// Whether it may still be sent.
    pub(in crate::serve) fn is_fresh(&self, now: Instant) -> bool {
        now < self.expires
    }

    /// Whether it stands for an upstream that gave no answer.
    pub(super) fn is_failure(&self) -> bool {
        self.rcode == 2
    }

    /// Whole seconds since it came.
    pub(super) fn age(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.stored).as_secs()).unwrap_or(u32::MAX)
    }

    /// Appends the records with their TTLs counted down.
    pub(super) fn write_records(&self, now: Instant, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.records);
        let age = self.age(now);
        for (at, ttl) in &self.ttls {
            let at = start + *at as usize;
            if let Some(place) = out.get_mut(at..at + 4) {
                place.copy_from_slice(&ttl.saturating_sub(age).to_be_bytes());
            }
        }
    }

    /// Octets that it takes in memory, about.
    pub(super) fn size(&self) -> usize {
        let chain: usize = self.chain.iter().map(|link| size_of::<Link>() + link.target.len()).sum();
        size_of::<Self>() + self.records.len() + self.ttls.len() * size_of::<(u32, u32)>() + chain
    }
}

/// The chain from a name on, in whatever order its records stand.
fn chain(name: &[u8], aliases: &[(Vec<u8>, Vec<u8>, u32)]) -> Box<[Link]> {
    let mut links: Vec<Link> = Vec::new();
    let mut here = name;
    while let Some((_, target, ttl)) = aliases.iter().find(|(owner, _, _)| owner == here) {
        // A loop, or a chain without a reasonable end.
        if links.len() == LINKS {
            break;
        }
        links.push(Link { target: target.as_slice().into(), ttl: *ttl });
        here = target;
    }
    links.into()
}

/// A TTL; one with its highest bit set is zero (RFC 2181 section 8).
fn read_ttl(message: &[u8], at: usize) -> Result<u32, Malformed> {
    match message.get(at..at + 4) {
        Some(&[a, b, c, d]) => {
            let ttl = u32::from_be_bytes([a, b, c, d]);
            Ok(if ttl >> 31 == 0 { ttl } else { 0 })
        }
        _ => Err(Malformed),
    }
}

/// A name in lower-case wire format, its pointers followed.
fn expand(message: &[u8], mut at: usize) -> Result<Vec<u8>, Malformed> {
    let mut name = Vec::new();
    // Pointers lead towards the start (RFC 1035 section 4.1.4), so this ends.
    let mut before = at;
    loop {
        match *message.get(at).ok_or(Malformed)? {
            0 => {
                name.push(0);
                return Ok(name);
            }
            length @ 1..=63 => {
                let label = message.get(at..at + 1 + usize::from(length)).ok_or(Malformed)?;
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                if name.len() > 254 {
                    return Err(Malformed);
                }
                at += label.len();
            }
            0xc0.. => {
                let target = usize::from(number(message, at)? & 0x3fff);
                if target >= before {
                    return Err(Malformed);
                }
                (before, at) = (target, target);
            }
            _ => return Err(Malformed),
        }
    }
}
