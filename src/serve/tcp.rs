//! DNS over TCP (RFC 7766): pipelined queries, and limits on everything.
//!
//! A connection costs one task and two buffers. Its queries are answered as they come; answers are
//! collected and written together. Back-pressure is TCP's own: while a client does not read, its
//! queries are not read either.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Outcome;
use super::counters::{Counters, Transport};
use super::query::{Later, Step, take};
use super::transfer::{self, Transfer};
use super::{Serving, Shared};

/// The pause after an `accept` that fails because of this machine: with no file descriptors left it
/// fails at once, for ever.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers are written when this many octets have come together, or no query is left.
const FLUSH: usize = 16 * 1024;

/// The largest query taken, as over UDP; EDNS queries with options stay far below.
pub(super) const LARGEST: usize = 4096;

/// Queries of one connection that may wait for public DNS at a time.
const PIPELINE: usize = 32;

/// The connections of all listeners.
#[derive(Default)]
pub(super) struct Connections(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Of each client those that are open, oldest first.
    clients: HashMap<IpAddr, VecDeque<Open>>,
    total: usize,
    /// Of clients that may ask nothing: they are told so, but must not keep the others out.
    strangers: usize,
    /// The number of the last one.
    last: u64,
}

struct Open {
    number: u64,
    stranger: bool,
    /// Ends it, for the sake of another client.
    end: CancellationToken,
}

impl Counts {
    /// Ends the oldest connection of the client that has most, unless it has hardly more than `held`: then
    /// there would be no end of taking from each other.
    fn make_room(&mut self, held: usize) -> bool {
        let most = self.clients.values_mut().max_by_key(|open| open.len());
        let Some(oldest) = most.filter(|open| open.len() >= held + 2).and_then(VecDeque::pop_front) else {
            return false;
        };
        oldest.end.cancel();
        self.uncount(&oldest);
        true
    }

    fn uncount(&mut self, open: &Open) {
        self.total -= 1;
        self.strangers -= usize::from(open.stranger);
    }
}

/// A counted connection; uncounted when dropped.
pub(super) struct Ticket {
    connections: Arc<Connections>,
    counters: Arc<Counters>,
    client: IpAddr,
    number: u64,
    end: CancellationToken,
}

impl Connections {
    /// Counts a connection of a client, or of a network where clients have whole ones to choose from,
    /// unless one of the limits is reached. When all together have theirs, a client that may ask gets in at
    /// the expense of the one that has most: else a few hosts would keep out everybody.
    pub(super) fn admit(
        self: &Arc<Self>,
        serving: &Serving,
        counters: &Arc<Counters>,
        client: SocketAddr,
    ) -> Option<Ticket> {
        let limits = &serving.tcp;
        let stranger = serving.is_stranger(client.ip());
        let client = network(client.ip().to_canonical());
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = counts.clients.get(&client).map_or(0, VecDeque::len);
        let refused = held >= limits.connections_per_client
            || stranger && counts.strangers >= limits.connections.div_ceil(8);
        let full = counts.total >= limits.connections;
        if refused || full && (stranger || !counts.make_room(held)) {
            counters.connections_refused.inc();
            return None;
        }
        if full {
            // The other one's.
            counters.connections_refused.inc();
        }
        counts.total += 1;
        counts.strangers += usize::from(stranger);
        counts.last += 1;
        let (number, end) = (counts.last, CancellationToken::new());
        counts.clients.entry(client).or_default().push_back(Open { number, stranger, end: end.clone() });
        counters.connections.inc();
        Some(Ticket { connections: self.clone(), counters: counters.clone(), client, number, end })
    }
}

/// One host has a whole /64 of addresses to connect from.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = counts.clients.get_mut(&self.client) {
            // One that was ended for another client is not counted any more.
            let place = open.iter().position(|open| open.number == self.number);
            let ended = place.and_then(|place| open.remove(place));
            if open.is_empty() {
                counts.clients.remove(&self.client);
            }
            if let Some(ended) = ended {
                counts.uncount(&ended);
            }
        }
        self.counters.connections.dec();
        if std::thread::panicking() {
            tracing::error!("a TCP connection's task has panicked; this is a bug");
        }
    }
}

/// Accepts connections until `stop`, and lets `serve` have each; then lets the open ones end.
pub(super) async fn run<S, F>(
    listener: TcpListener,
    serve: S,
    shared: Shared,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
    stop: CancellationToken,
) where
    S: Fn(TcpStream, SocketAddr) -> F + Send,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
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
        let Some(ticket) = connections.admit(&shared.load(), &counters, client) else { continue };
        let (serving, stop) = (serve(stream, client), stop.clone());
        tasks.spawn(async move {
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                () = ticket.end.cancelled() => Ok(()),
                ended = serving => ended,
            };
            if let Err(error) = ended {
                tracing::trace!(%client, %error, "connection ended");
            }
            // The connection itself is closed by now.
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

/// Serves a connection without encryption.
pub(super) async fn plain(
    stream: TcpStream,
    client: SocketAddr,
    shared: &Shared,
    counters: &Counters,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    serve(stream, client, Transport::Tcp, shared, counters).await
}

/// Answers the queries of one connection until the client ends it or is silent for too long. What
/// public DNS has to be asked for is answered when it is known, maybe behind later queries
/// (RFC 7766 section 6.2.1.1).
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    transport: Transport,
    shared: &Shared,
    counters: &Counters,
) -> io::Result<()> {
    let mut input = Vec::with_capacity(1024);
    let (mut output, mut response) = (Vec::new(), Vec::new());
    let mut waiting = FuturesUnordered::new();
    let mut open = true;
    loop {
        let idle = shared.load().tcp.idle_timeout;
        let mut used = 0;
        let mut transfer = None;
        while transfer.is_none()
            && output.len() < FLUSH
            && waiting.len() < PIPELINE
            && let Some(query) = message(&input[used..])
        {
            used += 2 + query.len();
            match one(shared, counters, client, transport, query, &mut response) {
                Step::Wait(query) => waiting.push(later(query, shared, client, transport)),
                Step::Answered(_) => append(&response, &mut output),
                Step::Transfer(begun) => transfer = Some(begun),
            }
        }
        input.drain(..used);
        if !output.is_empty() {
            timeout(idle, stream.write_all(&output)).await??;
            timeout(idle, stream.flush()).await??;
            output.clear();
        }
        if let Some(transfer) = transfer {
            send(transfer, &mut stream, shared, idle).await?;
            continue;
        }
        if used > 0 {
            continue;
        }
        if announced(&input).is_some_and(|length| length > LARGEST) || !open && waiting.is_empty() {
            return Ok(());
        }
        // A message has to be whole within the time, so that single octets keep nothing open.
        let deadline = Instant::now() + idle;
        loop {
            let may_read = open && waiting.len() < PIPELINE;
            tokio::select! {
                Some((outcome, response)) = waiting.next() => {
                    counters.count(&shared.load().image, transport, client, outcome);
                    append(&response, &mut output);
                    break;
                }
                read = stream.read_buf(&mut input), if may_read => {
                    open = read? > 0;
                    if !open || message(&input).is_some() || announced(&input) > Some(LARGEST) {
                        break;
                    }
                }
                // While answers are awaited, silence is the client's right.
                () = sleep_until(deadline), if waiting.is_empty() => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        if !open && !input.is_empty() && message(&input).is_none() {
            // The rest of a message will not come any more.
            input.clear();
        }
    }
}

/// Waits for public DNS.
async fn later(
    query: Box<Later>,
    shared: &Shared,
    client: SocketAddr,
    transport: Transport,
) -> (Outcome, Vec<u8>) {
    let mut response = Vec::new();
    let outcome = query.run(shared, client, transport, &mut response).await;
    (outcome, response)
}

/// Sends a transfer in its turn. While it runs, other queries of the connection wait.
async fn send(
    transfer: Box<Transfer>,
    stream: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    idle: Duration,
) -> io::Result<()> {
    let transfers = shared.load().transfers.clone();
    transfer::send(transfer, stream, &transfers, idle).await
}

fn append(response: &[u8], output: &mut Vec<u8>) {
    if !response.is_empty() {
        // A response has at most 65,535 octets.
        output.extend_from_slice(&(response.len() as u16).to_be_bytes());
        output.extend_from_slice(response);
    }
}

/// Takes a query; its response is in `response`, unless there is more to do.
pub(super) fn one(
    shared: &Shared,
    counters: &Counters,
    client: SocketAddr,
    transport: Transport,
    query: &[u8],
    response: &mut Vec<u8>,
) -> Step {
    let serving = shared.load();
    let asker = serving.asker(client.ip(), transport, false);
    let step = take(&serving, counters, client, asker, query, response);
    match &step {
        Step::Answered(outcome) => {
            if *outcome == Outcome::Ignored {
                response.clear();
            }
            counters.count(&serving.image, transport, client, *outcome);
        }
        Step::Transfer(transfer) => {
            let outcome = Outcome::Answered { rcode: 0, kind: transfer.kind(), zone: None };
            counters.count(&serving.image, transport, client, outcome);
        }
        Step::Wait(_) => {}
    }
    step
}

/// The length that the next message says it has.
fn announced(input: &[u8]) -> Option<usize> {
    let [high, low, ..] = input else { return None };
    Some(usize::from(u16::from_be_bytes([*high, *low])))
}

/// The first message of the input, when it is whole.
fn message(input: &[u8]) -> Option<&[u8]> {
    input.get(2..2 + announced(input).filter(|length| *length <= LARGEST)?)
}
