//! One request budget per subscription, shared by all applications.
//!
//! ARM counts reads per subscription and identity (250 at once, 25 each second); whoever polls
//! hundreds of applications must stay under it by itself, because a 429 stops the whole
//! subscription, also for other users of the identity. A subscription that is told to wait does not
//! hold up another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Requests that may be sent at once after a quiet time.
const BURST: u32 = 200;

/// The time in which the budget grows by one request: 20 each second, enough for 150 applications
/// with one endpoint and the default poll interval.
const INTERVAL: Duration = Duration::from_millis(50);

/// Subscriptions kept in mind; more than that and the quiet ones are forgotten.
const SUBSCRIPTIONS: usize = 1000;

/// The request budgets of all subscriptions.
#[derive(Debug, Default)]
pub(super) struct Budget {
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// A token bucket kept as one time (GCRA): when it would be empty of debts.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Every request moves it [`INTERVAL`] on; so far behind `now` means that the bucket is full.
    debt_until: Instant,
    /// Nobody sends before.
    paused_until: Instant,
}

impl Bucket {
    /// When the next request may go.
    fn turn(&self) -> Instant {
        let by_debt = self.debt_until.checked_sub(INTERVAL * (BURST - 1)).unwrap_or(self.paused_until);
        by_debt.max(self.paused_until)
    }
}

impl Budget {
    /// Waits for this request's turn; turns come in the order of the calls.
    ///
    /// # Errors
    /// At once, with the wait that would be needed, when that is longer than `patience`.
    pub(super) async fn acquire(&self, subscription: &str, patience: Duration) -> Result<(), Duration> {
        let limit = Instant::now() + patience;
        let mut turn = self.reserve(subscription, limit)?;
        loop {
            sleep_until(turn).await;
            // Somebody may have been told to wait meanwhile.
            let paused_until = self.with(subscription, |bucket, _| bucket.paused_until);
            if paused_until <= Instant::now() {
                return Ok(());
            }
            if paused_until > limit {
                return Err(paused_until - Instant::now());
            }
            turn = paused_until;
        }
    }

    /// Nobody asks anything of the subscription for `wait`.
    pub(super) fn pause(&self, subscription: &str, wait: Duration) {
        self.with(subscription, |bucket, now| {
            bucket.paused_until = bucket.paused_until.max(now + wait);
        });
    }

    fn reserve(&self, subscription: &str, limit: Instant) -> Result<Instant, Duration> {
        self.with(subscription, |bucket, now| {
            let turn = bucket.turn().max(now);
            if turn > limit {
                return Err(turn - now);
            }
            bucket.debt_until = bucket.debt_until.max(now) + INTERVAL;
            Ok(turn)
        })
    }

    fn with<T>(&self, subscription: &str, change: impl FnOnce(&mut Bucket, Instant) -> T) -> T {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = subscription.to_ascii_lowercase();
        if buckets.len() >= SUBSCRIPTIONS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.debt_until > now || bucket.paused_until > now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { debt_until: now, paused_until: now });
        change(bucket, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_twenty_each_second() {
        let budget = Budget::default();
        let start = Instant::now();
        for _ in 0..BURST {
            budget.acquire("a", LONG).await.expect("a turn");
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            budget.acquire("a", LONG).await.expect("a turn");
        }
        let taken = start.elapsed();
        assert!((900..=1100).contains(&taken.as_millis()), "{taken:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_patience() {
        let budget = Budget::default();
        for _ in 0..BURST {
            budget.acquire("a", Duration::ZERO).await.expect("a turn");
        }
        let wait = budget.acquire("a", Duration::from_millis(20)).await.expect_err("no turn");
        assert_eq!(wait, INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_one_subscription_only() {
        let budget = Budget::default();
        budget.pause("A", Duration::from_secs(30));
        assert!(budget.acquire("a", Duration::from_secs(10)).await.is_err(), "ids are compared without case");
        budget.acquire("b", Duration::ZERO).await.expect("another subscription");
        let start = Instant::now();
        budget.acquire("a", LONG).await.expect("after the pause");
        assert!(start.elapsed() >= Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_also_stops_those_who_wait() {
        let budget = Budget::default();
        for _ in 0..BURST {
            budget.acquire("a", LONG).await.expect("a turn");
        }
        let pausing = async { budget.pause("a", Duration::from_secs(45)) };
        let (waited, ()) = tokio::join!(budget.acquire("a", Duration::from_secs(10)), pausing);
        assert!(waited.expect_err("paused") > Duration::from_secs(40));
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_in_order() {
        let budget = std::sync::Arc::new(Budget::default());
        for _ in 0..BURST {
            budget.acquire("a", LONG).await.expect("a turn");
        }
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..10 {
            let (budget, sender) = (budget.clone(), sender.clone());
            tasks.spawn(async move {
                budget.acquire("a", LONG).await.expect("a turn");
                sender.send(number).expect("sent");
            });
            tokio::task::yield_now().await;
        }
        drop(sender);
        for expected in 0..10 {
            assert_eq!(order.recv().await, Some(expected));
        }
    }
}
