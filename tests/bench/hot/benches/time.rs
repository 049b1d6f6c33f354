//! Time of each function, for a person who looks; nothing fails by it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use openclaw_hot as hot;

fn functions(c: &mut Criterion) {
    let text = hot::chat_send();
    c.bench_function("a request's envelope", |b| {
        b.iter(|| hot::parse(black_box(&text)))
    });
    let params = hot::params();
    c.bench_function("a schema check", |b| {
        b.iter(|| hot::check(black_box(&params)))
    });
    let long = hot::long();
    c.bench_function("depth of 64 kB", |b| b.iter(|| hot::deep(black_box(&long))));
    let result = hot::result();
    c.bench_function("a response of 20 rows", |b| {
        b.iter(|| hot::respond(black_box(&result)))
    });
    let proof = hot::proof();
    c.bench_function("a device's proof", |b| {
        b.iter(|| hot::prove(black_box(&proof)))
    });
    c.bench_function("an event for 64 connections", |b| {
        b.iter_batched(hot::event, hot::deliver, BatchSize::SmallInput)
    });
}

criterion_group!(benches, functions);
criterion_main!(benches);
