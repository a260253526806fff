//! A server that is asked: it answers, or it has answered a later query and so will not.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::queries::Over;
use crate::support::DEADLINE;

/// A query that both answer at once: the fence behind every other.
const FENCE: &[u8] = b"\xfe\xce\0\0\0\x01\0\0\0\0\0\0\x05fence\x07invalid\0\0\x01\0\x01";

pub(super) struct Peer {
    address: SocketAddr,
    socket: UdpSocket,
}

impl Peer {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(address).await.expect("connected");
        Self { address, socket }
    }

    /// The answer, if there is one.
    pub(super) async fn ask(&self, query: &[u8], over: Over) -> Option<Vec<u8>> {
        timeout(DEADLINE, async {
            match over {
                Over::Udp => self.udp(query).await,
                Over::Tcp => self.tcp(query).await,
            }
        })
        .await
        .expect("an answer to the fence")
    }

    async fn udp(&self, query: &[u8]) -> Option<Vec<u8>> {
        self.socket.send(query).await.expect("sent");
        self.socket.send(FENCE).await.expect("sent");
        let first = self.next().await;
        if is_fence(&first) {
            return None;
        }
        // The fence is still under way.
        assert!(is_fence(&self.next().await), "one answer at most");
        Some(first)
    }

    async fn next(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_535];
        let length = self.socket.recv(&mut buffer).await.expect("received");
        buffer.truncate(length);
        buffer
    }

    /// A server may close a connection on which something broken came.
    async fn tcp(&self, query: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        let mut frames = Vec::new();
        for message in [query, FENCE] {
            frames.extend((message.len() as u16).to_be_bytes());
            frames.extend(message);
        }
        stream.write_all(&frames).await.ok()?;
        let mut answer = None;
        loop {
            let Ok(length) = stream.read_u16().await else { return answer };
            let mut message = vec![0; usize::from(length)];
            if stream.read_exact(&mut message).await.is_err() || is_fence(&message) {
                return answer;
            }
            answer = answer.or(Some(message));
        }
    }
}

fn is_fence(message: &[u8]) -> bool {
    message.get(..2) == FENCE.get(..2) && message.get(12..27) == FENCE.get(12..27)
}
