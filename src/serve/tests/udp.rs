//! UDP, listeners and their reload, with real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

use super::super::{Passed, RateLimiter, Serving};
use super::build::*;
use super::server::*;
use super::summary::summary;
use crate::config::{Dns, RateLimit};

const DEVICE: &str = "iotc-1.privatelink.azure-devices.net";
const HIT: &str = "NOERROR aa rd | iotc-1.privatelink.azure-devices.net A 10 10.0.0.4 | ";

#[tokio::test]
async fn answers_on_both_families() {
    for (listen, from) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
        let server = Server::start(&dns(&[listen]));
        let client = client(from).await;
        let (response, source) = ask(&client, server.address(), &query(DEVICE, A)).await;
        assert_eq!(summary(&response).to_string(), HIT);
        assert_eq!(source, server.address());
        server.stop().await;
    }
}

#[tokio::test]
async fn a_wildcard_answers_from_the_address_that_was_asked() {
    for (listen, from, asked) in [
        ("0.0.0.0:0", "127.0.0.1", "127.0.0.2"),
        ("0.0.0.0:0", "127.0.0.9", "127.250.0.1"),
        ("[::]:0", "::1", "::1"),
    ] {
        let server = Server::start(&Dns { udp_threads: 3, ..dns(&[listen]) });
        let asked = SocketAddr::new(asked.parse().expect("an address"), server.address().port());
        // Different clients reach different threads.
        for _ in 0..8 {
            let (response, source) = ask(&client(from).await, asked, &query(DEVICE, A)).await;
            assert_eq!((summary(&response).to_string().as_str(), source), (HIT, asked));
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn what_waits_in_a_bound_socket_is_answered_from_where_it_was_asked() {
    let mut server = Server::idle(&dns(&[]));
    server.listeners.bind(&[([0, 0, 0, 0], 0).into()], 1).expect("bound");
    let asked = SocketAddr::from(([127, 0, 0, 2], server.address().port()));
    let client = client("127.0.0.1").await;
    client.send_to(&query(DEVICE, A), asked).await.expect("sent");
    server.listeners.start().expect("started");
    let mut buffer = [0; 512];
    let (length, source) = within(client.recv_from(&mut buffer)).await.expect("an answer");
    assert_eq!((summary(&buffer[..length]).to_string().as_str(), source), (HIT, asked));
    server.stop().await;
}

#[tokio::test]
async fn over_the_rate_clients_are_sent_to_tcp_or_dropped() {
    let slow = RateLimit { responses_per_second: 1, slip: 1, ipv4_prefix: 32, ipv6_prefix: 64 };
    let dns = Dns { rate_limit: slow, ..dns(&["0.0.0.0:0"]) };
    let server = Server::start(&dns);
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let client = client("127.0.0.1").await;
    for _ in 0..10 {
        let (response, _) = ask(&client, address, &query(DEVICE, A)).await;
        assert_eq!(summary(&response).to_string(), HIT, "loopback is not limited");
    }

    let limited = |dns: &Dns| {
        let limiter = Arc::new(RateLimiter::with_loopback(dns.rate_limit));
        Arc::new(Serving::new(Arc::new(sample()), dns, None, Some(limiter)))
    };
    server.shared.store(limited(&dns));
    let mut slips = 0;
    // A slow test machine may earn a response more; ten in a row cannot all be earned.
    for _ in 0..10 {
        let (response, _) = ask(&client, address, &query(DEVICE, A)).await;
        match summary(&response).to_string().as_str() {
            HIT => {}
            "NOERROR tc rd |  | " => slips += 1,
            other => panic!("{other}"),
        }
    }
    assert!(slips > 0);
    assert_eq!(server.counters.slipped.get(), slips);
    let mut stream = connect("127.0.0.1", address).await;
    for _ in 0..10 {
        let response = ask_over(&mut stream, &query(DEVICE, A)).await.expect("a response");
        assert_eq!(summary(&response).to_string(), HIT, "TCP is not limited");
    }

    // Without slip a response over the rate is not sent at all.
    server.shared.store(limited(&Dns { rate_limit: RateLimit { slip: 0, ..slow }, ..dns }));
    for _ in 0..10 {
        client.send_to(&query(DEVICE, A), address).await.expect("sent");
    }
    // They share the only thread, so the answer to another client comes behind them.
    ask(&super::server::client("127.0.0.2").await, address, &query(DEVICE, A)).await;
    assert!(server.counters.limited.get() > 0);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_of_many_clients() {
    let server = Server::start(&Dns { udp_threads: 2, ..dns(&["127.0.0.1:0"]) });
    let mut clients = Vec::new();
    for _ in 0..150 {
        clients.push(client("127.0.0.1").await);
    }
    for round in 0..3_u16 {
        for (i, client) in clients.iter().enumerate() {
            let mut request = query(DEVICE, A);
            request[..2].copy_from_slice(&(round << 8 | i as u16).to_be_bytes());
            client.send_to(&request, server.address()).await.expect("sent");
        }
        for (i, client) in clients.iter().enumerate() {
            let mut buffer = [0; 512];
            let length = within(client.recv(&mut buffer)).await.expect("a response");
            assert_eq!(buffer[..2], (round << 8 | i as u16).to_be_bytes());
            assert_eq!(summary(&buffer[..length]).to_string(), HIT);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn datagrams_that_are_no_queries_change_nothing() {
    let server = Server::start(&dns(&["127.0.0.1:0"]));
    let client = client("127.0.0.1").await;
    let mut response = query(DEVICE, A);
    response[2] |= 0x80;
    for datagram in [&[][..], &[0; 11], &response, &[0; 5000]] {
        client.send_to(datagram, server.address()).await.expect("sent");
    }
    let (response, _) = ask(&client, server.address(), &query(DEVICE, A)).await;
    assert_eq!(summary(&response).to_string(), HIT, "the first answer is to the first query");
    assert_eq!(server.counters.ignored.get(), 4);
    server.stop().await;
}

#[tokio::test]
async fn only_those_on_the_list_may_ask() {
    let list = vec![prefix("127.0.0.0/31"), prefix("::2/128")];
    let server = Server::start(&Dns { allow_query: list, ..dns(&["127.0.0.1:0"]) });
    for (from, expected) in [
        ("127.0.0.1", "NOERROR aa rd | iotc-1.privatelink.azure-devices.net A 10 10.0.0.4 |  | edns"),
        ("127.0.0.2", "REFUSED rd |  |  | edns ede 18"),
    ] {
        let request = edns(DEVICE, A);
        let (response, _) = ask(&client(from).await, server.address(), &request).await;
        assert_eq!(summary(&response).to_string(), expected);
        let mut stream = connect(from, server.address()).await;
        let response = ask_over(&mut stream, &request).await.expect("a response");
        assert_eq!(summary(&response).to_string(), expected, "over TCP");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_new_generation_is_served_at_once() {
    let dns = dns(&["127.0.0.1:0"]);
    let server = Server::start(&dns);
    let client = client("127.0.0.1").await;
    let mut stream = connect("127.0.0.1", server.address()).await;
    assert_eq!(summary(&ask(&client, server.address(), &query("n.x.net", A)).await.0).rcode, 5);
    assert_eq!(summary(&ask_over(&mut stream, &query("n.x.net", A)).await.expect("a response")).rcode, 5);
    let share = share(1, &[], &[("n.x.net", "privatelink.x.net", vec![[10, 9, 9, 9].into()])]);
    server.publish(compile(&generation(&publication(), vec![share]), true), &dns);
    let expected = "NOERROR aa rd | n.x.net A 10 10.9.9.9 | ";
    let (response, _) = ask(&client, server.address(), &query("n.x.net", A)).await;
    assert_eq!(summary(&response).to_string(), expected);
    let response = ask_over(&mut stream, &query("n.x.net", A)).await.expect("a response");
    assert_eq!(summary(&response).to_string(), expected, "also over the connection of before");
    server.stop().await;
}

#[test]
fn a_port_is_chosen_that_is_free_for_udp_too() {
    // So many are taken that, of as many choices as below, one meets one of them nearly always.
    let taken: Vec<_> =
        (0..300).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let mut server = Server::idle(&dns(&[]));
    for _ in 0..500 {
        server.listeners.bind(&[([127, 0, 0, 1], 0).into()], 1).expect("bound");
    }
    drop(taken);
}

#[tokio::test]
async fn a_reload_opens_and_closes_and_leaves_the_rest_alone() {
    let mut server = Server::idle(&dns(&[]));
    // As configured, and with the port that they got.
    let wanted: [SocketAddr; 2] = [([127, 0, 0, 1], 0).into(), ([127, 0, 0, 2], 0).into()];
    let client = client("127.0.0.1").await;

    server.listeners.listen(&wanted[..1], 1).await.expect("listening");
    let first = server.address();
    let mut kept = connect("127.0.0.1", first).await;
    assert!(ask_over(&mut kept, &query(DEVICE, A)).await.is_some());

    server.listeners.listen(&wanted, 1).await.expect("listening");
    let second = server.listeners.addresses()[1];
    assert_eq!(server.listeners.addresses(), [first, second]);
    ask(&client, second, &query(DEVICE, A)).await;
    assert!(ask_over(&mut kept, &query(DEVICE, A)).await.is_some(), "the first is the same as before");

    // An address that cannot be opened: nothing changes, not even what would have been closed.
    let impossible = SocketAddr::from(([192, 0, 2, 254], 0));
    let error = server.listeners.listen(&[wanted[1], impossible], 1).await.expect_err("not our address");
    assert!(error.to_string().ends_with("no interface of this machine has the address"), "{error}");
    assert_eq!(server.listeners.addresses(), [first, second]);
    ask(&client, first, &query(DEVICE, A)).await;
    assert!(ask_over(&mut kept, &query(DEVICE, A)).await.is_some());

    server.listeners.listen(&wanted[1..], 1).await.expect("listening");
    assert_eq!(server.listeners.addresses(), [second]);
    assert_eq!(next(&mut kept).await, None, "connections end with their address");
    ask(&client, second, &query(DEVICE, A)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_wildcard_makes_room_for_an_address_of_its_port_and_back() {
    let mut server = Server::idle(&dns(&[]));
    let single = loop {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = tcp.local_addr().expect("an address");
        drop(tcp);
        // Somebody may be faster.
        if server.listeners.listen(&[address], 2).await.is_ok() {
            break address;
        }
    };
    let wildcard = SocketAddr::from(([0, 0, 0, 0], single.port()));
    let client = client("127.0.0.1").await;
    for wanted in [wildcard, single, wildcard] {
        server.listeners.listen(&[wanted], 2).await.expect("listening");
        assert_eq!(server.listeners.addresses(), [wanted]);
        ask(&client, single, &query(DEVICE, A)).await;
        assert!(ask_over(&mut connect("127.0.0.1", single).await, &query(DEVICE, A)).await.is_some());
    }

    // What was closed to make room is opened again when there is more in the way.
    let impossible = SocketAddr::from(([192, 0, 2, 254], single.port()));
    let error = server.listeners.listen(&[single, impossible], 2).await.expect_err("not our address");
    assert!(error.to_string().contains("192.0.2.254"), "{error}");
    assert_eq!(server.listeners.addresses(), [wildcard]);
    ask(&client, single, &query(DEVICE, A)).await;
    server.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_what_to_do() {
    let mut server = Server::idle(&dns(&[]));
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = tcp.local_addr().expect("an address");
    let error = server.listeners.listen(&[address], 2).await.expect_err("in use").to_string();
    assert_eq!(
        error,
        format!(
            "cannot listen on TCP {address}: Address already in use (os error 98); another server has \
             the port: stop it, or set another address in [dns] listen"
        )
    );
    drop(tcp);
    let udp = std::net::UdpSocket::bind(address).expect("a socket");
    for threads in [1, 2] {
        let error = server.listeners.listen(&[address], threads).await.expect_err("in use").to_string();
        assert!(
            error.starts_with(&format!("cannot listen on UDP {address}: Address already in use")),
            "{error}"
        );
    }
    drop(udp);
    server.listeners.listen(&[address], 1).await.expect("free again");

    // A second daemon does not take half of the queries.
    let mut second = Server::idle(&dns(&[]));
    assert!(second.listeners.listen(&[address], 2).await.is_err());
    second.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn sockets_from_systemd_are_served() {
    // Both families on one socket, as systemd's BindIPv6Only=default gives.
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None).expect("a socket");
    socket.set_only_v6(false).expect("both families");
    socket.bind(&SocketAddr::from(([0_u16; 8], 0)).into()).expect("bound");
    let udp = std::net::UdpSocket::from(socket);
    udp.set_nonblocking(true).expect("non-blocking, as it may come");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let (port, tcp_address) =
        (udp.local_addr().expect("an address").port(), tcp.local_addr().expect("an address"));

    let list = vec![prefix("127.0.0.0/8"), prefix("::1/128")];
    let dns = Dns { allow_query: list, ..dns(&[]) };
    let mut server = Server::idle(&dns);
    server.listeners.take(Passed { udp: vec![udp], tcp: vec![tcp] }, 2).expect("taken");
    server.listeners.start().expect("started");
    assert_eq!(server.listeners.addresses().len(), 2);
    for (from, asked) in [("127.0.0.1", "127.0.0.2"), ("::1", "::1")] {
        let asked = SocketAddr::new(asked.parse().expect("an address"), port);
        let (response, source) = ask(&client(from).await, asked, &query(DEVICE, A)).await;
        assert_eq!((summary(&response).to_string().as_str(), source), (HIT, asked));
    }
    let mut stream = connect("127.0.0.1", tcp_address).await;
    assert!(ask_over(&mut stream, &query(DEVICE, A)).await.is_some());
    // A reload of the configuration does not touch them.
    server.listeners.listen(&[], 1).await.expect("nothing to open");
    assert!(ask_over(&mut stream, &query(DEVICE, A)).await.is_some());
    server.stop().await;
}

#[test]
fn outside_a_runtime_listening_fails_in_words() {
    let mut server = Server::idle(&dns(&[]));
    server.listeners.bind(&[([127, 0, 0, 1], 0).into()], 1).expect("bound");
    let error = server.listeners.start().expect_err("no runtime");
    assert!(error.to_string().starts_with("cannot listen on TCP 127.0.0.1:"), "{error}");
}
