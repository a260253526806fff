//! Transfers over real connections: their place among other queries, and clients that stop reading.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::secondaries::Records;
use super::super::{Serving, Source, Transfers};
use super::build::*;
use super::server::*;
use super::transfers_at_rest::{key, secondary};
use crate::config::{Access, Dns};
use crate::wire::tsig::{Keys, sign_request};
use crate::zones::Generation;

const DEVICES: &str = "privatelink.azure-devices.net";
const AXFR: u16 = 252;

/// So many names, each with one address.
fn large(names: usize) -> Generation {
    let names: Vec<String> = (0..names).map(|n| format!("iotc-{n:06}.azure-devices.net")).collect();
    let rows: Vec<Name<'_>> =
        names.iter().map(|n| (n.as_str(), DEVICES, vec![[10, 0, 0, 1].into()])).collect();
    generation(&privatelink(), vec![share(1, &[DEVICES], &rows)])
}

/// Loopback addresses may transfer.
fn serve(server: &Server, dns: &Dns, generation: Generation) {
    let secondaries = vec![
        secondary("local", "127.0.0.1:53", None, Access::Address),
        secondary("other", "127.0.0.2:53", None, Access::Address),
    ];
    let image = Arc::new(compile(&generation, true));
    let mut serving = Serving::new(image, dns, None, None);
    serving.transfers = Arc::new(Transfers::of(secondaries, Keys::default(), Arc::new(Records::default())));
    serving.source = Some(Arc::new(Source { generation: Arc::new(generation), history: Arc::default() }));
    server.shared.store(Arc::new(serving));
}

#[tokio::test]
async fn a_transfer_takes_its_turn_among_the_queries_of_a_connection() {
    let dns = dns(&["127.0.0.1:0"]);
    let server = Server::start(&dns);
    serve(&server, &dns, large(2000));
    let mut stream = connect("127.0.0.1", server.address()).await;
    let device = format!("iotc-000001.{DEVICES}");
    let all = [query(&device, A), query(DEVICES, AXFR), query(DEVICES, SOA), query(DEVICES, AXFR)];
    let all: Vec<u8> = all.iter().flat_map(|query| framed(query)).collect();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &all).await.expect("written");
    let mut kinds = Vec::new();
    let mut records = 0;
    while kinds.len() < 2 || records < 2 * 2003 {
        let message = next(&mut stream).await.expect("a message");
        let end = 12 + question_length(&message);
        let kind = u16::from_be_bytes([message[end - 4], message[end - 3]]);
        if kind == AXFR {
            records += u16::from_be_bytes([message[6], message[7]]);
        } else {
            assert!(records == 0 || records == 2003, "in between: {records} records so far");
            kinds.push(kind);
        }
    }
    assert_eq!((kinds.as_slice(), records), (&[A, SOA][..], 2 * 2003));
    server.stop().await;
}

fn question_length(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] > 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5 - 12
}

#[tokio::test]
async fn who_stops_reading_is_given_up_and_holds_up_nobody() {
    let dns = Dns { tcp_idle_timeout: std::time::Duration::from_secs(1), ..dns(&["127.0.0.1:0"]) };
    let server = Server::start(&dns);
    // More than the buffers of a connection hold.
    serve(&server, &dns, large(300_000));
    let mut stuck = Vec::new();
    for _ in 0..3 {
        let mut stream = connect("127.0.0.1", server.address()).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &framed(&query(DEVICES, AXFR)))
            .await
            .expect("written");
        stuck.push(stream);
    }
    let mut stream = connect("127.0.0.1", server.address()).await;
    let device = format!("iotc-000001.{DEVICES}");
    let answer = ask_over(&mut stream, &query(&device, A)).await.expect("an answer");
    assert_eq!(answer[7], 1, "answered beside them");
    // One of four is left: the one that reads.
    within(async {
        while server.counters.connections.get() > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(stuck);
    server.stop().await;
}

#[tokio::test]
async fn a_secondary_that_takes_all_the_time_in_the_world_keeps_no_other_waiting() {
    let dns = Dns { tcp_idle_timeout: std::time::Duration::from_secs(600), ..dns(&["127.0.0.1:0"]) };
    let server = Server::start(&dns);
    // More than the buffers of a connection hold.
    serve(&server, &dns, large(300_000));
    let mut stuck = Vec::new();
    for number in 0..40 {
        let mut stream = connect("127.0.0.1", server.address()).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &framed(&query(DEVICES, AXFR)))
            .await
            .expect("written");
        if number < 8 {
            next(&mut stream).await.expect("a message, and none is read after it");
        }
        stuck.push(stream);
    }
    let mut stream = connect("127.0.0.2", server.address()).await;
    let answer = ask_over(&mut stream, &query(DEVICES, AXFR)).await.expect("its turn comes");
    assert_eq!(answer[3] & 0x0f, 0);
    drop((stuck, stream));
    server.stop().await;
}

#[tokio::test]
async fn strangers_do_not_take_the_connections_of_who_needs_a_key() {
    // One of the eight is for strangers.
    let dns = Dns { tcp_connections: 8, allow_query: Vec::new(), ..dns(&["127.0.0.1:0"]) };
    let server = Server::start(&dns);
    serve(&server, &dns, large(10));
    let with_key = vec![secondary("keyed", "127.0.0.2:53", Some("key"), Access::Key)];
    let keys: Keys = [key("key")].into_iter().collect();
    let before = server.shared.load_full();
    let mut serving = Serving::new(before.image.clone(), &dns, None, None);
    serving.transfers = Arc::new(Transfers::of(with_key, keys, Arc::new(Records::default())));
    serving.source = before.source.clone();
    server.shared.store(Arc::new(serving));
    let mut stranger = connect("127.0.0.1", server.address()).await;
    assert_eq!(ask_over(&mut stranger, &query(DEVICES, AXFR)).await.expect("an answer")[3] & 0x0f, 5);
    let mut stream = connect("127.0.0.2", server.address()).await;
    let mut request = query(DEVICES, AXFR);
    let now = u64::try_from(Timestamp::now().as_second()).expect("after 1970");
    sign_request(&Arc::new(key("key")), &mut request, now);
    let answer = ask_over(&mut stream, &request).await.expect("a connection");
    assert_eq!(answer[3] & 0x0f, 0);
    drop((stranger, stream));
    server.stop().await;
}

#[tokio::test]
async fn before_everything_was_read_there_is_no_transfer() {
    let dns = dns(&["127.0.0.1:0"]);
    let server = Server::start(&dns);
    serve(&server, &dns, large(10));
    let before = server.shared.load_full();
    let mut held = Serving::new(before.image.clone(), &dns, None, None);
    held.transfers = before.transfers.clone();
    server.shared.store(Arc::new(held));
    let mut stream = connect("127.0.0.1", server.address()).await;
    let answer = ask_over(&mut stream, &query(DEVICES, AXFR)).await.expect("an answer");
    assert_eq!(answer[3] & 0x0f, 2, "SERVFAIL");
    server.stop().await;
}
