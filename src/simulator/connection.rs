//! Accepted connections that can be reset from outside: a fault resets one in the middle of an
//! answer, and stopping the simulator resets all, also those on which an answer never ends.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections at a time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// The listener of the simulator.
pub(super) struct Listening {
    tcp: TcpListener,
    stop: CancellationToken,
    slots: Arc<Semaphore>,
}

impl Listening {
    /// Every connection is reset when `stop` is cancelled.
    pub(super) fn new(tcp: TcpListener, stop: CancellationToken) -> Self {
        Self { tcp, stop, slots: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Listener for Listening {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed; without a permit the connection is only not counted.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.tcp).await;
        // Answers are small; a socket that refuses the option only answers later.
        let _ = stream.set_nodelay(true);
        let reset = self.stop.child_token();
        (Connection { stream, cut: Box::pin(reset.clone().cancelled_owned()), reset, _slot: slot }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// One accepted connection.
pub(super) struct Connection {
    stream: TcpStream,
    reset: CancellationToken,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// An error once the connection has been told to reset; wakes the reader or writer for it.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.cut.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        // Closing with a linger time of zero sends RST. Where that fails the client sees an early
        // end instead, which is an error as well.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Resets its connection; every request carries the one of its connection.
#[derive(Clone)]
pub(super) struct ConnectionHandle(CancellationToken);

impl ConnectionHandle {
    /// Resets the connection at its next read or write.
    pub(super) fn reset(&self) {
        self.0.cancel();
    }

    /// Returns when the connection is to be reset.
    pub(super) async fn gone(&self) {
        self.0.cancelled().await;
    }
}

impl Connected<IncomingStream<'_, Listening>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, Listening>) -> Self {
        Self(stream.io().reset.clone())
    }
}
