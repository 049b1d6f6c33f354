//! An account's actor with a channel of the test's own: what a defect of a channel can do, and what a
//! day without messages looks like.

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_actors::channel::policy::{AllowList, Policy};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::telegram::{Pace, TelegramSetup};
use openclaw_actors::channel::text::Split;
use openclaw_actors::channel::{
    AccountRef, ChannelError, ChannelSetup, ChatKind, Facts, Inbound, Later, Link, Piece,
    SendFailure, Sender, Target, Transport, World,
};
use serde_json::json;

use crate::channels::{account, allowing, in_state, plan, row_when};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::telegram::BotApi;

static FACTS: Facts = Facts {
    id: "telegram",
    label: "Broken",
    detail_label: "Broken",
    system_image: None,
    mode: "test",
    text_limit: 4_000,
    sender_word: "id",
};

/// A channel whose first transports panic.
#[derive(Clone, Default)]
struct Broken {
    /// Transports so far.
    begun: Arc<AtomicUsize>,
    /// Most at a time.
    living: Arc<AtomicUsize>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Broken")
    }
}

impl ChannelSetup for Broken {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn fingerprint(&self) -> String {
        String::new()
    }

    fn open(&self, _: &World) -> Result<Rc<dyn Transport>, ChannelError> {
        Ok(Rc::new(self.clone()))
    }

    fn target(&self, written: &str) -> Result<Target, String> {
        Ok(Target {
            chat: written.into(),
            thread: None,
        })
    }
}

struct Living<'a>(&'a AtomicUsize);

impl Drop for Living<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn hello(id: usize) -> Inbound {
    Inbound {
        id: id.to_string(),
        message_id: None,
        chat: Target {
            chat: "7".into(),
            thread: None,
        },
        kind: ChatKind::Direct,
        title: None,
        space: None,
        sender: Sender {
            id: "7".into(),
            name: None,
            username: None,
        },
        roles: Vec::new(),
        text: format!("hello {id}"),
        quote: None,
        files: Vec::new(),
        mentioned: true,
        at: 0,
    }
}

impl Transport for Broken {
    fn receive<'a>(&'a self, link: &'a Link) -> Later<'a, ChannelError> {
        Box::pin(async move {
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            assert_eq!(
                self.living.fetch_add(1, Ordering::SeqCst),
                0,
                "two transports"
            );
            let _living = Living(&self.living);
            link.connected("broken");
            // The message before the one that nobody can translate is kept.
            if link.take(vec![hello(number)], None).await.is_err() {
                return ChannelError::Transient("the store is closed".into());
            }
            assert!(number >= 2, "a message that breaks the translator");
            std::future::pending().await
        })
    }

    fn send<'a>(&'a self, piece: &'a Piece) -> Later<'a, Result<String, SendFailure>> {
        Box::pin(async move {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push(piece.text.clone());
            Ok(sent.len().to_string())
        })
    }
}

#[tokio::test]
async fn a_panic_in_a_translator_rebuilds_its_account_in_place_and_alone() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let broken = Broken::default();
    let mut own = account(&api, allowing(&["7"]));
    own.setup = Ok(Arc::new(broken.clone()) as Arc<dyn ChannelSetup>);
    let daemon = Daemon::start(plan(
        &model,
        [("default", own), ("good", account(&api, allowing(&["7"])))],
    ));
    let mut client = daemon.client().await;
    let row = row_when(&mut client, "default", |row| {
        row["generation"] == 3
            && row["state"] == "connected"
            && row["waitingInbound"] == 0
            && row["waitingOutbound"] == 0
    })
    .await;
    assert_eq!(row["connected"], true, "{row}");
    let mut sent = broken
        .sent
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    sent.sort();
    // Messages that come during a run share the next one; each was heard.
    assert!(sent.iter().any(|text| text == "re: hello 2"), "{sent:?}");
    sent.dedup();
    assert_eq!(
        sent.len(),
        broken
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    );
    let history = json!({ "sessionKey": "main" });
    let history = client.call("chat.history", history).await["messages"].to_string();
    for number in 0..3 {
        assert_eq!(
            history.matches(&format!("\"hello {number}\"")).count(),
            1,
            "{history}"
        );
    }
    let good = in_state(&mut client, "good", "connected").await;
    assert_eq!(good["generation"], 1);
}

#[tokio::test]
async fn a_quiet_day_has_no_restart() {
    /// Polls of a day, each as long as the platform holds one.
    const POLLS: usize = 2_880;
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let setup = TelegramSetup {
        pace: Pace {
            poll: Duration::ZERO,
            ..Pace::default()
        },
        ..TelegramSetup::new("42:secret-token".to_owned().into(), &api.root)
    };
    let own = AccountSettings {
        name: None,
        enabled: true,
        setup: Ok(Arc::new(setup) as Arc<dyn ChannelSetup>),
        policy: Policy {
            allow_from: AllowList::of("telegram", ["7"]),
            ..Policy::default()
        },
        split: Split { limit: 4_000 },
        token_source: None,
    };
    let mut plan = Plan::with_model(&model);
    let mut channels = ChannelsSettings::default();
    channels
        .accounts
        .insert(AccountRef::new("telegram", "default"), Arc::new(own));
    plan.settings.channels = Arc::new(channels);
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    // Patience is for each hour of them.
    for polls in (0..=POLLS).step_by(POLLS / 24) {
        api.until("an hour of polls", |api| api.calls("getUpdates") >= polls)
            .await;
    }
    let row = in_state(&mut client, "default", "connected").await;
    assert_eq!(
        (&row["generation"], &row["reconnectAttempts"]),
        (&json!(1), &json!(0)),
        "{row}"
    );
    assert_eq!(api.calls("getMe"), 1);
    api.write(7, "good evening");
    assert_eq!(api.arrived(1).await, ["re: good evening"]);
}
