//! The UDP loop: one thread and one socket a core, no task and no allocation per query.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::answer::{Outcome, UDP_PAYLOAD};
use super::counters::{Counters, Transport};
use super::mmsg::{BATCH, Batch, Origin};
use super::query::{self, Step, take};
use super::rate_limit::Verdict;
use super::{Serving, Shared};

/// How long a thread may wait for a query before it looks whether it should end.
pub(super) const WAIT: Duration = Duration::from_millis(500);

/// The pause after a failed receive call, so that a lasting fault does not burn a core.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers queries on one socket until `stop` is set.
pub(super) fn run(
    socket: &Arc<UdpSocket>,
    shared: &Shared,
    counters: &Arc<Counters>,
    stop: &Arc<AtomicBool>,
) {
    let mut batch = Batch::new();
    let mut answers: Vec<Vec<u8>> =
        (0..BATCH).map(|_| Vec::with_capacity(usize::from(UDP_PAYLOAD))).collect();
    while !stop.load(Ordering::Relaxed) {
        let received = match batch.receive(socket.as_fd()) {
            Ok(received) => received,
            Err(error) if is_idle(&error) => continue,
            Err(error) => {
                counters.socket_errors.inc();
                tracing::debug!(%error, "receiving datagrams failed");
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        let arrived = Instant::now();
        // One generation for the whole batch, and so for every answer in it.
        let serving = shared.load();
        let mut pending = 0;
        for i in 0..received {
            let Some((client, query)) = batch.query(i) else {
                counters.ignored.inc();
                continue;
            };
            match one(&serving, counters, client, query, arrived, &mut answers[pending]) {
                Answer::Ready => {
                    batch.reply(i);
                    pending += 1;
                }
                Answer::None => {}
                Answer::Later(query) => {
                    let Some(origin) = batch.origin(i) else { continue };
                    let resolver = query.resolver().clone();
                    let later = Later {
                        socket: socket.clone(),
                        shared: shared.clone(),
                        counters: counters.clone(),
                        query,
                        client,
                        origin,
                    };
                    resolver.spawn(later.run());
                }
            }
        }
        let sent = batch.send(socket.as_fd(), &answers[..pending]);
        if sent < pending {
            counters.socket_errors.inc_by((pending - sent) as u64);
        }
        counters.duration.observe(arrived.elapsed().as_secs_f64());
    }
}

/// What became of a query.
enum Answer {
    /// The answer is in the buffer.
    Ready,
    /// There is none.
    None,
    /// Public DNS has to be asked.
    Later(Box<query::Later>),
}

/// A query whose answer comes later.
struct Later {
    socket: Arc<UdpSocket>,
    shared: Shared,
    counters: Arc<Counters>,
    query: Box<query::Later>,
    client: SocketAddr,
    origin: Origin,
}

impl Later {
    async fn run(self) {
        let mut out = Vec::new();
        let outcome = self.query.run(&self.shared, self.client, Transport::Udp, &mut out).await;
        self.counters.count(&self.shared.load().image, Transport::Udp, self.client, outcome);
        if outcome != Outcome::Ignored && self.origin.send(self.socket.as_fd(), &out).is_err() {
            self.counters.socket_errors.inc();
        }
    }
}

/// Answers one query into `out`.
fn one(
    serving: &Serving,
    counters: &Counters,
    client: SocketAddr,
    query: &[u8],
    now: Instant,
    out: &mut Vec<u8>,
) -> Answer {
    let verdict = serving.limiter.charge(client.ip(), now);
    if verdict == Verdict::Drop {
        counters.limited.inc();
        return Answer::None;
    }
    let asker = serving.asker(client.ip(), Transport::Udp, verdict == Verdict::Slip);
    let outcome = match take(serving, counters, client, asker, query, out) {
        Step::Answered(outcome) => outcome,
        Step::Wait(query) => return Answer::Later(query),
        // Not over datagrams.
        Step::Transfer(_) => return Answer::None,
    };
    counters.count(&serving.image, Transport::Udp, client, outcome);
    if outcome == Outcome::Ignored {
        return Answer::None;
    }
    if asker.truncate {
        counters.slipped.inc();
    }
    Answer::Ready
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
