//! A running server on sockets of this machine, and clients for it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::super::{Counters, Image, Listeners, Serving, Shared};
use super::build::sample;
use crate::config::{Dns, Prefix, RateLimit};

/// The sample's zones on sockets, with the ends that the daemon holds.
pub(super) struct Server {
    pub(super) listeners: Listeners,
    pub(super) shared: Shared,
    pub(super) counters: Arc<Counters>,
    deaths: mpsc::UnboundedReceiver<String>,
}

pub(super) fn prefix(text: &str) -> Prefix {
    let (network, length) = text.split_once('/').expect("a prefix");
    Prefix { network: network.parse().expect("an address"), length: length.parse().expect("a length") }
}

/// One thread per address, everybody may ask, no rate limit, and time for slow test machines.
pub(super) fn dns(listen: &[&str]) -> Dns {
    Dns {
        listen: listen.iter().map(|address| address.parse().expect("an address")).collect(),
        allow_query: vec![prefix("0.0.0.0/0"), prefix("::/0")],
        udp_threads: 1,
        tcp_connections: 100,
        tcp_connections_per_client: 100,
        tcp_idle_timeout: Duration::from_secs(60),
        rate_limit: RateLimit { responses_per_second: 0, slip: 0, ipv4_prefix: 24, ipv6_prefix: 56 },
        stale_after: Duration::from_secs(60),
        tls: None,
    }
}

impl Server {
    /// No socket yet.
    pub(super) fn idle(dns: &Dns) -> Self {
        let serving = Serving::new(Arc::new(sample()), dns, None, None);
        let shared: Shared = Arc::new(ArcSwap::from_pointee(serving));
        let counters = Arc::new(Counters::new().expect("counters"));
        let (sender, deaths) = mpsc::unbounded_channel();
        let listeners = Listeners::new(shared.clone(), counters.clone(), sender);
        Self { listeners, shared, counters, deaths }
    }

    /// Listens on the configured addresses.
    pub(super) fn start(dns: &Dns) -> Self {
        let mut server = Self::idle(dns);
        server.listeners.bind(&dns.listen, dns.udp_threads).expect("bound");
        server.listeners.start().expect("started");
        server
    }

    /// The only address.
    pub(super) fn address(&self) -> SocketAddr {
        let addresses = self.listeners.addresses();
        assert_eq!(addresses.len(), 1);
        addresses[0]
    }

    /// Serves another image under the same limits.
    pub(super) fn publish(&self, image: Image, dns: &Dns) {
        let limiter = self.shared.load().limiter.clone();
        self.shared.store(Arc::new(Serving::new(Arc::new(image), dns, None, Some(limiter))));
    }

    /// Ends it; no thread or task may have ended before, and none may be left.
    pub(super) async fn stop(mut self) {
        within(self.listeners.stop()).await;
        // Nothing comes, and the channel closes with the last thread or task.
        assert_eq!(within(self.deaths.recv()).await, None);
    }
}

/// Awaits what has to happen; the limit is for tests that fail.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// A UDP client on `from`.
pub(super) async fn client(from: &str) -> UdpSocket {
    UdpSocket::bind((from, 0)).await.expect("a client")
}

/// Asks over UDP; returns the response and where it came from.
pub(super) async fn ask(client: &UdpSocket, server: SocketAddr, request: &[u8]) -> (Vec<u8>, SocketAddr) {
    client.send_to(request, server).await.expect("sent");
    let mut buffer = [0; 65_535];
    let (length, from) = within(client.recv_from(&mut buffer)).await.expect("a response");
    (buffer[..length].to_vec(), from)
}

/// Connects from an address of this machine.
pub(super) async fn connect(from: &str, server: SocketAddr) -> TcpStream {
    let socket = if server.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() };
    let socket = socket.expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("bound");
    within(socket.connect(server)).await.expect("connected")
}

/// A message with its length in front.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// The next message, or nothing when the server has closed the connection.
pub(super) async fn next(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = within(stream.read_u16()).await.ok()?;
    let mut message = vec![0; usize::from(length)];
    within(stream.read_exact(&mut message)).await.ok()?;
    Some(message)
}

/// Asks over a connection; nothing when the server has closed it.
pub(super) async fn ask_over(stream: &mut TcpStream, request: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(&framed(request)).await.ok()?;
    next(stream).await
}
