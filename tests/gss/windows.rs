//! What no server here does: Windows sends a request's signature back, and somebody in between changes the end
//! of a negotiation.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use privatelink_dns::wire::gss::{GssError, GssResponseError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::bind::Site;
use crate::support::{adding, alone, code, negotiate, send};

async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await.ok()?)];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

async fn write(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).expect("a length");
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await.expect("written");
}

/// A server that hands negotiations on to a real one, with its changed answers, and refuses updates as
/// Windows does: with the request's TSIG record as it came.
async fn windows(real: SocketAddr, change: impl Fn(&mut Vec<u8>) + Send + 'static) -> SocketAddr {
    const UPDATE: u8 = 5 << 3;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a connection");
        let mut server = TcpStream::connect(real).await.expect("a connection");
        while let Some(mut message) = read(&mut client).await {
            if message[2] & 0x78 == UPDATE {
                message[2] |= 0x80;
                message[3] = 5;
                write(&mut client, &message).await;
            } else {
                write(&mut server, &message).await;
                let mut response = read(&mut server).await.expect("a response");
                change(&mut response);
                write(&mut client, &response).await;
            }
        }
    });
    address
}

#[test]
fn the_signature_of_the_request_is_known_in_the_response() {
    alone("windows::the_signature_of_the_request_is_known_in_the_response", async |directory| {
        let site = Site::start(directory);
        let mut peer = site.sync();
        peer.address = windows(site.dns, |_| {}).await;
        let mut session = negotiate(&peer).await.expect("a context");
        for i in 0..2 {
            let reply = send(&mut session, &adding("hub", [10, 1, 0, i])).await;
            assert_eq!(reply.signature, Err(GssResponseError::Echoed));
            assert_eq!(code(&reply), ResponseCode::Refused);
        }
        assert!(site.addresses("hub").is_empty());
    });
}

/// Where the algorithm's name is in a message: in its TKEY record and, at last, in its TSIG record.
fn algorithm(message: &[u8]) -> impl Iterator<Item = usize> {
    (0..message.len()).filter(|at| message[*at..].starts_with(b"\x08gss-tsig\0"))
}

#[test]
fn the_end_of_a_negotiation_may_be_unsigned_but_not_changed() {
    alone("windows::the_end_of_a_negotiation_may_be_unsigned_but_not_changed", async |directory| {
        let site = Site::start(directory);
        let mut peer = site.sync();
        // The last octet of the expiration, after the inception.
        peer.address = windows(site.dns, |answer| {
            let at = algorithm(answer).next().expect("a TKEY record") + 10 + 7;
            answer[at] ^= 1;
        })
        .await;
        let changed = negotiate(&peer).await.expect_err("no context");
        let bad = GssResponseError::BadSignature;
        assert!(matches!(changed, GssError::Signature(_, error) if error == bad), "{changed:?}");

        peer.address = windows(site.dns, |answer| {
            // The name of the key stands there in full or as a pointer.
            let end = algorithm(answer).last().expect("it is signed") - 10;
            let name = answer[12..].split_inclusive(|octet| *octet == 0).next().expect("a question");
            let length = if answer[..end].ends_with(name) { name.len() } else { 2 };
            answer.truncate(end - length);
            answer[11] -= 1;
        })
        .await;
        negotiate(&peer).await.expect("a context");
    });
}
