//! What a reload keeps of the resolver.

use std::fs;
use std::sync::Arc;

use jiff::Timestamp;
use prometheus::{Registry, TextEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::super::secondaries::Records;
use super::super::{Recursion, ResolverMetrics, Serving, Transfers};
use super::build::*;
use super::server::{Server, ask_over, connect, dns};
use super::transfers_at_rest::key;
use crate::config;
use crate::wire::tsig::sign_request;

fn resolver(section: &str) -> config::Resolver {
    let application = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers/\
                       Microsoft.IoTCentral/iotApps/a";
    let text = format!("version = 1\n[[application]]\nid = '{application}'\n[resolver]\n{section}");
    let config = config::parse("test.toml", &text, std::iter::empty()).unwrap_or_else(|e| panic!("{e}"));
    config.resolver.expect("a resolver")
}

fn authority() -> String {
    rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).expect("a certificate").cert.pem()
}

#[tokio::test]
async fn the_same_settings_keep_the_cache_and_changed_files_do_not() {
    let registry = Registry::new();
    let metrics = ResolverMetrics::new(&registry).expect("metrics");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ca.pem");
    fs::write(&file, authority()).expect("written");
    let upstreams = "upstreams = ['tls://127.0.0.1:1#dns.test', '127.0.0.1:2']";
    let config = resolver(&format!("{upstreams}\nca_file = '{}'", file.display()));
    let make =
        |config, before| Recursion::new(Some(config), &metrics, before).expect("it").expect("a resolver");
    let first = make(&config, None);
    let same = make(&config, Some(&first));
    assert!(Arc::ptr_eq(&first.resolver, &same.resolver));
    fs::write(&file, authority()).expect("written");
    let renewed = make(&config, Some(&first));
    assert!(!Arc::ptr_eq(&first.resolver, &renewed.resolver), "other authorities under the same name");
    fs::write(&file, "nonsense").expect("written");
    assert!(Recursion::new(Some(&config), &metrics, Some(&first)).is_err());

    // Upstreams that are not asked any more have no metrics; those of a refused reload would be kept.
    let fewer = make(&resolver("upstreams = ['127.0.0.1:2']"), Some(&first));
    first.retire(Some(&fewer), &metrics);
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    assert!(text.contains("upstream=\"127.0.0.1:2\"") && !text.contains("tls://"), "{text}");
    fewer.retire(None, &metrics);
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    assert!(!text.contains("upstream="), "{text}");
}

/// Public DNS with one answer of 65,500 octets, over TCP.
async fn large_upstream() -> String {
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = udp.local_addr().expect("an address");
    let tcp = TcpListener::bind(address).await.expect("the same port");
    tokio::spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, client)) = udp.recv_from(&mut query).await {
            // QR and TC.
            query[2] |= 0x82;
            udp.send_to(&query[..length], client).await.expect("sent");
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap_or(0))];
            if stream.read_exact(&mut query).await.is_err() {
                continue;
            }
            let end = 12 + query[12..].iter().position(|octet| *octet == 0).expect("a name") + 5;
            query.truncate(end);
            (query[2], query[7], query[11]) = (0x80, 1, 0);
            query.extend(b"\xc0\x0c\0\xff\0\x01\0\0\x01\0");
            let data = 65_500 - query.len() - 2;
            query.extend((data as u16).to_be_bytes());
            query.resize(65_500, 1);
            stream.write_u16(65_500).await.expect("sent");
            stream.write_all(&query).await.expect("sent");
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_signed_answer_of_public_dns_leaves_room_for_its_signature() {
    let metrics = ResolverMetrics::new(&Registry::new()).expect("metrics");
    let config = resolver(&format!("upstreams = ['{}']", large_upstream().await));
    let recursion = Recursion::new(Some(&config), &metrics, None).expect("it");
    let dns = dns(&["127.0.0.1:0"]);
    let server = Server::start(&dns);
    let generation = generation(&privatelink(), vec![]);
    let mut serving = Serving::new(Arc::new(compile(&generation, true)), &dns, recursion, None);
    serving.transfers =
        Arc::new(Transfers::of(Vec::new(), [key("key")].into_iter().collect(), Arc::new(Records::default())));
    server.shared.store(Arc::new(serving));
    let mut stream = connect("127.0.0.1", server.address()).await;
    let plain = ask_over(&mut stream, &query("large.example", 255)).await.expect("an answer");
    assert_eq!(plain.len(), 65_500);
    // Once from the cache, once of a name that has to be waited for.
    for name in ["large.example", "larger.example"] {
        let mut request = query(name, 255);
        let now = || u64::try_from(Timestamp::now().as_second()).expect("after 1970");
        let mut verifier = sign_request(&Arc::new(key("key")), &mut request, now());
        let mut signed = ask_over(&mut stream, &request).await.expect("an answer");
        verifier.verify(&mut signed, now()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(signed[2] & 0x02, 0x02, "{name} is too long with a signature, which TC says");
    }
    server.stop().await;
}
