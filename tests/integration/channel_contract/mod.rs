//! What every channel passes: a table of channels and faults, each against its platform behind a proxy
//! that breaks things. A channel more is a file here with its [`Platform`], and one line for each test.

mod telegram;

use std::sync::Arc;

use openclaw_actors::channel::AccountRef;
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::proxy::Break;
use crate::harness::socket::Socket;
use crate::harness::soon;

/// A channel's platform, with a fault proxy in front of it.
pub(crate) trait Platform: Sized {
    /// The channel.
    const CHANNEL: &'static str;
    /// Faults of receiving that end the transport; it must come back by itself.
    const ENDS: &'static [Break];
    /// Faults of receiving that it must not even notice.
    const BEARS: &'static [Break];
    /// Faults of sending.
    const SENDS: &'static [Break];

    /// Starts one.
    async fn start() -> Self;

    /// An account there, behind the proxy, with times short enough for a test.
    fn account(&self) -> AccountSettings;

    /// How a recipient is written whose messages are in [`Self::arrived`].
    fn recipient(&self) -> String;

    /// Receiving is broken so from now on.
    fn break_receiving(&self, how: Break);

    /// The next sending is broken so.
    fn break_next_send(&self, how: Break);

    /// Waits until what is broken was met.
    async fn met(&self);

    /// Nothing is broken any more.
    fn heal(&self);

    /// Most transports at one time.
    fn most_transports(&self) -> usize;

    /// Somebody who is let in writes these, at once.
    async fn write(&self, texts: &[&str]);

    /// Everything that the platform has of us, oldest first.
    fn arrived(&self) -> Vec<String>;
}

/// A daemon with an account on the platform that breaks, and one on its neighbour that does not.
struct Bench<P> {
    platform: P,
    neighbour: P,
    model: Model,
    daemon: Option<Daemon>,
    client: Option<Socket>,
}

impl<P: Platform> Bench<P> {
    async fn start() -> Self {
        let mut bench = Self {
            platform: P::start().await,
            neighbour: P::start().await,
            model: Model::echoing().await,
            daemon: None,
            client: None,
        };
        let daemon = Daemon::start(bench.plan());
        bench.serve(daemon).await;
        bench
    }

    fn plan(&self) -> Plan {
        let mut plan = Plan::with_model(&self.model);
        let mut channels = ChannelsSettings::default();
        for (name, platform) in [("default", &self.platform), ("neighbour", &self.neighbour)] {
            let who = AccountRef::new(P::CHANNEL, name);
            channels.accounts.insert(who, Arc::new(platform.account()));
        }
        channels
            .defaults
            .insert(P::CHANNEL.into(), "default".into());
        plan.settings.channels = Arc::new(channels);
        plan
    }

    async fn serve(&mut self, daemon: Daemon) {
        self.client = Some(daemon.client().await);
        self.daemon = Some(daemon);
        self.connected("default").await;
        self.connected("neighbour").await;
    }

    /// Another process goes on where this one stops.
    async fn restart(&mut self) {
        self.client = None;
        let daemon = self.daemon.take().expect("it runs");
        let home = daemon.stop().await;
        let daemon = Daemon::start_in(home, self.plan());
        self.serve(daemon).await;
    }

    fn client(&mut self) -> &mut Socket {
        self.client.as_mut().expect("it runs")
    }

    async fn row_when(&mut self, account: &str, holds: impl Fn(&Value) -> bool) -> Value {
        row_when(self.client(), P::CHANNEL, account, holds).await
    }

    async fn connected(&mut self, account: &str) -> Value {
        self.row_when(account, |row| row["state"] == "connected")
            .await
    }

    /// Waits until the platform has this, and nothing waits any more.
    async fn has(&mut self, text: &str) {
        let platform = &self.platform;
        let client = self.client.as_mut().expect("it runs");
        row_when(client, P::CHANNEL, "default", |row| {
            row["waitingOutbound"] == 0
                && row["waitingInbound"] == 0
                && platform.arrived().iter().any(|own| own == text)
        })
        .await;
    }

    /// The neighbour was not disturbed, and still answers.
    async fn neighbour_is_well(&mut self, text: &str) {
        self.neighbour.write(&[text]).await;
        let answer = format!("re: {text}");
        let neighbour = &self.neighbour;
        let client = self.client.as_mut().expect("it runs");
        let row = row_when(client, P::CHANNEL, "neighbour", |row| {
            row["state"] == "connected" && neighbour.arrived().contains(&answer)
        })
        .await;
        assert_eq!(row["generation"], 1, "a neighbour was disturbed: {row}");
    }

    /// How often the conversation has this of the one who writes.
    async fn heard(&mut self, text: &str) -> usize {
        let params = json!({ "sessionKey": "main", "limit": 1_000 });
        let history = self.client().call("chat.history", params).await;
        let rows = history["messages"].as_array().into_iter().flatten();
        let is = |row: &&Value| {
            let content = &row["content"];
            row["role"] == "user" && (*content == text || content[0]["text"] == text)
        };
        rows.filter(is).count()
    }

    fn count(&self, text: &str) -> usize {
        let arrived = self.platform.arrived();
        arrived.iter().filter(|own| *own == text).count()
    }
}

/// The row of an account, once it is so.
async fn row_when(
    client: &mut Socket,
    channel: &str,
    account: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    soon(&format!("another state of {account}"), async {
        loop {
            let status = client.call("channels.status", json!({})).await;
            let rows = status["channelAccounts"][channel].as_array().cloned();
            let mut rows = rows.into_iter().flatten();
            let row = rows.find(|row| row["accountId"] == account);
            if let Some(row) = row.filter(&holds) {
                return row;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Every fault that ends a transport: it is told, it comes back by itself, alone, and nothing is lost
/// or said twice.
pub(crate) async fn comes_back<P: Platform>() {
    let mut bench = Bench::<P>::start().await;
    for (number, fault) in P::ENDS.iter().enumerate() {
        if number > 0 {
            bench.restart().await;
        }
        let (before, during) = (format!("before {number}"), format!("during {number}"));
        bench.platform.write(&[&before]).await;
        bench.has(&format!("re: {before}")).await;

        bench.platform.break_receiving(*fault);
        bench.platform.met().await;
        let row = bench
            .row_when("default", |row| {
                row["state"] != "connected" && row["lastError"].is_string()
            })
            .await;
        assert_eq!(row["connected"], false, "{fault:?}: {row}");
        assert_ne!(row["healthState"], "healthy", "{fault:?}: {row}");
        bench.platform.write(&[&during]).await;
        bench.neighbour_is_well(&format!("beside {number}")).await;

        bench.platform.heal();
        bench.has(&format!("re: {during}")).await;
        let row = bench.connected("default").await;
        assert_eq!(row["lastError"], Value::Null, "{fault:?}: {row}");
        let generation = row["generation"].as_u64().expect("a number");
        assert!(
            (2..=8).contains(&generation),
            "{fault:?}: tries are bounded: {row}"
        );
        for text in [before, during] {
            assert_eq!(bench.count(&format!("re: {text}")), 1, "{fault:?}: {text}");
            assert_eq!(bench.heard(&text).await, 1, "{fault:?}: {text}");
        }
        assert_eq!(bench.platform.most_transports(), 1, "{fault:?}");
    }
}

/// What comes twice or in another order is answered once, and ends nothing.
pub(crate) async fn bears<P: Platform>() {
    let mut bench = Bench::<P>::start().await;
    for (number, fault) in P::BEARS.iter().enumerate() {
        bench.platform.break_receiving(*fault);
        let texts = ["a", "b", "c"].map(|name| format!("{name}{number}"));
        bench
            .platform
            .write(&texts.each_ref().map(String::as_str))
            .await;
        let last = format!("last {number}");
        bench.platform.write(&[&last]).await;
        bench.has(&format!("re: {last}")).await;
        bench.platform.heal();
        for text in &texts {
            assert!(
                bench.count(&format!("re: {text}")) <= 1,
                "{fault:?}: {text} twice"
            );
            assert_eq!(bench.heard(text).await, 1, "{fault:?}: {text}");
        }
        let row = bench.connected("default").await;
        assert_eq!(row["generation"], 1, "{fault:?}: {row}");
    }
}

/// Every fault of sending: what is confirmed arrived once; what is not is never sent again, and shown.
pub(crate) async fn sends_once<P: Platform>() {
    let mut bench = Bench::<P>::start().await;
    let (to, channel) = (bench.platform.recipient(), P::CHANNEL);
    for (number, fault) in P::SENDS.iter().enumerate() {
        let text = format!("out {number}");
        bench.platform.break_next_send(*fault);
        let params =
            json!({ "to": to, "channel": channel, "message": text, "idempotencyKey": text });
        let answer = bench.client().request("send", params).await;
        // Whatever follows it in the chat arrives.
        let behind = format!("behind {number}");
        let params =
            json!({ "to": to, "channel": channel, "message": behind, "idempotencyKey": behind });
        bench.client().call("send", params).await;
        let listed = bench.client().call("channels.outbox.list", json!({})).await;
        let rows = listed["messages"].as_array().cloned().unwrap_or_default();
        let shown = rows
            .iter()
            .any(|row| row["id"] == format!("{text}#0") && row["state"] == "unknown");
        let count = bench.count(&text);
        assert!(count <= 1, "{fault:?}: it arrived {count} times");
        if answer["ok"] == true {
            assert_eq!((count, shown), (1, false), "{fault:?}: {answer}");
        } else {
            assert!(shown, "{fault:?}: nobody is told of it: {answer} {listed}");
            assert_eq!(
                answer["error"]["details"]["state"], "unknown",
                "{fault:?}: {answer}"
            );
        }
        assert_eq!(bench.count(&behind), 1, "{fault:?}");
    }
    let before = bench.platform.arrived().len();
    bench.restart().await;
    bench.neighbour_is_well("after the restart").await;
    assert_eq!(
        bench.platform.arrived().len(),
        before,
        "nothing is sent again by itself"
    );
}
