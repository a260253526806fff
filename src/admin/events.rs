//! `/api/v1/events`: that something changed, as server-sent events (WHATWG HTML, section 9.2).
//!
//! An event is a word in short; whoever wants to know more asks for the status. So a slow reader
//! misses nothing: what happens while it does not read is one event later.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::api::{Admin, problem};
use super::server;
use crate::sync::View;
use crate::zones::Severity;

/// Streams at a time; the listener has connections left for everybody else.
const STREAMS: usize = 16;

/// The least time between two events, and how often secondaries and targets are looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a stream may be silent: proxies cut what is silent for long.
const SILENCE: Duration = Duration::from_secs(15);

/// When a stream ends by itself, before its connection is cut. Clients come back after a second.
const LIFETIME: Duration = Duration::from_secs(100);
const _: () = assert!(LIFETIME.as_secs() < server::LIFETIME.as_secs());

/// The streams of events that are open, and their end.
#[derive(Debug)]
pub struct Streams {
    free: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Streams {
    /// Streams that end at `stop`.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { free: Arc::new(Semaphore::new(STREAMS)), stop }
    }
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Change {
    /// When the engine last showed something.
    at: Timestamp,
    ready: bool,
    generation: Option<u64>,
    /// Findings of these severities.
    errors: usize,
    warnings: usize,
    /// Held removals.
    holds: usize,
}

/// Everything whose change is an event.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    change: Change,
    /// Zones that a secondary has and lacks, its last transfer, whether something is wrong.
    secondaries: Vec<(usize, usize, Option<Timestamp>, bool)>,
    /// What a target holds, when it was last right, whether something waits or is wrong.
    targets: Vec<(Option<u64>, Option<Timestamp>, bool, bool)>,
}

/// One stream.
struct Watch {
    admin: Arc<Admin>,
    views: watch::Receiver<Arc<View>>,
    seen: Option<Seen>,
    /// When the last event and the last octet were sent.
    told: Option<Instant>,
    spoken: Instant,
    end: Instant,
    _permit: OwnedSemaphorePermit,
}

/// A stream, as long as there are free ones.
pub(super) async fn get(State(admin): State<Arc<Admin>>) -> Response {
    let Some(watch) = Watch::open(admin) else {
        let error =
            format!("{STREAMS} clients follow the events already; ask for the status instead, or later");
        return problem(StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    let body = Body::from_stream(stream::unfold(watch, async |mut watch| {
        let text = watch.next().await?;
        Some((Ok::<_, Infallible>(text), watch))
    }));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

impl Watch {
    fn open(admin: Arc<Admin>) -> Option<Self> {
        let permit = admin.streams.free.clone().try_acquire_owned().ok()?;
        let now = Instant::now();
        let views = admin.engine.views();
        Some(Self { admin, views, seen: None, told: None, spoken: now, end: now + LIFETIME, _permit: permit })
    }

    /// The next piece of the stream; nothing at its end.
    async fn next(&mut self) -> Option<String> {
        loop {
            let rested = self.told.map_or_else(Instant::now, |told| told + PAUSE);
            let is_first = self.seen.is_none();
            let views = &mut self.views;
            let news = async {
                sleep_until(rested).await;
                if is_first {
                    return true;
                }
                tokio::select! {
                    changed = views.changed() => changed.is_ok(),
                    () = sleep(PAUSE) => true,
                }
            };
            let goes_on = tokio::select! {
                biased;
                () = self.admin.streams.stop.cancelled() => false,
                () = sleep_until(self.end) => false,
                goes_on = news => goes_on,
                () = sleep_until(self.spoken + SILENCE) => {
                    self.spoken = Instant::now();
                    return Some(":\n\n".to_owned());
                }
            };
            if !goes_on {
                return None;
            }
            let seen = Seen::of(&self.admin, &self.views.borrow_and_update());
            if self.seen.as_ref() == Some(&seen) {
                continue;
            }
            let data = serde_json::to_string(&seen.change).ok()?;
            let retry = if is_first { "retry: 1000\n" } else { "" };
            let now = Instant::now();
            (self.told, self.spoken, self.seen) = (Some(now), now, Some(seen));
            return Some(format!("{retry}event: change\ndata: {data}\n\n"));
        }
    }
}

impl Seen {
    fn of(admin: &Admin, view: &View) -> Self {
        let count =
            |severity| view.findings.iter().filter(|finding| finding.kind.severity() == severity).count();
        let secondaries = admin.secondaries.summaries(Timestamp::now()).into_iter();
        let targets = admin.targets.states().into_iter();
        Self {
            change: Change {
                at: view.at,
                ready: view.is_ready(),
                generation: view.generation.as_ref().map(|generation| generation.number),
                errors: count(Severity::Error),
                warnings: count(Severity::Warning),
                holds: view.holds.len(),
            },
            secondaries: secondaries
                .map(|s| (s.current, s.behind, s.transferred, s.error.is_some()))
                .collect(),
            targets: targets.map(|t| (t.applied, t.last_success, t.pending, t.error.is_some())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::tests::admin;
    use super::*;
    use crate::sync::Handle;

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_at_most_once_a_second() {
        let (engine, views) = Handle::shown(View::empty(Timestamp::UNIX_EPOCH));
        let (admin, _directory) = admin(engine);
        let mut watch = Watch::open(admin).expect("a stream");
        let start = Instant::now();
        let first = watch.next().await.expect("the state at the beginning");
        assert_eq!(
            first,
            "retry: 1000\nevent: change\ndata: {\"at\":\"1970-01-01T00:00:00Z\",\"ready\":false,\
             \"generation\":null,\"errors\":0,\"warnings\":0,\"holds\":0}\n\n"
        );
        assert_eq!(start.elapsed(), Duration::ZERO);
        for second in 1..=3 {
            views.send_replace(Arc::new(View::empty(Timestamp::from_second(second).expect("a time"))));
        }
        let second = watch.next().await.expect("an event");
        assert_eq!(start.elapsed(), PAUSE);
        assert!(second.starts_with("event: change\ndata: {\"at\":\"1970-01-01T00:00:03Z\""), "{second}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_news_is_not_silent_and_ends_by_itself() {
        let (engine, _views) = Handle::shown(View::empty(Timestamp::UNIX_EPOCH));
        let (admin, _directory) = admin(engine);
        let mut watch = Watch::open(admin).expect("a stream");
        let start = Instant::now();
        watch.next().await.expect("the state at the beginning");
        for beat in 1..=6 {
            assert_eq!(watch.next().await.as_deref(), Some(":\n\n"));
            assert_eq!(start.elapsed(), SILENCE * beat);
        }
        assert_eq!(watch.next().await, None);
        assert_eq!(start.elapsed(), LIFETIME);
    }

    #[tokio::test(start_paused = true)]
    async fn streams_are_few_and_end_with_the_daemon() {
        let (engine, views) = Handle::shown(View::empty(Timestamp::UNIX_EPOCH));
        let (admin, _directory) = admin(engine);
        let mut streams: Vec<_> =
            (0..STREAMS).map(|_| Watch::open(admin.clone()).expect("a stream")).collect();
        assert!(Watch::open(admin.clone()).is_none());
        assert_eq!(get(State(admin.clone())).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        streams.pop();
        assert!(Watch::open(admin.clone()).is_some(), "a place that is free again");

        for watch in &mut streams {
            watch.next().await.expect("the state at the beginning");
        }
        let (first, rest) = streams.split_first_mut().expect("streams");
        drop(views);
        assert_eq!(first.next().await, None, "the engine is gone");
        admin.streams.stop.cancel();
        for watch in rest {
            assert_eq!(watch.next().await, None);
        }
    }
}
