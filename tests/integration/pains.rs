//! What people suffer from gateways of this kind, by the number of its list: each has a test named after it
//! (`pain_03_...`), or [`PROOF`] says which test, benchmark or soak shows that it is not so here. What is about
//! durations is a benchmark's row or a soak's slope, never a test with a clock.

use std::path::Path;

use serde_json::json;

use crate::chat::message;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::socket::connect_params;

/// How many there are.
const PAINS: u8 = 15;

/// A file, and words that stand in it.
type Place = (&'static str, &'static str);

/// The number, what people suffer, and where the proof is.
const PROOF: &[(u8, &str, &[Place])] = &[
    (
        1,
        "memory grows for days",
        &[
            ("tests/deep/soak", "memory"),
            ("tests/browser/endurance.test.mjs", "holds no more after"),
        ],
    ),
    (
        2,
        "the control plane stalls while agents work",
        &[
            (
                "tests/integration/lanes.rs",
                "no_more_runs_than_the_limit_and_nobody_starves",
            ),
            (
                "tests/integration/slow.rs",
                "a_client_that_does_not_read_is_closed_and_costs_its_limit_at_most",
            ),
            (
                "tests/bench/grow",
                "must not cost more because there is more of it",
            ),
            (
                "tests/bench/beside",
                "the same while 8 runs stream and pages of the 100 MB are read, p99, ms",
            ),
        ],
    ),
    (
        4,
        "pairing says neither what is wrong nor what to do",
        &[
            (
                "tests/integration/refusals/pairing.rs",
                "a_device_that_has_to_wait_is_told_why_and_what_to_do",
            ),
            (
                "tests/integration/refusals/device.rs",
                "each_check_of_a_proof_has_its_own_code",
            ),
            (
                "tests/integration/refusals/auth.rs",
                "credentials_are_refused_with_what_to_do",
            ),
        ],
    ),
    (
        5,
        "messages are lost in restarts",
        &[
            ("tests/deep/channel-kills", "200"),
            (
                "tests/integration/channel_kills/telegram.rs",
                "whatever_a_kill_interrupts_is_answered_once_or_shown_as_unknown",
            ),
            (
                "tests/integration/kill.rs",
                "a_kill_during_fifty_turns_loses_nothing_and_repeats_nothing",
            ),
        ],
    ),
    (
        6,
        "answers go out twice",
        &[
            (
                "tests/integration/channels.rs",
                "what_may_have_arrived_is_unknown_and_never_sent_again",
            ),
            (
                "tests/integration/channel_send.rs",
                "a_message_is_sent_once_for_its_key_also_after_a_restart",
            ),
            (
                "tests/integration/channel_kills/irc.rs",
                "whatever_a_kill_interrupts_is_answered_once_or_shown_as_unknown",
            ),
        ],
    ),
    (
        7,
        "channels restart without end",
        &[
            (
                "tests/integration/channel_actor.rs",
                "a_quiet_day_has_no_restart",
            ),
            (
                "tests/integration/channels.rs",
                "a_revoked_token_is_tried_once_and_the_account_says_what_to_do",
            ),
        ],
    ),
    (
        8,
        "a second gateway fights for the port",
        &[
            (
                "tests/integration/process.rs",
                "a_second_gateway_is_refused_and_told_whom_it_met",
            ),
            (
                "tests/integration/service.rs",
                "a_port_that_systemd_keeps_is_served_to_whoever_came_before_the_gateway",
            ),
        ],
    ),
    (
        9,
        "an upgrade refuses the configuration",
        &[
            (
                "tests/integration/corpora.rs",
                "kept_configurations_are_harmless",
            ),
            (
                "src/config/tests/mod.rs",
                "settings_of_several_releases_are_read",
            ),
        ],
    ),
    (
        10,
        "a change of the configuration ends work",
        &[
            (
                "tests/integration/config_writes.rs",
                "a_run_under_way_survives_a_change_of_its_model",
            ),
            (
                "tests/integration/reload.rs",
                "a_token_written_in_place_counts_at_the_next_connect_and_a_run_goes_on",
            ),
            (
                "tests/integration/tls.rs",
                "the_certificate_is_exchanged_under_load_and_no_session_ends",
            ),
        ],
    ),
    (
        11,
        "jobs are missed, or run twice",
        &[
            (
                "actors/src/cron/tests.rs",
                "each_slot_of_a_year_runs_once_whenever_the_gateway_is_restarted_around_it",
            ),
            (
                "tests/integration/cron.rs",
                "a_run_that_a_kill_cut_off_ends_as_interrupted_and_is_not_run_again",
            ),
        ],
    ),
    (
        12,
        "session files are empty or locked after a crash",
        &[
            (
                "tests/integration/backup.rs",
                "a_damaged_database_is_set_aside_and_told_of_until_it_is_gone",
            ),
            (
                "actors/src/store/tests/power_cut.rs",
                "a_power_cut_at_any_moment_leaves_a_file_that_opens_with_all_that_was_acknowledged",
            ),
        ],
    ),
    (
        13,
        "gateways stand open to everybody",
        &[(
            "tests/integration/process.rs",
            "a_start_that_would_be_unsafe_or_unclear_is_refused_with_the_place",
        )],
    ),
    (
        14,
        "a start takes a minute",
        &[("tests/bench/run", "Start to first accepted connect")],
    ),
    (
        15,
        "slow readers are closed, or disturb others",
        &[
            (
                "tests/integration/slow.rs",
                "a_client_that_does_not_read_is_closed_and_costs_its_limit_at_most",
            ),
            (
                "tests/integration/node_invoke.rs",
                "a_link_that_is_half_open_is_found_before_the_callers_time_is_over",
            ),
        ],
    ),
];

#[test]
fn every_known_pain_has_its_proof() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = include_str!("pains.rs");
    for number in 1..=PAINS {
        let tested = own.contains(&format!("async fn pain_{number:02}_"));
        let listed = PROOF
            .iter()
            .filter(|(listed, ..)| *listed == number)
            .count();
        assert_eq!(usize::from(tested) + listed, 1, "pain {number}");
    }
    for (number, what, places) in PROOF {
        for (file, words) in *places {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            assert!(
                text.contains(words) && !text.is_empty(),
                "pain {number} ({what}): {file} has no {words:?}"
            );
        }
    }
}

/// A thousand clients that come at once, while all places for runs are taken and more wait.
#[tokio::test]
async fn pain_03_a_thousand_handshakes_at_once_succeed_while_the_agents_are_saturated() {
    const CLIENTS: usize = 1_000;
    let mut model = Model::start().await;
    let mut plan = Plan::with_model(&model);
    plan.settings.max_concurrent = 4;
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    for run in 0..16 {
        let (session, key) = (format!("s{run}"), format!("k{run}"));
        client
            .call("chat.send", message(&session, "work", &key))
            .await;
    }
    let mut busy = Vec::new();
    for _ in 0..4 {
        busy.push(model.asked().await);
    }
    let mut there = Vec::new();
    while there.len() < CLIENTS {
        // As many at a time as one address may have before their handshake.
        let mut coming = Vec::new();
        for _ in 0..20 {
            let mut socket = daemon.socket().await;
            let id = socket.ask("connect", connect_params(4)).await;
            coming.push((socket, id));
        }
        for (mut socket, id) in coming {
            let answer = socket.answer(&id).await;
            assert_eq!(answer["ok"], true, "{answer}");
            there.push(socket);
        }
    }
    let health = client.call("health", json!({})).await;
    assert_eq!(health["ok"], true);
    for run in busy {
        run.done().await;
    }
}
