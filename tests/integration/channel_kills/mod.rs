//! `kill -9` of the gateway at many points while messages come and go, counted by the platform: what came
//! in is answered once, what goes out arrives exactly once, or at most once and is shown as `unknown`;
//! there are never more of these than kills, and none is sent again.

mod irc;
mod telegram;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::accounts::row_when;
use crate::harness::socket::Socket;

/// Kills in a usual run; `OPENCLAW_KILL_POINTS` says another number.
fn kills(usual: usize) -> usize {
    let points = std::env::var("OPENCLAW_KILL_POINTS").ok();
    points.and_then(|count| count.parse().ok()).unwrap_or(usual)
}

/// Chooses points; the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's constants; the upper bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn some(&mut self, limit: u64) -> usize {
        usize::try_from(self.below(limit)).unwrap_or_default()
    }
}

/// Waits until nothing waits any more; gives what is listed as lost, each with who, where and when.
async fn settled(client: &mut Socket, channel: &str) -> Vec<Value> {
    row_when(client, channel, |row| {
        row["state"] == "connected" && row["waitingInbound"] == 0 && row["waitingOutbound"] == 0
    })
    .await;
    let listed = client.call("channels.outbox.list", json!({})).await;
    let lost = listed["messages"].as_array().cloned().unwrap_or_default();
    for row in &lost {
        assert_eq!(row["state"], "unknown", "{row}");
        assert!(
            row["at"].is_u64() && row["by"].is_string() && row["to"].is_string(),
            "who, where and when: {row}"
        );
    }
    lost
}

/// How many of these there are for each place.
fn by_place(lost: &[Value]) -> BTreeMap<String, usize> {
    let mut unknown = BTreeMap::new();
    for row in lost {
        let to = row["to"].as_str().unwrap_or_default().to_owned();
        *unknown.entry(to).or_default() += 1;
    }
    unknown
}

/// Whether what certainly came in was answered once, or is shown.
fn is_answered(arrived: usize, unknown: usize) -> bool {
    matches!((arrived, unknown), (1, 0) | (0 | 1, 1))
}
