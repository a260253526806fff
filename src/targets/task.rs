//! One target: its state, which everybody may look at, and the task that writes it.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::error::TargetError;
use super::lock;
use super::metrics::Counters;
use super::state::TargetState;
use super::writer::{Applied, Around, Job, Notes, Writer};
use crate::config::{Target, TargetKind};
use crate::outside;
use crate::propagation::{Place, Propagation};
use crate::zones::Generation;

/// The pauses after failures: doubled from the one to the other.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How long an attempt may take, beside its command, before it is told that it does not end.
const LONG: Duration = Duration::from_secs(60);

/// How long the end of a task waits for what cannot be cut short: files of a server that is away hold up
/// whoever touches them, and neither a reload of the configuration nor the end of the daemon may wait for that.
const GRACE: Duration = Duration::from_secs(3);

/// Paths that are told of a dry run; more are counted.
const NAMED: usize = 5;

/// A target that is kept in step.
pub(super) struct Watched {
    pub(super) target: Target,
    inner: Mutex<Inner>,
    wake: Notify,
    counters: Counters,
    propagation: Propagation,
    pub(super) around: Around,
}

/// What changes. Locked for moments only.
struct Inner {
    /// What it should hold. A newer generation takes the place of one that waits.
    wanted: Option<Arc<Generation>>,
    state: TargetState,
}

impl Watched {
    pub(super) fn new(target: Target, counters: Counters, propagation: Propagation, around: Around) -> Self {
        let inner = Inner { wanted: None, state: TargetState::new(&target) };
        Self { target, inner: Mutex::new(inner), wake: Notify::new(), counters, propagation, around }
    }

    pub(super) fn publish(&self, generation: &Arc<Generation>) {
        lock(&self.inner).wanted = Some(generation.clone());
        self.wake.notify_one();
    }

    pub(super) fn state(&self) -> TargetState {
        let inner = lock(&self.inner);
        let wanted = inner.wanted.as_ref().map(|generation| generation.number);
        let pending = !self.target.dry_run && wanted.is_some() && inner.state.applied != wanted;
        TargetState { pending, ..inner.state.clone() }
    }

    fn wanted(&self) -> Option<Arc<Generation>> {
        lock(&self.inner).wanted.clone()
    }

    /// Notes what became of a generation.
    fn applied(&self, generation: &Generation, applied: &Applied) {
        let name = &self.target.name;
        let number = generation.number;
        let planned = self.target.dry_run.then(|| planned(&applied.written));
        let mut inner = lock(&self.inner);
        let state = &mut inner.state;
        if let Some(planned) = &planned
            && state.planned.as_ref() != Some(planned)
        {
            tracing::info!(target_name = %name, generation = number, records = applied.records, "dry run: {planned}");
        }
        if planned.is_none() && !applied.written.is_empty() {
            tracing::info!(
                target_name = %name, generation = number, records = applied.records,
                written = applied.written.join(", "), "target written"
            );
        }
        if planned.is_none() {
            state.applied = Some(number);
            self.propagation.reached(&Place::Target(name.clone()), number);
        }
        state.planned = planned;
        state.records = applied.records;
        state.last_success = Some(outside::now());
        state.error = None;
    }

    /// Notes what a person should know beside failures.
    fn noted(&self, notes: Notes) {
        lock(&self.inner).state.notes = notes;
    }

    /// Notes a failure; the time of the first one stays.
    fn failed(&self, error: &dyn std::error::Error) {
        self.counters.errors.inc();
        tracing::debug!(target_name = %self.target.name, %error, "target not written");
        let state = &mut lock(&self.inner).state;
        let since = state.error.as_ref().map_or_else(outside::now, |(since, _)| *since);
        state.error = Some((since, error.to_string()));
    }
}

/// What a dry run would write.
fn planned(written: &[String]) -> String {
    let named = written.get(..NAMED).unwrap_or(written).join(", ");
    match written.len() {
        0 => "would write nothing".to_owned(),
        count if count > NAMED => format!("would write {named} and {} more", count - NAMED),
        _ => format!("would write {named}"),
    }
}

/// Keeps the target in step until `stop`.
pub(super) async fn run(watched: &Watched, stop: &CancellationToken) {
    let mut writer = Writer::new(&watched.target, &watched.around);
    let mut failures = 0;
    let mut seen: Option<Arc<Generation>> = None;
    let mut due: Option<Instant> = None;
    // When a failing target may be tried because there is news: what keeps it may be one name, and a new
    // one must not wait for that.
    let mut soon = Instant::now();
    loop {
        let is_new = |wanted: &Arc<Generation>| seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, wanted));
        let wanted = watched.wanted();
        if wanted.as_ref().is_some_and(is_new) {
            due = Some(due.map_or(soon, |due| due.min(soon)));
        }
        let is_due = due.is_some_and(|due| due <= Instant::now());
        let Some(generation) = wanted.filter(|_| is_due) else {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = watched.wake.notified() => {}
                () = wait(due) => {}
            }
            continue;
        };
        let job = Job {
            name: watched.target.name.clone(),
            generation: generation.clone(),
            dry_run: watched.target.dry_run,
            stop: stop.clone(),
            writes: watched.counters.writes.clone(),
        };
        let tell = || watched.failed(&TargetError::Hangs);
        // What the end of the task cuts short is no failure.
        let attended = attend(writer.apply(&job), limit(&watched.target.kind), stop, tell).await;
        watched.noted(writer.notes());
        let Some(result) = attended else { return };
        let pause = match result {
            _ if stop.is_cancelled() => return,
            Ok(applied) => {
                failures = 0;
                soon = Instant::now();
                watched.applied(&generation, &applied);
                writer.interval()
            }
            Err(error) => {
                failures += 1;
                soon = Instant::now() + SHORTEST;
                watched.failed(&error);
                pause(failures)
            }
        };
        seen = Some(generation);
        // Up to a quarter shorter, so that targets that failed together do not stay together.
        due = Some(Instant::now() + pause.mul_f64(1.0 - fastrand::f64() / 4.0));
    }
}

/// Waits for an attempt, and tells when it takes longer than `limit`. Gives nothing at `stop`.
async fn attend<T>(
    attempt: impl Future<Output = T>,
    limit: Duration,
    stop: &CancellationToken,
    tell: impl Fn(),
) -> Option<T> {
    let mut attempt = pin!(attempt);
    let mut told = pin!(sleep(limit));
    let mut is_told = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                // What is done now need not be done again by a task that follows.
                let _ = timeout(GRACE, &mut attempt).await;
                return None;
            }
            result = &mut attempt => return Some(result),
            () = &mut told, if !is_told => {
                is_told = true;
                tell();
            }
        }
    }
}

/// When it is told that an attempt does not end.
fn limit(kind: &TargetKind) -> Duration {
    let command = match kind {
        TargetKind::ZoneFiles { reload, .. } | TargetKind::RpzFile { reload, .. } => reload.as_ref(),
        TargetKind::Hosts { .. } => None,
        // Each exchange has a limit of its own; many records take many.
        TargetKind::Rfc2136(_) => return LONG * 10,
    };
    LONG + command.map_or(Duration::ZERO, |reload| reload.timeout)
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    SHORTEST.saturating_mul(doubled).min(LONGEST)
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds: Vec<u64> = [1, 2, 3, 6, 7, 40, u32::MAX].map(|n| pause(n).as_secs()).to_vec();
        assert_eq!(seconds, [1, 2, 4, 32, 60, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_is_told_and_holds_up_no_end() {
        let stop = CancellationToken::new();
        // Told first, and then stopped: the attempt itself never ends.
        let attempt = attend(std::future::pending::<()>(), Duration::from_millis(1), &stop, || stop.cancel());
        let ended = timeout(GRACE * 10, attempt).await;
        assert_eq!(ended.expect("it ends"), None);
    }

    #[test]
    fn a_dry_run_tells_a_few_and_counts_the_rest() {
        assert_eq!(planned(&[]), "would write nothing");
        let many: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
        assert_eq!(planned(&many), "would write 1, 2, 3, 4, 5 and 2 more");
    }
}
