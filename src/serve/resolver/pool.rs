//! Which upstream is asked when: in order or all at once, the silent ones last, and never longer than
//! a client waits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::cache::Key;
use super::entry::Entry;
use super::upstream::Upstream;

/// How long an upstream may think before the next one is asked as well.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Upstreams that are asked at once.
const RACERS: usize = 3;

/// How often silent upstreams are asked whether they are back.
const PROBE: Duration = Duration::from_secs(5);

/// The upstreams.
pub(super) struct Pool {
    upstreams: Vec<Arc<Upstream>>,
    race: bool,
    limit: Duration,
}

impl Pool {
    pub(super) fn new(upstreams: Vec<Arc<Upstream>>, race: bool, limit: Duration) -> Self {
        Self { upstreams, race, limit }
    }

    /// The first usable answer; nothing when there is none within the limit.
    pub(super) async fn ask(&self, key: &Key) -> Option<Entry> {
        let (up, down): (Vec<_>, Vec<_>) = self.upstreams.iter().partition(|upstream| upstream.is_up());
        // Each twice: datagrams get lost.
        let mut next = up.iter().chain(&down).chain(&up).chain(&down);
        let mut running = FuturesUnordered::new();
        if self.race {
            running.extend(next.by_ref().take(RACERS.min(up.len())).map(|upstream| upstream.ask(key)));
        }
        let asking = async {
            loop {
                if running.is_empty() {
                    running.push(next.next()?.ask(key));
                }
                tokio::select! {
                    Some(answer) = running.next() => {
                        if answer.is_some() {
                            return answer;
                        }
                    }
                    () = sleep(RETRY) => running.extend(next.next().map(|upstream| upstream.ask(key))),
                }
            }
        };
        timeout(self.limit, asking).await.ok().flatten()
    }

    /// Asks the silent upstreams for the root's name servers, again and again.
    pub(super) async fn probe(&self) {
        loop {
            sleep(PROBE).await;
            let silent = self.upstreams.iter().filter(|upstream| !upstream.is_up());
            let probes: FuturesUnordered<_> = silent.map(|upstream| upstream.ask(&Key::ROOT)).collect();
            probes.for_each(|_| std::future::ready(())).await;
        }
    }
}
