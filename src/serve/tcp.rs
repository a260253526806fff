//! DNS over TCP (RFC 7766): pipelined queries, answers in order, and limits on everything.
//!
//! A connection costs one task and two buffers. Its queries are answered as they come; answers are
//! collected and written together. Back-pressure is TCP's own: while a client does not read, its
//! queries are not read either.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Shared;
use super::answer::{Asker, Outcome, answer};
use super::counters::{Counters, Transport};

/// The pause after an `accept` that fails because of this machine: with no file descriptors left it
/// fails at once, for ever.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers are written when this many octets have come together, or no query is left.
const FLUSH: usize = 16 * 1024;

/// A message with its length in front (RFC 1035 section 4.2.2).
const LARGEST: usize = 2 + u16::MAX as usize;

/// The connections of all listeners, counted by client.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<IpAddr, usize>>);

/// A counted connection; uncounted when dropped.
struct Ticket {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl Connections {
    /// Counts a connection, unless one of the limits is reached.
    fn admit(self: &Arc<Self>, client: IpAddr, total: usize, per_client: usize) -> Option<Ticket> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= total || counts.get(&client).is_some_and(|n| *n >= per_client) {
            return None;
        }
        *counts.entry(client).or_default() += 1;
        Some(Ticket { connections: self.clone(), client })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Accepts connections until `stop`, then lets the open ones end.
pub(super) async fn run(
    listener: TcpListener,
    shared: Shared,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                counters.socket_errors.inc();
                tracing::debug!(%error, "accepting a connection failed");
                if is_lasting(&error) {
                    sleep(PAUSE).await;
                }
                continue;
            }
        };
        let (total, per_client) = {
            let limits = &shared.load().tcp;
            (limits.connections, limits.connections_per_client)
        };
        let Some(ticket) = connections.admit(client.ip().to_canonical(), total, per_client) else {
            counters.connections_refused.inc();
            continue;
        };
        let (shared, counters, stop) = (shared.clone(), counters.clone(), stop.clone());
        tasks.spawn(async move {
            counters.connections.inc();
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = serve(stream, client, &shared, &counters) => ended,
            };
            if let Err(error) = ended {
                tracing::trace!(%client, %error, "connection ended");
            }
            counters.connections.dec();
            drop(ticket);
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Whether `accept` fails for a reason of this machine. A connection that its client has given up
/// is over with one error, and must not keep the others waiting.
fn is_lasting(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Answers the queries of one connection until the client ends it or is silent for too long.
async fn serve(
    mut stream: TcpStream,
    client: SocketAddr,
    shared: &Shared,
    counters: &Counters,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(1024);
    let (mut output, mut response) = (Vec::new(), Vec::new());
    loop {
        let idle = shared.load().tcp.idle_timeout;
        // A message has to be whole within the time, so that single octets keep nothing open.
        let deadline = Instant::now() + idle;
        while message(&input).is_none() {
            if input.len() >= LARGEST || timeout_at(deadline, stream.read_buf(&mut input)).await?? == 0 {
                return Ok(());
            }
        }
        let mut used = 0;
        loop {
            while output.len() < FLUSH
                && let Some(query) = message(&input[used..])
            {
                used += 2 + query.len();
                one(shared, counters, client, query, &mut response);
                if !response.is_empty() {
                    // A response has at most 65,535 octets.
                    output.extend_from_slice(&(response.len() as u16).to_be_bytes());
                    output.extend_from_slice(&response);
                }
            }
            if output.is_empty() {
                break;
            }
            timeout(idle, stream.write_all(&output)).await??;
            output.clear();
        }
        input.drain(..used);
    }
}

fn one(shared: &Shared, counters: &Counters, client: SocketAddr, query: &[u8], response: &mut Vec<u8>) {
    let serving = shared.load();
    let asker = Asker { transport: Transport::Tcp, allowed: serving.allows(client.ip()), truncate: false };
    let outcome = answer(&serving.image, query, asker, response);
    if outcome == Outcome::Ignored {
        response.clear();
    }
    counters.count(&serving.image, Transport::Tcp, client, outcome);
}

/// The first message of the input, when it is whole.
fn message(input: &[u8]) -> Option<&[u8]> {
    let [high, low, rest @ ..] = input else { return None };
    rest.get(..usize::from(u16::from_be_bytes([*high, *low])))
}
