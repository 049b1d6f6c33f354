//! Telegram by a webhook: the platform comes to the gateway's own port.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::telegram::{TelegramSetup, Webhook};
use serde_json::{Value, json};

use crate::channels::{ANN, account, allowing, in_state, plan, row_when};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::Daemon;
use crate::harness::http::raw;
use crate::harness::model::Model;
use crate::harness::telegram::BotApi;

const URL: &str = "https://gateway.example.org/telegram-webhook";
const SECRET: &str = "0123456789abcdef-secret";

/// The platform hands an update over; gives back what it is answered.
async fn hand_over(daemon: &Daemon, secret: &str, update: &Value) -> u16 {
    let body = update.to_string();
    let request = format!(
        "POST /telegram-webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\nx-telegram-bot-api-secret-token: {secret}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(daemon.address, &request).await.status
}

fn update(id: i64, text: &str) -> Value {
    json!({ "update_id": id, "message": { "message_id": id, "date": 1_795_358_400, "text": text,
        "chat": { "id": ANN, "type": "private" },
        "from": { "id": ANN, "is_bot": false, "first_name": "Ann" } } })
}

#[tokio::test]
async fn messages_arrive_at_the_gateways_own_port_and_are_answered_once() {
    let (api, model) = (BotApi::start().await, Model::echoing().await);
    let setup = TelegramSetup {
        webhook: Some(Webhook {
            url: URL.into(),
            path: "/telegram-webhook".into(),
            secret: SECRET.to_owned().into(),
            look: Duration::from_millis(100),
        }),
        ..TelegramSetup::new("42:secret-token".to_owned().into(), &api.root)
    };
    let mut own = account(&api, allowing(&["7"]));
    own.setup = Ok(Arc::new(setup) as Arc<dyn ChannelSetup>);
    let daemon = Daemon::start(plan(&model, [("default", own)]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "default", "connected").await;
    assert_eq!(row["mode"], "webhook", "{row}");
    let told = &api.bodies("setWebhook")[0];
    assert_eq!(
        (&told["url"], &told["secret_token"]),
        (&json!(URL), &json!(SECRET))
    );
    assert_eq!(api.calls("getUpdates"), 0, "nobody polls");

    assert_eq!(
        hand_over(&daemon, "wrong", &update(1, "let me in")).await,
        401
    );
    assert_eq!(hand_over(&daemon, SECRET, &json!("no update")).await, 200);
    assert_eq!(hand_over(&daemon, SECRET, &update(5, "hello")).await, 200);
    // The platform was not sure that it arrived.
    assert_eq!(hand_over(&daemon, SECRET, &update(5, "hello")).await, 200);
    assert_eq!(api.arrived(1).await, ["re: hello"]);
    assert_eq!(model.journal(), ["hello"]);
    api.until("looks at the webhook", |api| {
        api.calls("getWebhookInfo") > 3
    })
    .await;
    let row = in_state(&mut client, "default", "connected").await;
    assert_eq!(row["generation"], 1, "{row}");

    // Somebody else takes it.
    api.take_webhook("https://elsewhere.example.org/hook");
    let row = row_when(&mut client, "default", |row| row["lastError"].is_string()).await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("another webhook"), "{row}");
    // Its path is closed while the account does not run.
    client
        .call("channels.stop", json!({ "channel": "telegram" }))
        .await;
    assert_eq!(hand_over(&daemon, SECRET, &update(6, "again")).await, 404);
}

#[tokio::test]
async fn a_webhook_without_a_secret_is_refused_with_its_place() {
    let model = Model::start().await;
    let mut config = config(&model);
    config["channels"]["telegram"] = json!({ "botToken": "42:secret-token", "webhookUrl": URL });
    let home = Home::with(&config);
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let row = row_when(&mut client, "default", |row| row["lastError"].is_string()).await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("channels.telegram.webhookSecret"), "{row}");
}
