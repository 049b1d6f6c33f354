//! Instructions of each function, which no neighbour on the machine changes. Each has a limit: a tenth above what was
//! counted when it was set. One that is passed on purpose is set anew, with the reason in the commit.

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use openclaw_hot as hot;

#[library_benchmark(config = limit(4_600))]
#[bench::chat_send(hot::chat_send())]
fn envelope(text: String) -> usize {
    hot::parse(black_box(&text))
}

#[library_benchmark(config = limit(2_400))]
#[bench::chat_send(checked())]
fn schema(params: serde_json::Value) -> bool {
    hot::check(black_box(&params))
}

#[library_benchmark(config = limit(1_790_000))]
#[bench::of_64_kb(hot::long())]
fn depth(text: String) -> bool {
    hot::deep(black_box(&text))
}

#[library_benchmark(config = limit(88_000))]
#[bench::of_20_rows(hot::result())]
fn response(result: serde_json::Value) -> usize {
    hot::respond(black_box(&result))
}

#[library_benchmark(config = limit(497_000))]
#[bench::ed25519(hot::proof())]
fn proof(proof: hot::Proof) -> bool {
    hot::prove(black_box(&proof))
}

#[library_benchmark(config = limit(33_800))]
#[bench::to_64(hot::event())]
fn event(out: openclaw_actors::event::EventOut) -> usize {
    hot::deliver(black_box(out))
}

/// The first check of a method compiles its schema, which is no part of a frame's cost.
fn checked() -> serde_json::Value {
    let params = hot::params();
    hot::check(&params);
    params
}

fn limit(instructions: u64) -> LibraryBenchmarkConfig {
    LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]))
        .clone()
}

library_benchmark_group!(
    name = functions,
    benchmarks = [envelope, schema, depth, response, proof, event]
);
main!(library_benchmark_groups = functions);
