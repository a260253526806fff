//! Pollers: one task an application, and one a discovery, each with a rhythm of its own.
//!
//! Side by side, so that one application's failing or slow reads never delay another's.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::view::View;
use crate::azure::{ArmError, Azure};
use crate::config::Discovery;
use crate::zones::ResourceId;

/// The share of the interval that jitter may take away, in percent. It never adds, so that a
/// change is seen within one interval.
const JITTER: u64 = 10;

/// A task that reads Azure again and again; ends when dropped.
pub(super) struct Poller {
    /// Unlike that of any other poller. A result may wait in the queue while its poller ends: after
    /// a reload it belongs to another configuration and counts no more.
    pub(super) number: u64,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

/// What the tasks of one configuration share.
pub(super) struct Pollers<'a> {
    pub(super) tasks: &'a mut JoinSet<()>,
    pub(super) azure: &'a Arc<Azure>,
    pub(super) interval: Duration,
    pub(super) events: &'a mpsc::Sender<Event>,
    /// The number of the poller that was started last.
    pub(super) last: &'a mut u64,
}

impl Pollers<'_> {
    /// Polls an application.
    pub(super) fn poll(&mut self, id: ResourceId, view: watch::Receiver<Arc<View>>) -> Poller {
        let azure = self.azure.clone();
        self.start(move |number| {
            let (id, azure, known) = (id.clone(), azure.clone(), view.borrow().endpoints(&id));
            async move {
                let start = Instant::now();
                let result = azure.poll(&id, &known).await;
                let pause = pause(&result);
                let result = result.map_err(|error| error.to_string());
                (Event::Polled(number, id, start.elapsed(), result), pause)
            }
        })
    }

    /// Lists a discovery's applications.
    pub(super) fn discover(&mut self, index: usize, discovery: Discovery) -> Poller {
        let azure = self.azure.clone();
        self.start(move |number| {
            let (azure, discovery) = (azure.clone(), discovery.clone());
            async move {
                let result = azure.discover(&discovery).await;
                let pause = pause(&result);
                let result = result.map_err(|error| error.to_string());
                (Event::Discovered(number, index, result), pause)
            }
        })
    }

    /// Works now, and then once an interval, counted from start to start. A pause that ARM asked
    /// for is kept, woken or not.
    fn start<Work>(&mut self, mut work: impl FnMut(u64) -> Work + Send + 'static) -> Poller
    where
        Work: Future<Output = (Event, Option<Duration>)> + Send,
    {
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        *self.last += 1;
        let number = *self.last;
        let poller = Poller { number, wake: wake.clone(), stop: stop.clone() };
        let (interval, events) = (self.interval, self.events.clone());
        let rounds = async move {
            loop {
                let start = Instant::now();
                let (event, pause) = work(number).await;
                // The engine outlives its pollers; while it ends, nobody needs the result.
                let _ = events.send(event).await;
                let pause = Instant::now() + pause.unwrap_or_default();
                let percent = 100 - fastrand::u64(0..=JITTER);
                tokio::select! {
                    biased;
                    () = sleep_until(start + interval.mul_f64(percent as f64 / 100.0)) => {}
                    () = wake.notified() => {}
                }
                sleep_until(pause).await;
            }
        };
        self.tasks.spawn(async move {
            stop.run_until_cancelled(rounds).await;
        });
        poller
    }
}

/// What ARM asks to wait: of this poller alone, the others go on.
fn pause<T>(result: &Result<T, ArmError>) -> Option<Duration> {
    result.as_ref().err().and_then(ArmError::retry_after)
}

impl Poller {
    /// Lets the next round be now.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const INTERVAL: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_secs(300);

    /// A poller whose work fails, and asks for `pause`.
    fn failing(
        tasks: &mut JoinSet<()>,
        index: usize,
        pause: Option<Duration>,
    ) -> (Poller, mpsc::Receiver<Event>) {
        let text = "version = 1\n[azure.credential]\nkind = 'azure-cli'\n[[discovery]]\nsubscription = '11111111-2222-3333-4444-555555555555'";
        let config = config::parse("test.toml", text, std::iter::empty()).expect("a configuration");
        let azure = Arc::new(Azure::new(&config.azure, Arc::new(())).expect("a client"));
        let (events, received) = mpsc::channel(1);
        let mut last = 0;
        let mut pollers =
            Pollers { tasks, azure: &azure, interval: INTERVAL, events: &events, last: &mut last };
        let work =
            move |number| async move { (Event::Discovered(number, index, Err("503".to_owned())), pause) };
        (pollers.start(work), received)
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_azure_asks_for_is_kept_by_that_poller_alone() {
        let mut tasks = JoinSet::new();
        let (waiting, mut of_waiting) = failing(&mut tasks, 0, Some(PAUSE));
        let (_other, mut of_other) = failing(&mut tasks, 1, None);
        let start = Instant::now();
        of_waiting.recv().await.expect("its first round");
        of_other.recv().await.expect("its first round");
        waiting.wake();
        of_other.recv().await.expect("its second round");
        assert!(start.elapsed() <= INTERVAL, "{:?}", start.elapsed());
        tokio::select! {
            _ = of_waiting.recv() => {}
            () = async { while of_other.recv().await.is_some() {} } => {}
        }
        assert!(start.elapsed() >= PAUSE, "woken or not: {:?}", start.elapsed());
    }
}
