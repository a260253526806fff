//! One question, one answer, on plain octets: how a query is sent and how its answer is known.
//!
//! Octets and not messages, because a resolver has to hand on what it does not understand. hickory's
//! UDP client is not used here: it takes the first datagram with the right id for the answer, so that
//! one piece of garbage ends the wait, and it cannot count what it throws away.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::octets::HEADER;
#[cfg(test)]
use crate::outside::simulated;

/// Why a message is not the answer to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// Too short for a header, or no response to a message of this opcode.
    Malformed,
    /// Another id.
    Id,
    /// Another question.
    Question,
    /// The question with letters of another case (draft-vixie-dnsext-dns0x20): forged, or from a server
    /// that does not keep the case.
    Case,
}

/// Checks that `response` answers `query`: id, opcode, and question octet for octet (RFC 5452 section
/// 9); the question may be missing where another opcode than QUERY is refused.
///
/// # Errors
/// What does not match.
pub fn check(query: &[u8], response: &[u8]) -> Result<(), Mismatch> {
    let header = check_header(query, response)?;
    // Who does not know an opcode may leave the question out of its refusal.
    let rcode = header[3] & 0x0f;
    if header[2] & 0x78 != 0 && rcode != 0 && header[4..6] == [0, 0] {
        return Ok(());
    }
    let question = question(query).ok_or(Mismatch::Malformed)?;
    match response.get(HEADER..HEADER + question.len()) {
        Some(asked) if header[4..6] == [0, 1] && asked == question => Ok(()),
        Some(asked) if header[4..6] == [0, 1] && asked.eq_ignore_ascii_case(question) => Err(Mismatch::Case),
        _ => Err(Mismatch::Question),
    }
}

/// Checks that `response` has the header of a response to `request`; gives that header. That has to do where
/// servers need not repeat the question, as for an update (RFC 2136 section 3.8), and nobody can forge.
///
/// # Errors
/// What does not match.
pub fn check_header<'a>(request: &[u8], response: &'a [u8]) -> Result<&'a [u8], Mismatch> {
    let (Some(asked), Some(header)) = (request.get(..HEADER), response.get(..HEADER)) else {
        return Err(Mismatch::Malformed);
    };
    if asked[..2] != header[..2] {
        return Err(Mismatch::Id);
    }
    // QR, and the request's opcode.
    if header[2] & 0x80 == 0 || (header[2] ^ asked[2]) & 0x78 != 0 {
        return Err(Mismatch::Malformed);
    }
    Ok(header)
}

/// The one question of a query of our own, which has no compressed name.
fn question(query: &[u8]) -> Option<&[u8]> {
    let mut at = HEADER;
    loop {
        match *query.get(at)? {
            0 => return query.get(HEADER..at + 5),
            length => at += 1 + usize::from(length),
        }
    }
}

/// Whether a response says that it was cut (RFC 1035 section 4.1.1, TC).
#[must_use]
pub fn is_truncated(response: &[u8]) -> bool {
    response.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

/// Asks over UDP from a port of its own, which the kernel chooses at random, and waits for the
/// answer, however long that takes. What arrives and is not the answer goes to `other`; what comes
/// from another address the kernel drops.
///
/// # Errors
/// When the socket fails; an ICMP "port unreachable" is such a failure. `InvalidData` for an answer with
/// letters of another case, which has to be asked for over TCP, where nobody can forge.
pub async fn udp(server: SocketAddr, query: &[u8], mut other: impl FnMut(Mismatch)) -> io::Result<Vec<u8>> {
    let answer = udp_until(None, server, query, |message| match check(query, &message) {
        Ok(()) => Some(Ok(message)),
        Err(mismatch) => {
            other(mismatch);
            let error = || io::Error::new(io::ErrorKind::InvalidData, "the case of the question has changed");
            (mismatch == Mismatch::Case).then(|| Err(error()))
        }
    });
    answer.await?
}

/// Where a listener can be asked: a wildcard address cannot be connected to everywhere, loopback can.
pub(crate) fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Where an exchange comes from: a port that the kernel chooses, of an address that it chooses too
/// unless one is given.
fn from(source: Option<IpAddr>, server: SocketAddr) -> SocketAddr {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(source.unwrap_or(any), 0)
}

/// Sends a message over UDP from a port of its own, of the address `source` where there is one, and waits
/// until `read` makes something of what comes back, however long that takes.
///
/// # Errors
/// When the socket fails; an ICMP "port unreachable" is such a failure.
pub async fn udp_until<T>(
    source: Option<IpAddr>,
    server: SocketAddr,
    message: &[u8],
    mut read: impl FnMut(Vec<u8>) -> Option<T>,
) -> io::Result<T> {
    #[cfg(test)]
    if let Some(answer) = simulated::exchange(server, false, message).await {
        return match answer.and_then(read) {
            Some(answer) => Ok(answer),
            None => std::future::pending().await,
        };
    }
    let socket = UdpSocket::bind(from(source, server)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = read(buffer[..length].to_vec()) {
            return Ok(answer);
        }
    }
}

/// Asks over a TCP connection of its own (RFC 7766).
///
/// # Errors
/// When the connection fails, or its first message is not the answer.
pub async fn tcp(server: SocketAddr, query: &[u8], other: impl FnOnce(Mismatch)) -> io::Result<Vec<u8>> {
    let response = tcp_first(None, server, query).await?;
    match check(query, &response) {
        Ok(()) => Ok(response),
        Err(mismatch) => {
            other(mismatch);
            Err(io::Error::new(io::ErrorKind::InvalidData, "the response belongs to another question"))
        }
    }
}

/// Sends a message over a TCP connection of its own, from the address `source` where there is one, and
/// gives the first one that comes back.
///
/// # Errors
/// When the connection fails.
pub async fn tcp_first(source: Option<IpAddr>, server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    #[cfg(test)]
    if let Some(answer) = simulated::exchange(server, true, message).await {
        return answer.ok_or_else(|| io::ErrorKind::ConnectionReset.into());
    }
    let mut stream = match source {
        None => TcpStream::connect(server).await?,
        Some(_) => {
            let socket = if server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.bind(from(source, server))?;
            socket.connect(server).await?
        }
    };
    stream.set_nodelay(true)?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await?;
    let mut response = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut response).await?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\x03NeT\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    fn response() -> Vec<u8> {
        let mut response = QUERY[..QUERY.len() - 11].to_vec();
        response[2] = 0x81;
        response[11] = 0;
        response
    }

    #[test]
    fn an_answer_is_known_by_id_and_question() {
        assert_eq!(check(QUERY, &response()), Ok(()));
        let changed = |at: usize, to: u8| {
            let mut response = response();
            response[at] = to;
            check(QUERY, &response)
        };
        assert_eq!(changed(0, 0x13), Err(Mismatch::Id));
        assert_eq!(changed(2, 0x01), Err(Mismatch::Malformed), "a query");
        assert_eq!(changed(2, 0xa1), Err(Mismatch::Malformed), "another opcode");
        assert_eq!(changed(5, 0), Err(Mismatch::Question), "no question");
        assert_eq!(changed(15, b'n'), Err(Mismatch::Case));
        assert_eq!(changed(20, 28), Err(Mismatch::Question), "another type");
        assert_eq!(check(QUERY, &response()[..20]), Err(Mismatch::Question), "cut off");
        assert_eq!(check(QUERY, b"\x12\x34"), Err(Mismatch::Malformed));

        let refused = b"\x12\x34\x81\x04\0\0\0\0\0\0\0\0";
        assert_eq!(check(QUERY, refused), Err(Mismatch::Question));
        let (mut notify, mut refused) = (QUERY.to_vec(), refused.to_vec());
        (notify[2], refused[2]) = (0x24, 0xa0);
        assert_eq!(check(&notify, &refused), Ok(()), "no question, and no other NOTIFY is under way");
        refused[3] = 0;
        assert_eq!(check(&notify, &refused), Err(Mismatch::Question), "an acknowledgement says of what");
    }

    #[tokio::test]
    async fn udp_waits_until_the_answer_is_there() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = server.local_addr().expect("an address");
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.expect("a query");
            assert_eq!(&buffer[..length], QUERY);
            let mut wrong = response();
            wrong[1] = 0;
            for message in [&b"x"[..], &wrong, &response()] {
                server.send_to(message, client).await.expect("sent");
            }
        });
        let mut seen = Vec::new();
        let answer = udp(address, QUERY, |mismatch| seen.push(mismatch)).await.expect("an answer");
        assert_eq!(answer, response());
        assert_eq!(seen, [Mismatch::Malformed, Mismatch::Id]);
        answering.await.expect("no panic");
    }
}
