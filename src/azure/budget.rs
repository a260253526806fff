//! One request budget per subscription, shared by all applications.
//!
//! ARM counts reads per subscription and identity (250 at once, 25 each second); whoever polls
//! hundreds of applications must stay under it by itself, because a 429 stops the whole
//! subscription, also for other users of the identity. A subscription that is told to wait does not
//! hold up another.
//!
//! Two kinds of waits, which must not be mixed up. The turns that the budget gives out slow polls
//! down when there is more to read than fits, for minutes if need be. A pause that ARM asked for is
//! waited for only when it is short; otherwise the caller comes back later.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Requests that may be sent at once after a quiet time.
const BURST: u32 = 200;

/// The time in which the budget grows by one request: 20 each second, enough for 150 applications
/// with one endpoint and the default poll interval.
const INTERVAL: Duration = Duration::from_millis(50);

/// The longest wait of one request. With as many applications as the configuration takes, each with
/// one endpoint, a round of polls takes 200 s.
const LONGEST_QUEUE: Duration = Duration::from_secs(300);

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

/// Why a request is not to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// ARM asked for a pause that is not over for that long.
    Paused(Duration),
    /// More requests wait than can be sent in [`LONGEST_QUEUE`].
    Overload,
}

impl Bucket {
    /// When the next request may go.
    fn turn(&self) -> Instant {
        let by_debt = self.debt_until.checked_sub(INTERVAL * (BURST - 1)).unwrap_or(self.paused_until);
        by_debt.max(self.paused_until)
    }

    /// The rest of the pause, when `patience` is not enough for it.
    fn check(&self, now: Instant, patience: Duration) -> Result<(), NoTurn> {
        let pause = self.paused_until.saturating_duration_since(now);
        if pause > patience { Err(NoTurn::Paused(pause)) } else { Ok(()) }
    }
}

impl Budget {
    /// Waits for this request's turn; turns come in the order of the calls.
    ///
    /// # Errors
    /// As soon as it is known, when ARM asked for a pause longer than `patience`, or when too many
    /// others wait.
    pub(super) async fn acquire(&self, subscription: &str, patience: Duration) -> Result<(), NoTurn> {
        let limit = Instant::now() + LONGEST_QUEUE;
        let mut turn = self.with(subscription, |bucket, now| {
            bucket.check(now, patience)?;
            let turn = bucket.turn().max(now);
            if turn > limit {
                return Err(NoTurn::Overload);
            }
            bucket.debt_until = bucket.debt_until.max(now) + INTERVAL;
            Ok(turn)
        })?;
        loop {
            sleep_until(turn).await;
            // ARM may have asked for a pause meanwhile.
            turn = self.with(subscription, |bucket, now| {
                bucket.check(now, patience.min(limit.saturating_duration_since(now)))?;
                Ok(bucket.paused_until)
            })?;
            if turn <= Instant::now() {
                return Ok(());
            }
        }
    }

    /// Nobody asks anything of the subscription for `wait`.
    pub(super) fn pause(&self, subscription: &str, wait: Duration) {
        self.with(subscription, |bucket, now| {
            bucket.paused_until = bucket.paused_until.max(now + wait);
        });
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
    async fn several_applications_share_one_budget_and_are_slowed_down_together() {
        let budget = std::sync::Arc::new(Budget::default());
        let start = Instant::now();
        let mut applications = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let budget = budget.clone();
            applications.spawn(async move {
                for _ in 0..100 {
                    budget.acquire("a", Duration::ZERO).await.expect("a turn, however late");
                }
            });
        }
        while let Some(ended) = applications.join_next().await {
            ended.expect("all its turns");
        }
        let taken = start.elapsed().as_secs();
        assert!((39..=41).contains(&taken), "1000 requests, 200 at once and 20 a second: {taken} s");
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_has_an_end() {
        let budget = std::sync::Arc::new(Budget::default());
        let fits = BURST + 20 * 300;
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..fits + 5 {
            let budget = budget.clone();
            waiting.spawn(async move { budget.acquire("a", LONG).await });
        }
        let ended = waiting.join_all().await;
        assert_eq!(ended.iter().filter(|result| **result == Err(NoTurn::Overload)).count(), 5);
        assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), fits as usize);
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
        assert!(matches!(waited, Err(NoTurn::Paused(rest)) if rest > Duration::from_secs(40)), "{waited:?}");
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
