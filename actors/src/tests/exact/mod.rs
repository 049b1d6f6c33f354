//! Every client's `seq` is contiguous but for exactly the events that were dropped for it, and its
//! text is whole, over random interleavings of the Gateway, the hub and the sockets.
//!
//! The Gateway is the real one; the hub's work is done step by step here, so that a model can say
//! before each step what every client has to get.

mod bench;
mod client;

use openclaw_protocol::{Generation, Role, Scope, Scopes};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::peer::Who;
use super::world::paused;
use bench::{Bench, session};

#[derive(Debug, Clone)]
enum Step {
    Join(usize),
    Leave(usize),
    Listen(usize, usize, bool),
    Index(usize, bool),
    Reply(usize, usize),
    Emit(usize, usize, usize),
    Begin(usize),
    Grow(usize, usize),
    End(usize),
    Hub(usize),
    Read(usize),
}

fn step(clients: usize) -> impl Strategy<Value = Step> {
    let client = 0..clients;
    prop_oneof![
        3 => client.clone().prop_map(Step::Join),
        1 => client.clone().prop_map(Step::Leave),
        2 => (client.clone(), 0..3_usize, any::<bool>()).prop_map(|(c, s, on)| Step::Listen(c, s, on)),
        1 => (client.clone(), any::<bool>()).prop_map(|(c, on)| Step::Index(c, on)),
        1 => (client.clone(), 0..600_usize).prop_map(|(c, size)| Step::Reply(c, size)),
        6 => (0..8_usize, 0..3_usize, 0..400_usize).prop_map(|(what, s, size)| Step::Emit(what, s, size)),
        2 => (0..3_usize).prop_map(Step::Begin),
        8 => (0..6_usize, 1..60_usize).prop_map(|(run, size)| Step::Grow(run, size)),
        1 => (0..6_usize).prop_map(Step::End),
        8 => (1..12_usize).prop_map(Step::Hub),
        6 => client.prop_map(Step::Read),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    let scopes = prop_oneof![
        4 => Just(Scopes::of(&[Scope::Read])),
        2 => Just(Scopes::of(&[Scope::Admin])),
        1 => Just(Scopes::of(&[Scope::Pairing])),
        1 => Just(Scopes::NONE),
    ];
    let max_buffered = prop_oneof![3 => Just(1_usize << 20), 2 => 200..3_000_usize];
    (any::<bool>(), 0..8_u8, scopes, any::<bool>(), max_buffered).prop_map(
        |(newer, role, scopes, scoped, max_buffered)| Who {
            generation: if newer {
                Generation::V4
            } else {
                Generation::V3
            },
            role: if role == 0 {
                Role::Node
            } else {
                Role::Operator
            },
            scopes,
            caps: if scoped {
                vec!["session-scoped-events".into()]
            } else {
                Vec::new()
            },
            max_buffered,
        },
    )
}
proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_seq_is_contiguous_but_for_what_a_slow_reader_lost(
        (profiles, steps) in (1..40_usize).prop_flat_map(|clients| (
            proptest::collection::vec(who(), clients),
            proptest::collection::vec(step(clients), 1..160),
        )),
        max_events in prop_oneof![Just(4_usize), Just(20), Just(1_000)],
    ) {
        paused(async {
            let mut bench = Bench::new(profiles, max_events);
            for step in steps {
                bench.take(step).await;
            }
            bench.finish().await;
        });
    }
}

#[test]
fn a_thousand_connections_of_every_kind_lose_exactly_what_the_rule_says() {
    const CLIENTS: usize = 1_000;
    let mut runner = TestRunner::deterministic();
    let profiles = proptest::collection::vec(who(), CLIENTS)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    let steps = proptest::collection::vec(step(CLIENTS), 4_000)
        .new_tree(&mut runner)
        .unwrap()
        .current();
    let counts = paused(async {
        let mut bench = Bench::new(profiles, 40);
        for client in 0..CLIENTS {
            bench.join(client);
            bench.listen(client, &session(client % 3), client % 2 == 0);
        }
        for step in steps {
            bench.take(step).await;
        }
        bench.finish().await
    });
    // Every branch of the rule was taken, and often.
    assert!(counts.delivered > 100_000, "{counts:?}");
    assert!(
        counts.dropped > 300 && counts.replaced > 1_000,
        "{counts:?}"
    );
    assert!(counts.lagged > 1 && counts.overrun > 100, "{counts:?}");
}
