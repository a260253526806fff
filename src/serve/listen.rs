//! Sockets: bound here or passed by systemd, and the threads and tasks on them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};
use std::os::fd::AsFd;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::encrypted::Encrypted;
use super::tcp::Connections;
use super::{Shared, mmsg, tcp, udp};
use crate::config::overlap;
use crate::obituary::Obituary;

/// Datagrams that wait while a thread is busy.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How often port 0 is tried: the port that the system chose for TCP may be taken for UDP.
const CHOICES: usize = 32;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A listener cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {protocol} {address}: {source}{}", hint(.source))]
pub struct ListenError {
    address: SocketAddr,
    protocol: &'static str,
    source: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another server has the port: stop it, or set another address in [dns] listen"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE, which the systemd unit grants"
        }
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has the address",
        _ => "",
    }
}

/// Sockets that were bound elsewhere, by systemd.
#[derive(Default)]
pub struct Passed {
    /// UDP sockets.
    pub udp: Vec<UdpSocket>,
    /// TCP listeners.
    pub tcp: Vec<TcpListener>,
}

/// Everything that listens; stops when dropped.
pub struct Listeners {
    pub(super) work: Work,
    pub(super) encrypted: Encrypted,
    open: BTreeMap<SocketAddr, Listener>,
    passed: Vec<Listener>,
}

/// What threads and tasks work with.
pub(super) struct Work {
    pub(super) shared: Shared,
    pub(super) counters: Arc<Counters>,
    connections: Arc<Connections>,
    deaths: mpsc::UnboundedSender<String>,
}

/// The sockets of one address. Until it is started they are bound, so that queries wait in them.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: Option<TcpListener>,
    stop_udp: Arc<AtomicBool>,
    stop_tcp: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Listeners {
    /// No listener yet. The other end of `deaths` learns of threads and tasks that end unasked.
    #[must_use]
    pub fn new(shared: Shared, counters: Arc<Counters>, deaths: mpsc::UnboundedSender<String>) -> Self {
        let work = Work { shared, counters, connections: Arc::default(), deaths };
        Self { work, encrypted: Encrypted::default(), open: BTreeMap::new(), passed: Vec::new() }
    }

    /// Takes sockets that systemd passed; [`start`](Self::start) serves on them, with `udp_threads`
    /// threads on each UDP socket.
    ///
    /// # Errors
    /// When a socket cannot be used.
    pub fn take(&mut self, passed: Passed, udp_threads: usize) -> Result<(), ListenError> {
        for socket in passed.udp {
            let address = local(socket.local_addr(), "UDP")?;
            let error = |source| ListenError { address, protocol: "UDP", source };
            if address.ip().is_unspecified() {
                mmsg::tell_destination(socket.as_fd(), address.is_ipv6()).map_err(error)?;
            }
            let mut listener = Listener::new(address);
            for _ in 1..threads(udp_threads) {
                listener.udp.push(socket.try_clone().map_err(error)?);
            }
            listener.udp.push(socket);
            self.passed.push(listener);
        }
        for socket in passed.tcp {
            let mut listener = Listener::new(local(socket.local_addr(), "TCP")?);
            listener.tcp = Some(socket);
            self.passed.push(listener);
        }
        Ok(())
    }

    /// Binds addresses; [`start`](Self::start) serves on them.
    ///
    /// # Errors
    /// When an address cannot be opened.
    pub fn bind(&mut self, addresses: &[SocketAddr], udp_threads: usize) -> Result<(), ListenError> {
        for address in addresses {
            self.open.insert(*address, Listener::bind(*address, udp_threads)?);
        }
        Ok(())
    }

    /// Serves on the sockets that wait for it. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// When a socket cannot be used.
    pub fn start(&mut self) -> Result<(), ListenError> {
        self.open.values_mut().chain(&mut self.passed).try_for_each(|listener| self.work.start(listener))
    }

    /// Opens what is not open yet and closes what is not wanted any more. What is in the way of a new
    /// address, as a wildcard is of an address of its port, is closed first. When one address cannot
    /// be opened, everything is as before. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// When an address cannot be opened.
    pub async fn listen(&mut self, addresses: &[SocketAddr], udp_threads: usize) -> Result<(), ListenError> {
        let new: Vec<_> = addresses.iter().copied().filter(|a| !self.open.contains_key(a)).collect();
        let mut closed = Vec::new();
        for (address, listener) in std::mem::take(&mut self.open) {
            if !addresses.contains(&address) && new.iter().any(|new| overlap(*new, address)) {
                listener.end().await;
                closed.push(address);
            } else {
                self.open.insert(address, listener);
            }
        }
        match self.open_all(&new, udp_threads) {
            Ok(opened) => {
                self.open.retain(|address, _| addresses.contains(address));
                self.open.extend(opened);
                Ok(())
            }
            Err(error) => {
                for address in closed {
                    match self.open_all(&[address], udp_threads) {
                        Ok(opened) => self.open.extend(opened),
                        Err(error) => {
                            tracing::error!("{error}; it is not served until a reload or a restart")
                        }
                    }
                }
                Err(error)
            }
        }
    }

    /// Serves on addresses; on none, when one of them cannot be bound.
    fn open_all(
        &self,
        addresses: &[SocketAddr],
        udp_threads: usize,
    ) -> Result<Vec<(SocketAddr, Listener)>, ListenError> {
        let bind = |address: &SocketAddr| Ok((*address, Listener::bind(*address, udp_threads)?));
        let mut bound = addresses.iter().map(bind).collect::<Result<Vec<_>, ListenError>>()?;
        bound.iter_mut().try_for_each(|(_, listener)| self.work.start(listener))?;
        Ok(bound)
    }

    /// The addresses that are served, with the port that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.open.values().chain(&self.passed).map(|l| l.address).collect()
    }

    /// Ends everything and waits for it; not for what a reload has closed just before.
    pub async fn stop(self) {
        let plain = self.open.into_values().chain(self.passed);
        let listeners: Vec<_> = plain.chain(self.encrypted.into_listeners()).collect();
        listeners.iter().for_each(Listener::signal);
        for listener in listeners {
            listener.end().await;
        }
    }
}

impl Work {
    /// Serves on the sockets of a listener.
    fn start(&self, listener: &mut Listener) -> Result<(), ListenError> {
        for socket in std::mem::take(&mut listener.udp) {
            self.add_udp(listener, socket)?;
        }
        listener.tcp.take().map_or(Ok(()), |socket| self.add_tcp(listener, socket))
    }

    fn add_udp(&self, listener: &mut Listener, socket: UdpSocket) -> Result<(), ListenError> {
        let address = listener.address;
        let error = |source| ListenError { address, protocol: "UDP", source };
        socket.set_nonblocking(false).map_err(error)?;
        socket.set_read_timeout(Some(udp::WAIT)).map_err(error)?;
        socket.set_write_timeout(Some(udp::WAIT)).map_err(error)?;
        let (shared, counters, stop) =
            (self.shared.clone(), self.counters.clone(), listener.stop_udp.clone());
        let obituary = Obituary::new(&self.deaths, format!("the UDP thread of {address}"));
        let socket = Arc::new(socket);
        let thread = thread::Builder::new()
            .name("dns-udp".to_owned())
            .spawn(move || {
                udp::run(&socket, &shared, &counters, &stop);
                obituary.expected();
            })
            .map_err(error)?;
        listener.threads.push(thread);
        Ok(())
    }

    /// Opens an address for connections that `serve` answers.
    pub(super) fn open_tcp<S, F>(&self, address: SocketAddr, serve: S) -> Result<Listener, ListenError>
    where
        S: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let socket = bind_tcp(address).map_err(|source| ListenError { address, protocol: "TCP", source })?;
        let mut listener = Listener::new(local(socket.local_addr(), "TCP")?);
        self.accept(&mut listener, socket, serve)?;
        Ok(listener)
    }

    fn add_tcp(&self, listener: &mut Listener, socket: TcpListener) -> Result<(), ListenError> {
        let (shared, counters) = (self.shared.clone(), self.counters.clone());
        self.accept(listener, socket, move |stream, client| {
            let (shared, counters) = (shared.clone(), counters.clone());
            async move { tcp::plain(stream, client, &shared, &counters).await }
        })
    }

    fn accept<S, F>(&self, listener: &mut Listener, socket: TcpListener, serve: S) -> Result<(), ListenError>
    where
        S: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let address = listener.address;
        let error = |source| ListenError { address, protocol: "TCP", source };
        // Without a runtime tokio would panic.
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| error(io::Error::other(e)))?;
        socket.set_nonblocking(true).map_err(error)?;
        let socket = tokio::net::TcpListener::from_std(socket).map_err(error)?;
        let obituary = Obituary::new(&self.deaths, format!("the TCP listener of {address}"));
        let accepting = tcp::run(
            socket,
            serve,
            self.shared.clone(),
            self.counters.clone(),
            self.connections.clone(),
            listener.stop_tcp.clone(),
        );
        listener.tasks.push(runtime.spawn(async move {
            accepting.await;
            obituary.expected();
        }));
        Ok(())
    }
}

impl Listener {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            udp: Vec::new(),
            tcp: None,
            stop_udp: Arc::default(),
            stop_tcp: CancellationToken::new(),
            threads: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// Binds the sockets of an address. For port 0 the system chooses the port.
    fn bind(address: SocketAddr, udp_threads: usize) -> Result<Self, ListenError> {
        let taken = |error: &ListenError| error.source.kind() == io::ErrorKind::AddrInUse;
        for _ in 1..CHOICES {
            match Self::try_bind(address, udp_threads) {
                Err(error) if address.port() == 0 && taken(&error) => {}
                result => return result,
            }
        }
        Self::try_bind(address, udp_threads)
    }

    fn try_bind(address: SocketAddr, udp_threads: usize) -> Result<Self, ListenError> {
        let threads = threads(udp_threads);
        // TCP first and without SO_REUSEPORT: a second daemon on the same port fails here.
        let tcp = bind_tcp(address).map_err(|source| ListenError { address, protocol: "TCP", source })?;
        let address = local(tcp.local_addr(), "TCP")?;
        let mut listener = Self::new(address);
        listener.tcp = Some(tcp);
        for _ in 0..threads {
            let socket = bind_udp(address, threads > 1);
            listener.udp.push(socket.map_err(|source| ListenError { address, protocol: "UDP", source })?);
        }
        Ok(listener)
    }

    /// Stops it and waits until its sockets are closed.
    async fn end(mut self) {
        self.signal();
        for task in std::mem::take(&mut self.tasks) {
            // A panic has been reported through `deaths`.
            let _ = task.await;
        }
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join())));
        let _ = joined.await;
    }

    fn signal(&self) {
        self.stop_udp.store(true, Ordering::Relaxed);
        self.stop_tcp.cancel();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.signal();
    }
}

/// As many as configured; 0 stands for one a core.
fn threads(configured: usize) -> usize {
    match configured {
        0 => thread::available_parallelism().map_or(1, std::num::NonZero::get),
        n => n,
    }
}

fn local(address: io::Result<SocketAddr>, protocol: &'static str) -> Result<SocketAddr, ListenError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    address.map_err(|source| ListenError { address: unknown, protocol, source })
}

fn bind_udp(address: SocketAddr, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if address.ip().is_unspecified() {
        // Before the first datagram: afterwards the kernel does not know any more where one went.
        mmsg::tell_destination(socket.as_fd(), address.is_ipv6())?;
    }
    socket.set_reuse_port(share)?;
    // The system may allow less; that is no reason not to start.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
