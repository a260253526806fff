//! TCP with real connections: order, fragments, limits of time and number.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::build::*;
use super::server::*;
use super::summary::summary;
use crate::config::Dns;

const DEVICE: &str = "iotc-1.privatelink.azure-devices.net";
const HIT: &str = "NOERROR aa rd | iotc-1.privatelink.azure-devices.net A 10 10.0.0.4 | ";

fn numbered(id: u16) -> Vec<u8> {
    let name = if id.is_multiple_of(2) { DEVICE } else { "x.privatelink.azure-devices.net" };
    let mut request = query(name, A);
    request[..2].copy_from_slice(&id.to_be_bytes());
    request
}

fn impatient() -> Dns {
    Dns { tcp_idle_timeout: Duration::from_millis(200), ..dns(&["127.0.0.1:0"]) }
}

#[tokio::test]
async fn answers_on_both_families() {
    for (listen, from) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "::1")] {
        let server = Server::start(&dns(&[listen]));
        let mut address = server.address();
        address.set_ip(from.parse().expect("an address"));
        let mut stream = connect(from, address).await;
        let response = ask_over(&mut stream, &query(DEVICE, A)).await.expect("a response");
        assert_eq!(summary(&response).to_string(), HIT);
        server.stop().await;
    }
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let stream = connect("127.0.0.1", server.address()).await;
    // More than any buffer on the way holds, so that reading and writing have to alternate.
    let count = 60_000;
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        let all: Vec<u8> = (0..count).flat_map(|id| framed(&numbered(id))).collect();
        writer.write_all(&all).await.expect("written");
        writer
    });
    for id in 0..count {
        let length = within(reader.read_u16()).await.expect("a length");
        let mut message = vec![0; usize::from(length)];
        within(reader.read_exact(&mut message)).await.expect("a message");
        assert_eq!(message[..2], id.to_be_bytes());
        assert_eq!(message[3] & 0x0f, if id.is_multiple_of(2) { 0 } else { 3 });
    }
    // Kept open by the writer until here.
    drop(within(writing).await.expect("the writer"));
    assert_eq!(within(reader.read(&mut [0; 1])).await.expect("the end"), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_has_said_all_gets_all_answers() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let mut stream = connect("127.0.0.1", server.address()).await;
    let all: Vec<u8> = (0..5).flat_map(|id| framed(&numbered(id))).collect();
    // With half a message at the end.
    stream.write_all(&[&all[..], &[0, 40, 1, 2, 3]].concat()).await.expect("written");
    stream.shutdown().await.expect("half closed");
    for id in 0..5_u16 {
        assert_eq!(next(&mut stream).await.expect("a response")[..2], id.to_be_bytes());
    }
    assert_eq!(next(&mut stream).await, None);
    server.stop().await;
}

#[tokio::test]
async fn messages_may_come_octet_by_octet_and_across_each_other() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let mut stream = connect("127.0.0.1", server.address()).await;
    stream.set_nodelay(true).expect("no delay");
    for octet in framed(&edns(DEVICE, A)) {
        stream.write_all(&[octet]).await.expect("written");
    }
    let response = next(&mut stream).await.expect("a response");
    assert_eq!(summary(&response).to_string(), format!("{HIT} | edns"));
    // One and a half, and the rest.
    let two = [framed(&numbered(0)), framed(&numbered(1))].concat();
    let (head, tail) = two.split_at(two.len() - 20);
    stream.write_all(head).await.expect("written");
    assert_eq!(next(&mut stream).await.expect("a response")[..2], [0, 0]);
    stream.write_all(tail).await.expect("written");
    assert_eq!(next(&mut stream).await.expect("a response")[..2], [0, 1]);
    server.stop().await;
}

#[tokio::test]
async fn messages_that_are_no_queries_are_skipped() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let mut stream = connect("127.0.0.1", server.address()).await;
    let mut response = numbered(7);
    response[2] |= 0x80;
    let all = [framed(&[]), framed(&[1; 11]), framed(&response), framed(&numbered(8))].concat();
    stream.write_all(&all).await.expect("written");
    assert_eq!(next(&mut stream).await.expect("a response")[..2], [0, 8]);
    assert_eq!(server.counters.ignored.get(), 3);
    server.stop().await;
}

#[tokio::test]
async fn the_largest_query_is_read_and_a_larger_one_is_not() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let mut stream = connect("127.0.0.1", server.address()).await;
    let padding = 4096 - query(DEVICE, A).len() - 11;
    let option = [&[0, 12][..], &((padding - 4) as u16).to_be_bytes(), &vec![0; padding - 4]].concat();
    let request = with_opt(query(DEVICE, A), 1232, 0, 0, &option);
    assert_eq!(request.len(), 4096);
    for _ in 0..3 {
        let response = ask_over(&mut stream, &request).await.expect("a response");
        assert_eq!(summary(&response).to_string(), format!("{HIT} | edns"));
    }
    // The announced length is enough to end the connection: nobody buffers it.
    stream.write_all(&4097_u16.to_be_bytes()).await.expect("written");
    assert_eq!(within(stream.read(&mut [0; 1])).await.expect("the end"), 0);
    server.stop().await;
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let server = Server::start(&impatient());
    // Without a word; after an answer; within a length; within a message.
    let octets = framed(&query(DEVICE, A));
    for sent in [0, octets.len(), 1, 2, octets.len() - 1] {
        let mut stream = connect("127.0.0.1", server.address()).await;
        stream.write_all(&octets[..sent]).await.expect("written");
        if sent == octets.len() {
            assert!(next(&mut stream).await.is_some());
        }
        assert_eq!(within(stream.read(&mut [0; 1])).await.expect("the end"), 0, "{sent} octets sent");
    }
    server.stop().await;
}

#[tokio::test]
async fn single_octets_do_not_keep_a_connection_open() {
    let server = Server::start(&impatient());
    let stream = connect("127.0.0.1", server.address()).await;
    let (mut reader, mut writer) = stream.into_split();
    // Announces a long message and sends it as slowly as the limit would allow an octet each.
    let trickle = tokio::spawn(async move {
        writer.write_all(&[0xff, 0xff]).await.expect("written");
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            if writer.write_all(&[0]).await.is_err() {
                return;
            }
        }
    });
    // Ends, with or without a reset, though the client never was silent for the whole limit.
    assert!(!matches!(within(reader.read(&mut [0; 1])).await, Ok(1..)));
    drop(reader);
    within(trickle).await.expect("the writer learns of it");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let server = Server::start(&impatient());
    let mut stream = connect("127.0.0.1", server.address()).await;
    let batch: Vec<u8> = (0..500).flat_map(|id| framed(&numbered(id))).collect();
    // Until the buffers on the way are full, the server gives up, and the connection is reset.
    let error = within(async {
        loop {
            if let Err(error) = stream.write_all(&batch).await {
                return error;
            }
        }
    })
    .await;
    assert!(
        matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
        "{error}"
    );
    // The others never noticed.
    let mut other = connect("127.0.0.1", server.address()).await;
    assert!(ask_over(&mut other, &query(DEVICE, A)).await.is_some());
    server.stop().await;
}

/// Opens a connection and says whether it is served.
async fn served(server: &Server, from: &str) -> Option<TcpStream> {
    let mut stream = connect(from, server.address()).await;
    ask_over(&mut stream, &query(DEVICE, A)).await.map(|_| stream)
}

#[tokio::test]
async fn each_client_has_its_share_of_connections() {
    let server = Server::start(&Dns { tcp_connections_per_client: 2, ..dns(&["127.0.0.1:0"]) });
    let first = served(&server, "127.0.0.1").await;
    let second = served(&server, "127.0.0.1").await;
    assert!(first.is_some() && second.is_some());
    assert!(served(&server, "127.0.0.1").await.is_none(), "the third");
    assert!(served(&server, "127.0.0.2").await.is_some(), "another client");
    assert_eq!(server.counters.connections_refused.get(), 1);
    drop(first);
    // The server learns of the end by itself, some time.
    within(async { while served(&server, "127.0.0.1").await.is_none() {} }).await;
    drop(second);
    server.stop().await;
}

#[tokio::test]
async fn all_clients_together_have_theirs() {
    let dns = Dns { tcp_connections: 3, tcp_connections_per_client: 2, ..dns(&["127.0.0.1:0"]) };
    let server = Server::start(&dns);
    let mut open = Vec::new();
    for from in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        open.push(served(&server, from).await.expect("below the limit"));
    }
    assert!(served(&server, "127.0.0.4").await.is_none(), "nobody has more than one");
    assert!(served(&server, "127.0.0.1").await.is_none(), "who has one gets no second");
    assert_eq!(server.counters.connections.get(), 3);
    // UDP goes on.
    let (response, _) = ask(&client("127.0.0.3").await, server.address(), &query(DEVICE, A)).await;
    assert_eq!(summary(&response).to_string(), HIT);
    // A reloaded configuration counts for connections that come.
    server.publish(sample(), &Dns { tcp_connections: 4, ..dns });
    open.push(served(&server, "127.0.0.4").await.expect("below the new limit"));
    drop(open);
    server.stop().await;
}

#[tokio::test]
async fn a_client_gets_in_at_the_expense_of_the_one_with_most() {
    let dns = Dns { tcp_connections: 6, tcp_connections_per_client: 4, ..dns(&["127.0.0.1:0"]) };
    let server = Server::start(&dns);
    let mut greedy = Vec::new();
    for _ in 0..4 {
        greedy.push(served(&server, "127.0.0.1").await.expect("within the share"));
    }
    let mut modest = served(&server, "127.0.0.2").await.expect("within the share");
    let mut other = served(&server, "127.0.0.2").await.expect("within the share");
    // The oldest of the four goes, and no other.
    let mut late = served(&server, "127.0.0.3").await.expect("a place is made");
    assert_eq!(next(&mut greedy[0]).await, None);
    for stream in greedy[1..].iter_mut().chain([&mut modest, &mut other, &mut late]) {
        assert!(ask_over(stream, &query(DEVICE, A)).await.is_some());
    }
    assert_eq!(server.counters.connections_refused.get(), 1, "it is counted");
    // 3, 2 and 1: taking from each other has an end.
    assert!(served(&server, "127.0.0.1").await.is_none(), "who has most gets nothing");
    assert!(served(&server, "127.0.0.2").await.is_none(), "nor does who would then have most");
    let second = served(&server, "127.0.0.3").await;
    assert!(second.is_some() && next(&mut greedy[1]).await.is_none(), "2, 2 and 2");
    assert!(served(&server, "127.0.0.3").await.is_none());
    // What was ended is not uncounted a second time: there is room for one, not for two.
    drop(modest);
    let fourth = within(async {
        loop {
            if let Some(stream) = served(&server, "127.0.0.4").await {
                return stream;
            }
        }
    });
    let fourth = fourth.await;
    assert!(served(&server, "127.0.0.4").await.is_none());
    assert_eq!(server.counters.connections.get(), 6);
    drop((greedy, other, late, second, fourth));
    server.stop().await;
}

#[tokio::test]
async fn who_may_ask_nothing_takes_no_place_of_others() {
    let mut dns = Dns { tcp_connections: 3, tcp_connections_per_client: 3, ..dns(&["127.0.0.1:0"]) };
    dns.allow_query = vec![prefix("127.0.0.0/31")];
    let server = Server::start(&dns);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(served(&server, "127.0.0.1").await.expect("within the share"));
    }
    assert!(served(&server, "127.0.0.9").await.is_none());
    for stream in &mut open {
        assert!(ask_over(stream, &query(DEVICE, A)).await.is_some());
    }
    server.stop().await;
}

#[tokio::test]
async fn stopping_ends_connections() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let address = server.address();
    let mut stream = served(&server, "127.0.0.1").await.expect("served");
    let counters = server.counters.clone();
    server.stop().await;
    assert_eq!(next(&mut stream).await, None);
    assert_eq!(counters.connections.get(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
