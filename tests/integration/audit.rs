//! The audit trail: what is noted, who may read it, and that it outlives the process.

use serde_json::{Value, json};

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};

async fn trail(client: &mut Socket, params: Value) -> Vec<Value> {
    let payload = client.call("trust.audit.list", params).await;
    assert_eq!(payload["dropped"], 0);
    payload["entries"].as_array().expect("a list").clone()
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["kind"].as_str().expect("a kind"))
        .collect()
}

#[tokio::test]
async fn refusals_are_one_row_with_a_count_and_decisions_name_who_and_what() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    for _ in 0..3 {
        let mut params = connect_params(4);
        params["auth"] = json!({ "token": "a-wrong-token-that-is-long-enough" });
        params["client"]["displayName"] = json!("evil\r\n\u{1b}[2J");
        daemon.socket().await.turned_away(params).await;
    }
    let device = Device::new(1);
    let mut socket = daemon.socket().await;
    let params = device.sign(connect_params(4), &socket);
    socket.hello(params).await;
    let id = device.id.as_str();
    owner
        .call("device.pair.remove", json!({ "deviceId": id }))
        .await;

    let rows = trail(&mut owner, json!({})).await;
    assert_eq!(
        kinds(&rows),
        [
            "device.removed",
            "connect.accepted",
            "pairing.approved",
            "token.issued",
            "connect.refused",
            "connect.accepted",
        ]
    );
    let refused = &rows[4];
    assert_eq!(
        (&refused["code"], &refused["count"], &refused["address"]),
        (
            &json!("AUTH_TOKEN_MISMATCH"),
            &json!(3),
            &json!("127.0.0.1")
        )
    );
    assert_eq!(refused["deviceName"], "evil\\r\\n\\u{1b}[2J");
    let removed = &rows[0];
    assert_eq!(
        (&removed["deviceId"], &removed["by"]),
        (&json!(id), &json!("client:cli"))
    );
    assert_eq!(rows[2]["via"], "silent");
    let text = serde_json::to_string(&rows).expect("it is JSON");
    assert!(!text.contains("a-wrong-token") && !text.contains(crate::harness::TOKEN));

    let about = trail(&mut owner, json!({ "device": id, "kind": "pairing" })).await;
    assert_eq!(kinds(&about), ["pairing.approved"]);

    // All of it is there after a restart, and the numbers go on.
    let newest = rows[0]["id"].as_u64().expect("a number");
    let home = daemon.stop().await;
    let daemon = Daemon::start_in(home, Plan::default());
    let mut owner = daemon.client().await;
    let again = trail(&mut owner, json!({})).await;
    assert_eq!(again.len(), rows.len() + 1, "and that the owner came back");
    assert!(again[0]["id"].as_u64() > Some(newest));
    assert_eq!(again[1], rows[0]);
}

#[tokio::test]
async fn only_an_admin_reads_the_trail() {
    let daemon = Daemon::start(Plan::default());
    let mut socket = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.read", "operator.write", "operator.pairing"]);
    socket.hello(params).await;
    let error = socket
        .refused("trust.audit.list", json!({ "limit": "no number" }))
        .await;
    assert_eq!(error["details"]["missingScope"], "operator.admin");
}
