//! A changed configuration takes effect on the accounts that it changes, and on no other.

use serde_json::{Value, json};

use crate::channels::row_when;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::telegram::BotApi;

fn with(model: &Model, accounts: &Value) -> Value {
    let mut config = config(model);
    config["channels"]["telegram"] = json!({ "accounts": accounts, "dmPolicy": "allowlist" });
    config
}

#[tokio::test]
async fn an_account_that_a_change_names_begins_anew_and_its_neighbours_go_on() {
    let (first, second, model) = (
        BotApi::start().await,
        BotApi::start().await,
        Model::echoing().await,
    );
    let account = |api: &BotApi, token: &str, who: &str| json!({ "botToken": token, "apiRoot": api.root, "allowFrom": [who] });
    let stays = account(&first, "42:stays", "7");
    let accounts = json!({ "a": stays, "b": account(&second, "42:before", "7") });
    let home = Home::with(&with(&model, &accounts));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let connected = |row: &Value| row["state"] == "connected";
    row_when(&mut client, "a", connected).await;
    row_when(&mut client, "b", connected).await;

    // Another secret is another transport, and one account more begins.
    let accounts = json!({ "a": stays, "b": account(&second, "42:after", "7"), "c": account(&first, "42:c", "7") });
    home.configure(&with(&model, &accounts));
    row_when(&mut client, "c", connected).await;
    row_when(&mut client, "b", |row| {
        connected(row) && row["generation"] == 2
    })
    .await;
    let row = row_when(&mut client, "a", connected).await;
    assert_eq!(row["generation"], 1, "{row}");

    // Who may write is no reason to begin anew.
    let accounts =
        json!({ "a": account(&first, "42:stays", "8"), "b": account(&second, "42:after", "7") });
    home.configure(&with(&model, &accounts));
    let row = row_when(&mut client, "a", |row| row["allowFrom"] == json!(["8"])).await;
    assert_eq!(
        (&row["generation"], &row["state"]),
        (&json!(1), &json!("connected")),
        "{row}"
    );
    second.write(7, "hello");
    assert_eq!(second.arrived(1).await, ["re: hello"]);
    let status = client.call("channels.status", json!({})).await;
    let rows = status["channelAccounts"]["telegram"]
        .as_array()
        .expect("rows");
    assert_eq!(rows.len(), 2, "c is gone: {status}");
}
