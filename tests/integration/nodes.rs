//! Nodes of both generations: paired without asking, listed, and without effect until an owner said
//! yes to what they offer; then at once.

use openclaw_actors::node::policy::CommandPolicy;
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Socket, connect_params};

/// Parameters of a headless node that offers these commands.
pub(crate) fn node_params(generation: u32, commands: &[&str]) -> Value {
    let mut params = connect_params(generation);
    params["client"] = json!({
        "id": "node-host", "displayName": "Attic", "version": "2.1", "platform": "linux",
        "deviceFamily": "Linux", "modelIdentifier": "Pi 5", "mode": "node",
    });
    params["role"] = json!("node");
    params["scopes"] = json!([]);
    params["caps"] = json!(["canvas"]);
    params["commands"] = json!(commands);
    params["permissions"] = json!({ "camera": true });
    params
}

/// Connects a node; it is on this machine and knows the secret.
pub(crate) async fn connect(
    mut socket: Socket,
    device: &Device,
    generation: u32,
    commands: &[&str],
) -> (Socket, Value) {
    let params = device.sign(node_params(generation, commands), &socket);
    let hello = socket.hello(params).await;
    (socket, hello)
}

/// The row of the only node.
async fn row(operator: &mut Socket) -> Value {
    let list = operator.call("node.list", json!({})).await;
    let nodes = list["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 1, "{list}");
    nodes[0].clone()
}

/// The node's row once `fits` holds: a node joins after its hello-ok left.
pub(crate) async fn row_when(operator: &mut Socket, fits: impl Fn(&Value) -> bool) -> Value {
    crate::harness::soon("the row of the node", async {
        loop {
            let list = operator.call("node.list", json!({})).await;
            if let Some(row) = list["nodes"].get(0)
                && fits(row)
            {
                return row.clone();
            }
            crate::harness::look_again().await;
        }
    })
    .await
}

pub(crate) fn is_connected(row: &Value) -> bool {
    row["connected"] == true
}

async fn event(operator: &mut Socket, name: &str) -> Value {
    let frame = operator.until(|frame| frame["event"] == name).await;
    frame["payload"].clone()
}

pub(crate) async fn approve(operator: &mut Socket) -> Value {
    let list = operator.call("node.pair.list", json!({})).await;
    let request = list["pending"][0]["requestId"].clone();
    operator
        .call("node.pair.approve", json!({ "requestId": request }))
        .await
}

fn closed_keys(value: &Value, keys: &[&str]) {
    for key in value.as_object().expect("an object").keys() {
        assert!(keys.contains(&key.as_str()), "{key} in {value}");
    }
}

#[tokio::test]
async fn nothing_is_in_effect_before_the_approval_and_all_of_it_right_after() {
    for (node, operator) in [(4, 4), (3, 4), (4, 3), (3, 3)] {
        let daemon = Daemon::start(Plan::default());
        let mut owner = daemon.generation(operator).await;
        let device = Device::new(1);
        let commands = ["system.run", "canvas.present"];
        let (mut attic, hello) = connect(daemon.socket().await, &device, node, &commands).await;
        assert!(hello["auth"]["deviceToken"].is_string(), "{hello}");
        assert_eq!(hello["auth"]["role"], "node");
        assert_eq!(hello["auth"]["scopes"], json!([]));
        let asked = event(&mut owner, "node.pair.requested").await;
        assert_eq!(asked["nodeId"], device.id.as_str());
        assert_eq!(asked["commands"], json!(["canvas.present", "system.run"]));
        assert_eq!(asked["displayName"], "Attic");
        let scopes = json!(["operator.pairing", "operator.admin"]);
        if operator == 4 {
            assert_eq!(asked["requiredApproveScopes"], scopes);
            assert_eq!(asked["clientId"], "node-host");
        } else {
            closed_keys(
                &asked,
                &[
                    "requestId",
                    "nodeId",
                    "displayName",
                    "platform",
                    "version",
                    "deviceFamily",
                    "modelIdentifier",
                    "caps",
                    "commands",
                    "permissions",
                    "remoteIp",
                    "isRepair",
                    "ts",
                ],
            );
        }
        let before = row_when(&mut owner, is_connected).await;
        assert_eq!(before["paired"], true);
        assert_eq!(
            (&before["caps"], &before["commands"]),
            (&json!([]), &json!([]))
        );
        assert!(before["permissions"].is_null(), "{before}");
        if operator == 4 {
            assert_eq!(before["approvalState"], "pending-approval");
            assert_eq!(before["pendingRequestId"], asked["requestId"]);
            assert_eq!(before["pendingDeclaredCommands"], asked["commands"]);
        } else {
            assert!(before["approvalState"].is_null() && before["clientId"].is_null());
        }

        let done = approve(&mut owner).await;
        assert_eq!(done["requestId"], asked["requestId"]);
        assert_eq!(done["node"]["commands"], asked["commands"]);
        assert!(done["node"]["token"].is_null());
        let resolved = event(&mut owner, "node.pair.resolved").await;
        assert_eq!(resolved["decision"], "approved");
        assert_eq!(resolved["requestId"], asked["requestId"]);
        let after = row(&mut owner).await;
        assert_eq!(after["commands"], asked["commands"]);
        assert_eq!(after["caps"], json!(["canvas"]));
        assert_eq!(after["permissions"], json!({ "camera": true }));
        assert_eq!(
            after["connectedAtMs"], before["connectedAtMs"],
            "the same connection"
        );
        let described = owner
            .call("node.describe", json!({ "nodeId": device.id }))
            .await;
        assert!(described["ts"].is_u64());
        assert_eq!(described["commands"], after["commands"]);
        assert_eq!(described["modelIdentifier"], "Pi 5");
        let unknown = owner
            .refused("node.describe", json!({ "nodeId": "x" }))
            .await;
        assert_eq!(unknown["message"], "unknown nodeId");
        // The node itself is told nothing of it, and may not ask.
        let error = attic.refused("node.pair.list", json!({})).await;
        assert_eq!(error["message"], "unauthorized role: node");
        attic.call("health", json!({})).await;
        assert!(
            attic
                .places(|frame| frame["event"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("node.pair")))
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_further_command_waits_and_the_approved_ones_go_on() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (attic, _) = connect(daemon.socket().await, &device, 4, &["canvas.present"]).await;
    approve(&mut owner).await;
    drop(attic);
    let more = ["canvas.present", "camera.snap"];
    let (_attic, _) = connect(daemon.socket().await, &device, 4, &more).await;
    let row = row_when(&mut owner, |row| {
        is_connected(row) && row["approvalState"] == "pending-reapproval"
    })
    .await;
    assert_eq!(row["commands"], json!(["canvas.present"]));
    assert_eq!(
        row["pendingDeclaredCommands"],
        json!(["camera.snap", "canvas.present"])
    );
    let request = row["pendingRequestId"].clone();
    let rejected = owner
        .call("node.pair.reject", json!({ "requestId": request }))
        .await;
    assert_eq!(rejected["nodeId"], device.id.as_str());
    let row = row_when(&mut owner, is_connected).await;
    assert_eq!(row["approvalState"], "approved");
    assert_eq!(row["commands"], json!(["canvas.present"]));
    let again = owner
        .refused("node.pair.approve", json!({ "requestId": request }))
        .await;
    assert_eq!(again["message"], "unknown requestId");
    assert_eq!(again["details"]["code"], "UNKNOWN_REQUEST_ID");
}

#[tokio::test]
async fn the_newer_connection_of_a_node_takes_the_place_of_the_older() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (mut older, _) = connect(daemon.socket().await, &device, 4, &["canvas.present"]).await;
    let first = row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    let (mut newer, _) = connect(daemon.socket().await, &device, 3, &["canvas.present"]).await;
    let (code, reason) = older.closed_in_the_end().await.expect("a close frame");
    assert_eq!(code, 4001);
    assert!(reason.contains("newer connection"), "{reason}");
    newer.call("health", json!({})).await;
    let row = row(&mut owner).await;
    assert_eq!(row["connected"], true);
    assert!(row["connectedAtMs"].as_u64() >= first["connectedAtMs"].as_u64());
    assert_eq!(row["commands"], json!(["canvas.present"]));
}

#[tokio::test]
async fn attack_20_a_node_that_runs_programs_is_approved_by_an_admin() {
    let daemon = Daemon::start(Plan::default());
    let (_attic, _) = connect(daemon.socket().await, &Device::new(1), 4, &["system.run"]).await;
    let scoped = async |scopes: Value, generation: u32| {
        let mut socket = daemon.socket().await;
        let mut params = connect_params(generation);
        params["scopes"] = scopes;
        socket.hello(params).await;
        socket
    };
    let mut writer = scoped(json!(["operator.write"]), 4).await;
    let error = writer.refused("node.pair.list", json!({})).await;
    assert_eq!(error["details"]["missingScope"], "operator.pairing");
    let row = row(&mut writer).await;
    assert!(row["pendingRequestId"].is_null() && row["pendingDeclaredCommands"].is_null());
    let both = json!(["operator.pairing", "operator.write"]);
    let mut pairer = scoped(both.clone(), 4).await;
    let list = pairer.call("node.pair.list", json!({})).await;
    let request = json!({ "requestId": list["pending"][0]["requestId"] });
    let error = writer.refused("node.pair.approve", request.clone()).await;
    assert_eq!(error["details"]["missingScope"], "operator.pairing");
    let error = pairer.refused("node.pair.approve", request.clone()).await;
    assert_eq!(error["code"], "FORBIDDEN");
    assert_eq!(error["details"]["missingScope"], "operator.admin");
    assert_eq!(
        error["details"]["requiredScopes"],
        json!(["operator.pairing", "operator.admin"])
    );
    let mut v3 = scoped(both, 3).await;
    let error = v3.refused("node.pair.approve", request.clone()).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (
            &json!("INVALID_REQUEST"),
            &json!("missing scope: operator.admin")
        )
    );
    let mut admin = daemon.client().await;
    admin.call("node.pair.approve", request).await;
}

#[tokio::test]
async fn attack_23_a_paired_device_decides_about_itself_only() {
    let daemon = Daemon::start(Plan::default());
    let (_attic, _) = connect(
        daemon.socket().await,
        &Device::new(1),
        4,
        &["canvas.present"],
    )
    .await;
    let mut owner = daemon.client().await;
    let list = owner.call("node.pair.list", json!({})).await;
    let request = json!({ "requestId": list["pending"][0]["requestId"] });
    let mut phone = daemon.socket().await;
    let mut params = connect_params(4);
    params["client"] =
        json!({ "id": "openclaw-android", "version": "1", "platform": "android", "mode": "ui" });
    params["scopes"] = json!(["operator.pairing", "operator.write"]);
    let params = Device::new(2).sign(params, &phone);
    phone.hello(params).await;
    let seen = phone.call("node.pair.list", json!({})).await;
    assert_eq!(seen, json!({ "pending": [], "paired": [] }));
    for method in ["node.pair.approve", "node.pair.reject"] {
        let error = phone.refused(method, request.clone()).await;
        assert_eq!(error["message"], "node pairing decision denied", "{method}");
    }
    let node = json!({ "nodeId": Device::new(1).id });
    let error = phone.refused("node.pair.remove", node).await;
    assert_eq!(error["message"], "node pairing decision denied");
    assert!(row(&mut phone).await["pendingRequestId"].is_null());
}

#[tokio::test]
async fn a_node_that_is_removed_is_disconnected_and_asks_anew() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (mut attic, _) = connect(daemon.socket().await, &device, 4, &["canvas.present"]).await;
    approve(&mut owner).await;
    let node = json!({ "nodeId": device.id });
    assert_eq!(owner.call("node.pair.remove", node.clone()).await, node);
    let resolved = owner
        .until(|frame| frame["payload"]["decision"] == "removed")
        .await;
    assert_eq!(resolved["event"], "node.pair.resolved");
    assert_eq!(resolved["payload"]["requestId"], "");
    let (code, reason) = attic.closed_in_the_end().await.expect("a close frame");
    assert_eq!((code, reason.as_str()), (4001, "node removed"));
    let unknown = owner.refused("node.pair.remove", node).await;
    assert_eq!(unknown["message"], "unknown nodeId");
    let (_attic, _) = connect(daemon.socket().await, &device, 4, &["canvas.present"]).await;
    let row = row_when(&mut owner, is_connected).await;
    assert_eq!(row["approvalState"], "pending-approval");
    assert_eq!(row["commands"], json!([]));
}

#[tokio::test]
async fn a_node_keeps_the_name_that_an_owner_gave_it() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (_attic, _) = connect(daemon.socket().await, &device, 4, &[]).await;
    let name = json!({ "nodeId": device.id, "displayName": "Roof" });
    assert_eq!(owner.call("node.rename", name.clone()).await, name);
    let row = row_when(&mut owner, is_connected).await;
    assert_eq!(row["displayName"], "Roof");
    // It offers no command, but abilities and permissions.
    assert_eq!(row["approvalState"], "pending-approval");
    let list = owner.call("node.pair.list", json!({})).await;
    let needed = &list["pending"][0]["requiredApproveScopes"];
    assert_eq!(*needed, json!(["operator.pairing"]));
}

#[tokio::test]
async fn what_the_configuration_denies_has_no_effect_whoever_approved_it() {
    let mut plan = Plan::default();
    plan.settings.nodes = CommandPolicy::new(["camera.snap"], ["camera.*"]);
    let daemon = Daemon::start(plan);
    let mut owner = daemon.client().await;
    let commands = ["camera.snap", "canvas.present"];
    let (_attic, _) = connect(daemon.socket().await, &Device::new(1), 4, &commands).await;
    let done = approve(&mut owner).await;
    assert_eq!(done["node"]["commands"], json!(["canvas.present"]));
    let row = row_when(&mut owner, is_connected).await;
    assert_eq!(row["commands"], json!(["canvas.present"]));
    assert_eq!(row["deniedCommands"], json!(["camera.snap"]));
    assert_eq!(row["approvalState"], "approved");
}

#[tokio::test]
async fn an_approval_outlives_a_kill_and_a_later_deny_wins_over_it() {
    let config = |deny: Value| {
        json!({ "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "nodes": { "denyCommands": deny },
        } })
    };
    let home = Home::with(&config(json!([])));
    let device = Device::new(1);
    let commands = ["camera.snap", "canvas.present"];

    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let (_attic, _) = connect(gateway.socket().await, &device, 4, &commands).await;
    approve(&mut owner).await;
    gateway.kill().await;

    // Approved, also while it is away; a request that waits is there as well.
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let away = row(&mut owner).await;
    assert_eq!(
        (&away["connected"], &away["commands"]),
        (&json!(false), &json!(commands))
    );
    let more = ["camera.clip", "camera.snap", "canvas.present"];
    let (_attic, _) = connect(gateway.socket().await, &device, 4, &more).await;
    let here = row_when(&mut owner, is_connected).await;
    assert_eq!(here["commands"], json!(commands));
    let waiting = here["pendingRequestId"].clone();
    assert!(waiting.is_string());
    gateway.kill().await;

    home.configure(&config(json!(["camera.snap"])));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let list = owner.call("node.pair.list", json!({})).await;
    assert_eq!(list["pending"][0]["requestId"], waiting);
    assert_eq!(
        list["pending"][0]["commands"],
        json!(["camera.clip", "canvas.present"])
    );
    let (_attic, _) = connect(gateway.socket().await, &device, 4, &commands).await;
    let here = row_when(&mut owner, is_connected).await;
    assert_eq!(here["commands"], json!(["canvas.present"]));
    assert_eq!(here["deniedCommands"], json!(["camera.snap"]));
    assert_eq!(here["approvalState"], "approved");
    gateway.kill().await;
}

#[tokio::test]
async fn the_command_line_approves_sensitive_commands_only_when_told_so() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let commands = ["camera.snap", "canvas.present"];
    let (mut attic, _) = connect(gateway.socket().await, &Device::new(1), 4, &commands).await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let nodes = async |args: &[&str]| {
        let mut all = vec!["nodes"];
        all.extend(args);
        all.extend(["--url", &url, "--token", TOKEN]);
        home.run(&all).await
    };
    let (code, list, _) = nodes(&["list"]).await;
    assert_eq!(code, Some(0));
    assert!(
        list.contains("Waiting for approval") && list.contains("Attic"),
        "{list}"
    );
    let (_, pending, _) = nodes(&["pending", "--json"]).await;
    let pending: Value = serde_json::from_str(&pending).expect("JSON");
    let request = pending[0]["requestId"].as_str().expect("an id").to_owned();

    let (code, shown, error) = nodes(&["approve", &request[..8]]).await;
    assert_eq!(code, Some(1));
    assert!(
        shown.contains("take photos") && shown.contains("show pages"),
        "{shown}"
    );
    let remedy = format!("openclaw nodes approve {request} --sensitive");
    assert!(
        error.contains("camera.snap") && error.contains(&remedy),
        "{error}"
    );
    let (_, described, _) = nodes(&["describe", "attic", "--json"]).await;
    let described: Value = serde_json::from_str(&described).expect("JSON");
    assert_eq!(described["commands"], json!([]));

    // One that is named is wanted; the rest goes on waiting, under another request.
    let (code, said, error) = nodes(&["approve", &request[..8], "--only", "canvas.present"]).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(
        said.contains("show pages") && !said.contains("take photos"),
        "{said}"
    );
    let (_, pending, _) = nodes(&["pending", "--json"]).await;
    let pending: Value = serde_json::from_str(&pending).expect("JSON");
    let rest = pending[0]["requestId"].as_str().expect("an id").to_owned();
    assert_ne!(rest, request);
    let (code, _, error) = nodes(&["approve", &rest, "--only", "sms.send"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("does not offer `sms.send`"), "{error}");
    let request = rest;

    let (code, said, error) = nodes(&["approve", &request[..8], "--sensitive"]).await;
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(
        said.contains("can now") && said.contains("take photos"),
        "{said}"
    );
    let (_, described, _) = nodes(&["describe", "--node", "Attic"]).await;
    assert!(
        described.contains("in effect") && described.contains("connected"),
        "{described}"
    );
    let (code, said, _) = nodes(&["rename", "attic", "--name", "Roof"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, _, error) = nodes(&["remove", "attic"]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("no node `attic`"), "{error}");
    let (code, said, error) = nodes(&["remove", "roof"]).await;
    assert_eq!(code, Some(0), "{said}{error}");
    let (code, _) = attic.closed_in_the_end().await.expect("a close frame");
    assert_eq!(code, 4001);
    let (_, list, _) = nodes(&["list", "--json"]).await;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!((&list["nodes"], &list["pending"]), (&json!([]), &json!([])));
    gateway.kill().await;
}

#[tokio::test]
async fn a_changed_configuration_counts_for_connected_nodes_at_once() {
    let settings = |deny: &[&str]| {
        json!({ "gateway": {
            "auth": { "mode": "token", "token": TOKEN },
            "reload": { "debounceMs": 20 },
            "nodes": { "commands": { "deny": deny } },
        } })
    };
    let home = Home::with(&settings(&["camera.*"]));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let device = Device::new(1);
    let offered = ["canvas.present", "camera.snap"];
    let (_attic, _) = connect(gateway.socket().await, &device, 4, &offered).await;
    let asked = event(&mut owner, "node.pair.requested").await;
    assert_eq!(asked["commands"], json!(["canvas.present"]));
    row_when(&mut owner, is_connected).await;

    // What is denied no more is asked for without a new connect.
    home.configure(&settings(&[]));
    let asked = event(&mut owner, "node.pair.requested").await;
    assert_eq!(asked["commands"], json!(["camera.snap", "canvas.present"]));
    let request = asked["requestId"].as_str().unwrap();
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let args = [
        "devices", "approve", request, "--url", &url, "--token", TOKEN,
    ];
    let (_, _, said) = home.run(&args).await;
    assert!(said.contains("openclaw nodes approve"), "{said}");
    approve(&mut owner).await;
    let commands = json!(["camera.snap", "canvas.present"]);
    row_when(&mut owner, |row| row["commands"] == commands).await;

    // And what is denied is in effect no more.
    home.configure(&settings(&["camera.*"]));
    let row = row_when(&mut owner, |row| {
        row["commands"] == json!(["canvas.present"])
    })
    .await;
    assert_eq!(row["approvalState"], "approved");
}
