//! What Windows does and no server here: it sends a request's signature back.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use privatelink_dns::wire::gss::GssResponseError;
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

/// A server that hands negotiations on to a real one, and refuses updates as Windows does: with the
/// request's TSIG record as it came.
async fn windows(real: SocketAddr) -> SocketAddr {
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
                let response = read(&mut server).await.expect("a response");
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
        peer.address = windows(site.dns).await;
        let mut session = negotiate(&peer).await.expect("a context");
        for i in 0..2 {
            let reply = send(&mut session, &adding("hub", [10, 1, 0, i])).await;
            assert_eq!(reply.signature, Err(GssResponseError::Echoed));
            assert_eq!(code(&reply), ResponseCode::Refused);
        }
        assert!(site.addresses("hub").is_empty());
    });
}
