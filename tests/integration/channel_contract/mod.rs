//! What every channel passes: a table of channels and faults, each against its platform behind a proxy
//! that breaks things. A channel more is a file here with its [`Platform`], and a line in the table.

mod defect;
mod discord;
mod imessage;
mod irc;
mod signal;
mod slack;
mod telegram;
mod whatsapp;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_actors::channel::policy::{AllowList, DmPolicy, Policy};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::text::Split;
use openclaw_actors::channel::{AccountRef, ChannelSetup};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::PNG;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::faults::{Break, Faults};
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::soon;
use defect::Defective;

/// The table: each of these channels passes all that is below.
macro_rules! channels {
    ($($channel:ident: $platform:ty),+ $(,)?) => { mod passes { $( mod $channel {
        #[tokio::test]
        async fn comes_back_from_every_fault() {
            crate::channel_contract::comes_back::<$platform>().await;
        }

        #[tokio::test]
        async fn bears_what_comes_twice_or_in_another_order() {
            crate::channel_contract::bears::<$platform>().await;
        }

        #[tokio::test]
        async fn sends_once_whatever_breaks() {
            crate::channel_contract::sends_once::<$platform>().await;
        }

        #[tokio::test]
        async fn a_revoked_secret_is_tried_once() {
            crate::channel_contract::parks::<$platform>().await;
        }

        #[tokio::test]
        async fn a_panic_rebuilds_it_in_place() {
            crate::channel_contract::survives_a_panic::<$platform>().await;
        }

        #[tokio::test]
        async fn files_go_out_or_are_refused() {
            crate::channel_contract::sends_files::<$platform>().await;
        }

        #[tokio::test]
        async fn quiet_times_have_no_restart() {
            crate::channel_contract::is_quiet::<$platform>().await;
        }
    } )+ } };
}

channels! {
    discord: crate::channel_contract::discord::Platform,
    imessage: crate::channel_contract::imessage::Platform,
    irc: crate::channel_contract::irc::Platform,
    signal: crate::channel_contract::signal::Platform,
    slack: crate::channel_contract::slack::Platform,
    telegram: crate::channel_contract::telegram::Platform,
    whatsapp: crate::channel_contract::whatsapp::Platform,
}

/// What the times of an account are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A platform that hangs: that is noticed soon.
    Short,
    /// One that is as slow as a busy machine makes it, and loses nobody by that.
    Long,
    /// The same, and signs of life follow one another at once.
    Quiet,
}

impl Pace {
    /// How long something may take that takes no time at all on an idle machine.
    pub(crate) const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Short => 3,
            Self::Long | Self::Quiet => 20,
        })
    }
}

/// `agents.defaults.mediaMaxMb` of these daemons, bytes.
const MOST_OF_A_FILE: usize = 2 * 1024 * 1024;

/// A channel's platform, with a proxy in front of it that breaks things.
pub(crate) trait Peer: Sized {
    /// The channel.
    const CHANNEL: &'static str;
    /// Faults of receiving that end the transport; it must come back by itself.
    const ENDS: &'static [Break];
    /// Faults of receiving that it must not even notice.
    const BEARS: &'static [Break];
    /// Faults of sending.
    const SENDS: &'static [Break];
    /// Whether the platform keeps for us what is written while we are away.
    const KEEPS: bool = true;
    /// Signs of life in its quiet time: polls, heartbeats, pings.
    const QUIET: usize;
    /// Whether it takes files.
    const FILES: bool = false;

    /// Starts one.
    async fn start() -> Self;

    /// An account there, behind the proxy.
    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup>;

    /// Who is let in.
    fn people(&self) -> &'static [&'static str];

    /// How a recipient is written whose messages are in [`Self::arrived`].
    fn recipient(&self) -> String;

    /// What the proxy breaks.
    fn faults(&self) -> &Faults;

    /// Somebody who is let in writes these, at once.
    async fn write(&self, texts: &[&str]);

    /// Everything that the platform has of us, oldest first.
    fn arrived(&self) -> Vec<String>;

    /// Every file that the platform has of us, oldest first.
    async fn files(&self) -> Vec<Sent> {
        Vec::new()
    }
}

/// A file that a platform has of us.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its name.
    pub(crate) name: String,
    /// Its size, where the platform keeps that.
    pub(crate) size: Option<u64>,
    /// What stands beside it.
    pub(crate) text: String,
}

/// A daemon with an account on the platform that breaks, and one on its neighbour that does not.
struct Bench<P> {
    platform: P,
    neighbour: P,
    model: Model,
    /// Of the account that breaks; nothing makes its neighbour hurry.
    pace: Pace,
    /// The account's translator panics at each of these.
    defect: Option<Arc<Notify>>,
    daemon: Option<Daemon>,
    client: Option<Socket>,
}

impl<P: Peer> Bench<P> {
    async fn start() -> Self {
        Self::with(Pace::Long, None).await
    }

    async fn with(pace: Pace, defect: Option<Arc<Notify>>) -> Self {
        let mut bench = Self {
            platform: P::start().await,
            neighbour: P::start().await,
            model: Model::echoing().await,
            pace,
            defect,
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
        let mut setup = self.platform.setup(self.pace);
        if let Some(defect) = &self.defect {
            setup = Arc::new(Defective::new(setup, Arc::clone(defect)));
        }
        let neighbour = self.neighbour.setup(Pace::Long);
        for (name, platform, setup) in [
            ("default", &self.platform, setup),
            ("neighbour", &self.neighbour, neighbour),
        ] {
            let who = AccountRef::new(P::CHANNEL, name);
            let account = account::<P>(platform, setup);
            channels.accounts.insert(who, Arc::new(account));
        }
        channels
            .defaults
            .insert(P::CHANNEL.into(), "default".into());
        plan.settings.channels = Arc::new(channels);
        plan.settings.attachments.max_bytes = MOST_OF_A_FILE as u64;
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

    /// A person does not wait for the next try.
    async fn now(&mut self) {
        let params = json!({ "channel": P::CHANNEL, "accountId": "default" });
        self.client().call("channels.start", params).await;
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

    /// Each of these was heard once and answered once, over one transport at a time.
    async fn once(&mut self, texts: &[&str], when: &str) {
        for text in texts {
            assert_eq!(self.count(&format!("re: {text}")), 1, "{when}: {text}");
            assert_eq!(self.heard(text).await, 1, "{when}: {text}");
        }
        let most = self.platform.faults().most_receiving();
        assert_eq!(most, 1, "{when}: one transport");
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

/// An account that lets its people in, and nobody else.
fn account<P: Peer>(platform: &P, setup: Arc<dyn ChannelSetup>) -> AccountSettings {
    let limit = setup.facts().text_limit;
    AccountSettings {
        name: None,
        enabled: true,
        setup: Ok(setup),
        policy: Policy {
            dm: DmPolicy::Allowlist,
            allow_from: AllowList::of(P::CHANNEL, platform.people().iter().copied()),
            ..Policy::default()
        },
        split: Split { limit },
        token_source: Some("config"),
    }
}

/// The row of an account, once it is so.
async fn row_when(
    client: &mut Socket,
    channel: &str,
    account: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let looking = async {
        loop {
            let status = client.call("channels.status", json!({})).await;
            let rows = status["channelAccounts"][channel].as_array().cloned();
            let mut rows = rows.into_iter().flatten();
            last = rows
                .find(|row| row["accountId"] == account)
                .unwrap_or_default();
            if holds(&last) {
                return last.clone();
            }
            crate::harness::look_again().await;
        }
    };
    let found = tokio::time::timeout(crate::harness::PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("another state of {account} did not come: {last}"))
}

/// Every fault that ends a transport: it is told, it comes back by itself, alone, and nothing is lost
/// or said twice.
async fn comes_back<P: Peer>() {
    let mut bench = Bench::<P>::with(Pace::Short, None).await;
    for (number, fault) in P::ENDS.iter().enumerate() {
        if number > 0 {
            bench.restart().await;
        }
        let (before, during) = (format!("before {number}"), format!("during {number}"));
        bench.platform.write(&[&before]).await;
        bench.has(&format!("re: {before}")).await;

        bench.platform.faults().break_receiving(*fault);
        bench.platform.faults().met().await;
        let row = bench
            .row_when("default", |row| {
                row["state"] != "connected" && row["lastError"].is_string()
            })
            .await;
        assert_eq!(row["connected"], false, "{fault:?}: {row}");
        assert_ne!(row["healthState"], "healthy", "{fault:?}: {row}");
        if P::KEEPS {
            bench.platform.write(&[&during]).await;
        }
        bench.neighbour_is_well(&format!("beside {number}")).await;

        bench.platform.faults().heal();
        if !P::KEEPS {
            bench.connected("default").await;
            bench.platform.write(&[&during]).await;
        }
        bench.has(&format!("re: {during}")).await;
        let row = bench.connected("default").await;
        assert_eq!(row["lastError"], Value::Null, "{fault:?}: {row}");
        let generation = row["generation"].as_u64().expect("a number");
        assert!(
            (2..=8).contains(&generation),
            "{fault:?}: tries are bounded: {row}"
        );
        bench.once(&[&before, &during], &format!("{fault:?}")).await;
    }
}

/// What comes twice or in another order is answered once, and ends nothing.
async fn bears<P: Peer>() {
    let mut bench = Bench::<P>::start().await;
    for (number, fault) in P::BEARS.iter().enumerate() {
        bench.platform.faults().break_receiving(*fault);
        let texts = ["a", "b", "c"].map(|name| format!("{name}{number}"));
        bench
            .platform
            .write(&texts.each_ref().map(String::as_str))
            .await;
        let last = format!("last {number}");
        bench.platform.write(&[&last]).await;
        for text in texts.iter().chain([&last]) {
            let heard = async {
                while bench.heard(text).await == 0 {
                    crate::harness::look_again().await;
                }
            };
            soon("a message that is heard", heard).await;
        }
        bench
            .row_when("default", |row| {
                row["waitingOutbound"] == 0 && row["waitingInbound"] == 0
            })
            .await;
        bench.platform.faults().heal();
        for text in texts.iter().chain([&last]) {
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
async fn sends_once<P: Peer>() {
    let mut bench = Bench::<P>::with(Pace::Short, None).await;
    let (to, channel) = (bench.platform.recipient(), P::CHANNEL);
    for (number, fault) in P::SENDS.iter().enumerate() {
        let text = format!("out {number}");
        bench.platform.faults().break_next_send(*fault);
        let params =
            json!({ "to": to, "channel": channel, "message": text, "idempotencyKey": text });
        let answer = bench.client().request("send", params).await;
        // Where what failed is the connection, a person has another one made.
        bench.now().await;
        bench.connected("default").await;
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
        bench.has(&behind).await;
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

/// A secret that the platform does not know any more: one attempt, and a person is told what to do.
async fn parks<P: Peer>() {
    let mut bench = Bench::<P>::start().await;
    bench.platform.faults().break_receiving(Break::Revoked);
    let row = bench
        .row_when("default", |row| row["state"] == "parked")
        .await;
    let why = row["lastError"].as_str().unwrap_or_default();
    let remedy = format!("openclaw channels start {}", P::CHANNEL);
    assert!(why.contains(&remedy), "{row}");
    assert_eq!(row["running"], false, "{row}");
    bench.neighbour_is_well("beside").await;
    let refused = bench.platform.faults().refused();
    assert_eq!(refused, 1, "one attempt");

    bench.platform.faults().heal();
    bench.now().await;
    bench.connected("default").await;
    bench.platform.write(&["again"]).await;
    bench.has("re: again").await;
    bench.once(&["again"], "revoked").await;
}

/// A defect in the translator: its transport goes, another one comes under the same address, and nothing
/// is lost or said twice.
async fn survives_a_panic<P: Peer>() {
    let defect = Arc::new(Notify::new());
    let mut bench = Bench::<P>::with(Pace::Long, Some(Arc::clone(&defect))).await;
    bench.platform.write(&["before"]).await;
    bench.has("re: before").await;
    defect.notify_one();
    bench
        .row_when("default", |row| {
            row["generation"] == 2 && row["state"] == "connected"
        })
        .await;
    bench.platform.write(&["after"]).await;
    bench.has("re: after").await;
    bench.once(&["before", "after"], "a panic").await;
    bench.neighbour_is_well("beside").await;
}

/// A file goes out once, with the text beside it, also where the platform asks for patience; one that is
/// too large is refused, and so is any where the channel takes none.
async fn sends_files<P: Peer>() {
    let mut bench = Bench::<P>::start().await;
    let (to, channel) = (bench.platform.recipient(), P::CHANNEL);
    let params = |key: &str, bytes: &[u8]| {
        json!({ "to": to, "channel": channel, "message": "Look, **a cat**", "filename": "cat.png",
            "buffer": STANDARD.encode(bytes), "idempotencyKey": key })
    };
    if !P::FILES {
        let why = bench.client().refused("send", params("a", PNG)).await;
        let why = why["message"].as_str().unwrap_or_default();
        assert!(why.contains("takes no files; send a link"), "{why}");
        return;
    }
    bench.client().call("send", params("a", PNG)).await;
    let again = bench.client().call("send", params("a", PNG)).await;
    assert!(again["messageId"].is_string(), "{again}");
    // What a caption cannot hold goes before the file.
    let long = "word ".repeat(300);
    let mut two = params("b", PNG);
    two["message"] = long.trim().into();
    two["mediaUrl"] = format!("data:text/plain;base64,{}", STANDARD.encode("hello")).into();
    bench.client().call("send", two).await;
    let files = bench.platform.files().await;
    let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
    assert_eq!(names, ["cat.png", "cat.png", "file.txt"], "{files:?}");
    for (file, size) in [(&files[0], PNG.len()), (&files[2], 5)] {
        let size = u64::try_from(size).expect("small");
        assert!(file.size.is_none_or(|own| own == size), "{files:?}");
    }
    assert!(files[0].text.contains("a cat"), "{files:?}");

    // Larger than the gateway takes; nobody is asked.
    let huge = vec![0; MOST_OF_A_FILE + 1];
    let why = bench.client().refused("send", params("c", &huge)).await;
    let why = why["message"].as_str().unwrap_or_default();
    assert!(why.contains("MB") && why.contains("send a link"), "{why}");
    let mut inner = params("d", PNG);
    inner["mediaUrl"] = "http://127.0.0.1:1/cat.png".into();
    inner.as_object_mut().expect("an object").remove("buffer");
    let why = bench.client().refused("send", inner).await;
    let why = why["message"].as_str().unwrap_or_default();
    assert!(why.contains("not on the public web"), "{why}");
    assert_eq!(bench.platform.files().await.len(), 3);
}

/// A time without messages: signs of life come and go, and nothing is restarted.
async fn is_quiet<P: Peer>() {
    let mut bench = Bench::<P>::with(Pace::Quiet, None).await;
    // Nobody reads what the gateway says meanwhile, and it would leave who does not answer its pings.
    bench.client = None;
    bench.platform.faults().beats(P::QUIET).await;
    bench.client = Some(bench.daemon.as_ref().expect("it runs").client().await);
    let row = bench.connected("default").await;
    let restarts = (&row["generation"], &row["reconnectAttempts"]);
    assert_eq!(restarts, (&json!(1), &json!(0)), "{row}");
    assert!(row["lastTransportActivityAt"].is_u64(), "{row}");
    bench.platform.write(&["good evening"]).await;
    bench.has("re: good evening").await;
    bench.once(&["good evening"], "a quiet time").await;
}
