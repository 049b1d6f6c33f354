//! How the cost of a request grows with what there is: the CPU of one request, at sizes over three decades.

use serde_json::{Value, json};

use super::{Outcome, Target, Ws, connect_as, cpu_us, next_json, text_of};
use futures_util::SinkExt as _;
use tokio_tungstenite::tungstenite::Message;

/// Requests that are sent before their answers are read; the gateway lets 128 of one connection in.
const AHEAD: usize = 64;
/// Requests of a measurement, and how many measurements there are, of which the least counts.
const MEASURED: usize = 400;
const TIMES: usize = 5;
const ADMIN: &[&str] = &["operator.read", "operator.write", "operator.admin"];

pub(super) struct Client<'a> {
    target: &'a Target,
    ws: Ws,
    asked: u64,
}

impl<'a> Client<'a> {
    pub(super) async fn come(target: &'a Target) -> Outcome<Self> {
        let (ws, _) = connect_as(target, None, ADMIN).await?;
        Ok(Self {
            target,
            ws,
            asked: 0,
        })
    }

    /// Sends all of these, some at a time, and waits for the answers, which must be good.
    pub(super) async fn all(
        &mut self,
        requests: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Outcome<()> {
        let mut open = 0;
        for (method, params) in requests {
            self.asked += 1;
            let frame = json!({"type": "req", "id": self.asked.to_string(), "method": method, "params": params});
            let frame = Message::text(frame.to_string());
            self.ws.send(frame).await.map_err(text_of)?;
            open += 1;
            if open == AHEAD {
                self.answered(open).await?;
                open = 0;
            }
        }
        self.answered(open).await
    }

    async fn answered(&mut self, mut open: usize) -> Outcome<()> {
        while open > 0 {
            let frame = next_json(&mut self.ws).await?;
            if frame["type"] == "res" {
                if frame["ok"] != true {
                    return Err(frame.to_string());
                }
                open -= 1;
            }
        }
        Ok(())
    }

    /// Microseconds of the gateway's CPU for one request.
    pub(super) async fn cost(&mut self, method: &'static str, params: &Value) -> Outcome<f64> {
        let mut least = f64::MAX;
        for _ in 0..TIMES {
            let before = cpu_us(self.target.pid);
            let asked = std::iter::repeat_with(|| (method, params.clone())).take(MEASURED);
            self.all(asked).await?;
            least = least.min((cpu_us(self.target.pid) - before) / MEASURED as f64);
        }
        Ok(least)
    }
}

/// A line of the table: what grows, what is asked, and its cost at each size.
fn line(what: &str, asked: &str, costs: &[(usize, f64)]) -> String {
    let sizes: Vec<String> = costs.iter().map(|(size, _)| size.to_string()).collect();
    let each: Vec<String> = costs.iter().map(|(_, us)| format!("{us:.1}")).collect();
    let first = costs.first().map_or(1.0, |(_, us)| *us);
    let last = costs.last().map_or(1.0, |(_, us)| *us);
    eprintln!("--- {what}: {}", each.join(", "));
    format!(
        "| {what} | `{asked}` | {} | {} | {:.2} |",
        sizes.join(", "),
        each.join(", "),
        last / first
    )
}

pub(super) async fn grow(target: &'static Target) -> Outcome<String> {
    let mut client = Client::come(target).await?;
    let mut lines = Vec::new();

    let mut costs = Vec::new();
    for size in [10, 100, 1_000, 10_000] {
        let key = format!("long-{size}");
        client
            .all([("sessions.create", json!({"key": key}))])
            .await?;
        let text = "a line of text of ordinary length, as people write them";
        let said = (0..size).map(|at| {
            (
                "chat.inject",
                json!({"sessionKey": key, "message": format!("{at} {text}")}),
            )
        });
        client.all(said).await?;
        costs.push((
            size,
            client
                .cost("chat.history", &json!({"sessionKey": key, "limit": 20}))
                .await?,
        ));
    }
    lines.push(line(
        "messages of a conversation",
        "chat.history, 20 messages",
        &costs,
    ));

    let mut costs = Vec::new();
    let mut there = 0;
    for size in [10, 100, 1_000, 10_000] {
        let more = (there..size).map(|at| ("sessions.create", json!({"key": format!("s{at}")})));
        client.all(more).await?;
        there = size;
        costs.push((
            size,
            client.cost("sessions.list", &json!({"limit": 20})).await?,
        ));
    }
    lines.push(line("conversations", "sessions.list, 20 rows", &costs));
    let costs_now = client
        .cost("sessions.resolve", &json!({"key": "s5"}))
        .await?;
    lines.push(line(
        "conversations",
        "sessions.resolve",
        &[(there, costs_now)],
    ));

    let mut costs = Vec::new();
    let mut there = 0;
    for size in [1, 10, 100, 1_000] {
        let more = (there..size).map(|at| {
            let job = json!({
                "name": format!("job {at}"), "schedule": {"kind": "cron", "expr": "0 3 1 1 *"}, "enabled": true,
                "sessionTarget": "isolated", "wakeMode": "now", "payload": {"kind": "agentTurn", "message": "hello"},
            });
            ("cron.add", job)
        });
        client.all(more).await?;
        there = size;
        costs.push((
            size,
            client
                .cost("cron.list", &json!({"limit": 20, "offset": 0}))
                .await?,
        ));
    }
    lines.push(line("jobs", "cron.list, 20 rows", &costs));

    let mut others = Vec::new();
    let mut costs = Vec::new();
    for size in [1, 10, 100, 1_000] {
        while others.len() + 1 < size {
            others.push(Client::come(target).await?);
        }
        costs.push((size, client.cost("health", &json!({})).await?));
    }
    lines.push(line("connections", "health", &costs));
    Ok(lines.join("\n"))
}
