//! What an answer costs, by kind of answer and size of the zone: the cost has to be flat.
#![allow(missing_docs)]

mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use privatelink_dns::serve::{Asker, Context, Counters, Image, Outcome, Transport, answer};

/// A query in wire format, with an OPT record.
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 1]);
    bytes.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn bench(c: &mut Criterion) {
    let counters = Counters::new().expect("counters");
    let mut group = c.benchmark_group("answer");
    for names in [10, 1_000, 100_000] {
        let (generation, _) = support::generation_of(names);
        let image = Image::compile(&generation, Context { complete: true, ..Context::default() }, &counters)
            .expect("an image");
        // Names spread over the whole zone, so that the cache sees what it would see in service.
        let spread = |i: u32| i.wrapping_mul(2_654_435_761) % names;
        let zone = "privatelink.azure-devices.net";
        let kinds: [(&str, u16, Vec<Vec<u8>>); 4] = [
            (
                "hit",
                0,
                (0..1024)
                    .map(|i| query(&format!("IoTc-{:08x}-0000-4000-8000-000000000000.{zone}", spread(i)), 1))
                    .collect(),
            ),
            ("nxdomain", 3, (0..1024).map(|i| query(&format!("nx{i:06x}.{zone}"), 1)).collect()),
            // As many labels as a name can have.
            ("deep", 3, vec![query(&format!("{}{zone}", "a.".repeat(110)), 1); 4]),
            (
                "nodata",
                0,
                (0..1024)
                    .map(|i| query(&format!("iotc-{:08x}-0000-4000-8000-000000000000.{zone}", spread(i)), 28))
                    .collect(),
            ),
        ];
        for (kind, expected, queries) in &kinds {
            let asker = Asker {
                transport: Transport::Udp,
                allowed: true,
                recursion: false,
                truncate: false,
                view: None,
                secondary: false,
                reserve: 0,
            };
            let mut out = Vec::with_capacity(1232);
            let mut next = 0;
            group.bench_function(BenchmarkId::new(*kind, names), |b| {
                b.iter(|| {
                    next = (next + 1) % queries.len();
                    let outcome = answer(black_box(&image), black_box(&queries[next]), asker, &mut out);
                    assert!(matches!(outcome, Outcome::Answered { rcode, .. } if rcode == *expected));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
