//! Response rate limiting for UDP, so that spoofed questions cannot turn the daemon on others.
//!
//! A fixed table of buckets, each one number: the time at which its network would be back to rest
//! (the generic cell rate algorithm). No lock, no growth, no clean-up. Networks are spread over
//! the buckets by a seeded hash; two that meet in one share its rate.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config;

const BUCKETS: usize = 1 << 16;

/// The allowance that a bucket starts with is one second's worth, in nanoseconds.
const SECOND: u64 = Duration::from_secs(1).as_nanos() as u64;

/// What to do with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Pass,
    /// Send it truncated.
    Slip,
    /// Do not send it.
    Drop,
}

/// The limiter; shared by all sockets.
pub struct RateLimiter {
    settings: config::RateLimit,
    /// Nanoseconds that a response costs.
    cost: u64,
    /// Where the time of the buckets starts. The limiter's own, as threads that started at different
    /// times share the buckets.
    start: Instant,
    buckets: Box<[AtomicU64]>,
    /// Loopback too; tests have no other address for sure.
    loopback: bool,
    over: AtomicU32,
    hasher: RandomState,
}

impl RateLimiter {
    /// A limiter with all networks at rest.
    #[must_use]
    pub fn new(settings: config::RateLimit) -> Self {
        let buckets = if settings.responses_per_second == 0 { 0 } else { BUCKETS };
        Self {
            settings,
            cost: SECOND.checked_div(u64::from(settings.responses_per_second)).unwrap_or(0),
            start: Instant::now(),
            buckets: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            loopback: false,
            over: AtomicU32::new(0),
            hasher: RandomState::new(),
        }
    }

    /// A limiter that spares nobody.
    #[cfg(test)]
    pub(super) fn with_loopback(settings: config::RateLimit) -> Self {
        Self { loopback: true, ..Self::new(settings) }
    }

    /// The settings that it was made with.
    #[must_use]
    pub const fn settings(&self) -> config::RateLimit {
        self.settings
    }

    /// Charges one response to the client's network.
    pub fn charge(&self, client: IpAddr, now: Instant) -> Verdict {
        let client = client.to_canonical();
        if self.buckets.is_empty() || client.is_loopback() && !self.loopback {
            return Verdict::Pass;
        }
        // Enough for 584 years.
        let now = now.saturating_duration_since(self.start).as_nanos() as u64;
        let network = self.network(client);
        let index = self.hasher.hash_one(network) as usize % self.buckets.len();
        let passed = self.buckets[index].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |rest| {
            let rest = rest.max(now) + self.cost;
            (rest - now <= SECOND).then_some(rest)
        });
        if passed.is_ok() {
            return Verdict::Pass;
        }
        let over = self.over.fetch_add(1, Ordering::Relaxed);
        match over.checked_rem(self.settings.slip) {
            Some(0) => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }

    fn network(&self, client: IpAddr) -> u128 {
        match client {
            IpAddr::V4(address) => {
                let shift = 32 - u32::from(self.settings.ipv4_prefix.min(32));
                u128::from(u32::from(address).checked_shr(shift).unwrap_or(0))
            }
            IpAddr::V6(address) => {
                let shift = 128 - u32::from(self.settings.ipv6_prefix.min(128));
                // The highest bit tells the families apart for prefixes of up to 127 bits.
                u128::from(address).checked_shr(shift).unwrap_or(0) | 1 << 127
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Drop, Pass, Slip};
    use super::*;

    fn limiter(responses_per_second: u32, slip: u32) -> RateLimiter {
        RateLimiter::new(config::RateLimit { responses_per_second, slip, ipv4_prefix: 24, ipv6_prefix: 56 })
    }

    fn client(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_network_has_its_rate_and_a_second_of_burst() {
        let limiter = limiter(10, 0);
        let start = Instant::now();
        let count = |from: &str, after| {
            (0..100).filter(|_| limiter.charge(client(from), start + after) == Pass).count()
        };
        assert_eq!(count("192.0.2.1", SECOND), 10);
        assert_eq!(count("192.0.2.200", SECOND), 0, "same /24");
        assert_eq!(count("192.0.2.1", SECOND * 3 / 2), 5);
        assert_eq!(count("::ffff:192.0.2.1", 100 * SECOND), 10, "mapped addresses are IPv4");
    }

    #[test]
    fn a_million_networks_take_no_memory_and_hardly_anything_from_others() {
        let limiter = limiter(1000, 1);
        let now = Instant::now();
        let network = |number: u32| IpAddr::from((number << 8 | 0x2000_0001).to_be_bytes());
        // Each sends little: with 15 in a bucket nobody is over.
        assert!((0..1_000_000).all(|number| limiter.charge(network(number), now) == Pass));
        // Sixty send more than they may. Whoever meets one of them in a bucket is sent to TCP: one of a thousand.
        for _ in 0..1100 {
            (0..60).for_each(|number| _ = limiter.charge(network(number), now));
        }
        assert!((0..60).all(|number| limiter.charge(network(number), now) == Slip));
        let others = 2_000_000..2_002_000;
        let slipped = others.filter(|number| limiter.charge(network(*number), now) == Slip).count();
        assert!(slipped < 20, "{slipped} of 2000");
        assert_eq!(limiter.buckets.len(), BUCKETS);
    }

    #[test]
    fn a_time_before_the_limiter_is_its_start() {
        let before = Instant::now();
        let limiter = limiter(10, 0);
        assert!((0..10).all(|_| limiter.charge(client("192.0.2.1"), before) == Pass));
        assert_eq!(limiter.charge(client("192.0.2.1"), before), Drop);
    }

    #[test]
    fn slip_is_every_nth() {
        let every = limiter(1, 1);
        let third = limiter(1, 3);
        let now = Instant::now();
        let verdicts =
            |l: &RateLimiter| (0..7).map(|_| l.charge(client("2001:db8::1"), now)).collect::<Vec<_>>();
        assert_eq!(verdicts(&every)[1..], [Slip; 6]);
        assert_eq!(verdicts(&third), [Pass, Slip, Drop, Drop, Slip, Drop, Drop]);
    }

    #[test]
    fn prefixes_of_any_length_make_networks() {
        let shared = |ipv4_prefix, ipv6_prefix, a: &str, b: &str| {
            let settings = config::RateLimit { responses_per_second: 1, slip: 0, ipv4_prefix, ipv6_prefix };
            let limiter = RateLimiter::new(settings);
            limiter.network(client(a)) == limiter.network(client(b))
        };
        assert!(shared(1, 1, "1.0.0.0", "126.0.0.0"));
        assert!(shared(8, 1, "10.1.2.3", "10.9.9.9"));
        assert!(!shared(32, 1, "10.1.2.3", "10.1.2.4"));
        assert!(shared(1, 56, "2001:db8:0:100::1", "2001:db8:0:1ff::1"));
        assert!(!shared(1, 56, "2001:db8:0:100::1", "2001:db8:0:200::1"));
        assert!(!shared(1, 128, "2001:db8::1", "2001:db8::2"));
        assert!(!shared(32, 128, "0.0.0.1", "::1"), "the families are apart");
    }

    #[test]
    fn loopback_and_zero_are_unlimited() {
        let (limiter, now) = (limiter(1, 0), Instant::now());
        assert!((0..50).all(|_| limiter.charge(client("127.0.0.9"), now) == Pass));
        assert!((0..50).all(|_| limiter.charge(client("::1"), now) == Pass));
        let off = self::limiter(0, 1);
        assert!((0..50).all(|_| off.charge(client("192.0.2.1"), now) == Pass));
    }
}
