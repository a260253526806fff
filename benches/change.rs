//! What a change costs: derive, guard, number and diff, save, compile, at 100,000 names.
#![allow(missing_docs)]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use privatelink_dns::serve::{Context, Counters, Image};
use privatelink_dns::store::{Saved, Store};
use privatelink_dns::zones::derive;

const NAMES: u32 = 100_000;

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("change of one name in 100,000");
    group.sample_size(10);
    let after = support::observation(NAMES + 1);
    let (generation, _) = support::generation_of(NAMES);
    let derived = derive(&after);
    group.bench_function("derive", |b| b.iter(|| derive(black_box(&after))));
    group.bench_function("guard, number and diff", |b| {
        b.iter_batched(
            || derived.clone(),
            |derived| support::accept(Some(&generation), &derived),
            BatchSize::PerIteration,
        );
    });
    let (next, difference) = support::accept(Some(&generation), &derived);
    assert_eq!(difference.zones[0].added.len(), 1);
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), support::now()).expect("a store");
    let saved = Saved {
        generation: Arc::new(next),
        history: VecDeque::from([difference]),
        rejections: Vec::new(),
        last_success: BTreeMap::new(),
        released: true,
    };
    group.bench_function("save, synced to disk", |b| b.iter(|| store.save(&saved).expect("saves")));
    group.bench_function("load", |b| b.iter(|| Store::read(directory.path()).expect("loads")));
    let counters = Counters::new().expect("counters");
    group.bench_function("compile", |b| {
        b.iter(|| {
            Image::compile(&saved.generation, Context { complete: true, ..Context::default() }, &counters)
                .expect("compiles")
        })
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
