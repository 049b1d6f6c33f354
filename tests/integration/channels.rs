//! Channels, whole: a platform, the daemon, a model.

use std::sync::Arc;

use openclaw_actors::channel::policy::{AllowList, DmPolicy, Policy};
use openclaw_actors::channel::settings::{AccountSettings, ChannelsSettings};
use openclaw_actors::channel::telegram::TelegramSetup;
use openclaw_actors::channel::text::Split;
use openclaw_actors::channel::{AccountRef, ChannelSetup};
use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::soon;
use crate::harness::telegram::{BotApi, Fault};

/// Somebody who is named in `allowFrom`.
pub(crate) const ANN: i64 = 7;

pub(crate) fn account(api: &BotApi, policy: Policy) -> AccountSettings {
    let setup = TelegramSetup::new("42:secret-token".to_owned().into(), &api.root);
    AccountSettings {
        name: None,
        enabled: true,
        setup: Ok(Arc::new(setup) as Arc<dyn ChannelSetup>),
        policy,
        split: Split { limit: 4_000 },
        token_source: Some("config"),
    }
}

pub(crate) fn allowing(ids: &[&str]) -> Policy {
    Policy {
        dm: DmPolicy::Pairing,
        allow_from: AllowList::of("telegram", ids.iter().copied()),
        ..Policy::default()
    }
}

pub(crate) fn plan(
    model: &Model,
    accounts: impl IntoIterator<Item = (&'static str, AccountSettings)>,
) -> Plan {
    let mut plan = Plan::with_model(model);
    let mut channels = ChannelsSettings::default();
    for (id, account) in accounts {
        let who = AccountRef::new("telegram", id);
        channels.accounts.insert(who, Arc::new(account));
    }
    channels
        .defaults
        .insert("telegram".into(), "default".into());
    plan.settings.channels = Arc::new(channels);
    plan
}

/// The row of an account, once it is so.
pub(crate) async fn row_when(
    client: &mut Socket,
    account: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    soon(&format!("another state of {account}"), async {
        loop {
            let status = client.call("channels.status", json!({})).await;
            let rows = status["channelAccounts"]["telegram"].as_array().cloned();
            let row = rows
                .into_iter()
                .flatten()
                .find(|row| row["accountId"] == account);
            if let Some(row) = row.filter(&holds) {
                return row;
            }
            crate::harness::look_again().await;
        }
    })
    .await
}

/// The row of an account, once it is in this state.
pub(crate) async fn in_state(client: &mut Socket, account: &str, state: &str) -> Value {
    row_when(client, account, |row| row["state"] == state).await
}

#[tokio::test]
async fn a_message_reaches_the_agent_and_its_answer_comes_back_once() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&["7"])))]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "default", "connected").await;
    assert_eq!(
        (&row["connected"], &row["generation"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(row["probe"]["bot"]["username"], "helper_bot");

    let update = api.write(ANN, "hello **you**");
    assert_eq!(api.arrived(1).await, ["re: hello <b>you</b>"]);
    assert_eq!(api.sent()[0]["chat_id"], ANN);
    api.until("the confirmation of the update", |api| {
        api.confirmed() == update
    })
    .await;
    let history = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        history["messages"].as_array().map(Vec::len),
        Some(2),
        "{history}"
    );
    let row = row_when(&mut client, "default", |row| row["waitingOutbound"] == 0).await;
    assert!(row["lastInboundAt"].is_u64() && row["lastTransportActivityAt"].is_u64());
    assert_eq!(row["waitingInbound"], 0);

    // Commands are answered by the gateway, and only for whom the account knows.
    api.write(ANN, "/status");
    assert!(api.arrived(2).await[1].contains("Session: agent:main:main"));
    assert_eq!(api.most_polling(), 1);
}

#[tokio::test]
async fn a_stranger_is_asked_to_pair_and_let_in_by_the_owner() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&[])))]));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    api.write(9, "let me in");
    let told = api.arrived(1).await.remove(0);
    let listed = client.call("channels.pairing.list", json!({})).await;
    let request = &listed["requests"][0];
    let code = request["metadata"]["code"]
        .as_str()
        .expect("a code")
        .to_owned();
    assert!(
        told.contains(&code) && told.contains("openclaw pairing approve telegram"),
        "{told}"
    );
    assert_eq!(request["senderId"], "9");
    api.write(9, "please");
    let update = api.write(9, "please!");
    api.until("the strangers' updates confirmed", |api| {
        api.confirmed() == update
    })
    .await;
    assert_eq!(api.sent().len(), 1, "asked once");
    assert!(
        model.journal().is_empty(),
        "nothing of a stranger reaches a model"
    );

    let params =
        json!({ "channel": "telegram", "accountId": "default", "requestId": code, "notify": true });
    let approved = client
        .call("channels.pairing.approve", params.clone())
        .await;
    assert_eq!(approved["notification"], "sent");
    api.arrived(2).await;
    let again = client.refused("channels.pairing.approve", params).await;
    assert_eq!(again["code"], "INVALID_REQUEST");
    api.write(9, "hello");
    assert_eq!(api.arrived(3).await[2], "re: hello");

    // It holds after a restart.
    let home = daemon.stop().await;
    let plan = plan(&model, [("default", account(&api, allowing(&[])))]);
    let _daemon = Daemon::start_in(home, plan);
    api.write(9, "again");
    assert_eq!(api.arrived(4).await[3], "re: again");
}

#[tokio::test]
async fn a_revoked_token_is_tried_once_and_the_account_says_what_to_do() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let refused = json!({ "ok": false, "error_code": 401, "description": "Unauthorized" });
    api.fail_always("getMe", Fault::Answer(401, refused));
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&["7"])))]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "default", "parked").await;
    assert!(
        row["lastError"]
            .as_str()
            .is_some_and(|why| why.contains("channels.telegram.botToken"))
    );
    assert_eq!(
        (&row["running"], &row["connected"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(api.calls("getMe"), 1);
    assert!(!row.to_string().contains("secret-token"));

    api.heal();
    client
        .call("channels.start", json!({ "channel": "telegram" }))
        .await;
    in_state(&mut client, "default", "connected").await;
    assert_eq!(api.calls("getMe"), 2);

    client
        .call("channels.stop", json!({ "channel": "telegram" }))
        .await;
    let row = in_state(&mut client, "default", "stopped").await;
    assert!(row["lastStopAt"].is_u64());
    api.write(ANN, "hello");
    client
        .call("channels.start", json!({ "channel": "telegram" }))
        .await;
    assert_eq!(
        api.arrived(1).await,
        ["re: hello"],
        "what came meanwhile is answered"
    );
    assert_eq!(api.most_polling(), 1);
}

#[tokio::test]
async fn what_fails_on_the_way_in_is_tried_again_and_neighbours_go_on() {
    let (bad, good, model) = (
        BotApi::start().await,
        BotApi::start().await,
        Model::echoing().await,
    );
    let conflict = json!({ "ok": false, "error_code": 409, "description": "Conflict: terminated by other getUpdates request" });
    bad.fail_always("getUpdates", Fault::Answer(409, conflict));
    let daemon = Daemon::start(plan(
        &model,
        [
            ("default", account(&bad, allowing(&["7"]))),
            ("good", account(&good, allowing(&["7"]))),
        ],
    ));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "default", "backoff").await;
    assert!(
        row["lastError"]
            .as_str()
            .is_some_and(|why| why.contains("another program")),
        "{row}"
    );
    assert!(row["nextRetryAt"].is_u64() && row["reconnectAttempts"] == 1);
    good.write(ANN, "hello");
    assert_eq!(good.arrived(1).await, ["re: hello"]);
    bad.heal();
    bad.fail("getUpdates", [
            Fault::Answer(502, json!({})),
Fault::Answer(429, json!({ "ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": { "retry_after": 1 } })),
    ]);
    // A person need not wait for the backoff.
    client
        .call("channels.start", json!({ "channel": "telegram" }))
        .await;
    bad.write(ANN, "are you there");
    assert_eq!(bad.arrived(1).await, ["re: are you there"]);
    let row = in_state(&mut client, "default", "connected").await;
    assert_eq!(row["lastError"], Value::Null, "{row}");
    assert_eq!((bad.most_polling(), good.most_polling()), (1, 1));
    assert_eq!(good.calls("getMe"), 1, "a neighbour is not disturbed");
}

#[tokio::test]
async fn what_may_have_arrived_is_unknown_and_never_sent_again() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let wait = json!({ "ok": false, "error_code": 429, "description": "Too Many Requests", "parameters": { "retry_after": 1 } });
    api.fail("sendMessage", [Fault::Answer(429, wait), Fault::Cut]);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&["7"])))]));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    api.write(ANN, "one");
    api.arrived(1).await;
    api.write(ANN, "two");
    assert_eq!(
        api.arrived(2).await,
        ["re: one", "re: two"],
        "429 did not send, the cut did"
    );
    let row = row_when(&mut client, "default", |row| row["undelivered"].is_array()).await;
    let lost = &row["undelivered"];
    assert_eq!(
        (&lost[0]["state"], &lost[0]["to"]),
        (&json!("unknown"), &json!("7")),
        "{row}"
    );
    assert_eq!(lost.as_array().map(Vec::len), Some(1));
    assert_eq!(api.calls("sendMessage"), 3);

    let home = daemon.stop().await;
    let plan = plan(&model, [("default", account(&api, allowing(&["7"])))]);
    let daemon = Daemon::start_in(home, plan);
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "default", "connected").await;
    assert_eq!(
        row["undelivered"][0]["state"], "unknown",
        "a person sees it still"
    );
    assert_eq!(api.calls("sendMessage"), 3);
}

#[tokio::test]
async fn a_bot_hears_its_chats_after_a_quiet_week() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    api.count_from(900_000);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&["7"])))]));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    let update = api.write(ANN, "before");
    assert_eq!(api.arrived(1).await, ["re: before"]);
    api.until("its confirmation", |api| api.confirmed() == update)
        .await;
    // The numbers begin anew, below those that were confirmed.
    api.count_from(1_000);
    let update = api.write(ANN, "after");
    assert_eq!(api.arrived(2).await, ["re: before", "re: after"]);
    api.until("its confirmation", |api| api.confirmed() == update)
        .await;
    let polls = api.calls("getUpdates");
    assert!(polls < 10, "{polls} polls for two messages");
    assert_eq!(model.journal(), ["before", "after"]);
}

#[tokio::test]
async fn a_stranger_talks_to_an_agent_that_knows_nothing_of_its_owner() {
    let (api, mut model) = (BotApi::start().await, Model::start().await);
    let workspace = tempfile::tempdir().expect("a folder for the test");
    for (name, text) in [("SOUL.md", "Be kind."), ("USER.md", "Her name is Ada.")] {
        std::fs::write(workspace.path().join(name), text).expect("a file of the workspace");
    }
    let open = Policy {
        dm: DmPolicy::Open,
        ..allowing(&["*", "7"])
    };
    let mut plan = plan(&model, [("default", account(&api, open))]);
    plan.settings.agents[0].workspace = Some(workspace.path().to_owned());
    let daemon = Daemon::start(plan);
    let mut client = daemon.client().await;

    api.write(ANN, "my secret is 12");
    let mut ask = model.asked().await;
    assert!(ask.body.to_string().contains("Ada"), "{}", ask.body);
    ask.text("I keep it").await;
    ask.done().await;
    api.arrived(1).await;

    api.write(9, "tell me everything");
    let mut ask = model.asked().await;
    let seen = ask.body.to_string();
    assert!(seen.contains("Be kind.") && seen.contains("tell me everything"));
    assert!(!seen.contains("Ada") && !seen.contains("secret"), "{seen}");
    ask.text("hello stranger").await;
    ask.done().await;
    assert_eq!(api.arrived(2).await[1], "hello stranger");

    let own = json!({ "sessionKey": "agent:main:telegram:default:direct:9" });
    for (session, texts) in [
        (json!({ "sessionKey": "main" }), "secret"),
        (own, "stranger"),
    ] {
        let history = client.call("chat.history", session).await;
        let rows = history["messages"].as_array().map(Vec::len);
        assert_eq!(rows, Some(2), "{history}");
        assert!(history.to_string().contains(texts), "{history}");
    }
}

#[tokio::test]
async fn who_was_let_in_is_put_out_again_and_the_trail_has_both() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, [("default", account(&api, allowing(&[])))]));
    let mut client = daemon.client().await;
    in_state(&mut client, "default", "connected").await;
    api.write(9, "let me in");
    api.arrived(1).await;
    let listed = client.call("channels.pairing.list", json!({})).await;
    let request = listed["requests"][0]["requestId"].clone();
    client
        .call("channels.stop", json!({ "channel": "telegram" }))
        .await;
    let params = json!({ "channel": "telegram", "accountId": "default", "requestId": request, "notify": true });
    let approved = client.call("channels.pairing.approve", params).await;
    assert_eq!(approved["notification"], "failed", "nothing is connected");
    client
        .call("channels.start", json!({ "channel": "telegram" }))
        .await;
    api.write(9, "hello");
    assert_eq!(api.arrived(2).await[1], "re: hello");

    let out = json!({ "channel": "telegram", "senderId": "telegram:9" });
    client.call("channels.pairing.remove", out.clone()).await;
    api.write(9, "hello?");
    assert!(api.arrived(3).await[2].contains("Pairing code"));
    let again = client.refused("channels.pairing.remove", out).await;
    assert!(
        again["message"]
            .as_str()
            .is_some_and(|why| why.contains("was not approved")),
        "{again}"
    );
    let listed = client.call("channels.pairing.list", json!({})).await;
    let request = listed["requests"][0]["requestId"].clone();
    let params = json!({ "channel": "telegram", "accountId": "default", "requestId": request });
    client.call("channels.pairing.dismiss", params).await;
    let trail = client
        .call("trust.audit.list", json!({ "kind": "channel" }))
        .await;
    let rows = trail["entries"].as_array().expect("a list");
    let said: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            (text("kind"), text("reason"))
        })
        .collect();
    let about = "telegram/default: 9";
    assert_eq!(
        said,
        [
            ("channel.dismissed", about),
            ("channel.removed", about),
            ("channel.approved", about)
        ]
    );
    assert_eq!(rows[0]["by"], "client:cli");

    // Nothing of it comes back with a restart.
    let home = daemon.stop().await;
    let _daemon = Daemon::start_in(
        home,
        plan(&model, [("default", account(&api, allowing(&[])))]),
    );
    api.write(9, "and now?");
    assert!(api.arrived(4).await[3].contains("Pairing code"));
}
