//! A TCP connection that is kept for many requests, one after the other (RFC 7766 section 6.2.1).
//!
//! Made for updates, where it matters whether a server may have seen a request: nothing is ever sent
//! twice, and an error says on which side of that line it lies.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::exchange::{Mismatch, check_header};

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The server takes no connection. It has seen nothing of the request.
    #[error(
        "no TCP connection to {0}: {1}; look whether a DNS server listens there and no firewall is between"
    )]
    Connect(SocketAddr, #[source] io::Error),
    /// The request has that many octets, more than a message can have. It was not sent.
    #[error("the request has {0} octets, a message has at most 65535")]
    TooLong(usize),
    /// The connection ended before the response came. The server may have seen the request.
    #[error("{0} ended the connection before it answered: {1}")]
    Lost(SocketAddr, #[source] io::Error),
    /// No response within the limit. The server may have seen the request.
    #[error("{0} did not answer within {1:?}")]
    Silent(SocketAddr, Duration),
    /// Something came that is no response to the request. The server has seen the request.
    #[error("{0} sent something that is no response to the request")]
    Mismatch(SocketAddr, Mismatch),
}

impl ExchangeError {
    /// Whether the server may have seen the request, and acted on it.
    #[must_use]
    pub const fn may_be_seen(&self) -> bool {
        !matches!(self, Self::Connect(..) | Self::TooLong(_))
    }
}

/// A connection to one server, opened when it is needed.
#[derive(Debug)]
pub struct Connection {
    server: SocketAddr,
    /// Not while a request is under way: whoever stops waiting for a response ends the connection too, so
    /// that the response cannot be taken for that of another request.
    stream: Option<TcpStream>,
}

impl Connection {
    /// A connection that is not open yet.
    #[must_use]
    pub const fn new(server: SocketAddr) -> Self {
        Self { server, stream: None }
    }

    /// The server.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// Sends a request and waits for its response, both together at most `limit`. Connects when there is
    /// no connection, or the server has closed it in the meantime.
    ///
    /// # Errors
    /// Why there is no response. Nothing is sent a second time.
    pub async fn exchange(&mut self, request: &[u8], limit: Duration) -> Result<Vec<u8>, ExchangeError> {
        let server = self.server;
        let length = u16::try_from(request.len()).map_err(|_| ExchangeError::TooLong(request.len()))?;
        let deadline = Instant::now() + limit;
        let mut stream = match self.stream.take().filter(is_quiet) {
            Some(stream) => stream,
            None => match timeout_at(deadline, connect(server)).await {
                Ok(connected) => connected.map_err(|error| ExchangeError::Connect(server, error))?,
                Err(_) => return Err(ExchangeError::Connect(server, ErrorKind::TimedOut.into())),
            },
        };
        let message = [&length.to_be_bytes(), request].concat();
        let exchanged = async {
            stream.write_all(&message).await?;
            let mut response = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut response).await?;
            Ok(response)
        };
        let response = match timeout_at(deadline, exchanged).await {
            Ok(response) => response.map_err(|error| ExchangeError::Lost(server, error))?,
            Err(_) => return Err(ExchangeError::Silent(server, limit)),
        };
        check_header(request, &response).map_err(|mismatch| ExchangeError::Mismatch(server, mismatch))?;
        self.stream = Some(stream);
        Ok(response)
    }
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether a connection is open and nothing waits to be read. The kernel is asked, because the runtime may
/// not have heard yet.
fn is_quiet(stream: &TcpStream) -> bool {
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn request(id: u8) -> Vec<u8> {
        vec![0, id, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    async fn read(stream: &mut TcpStream) -> Vec<u8> {
        let mut message = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut message).await.expect("a message");
        message
    }

    async fn respond(stream: &mut TcpStream) {
        let mut message = read(stream).await;
        message[2] |= 0x80;
        stream.write_u16(12).await.expect("written");
        stream.write_all(&message).await.expect("written");
    }

    #[tokio::test]
    async fn a_connection_serves_many_requests_and_is_made_anew_when_the_server_closed_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let mut connection = Connection::new(listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                respond(&mut stream).await;
                respond(&mut stream).await;
            }
        });
        for id in 0..4 {
            let response = connection.exchange(&request(id), LIMIT).await.expect("a response");
            assert_eq!(response[..3], [0, id, 0xa8]);
            if id == 1 {
                // The server's end of the connection is closed when this comes.
                let stream = connection.stream.as_ref().expect("a connection");
                assert_eq!(stream.peek(&mut [0]).await.expect("the end"), 0);
            }
        }
        server.await.expect("no panic");
    }

    #[tokio::test]
    async fn an_error_says_whether_the_server_may_have_seen_the_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let mut connection = Connection::new(listener.local_addr().expect("an address"));
        let error = connection.exchange(&vec![0; 65_536], LIMIT).await.expect_err("too long");
        assert!(!error.may_be_seen(), "{error}");

        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            read(&mut stream).await;
            drop(stream);
            let (mut stream, _) = listener.accept().await.expect("a connection");
            read(&mut stream).await;
            stream.write_all(&[0, 2, 0, 0]).await.expect("written");
            let (mut stream, _) = listener.accept().await.expect("a connection");
            read(&mut stream).await;
            // Until the client gives up.
            stream.read_u8().await.expect_err("the end");
        });
        let mut said = Vec::new();
        for (id, limit) in [(0, LIMIT), (1, LIMIT), (2, Duration::from_millis(50))] {
            let error = connection.exchange(&request(id), limit).await.expect_err("no response");
            assert!(error.may_be_seen(), "{error}");
            said.push(match error {
                ExchangeError::Lost(..) => "lost",
                ExchangeError::Mismatch(..) => "mismatch",
                ExchangeError::Silent(..) => "silent",
                other => panic!("{other}"),
            });
        }
        assert_eq!(said, ["lost", "mismatch", "silent"]);
        server.await.expect("no panic");
        let error = connection.exchange(&request(4), LIMIT).await.expect_err("nobody listens");
        assert!(matches!(error, ExchangeError::Connect(..)) && !error.may_be_seen(), "{error}");
    }
}
