//! The UDP loop: one thread and one socket a core, no task and no allocation per query.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::answer::{Asker, Outcome, UDP_PAYLOAD, answer};
use super::counters::{Counters, Transport};
use super::mmsg::{BATCH, Batch};
use super::rate_limit::Verdict;
use super::{Serving, Shared};

/// How long a thread may wait for a query before it looks whether it should end.
pub(super) const WAIT: Duration = Duration::from_millis(500);

/// The pause after a failed receive call, so that a lasting fault does not burn a core.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers queries on one socket until `stop` is set.
pub(super) fn run(socket: &UdpSocket, shared: &Shared, counters: &Counters, stop: &Arc<AtomicBool>) {
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
            if one(&serving, counters, client, query, arrived, &mut answers[pending]) {
                batch.reply(i);
                pending += 1;
            }
        }
        let sent = batch.send(socket.as_fd(), &answers[..pending]);
        if sent < pending {
            counters.socket_errors.inc_by((pending - sent) as u64);
        }
        counters.duration.observe(arrived.elapsed().as_secs_f64());
    }
}

/// Answers one query into `out`; says whether to send it.
fn one(
    serving: &Serving,
    counters: &Counters,
    client: SocketAddr,
    query: &[u8],
    now: Instant,
    out: &mut Vec<u8>,
) -> bool {
    let verdict = serving.limiter.charge(client.ip(), now);
    if verdict == Verdict::Drop {
        counters.limited.inc();
        return false;
    }
    let asker = Asker {
        transport: Transport::Udp,
        allowed: serving.allows(client.ip()),
        truncate: verdict == Verdict::Slip,
    };
    let outcome = answer(&serving.image, query, asker, out);
    counters.count(&serving.image, Transport::Udp, client, outcome);
    if outcome == Outcome::Ignored {
        return false;
    }
    if asker.truncate {
        counters.slipped.inc();
    }
    true
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
