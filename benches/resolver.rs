//! What an answer from the resolver's cache costs, and one under the public name of a name of ours.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;

use arc_swap::ArcSwap;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use privatelink_dns::config::{self, Config};
use privatelink_dns::serve::{
    Asker, Context, Counters, Image, Outcome, Recursion, ResolverMetrics, Serving, Transport, answer,
};

const ASKER: Asker = Asker {
    transport: Transport::Udp,
    allowed: true,
    recursion: true,
    truncate: false,
    view: None,
    secondary: false,
    reserve: 0,
};

/// A query for an address, with an OPT record.
fn query(name: &str) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// An upstream that gives every name an alias and an address. Ends with the process.
fn upstream() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let mut response = buffer[..length - 11].to_vec();
            response[2] |= 0x80;
            response[6..12].copy_from_slice(&[0, 2, 0, 0, 0, 0]);
            response.extend_from_slice(b"\xc0\x0c\0\x05\0\x01\0\0\x0e\x10\0\x07\x04host\xc0\x0c");
            let alias = (response.len() - 7) as u16 | 0xc000;
            response.extend_from_slice(&alias.to_be_bytes());
            response.extend_from_slice(b"\0\x01\0\x01\0\0\x0e\x10\0\x04\xc6\x33\x64\x07");
            socket.send_to(&response, client).expect("sent");
        }
    });
    address
}

fn configuration(upstream: &str) -> Config {
    let id = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/g/providers/Microsoft.IoTCentral/iotApps/a";
    let text = format!("version = 1\n[[application]]\nid = '{id}'\n[resolver]\nupstreams = ['{upstream}']");
    config::parse("bench.toml", &text, std::iter::empty()).expect("a configuration")
}

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = configuration(&upstream());
    let (generation, _) = support::generation_of(1_000);
    let context = Context { complete: true, resolver: true, fallback: true, ..Context::default() };
    let image = Image::compile(&generation, context, &Counters::new().expect("counters")).expect("an image");
    let image = Arc::new(image);
    let recursion = runtime.block_on(async {
        let metrics = ResolverMetrics::new(&prometheus::Registry::new()).expect("metrics");
        Recursion::new(config.resolver.as_ref(), &metrics, None).expect("made").expect("a resolver")
    });
    let serving = Serving::new(image.clone(), &config.dns, Some(recursion.clone()), None);
    let shared = Arc::new(ArcSwap::from_pointee(serving));
    let client = "127.0.0.1:1".parse().expect("an address");
    let mut group = c.benchmark_group("resolver");
    let mut out = Vec::with_capacity(1232);
    for names in [10, 10_000] {
        let queries: Vec<_> = (0..names).map(|i| query(&format!("n{i}.example.com"))).collect();
        for query in &queries {
            let asked = recursion.resolver.resolve(&shared, client, (Transport::Udp, 0), query, &mut out);
            let outcome = runtime.block_on(asked);
            assert!(matches!(outcome, Outcome::Answered { rcode: 0, .. }), "{outcome:?}");
        }
        let mut next = 0;
        group.bench_function(BenchmarkId::new("cached", names), |b| {
            b.iter(|| {
                next = (next + 1) % queries.len();
                let query = black_box(&queries[next]);
                let outcome = answer(&image, query, ASKER, &mut out);
                assert!(matches!(outcome, Outcome::Forward { .. }));
                assert!(recursion.resolver.cached(&image, query, ASKER, &mut out).is_some());
            });
        });
    }
    let public = query("iotc-00000007-0000-4000-8000-000000000000.azure-devices.net");
    group.bench_function("public name of ours", |b| {
        b.iter(|| {
            let outcome = answer(black_box(&image), black_box(&public), ASKER, &mut out);
            assert!(matches!(outcome, Outcome::Answered { rcode: 0, .. }));
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
