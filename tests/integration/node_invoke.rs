//! `node.invoke` over whole sockets: what a node is sent, what its caller gets, and every way in which
//! it can go wrong.

use openclaw_actors::node::policy::CommandPolicy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::socket::{Inbound, Socket, connect_params};
use crate::nodes::{approve, connect, is_connected, row_when};

/// An owner, a device and its connected node, with all of its commands approved.
async fn approved(daemon: &Daemon, generation: u32, commands: &[&str]) -> (Socket, Device, Socket) {
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (node, _) = connect(daemon.socket().await, &device, generation, commands).await;
    row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    (owner, device, node)
}

fn invoke(device: &Device, command: &str, key: &str) -> Value {
    json!({ "nodeId": device.id, "command": command, "idempotencyKey": key })
}

/// What the node is asked next.
async fn asked(node: &mut Socket) -> Value {
    let frame = node
        .until(|frame| frame["event"] == "node.invoke.request")
        .await;
    assert!(frame["seq"].is_null(), "it is for this node alone: {frame}");
    frame["payload"].clone()
}

async fn cancelled(node: &mut Socket) -> Value {
    let frame = node
        .until(|frame| frame["event"] == "node.invoke.cancel")
        .await;
    frame["payload"]["invokeId"].clone()
}

/// What a node answers.
fn result(device: &Device, request: &Value, payload: &Value) -> Value {
    json!({ "id": request["id"], "nodeId": device.id, "ok": true, "payloadJSON": payload.to_string() })
}

#[tokio::test]
async fn a_node_is_asked_and_its_answer_reaches_the_caller_once() {
    for (generation, caller) in [(4, 4), (3, 4), (4, 3), (3, 3)] {
        let daemon = Daemon::start(Plan::default());
        let (_owner, device, mut node) = approved(&daemon, generation, &["location.get"]).await;
        let mut operator = daemon.generation(caller).await;
        let mut params = invoke(&device, "location.get", "key-1");
        params["params"] = json!({ "desiredAccuracy": "balanced" });
        params["timeoutMs"] = json!(20_000);
        let id = operator.ask("node.invoke", params.clone()).await;
        let request = asked(&mut node).await;
        assert_eq!(request["nodeId"], device.id.as_str());
        assert_eq!(request["command"], "location.get");
        assert_eq!(request["paramsJSON"], "{\"desiredAccuracy\":\"balanced\"}");
        assert_eq!(request["idempotencyKey"], "key-1");
        let left = request["timeoutMs"]
            .as_u64()
            .expect("the time that is left");
        assert!(left > 0 && left <= 20_000, "{left}");

        for (id, taken) in [
            (&request["id"], json!({ "ok": true })),
            (&json!("unknown"), json!({ "ok": true, "ignored": true })),
        ] {
            let half = json!({ "invokeId": id, "nodeId": device.id, "seq": 0, "chunk": "half" });
            assert_eq!(node.call("node.invoke.progress", half).await, taken);
        }
        let mut foreign = result(&device, &request, &json!({}));
        foreign["nodeId"] = json!("another");
        let error = node.refused("node.invoke.result", foreign).await;
        assert_eq!(error["message"], "nodeId mismatch");
        let place = json!({ "lat": 47.4, "lon": 8.5 });
        let taken = node
            .call("node.invoke.result", result(&device, &request, &place))
            .await;
        assert_eq!(taken, json!({ "ok": true }));
        let answer = operator.answer(&id).await;
        let expected = json!({
            "ok": true, "nodeId": device.id, "command": "location.get",
            "payload": place, "payloadJSON": place.to_string(),
        });
        assert_eq!(answer["payload"], expected, "{answer}");

        // The same again is answered without the node, another one under the same key is refused.
        let again = operator.call("node.invoke", params.clone()).await;
        assert_eq!(again, expected);
        params["params"] = json!({});
        let error = operator.refused("node.invoke", params).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{error}");
        // So is a result that comes twice, or was never asked for.
        for id in [&request["id"], &json!("unknown")] {
            let mut late = result(&device, &request, &place);
            late["id"] = id.clone();
            let taken = node.call("node.invoke.result", late).await;
            assert_eq!(taken, json!({ "ok": true, "ignored": true }));
        }
        let requests = node.places(|frame| frame["event"] == "node.invoke.request");
        assert_eq!(requests.len(), 1);
        let status = operator.call("status", json!({})).await;
        assert_eq!(
            status["gateway"]["limits"]["lateNodeResults"], 2,
            "{status}"
        );
    }
}

#[tokio::test]
async fn old_nodes_write_null_and_values_where_texts_belong() {
    let daemon = Daemon::start(Plan::default());
    let (mut owner, device, mut node) = approved(&daemon, 3, &["canvas.hide"]).await;
    for (key, payload, value) in [
        ("a", json!(null), json!(null)),
        ("b", json!({ "x": [1] }), json!({ "x": [1] })),
        ("c", json!("7"), json!(7)),
    ] {
        let params = invoke(&device, "canvas.hide", key);
        let id = owner.ask("node.invoke", params).await;
        let request = asked(&mut node).await;
        let result = json!({
            "id": request["id"], "nodeId": device.id, "ok": true, "payloadJSON": payload, "error": null,
        });
        node.call("node.invoke.result", result).await;
        let answer = owner.answer(&id).await;
        assert_eq!(answer["payload"]["payload"], value, "{answer}");
    }
}

#[tokio::test]
async fn what_a_node_could_not_do_is_told_in_its_own_words() {
    let daemon = Daemon::start(Plan::default());
    let (owner, device, mut node) = approved(&daemon, 4, &["camera.snap"]).await;
    let mut old = daemon.generation(3).await;
    let mut owner = owner;
    for (generation, operator) in [(4, &mut owner), (3, &mut old)] {
        let id = operator
            .ask(
                "node.invoke",
                invoke(&device, "camera.snap", &format!("key-{generation}")),
            )
            .await;
        let request = asked(&mut node).await;
        let error = json!({ "code": "CAMERA_DISABLED", "message": "the camera is off" });
        node.call(
            "node.invoke.result",
            json!({ "id": request["id"], "nodeId": device.id, "ok": false, "error": error }),
        )
        .await;
        let failed = operator.answer(&id).await["error"].clone();
        assert_eq!(failed["code"], "UNAVAILABLE");
        assert_eq!(failed["details"]["nodeError"], error);
        if generation == 4 {
            assert_eq!(failed["message"], "CAMERA_DISABLED: the camera is off");
            assert_eq!(failed["details"]["nodeCommandDispatched"], true);
        } else {
            assert_eq!(failed["message"], "the camera is off");
        }
    }
}

#[tokio::test]
async fn every_refusal_says_what_to_do() {
    let mut plan = Plan::default();
    plan.settings.nodes = CommandPolicy::new([], ["screen.*"]);
    let daemon = Daemon::start(plan);
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let offers = ["canvas.hide", "camera.snap", "screen.record", "door.open"];
    let unknown = owner
        .refused("node.invoke", invoke(&device, "camera.snap", "k0"))
        .await;
    assert_eq!(unknown["code"], "UNAVAILABLE");
    assert_eq!(unknown["details"]["code"], "NOT_CONNECTED");
    assert_eq!(unknown["details"]["reason"], "unknown-node");
    let (node, _) = connect(daemon.socket().await, &device, 4, &offers).await;
    let row = row_when(&mut owner, is_connected).await;
    let request = row["pendingRequestId"].as_str().expect("it waits");
    let mut writer = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.write"]);
    writer.hello(params).await;

    let refused = owner
        .refused("node.invoke", invoke(&device, "camera.snap", "k1"))
        .await;
    assert_eq!(refused["code"], "INVALID_REQUEST");
    assert_eq!(
        refused["details"],
        json!({ "reason": "command not allowlisted", "command": "camera.snap" })
    );
    let message = refused["message"].as_str().unwrap();
    let command = format!("openclaw nodes approve {request} --sensitive");
    assert!(message.ends_with(&command), "{message}");
    // Who may not decide learns no number of a request.
    let refused = writer
        .refused("node.invoke", invoke(&device, "camera.snap", "k1"))
        .await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("openclaw nodes pending") && !message.contains(request),
        "{message}"
    );
    approve(&mut owner).await;
    for (command, reason, hint) in [
        (
            "screen.record",
            "command denied by configuration",
            "gateway.nodes.commands.deny",
        ),
        (
            "sms.send",
            "command not declared by node",
            "it offers: camera.snap",
        ),
    ] {
        let refused = owner
            .refused("node.invoke", invoke(&device, command, "k2"))
            .await;
        assert_eq!(refused["details"]["reason"], reason, "{refused}");
        assert!(
            refused["message"].as_str().unwrap().contains(hint),
            "{refused}"
        );
    }
    // What nobody knows reaches the whole machine.
    let refused = writer
        .refused("node.invoke", invoke(&device, "door.open", "k3"))
        .await;
    assert_eq!(refused["code"], "FORBIDDEN");
    assert_eq!(refused["details"]["missingScope"], "operator.admin");
    drop(node);
    row_when(&mut owner, |row| !is_connected(row)).await;
    let gone = owner
        .refused("node.invoke", invoke(&device, "camera.snap", "k4"))
        .await;
    assert_eq!(gone["details"]["code"], "NOT_CONNECTED");
    assert_eq!(gone["details"]["reason"], "not-connected");
    assert_eq!(gone["retryable"], true);
}

#[tokio::test]
async fn time_runs_out_for_the_caller_and_for_the_node() {
    let daemon = Daemon::start(Plan::default());
    let (mut owner, device, mut node) = approved(&daemon, 4, &["camera.clip"]).await;
    let mut params = invoke(&device, "camera.clip", "key");
    params["timeoutMs"] = json!(30);
    let id = owner.ask("node.invoke", params.clone()).await;
    let request = asked(&mut node).await;
    let failed = owner.answer(&id).await["error"].clone();
    assert_eq!(failed["message"], "TIMEOUT: node invoke timed out");
    assert_eq!(failed["details"]["nodeError"]["code"], "TIMEOUT");
    assert_eq!(cancelled(&mut node).await, request["id"]);
    let late = node
        .call("node.invoke.result", result(&device, &request, &json!({})))
        .await;
    assert_eq!(late["ignored"], true);
    let again = owner.refused("node.invoke", params).await;
    assert_eq!(again["message"], "TIMEOUT: node invoke timed out");
}

#[tokio::test]
async fn everything_under_way_fails_at_once_when_the_node_is_gone() {
    let daemon = Daemon::start(Plan::default());
    let (mut owner, device, mut node) = approved(&daemon, 4, &["canvas.eval"]).await;
    // Killed without a word, replaced by a newer connection, or closed for what it sent.
    for how in ["killed", "replaced", "oversized"] {
        let mut ids = Vec::new();
        for n in 0..10 {
            let mut params = invoke(&device, "canvas.eval", &format!("{how}-{n}"));
            params["timeoutMs"] = json!(0);
            ids.push(owner.ask("node.invoke", params).await);
            asked(&mut node).await;
        }
        match how {
            "killed" => {}
            "oversized" => {
                node.check.off_the_record();
                let mut header = vec![0x81, 0xff];
                header.extend_from_slice(&(1_u64 << 30).to_be_bytes());
                header.extend_from_slice(&[1, 2, 3, 4]);
                let tcp = node.stream.get_mut();
                tcp.write_all(&header).await.expect("it is still open");
                let (code, _) = node.closed_in_the_end().await.expect("a close frame");
                assert_eq!(code, 1009);
            }
            _ => {
                let socket = daemon.socket().await;
                let (newer, _) = connect(socket, &device, 4, &["canvas.eval"]).await;
                node = newer;
            }
        }
        if how != "replaced" {
            drop(node);
            let socket = daemon.socket().await;
            for id in &ids {
                let failed = owner.answer(id).await["error"].clone();
                assert_eq!(
                    failed["details"]["nodeError"]["code"], "DISCONNECTED",
                    "{how}: {failed}"
                );
            }
            ids.clear();
            (node, _) = connect(socket, &device, 4, &["canvas.eval"]).await;
            row_when(&mut owner, is_connected).await;
        }
        for id in ids {
            let failed = owner.answer(&id).await["error"].clone();
            assert_eq!(failed["code"], "UNAVAILABLE", "{how}: {failed}");
            assert_eq!(
                failed["details"]["nodeError"]["code"], "DISCONNECTED",
                "{how}: {failed}"
            );
            assert_eq!(
                failed["message"],
                "DISCONNECTED: node disconnected (canvas.eval)"
            );
        }
    }
}

#[tokio::test]
async fn a_command_of_the_command_line_ends_with_its_connection_and_others_go_on() {
    let daemon = Daemon::start(Plan::default());
    let (_owner, device, mut node) = approved(&daemon, 4, &["camera.clip"]).await;
    let mut operator = daemon.client().await;
    let params = invoke(&device, "camera.clip", "cli");
    operator.ask("node.invoke", params).await;
    let request = asked(&mut node).await;
    drop(operator);
    assert_eq!(cancelled(&mut node).await, request["id"]);

    let backend = || {
        let mut params = connect_params(4);
        params["client"]["id"] = json!("gateway-client");
        params["client"]["mode"] = json!("backend");
        params
    };
    let mut operator = daemon.socket().await;
    operator.hello(backend()).await;
    let params = invoke(&device, "camera.clip", "stays");
    operator.ask("node.invoke", params.clone()).await;
    let request = asked(&mut node).await;
    drop(operator);
    node.call(
        "node.invoke.result",
        result(&device, &request, &json!({ "format": "mp4" })),
    )
    .await;
    // Whoever asks again finds its result.
    let mut operator = daemon.socket().await;
    operator.hello(backend()).await;
    let done = operator.call("node.invoke", params).await;
    assert_eq!(done["payload"]["format"], "mp4");
}

#[tokio::test]
async fn attack_45_a_program_of_a_node_runs_as_it_was_approved_and_no_other() {
    let daemon = Daemon::start(Plan::default());
    let (mut owner, device, mut node) = approved(&daemon, 4, &["system.run", "system.which"]).await;
    let mut operator = daemon.client().await;
    let mut params = invoke(&device, "system.run", "run-1");
    params["params"] = json!({
        "command": ["uname", "-a"], "rawCommand": "ls", "cwd": "/tmp",
        "approved": true, "approvalDecision": "allow-always", "runId": "forged",
    });
    let id = operator.ask("node.invoke", params).await;
    let waiting = owner
        .until(|frame| frame["event"] == "exec.approval.requested")
        .await["payload"]
        .clone();
    assert_eq!(waiting["request"]["command"], "uname -a");
    assert_eq!(waiting["request"]["host"], "node");
    assert_eq!(waiting["request"]["nodeId"], device.id.as_str());
    assert_eq!(waiting["request"]["cwd"], "/tmp");
    assert!(
        node.places(|frame| frame["event"] == "node.invoke.request")
            .is_empty()
    );
    let decide = |decision: &str| json!({ "id": waiting["id"], "decision": decision });
    let refused = owner
        .refused("exec.approval.resolve", decide("allow-always"))
        .await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("allow-once or deny"),
        "{refused}"
    );
    owner
        .call("exec.approval.resolve", decide("allow-once"))
        .await;
    let request = asked(&mut node).await;
    let sent: Value = serde_json::from_str(request["paramsJSON"].as_str().unwrap()).unwrap();
    assert_eq!(sent["command"], json!(["uname", "-a"]));
    assert_eq!(
        (&sent["approved"], &sent["approvalDecision"]),
        (&json!(true), &json!("allow-once"))
    );
    assert!(
        sent["rawCommand"].is_null() && sent["runId"] != "forged",
        "{sent}"
    );
    let given = json!({ "exitCode": 0, "stdout": "Linux" });
    node.call("node.invoke.result", result(&device, &request, &given))
        .await;
    assert_eq!(operator.answer(&id).await["payload"]["payload"], given);

    // A no is a no, and the node hears nothing of it.
    let mut params = invoke(&device, "system.run", "run-2");
    params["params"] = json!({ "command": ["rm", "-rf", "/"] });
    let id = operator.ask("node.invoke", params).await;
    let waiting = owner
        .until(|frame| frame["event"] == "exec.approval.requested")
        .await["payload"]
        .clone();
    let deny = json!({ "id": waiting["id"], "decision": "deny" });
    owner.call("exec.approval.resolve", deny).await;
    let refused = operator.answer(&id).await["error"].clone();
    assert_eq!(refused["details"]["reason"], "approval denied", "{refused}");
    // Looking for programs needs none.
    let mut params = invoke(&device, "system.which", "which");
    params["params"] = json!({ "bins": ["ls"] });
    operator.ask("node.invoke", params).await;
    assert_eq!(asked(&mut node).await["command"], "system.which");
    assert_eq!(
        node.places(|frame| frame["event"] == "node.invoke.request")
            .len(),
        2
    );
}

/// Passes bytes between a client and the gateway until it is told to stop; both ends stay open.
async fn link(daemon: &Daemon) -> (TcpStream, tokio::sync::oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let client = TcpStream::connect(address).await.expect("it listens");
    let (mut near, _) = listener.accept().await.expect("a connection");
    let mut far = TcpStream::connect(daemon.address)
        .await
        .expect("the gateway listens");
    let (cut, mut cutting) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                _ = &mut cutting => break,
                read = near.read(&mut up) => match read {
                    Ok(read @ 1..) => far.write_all(&up[..read]).await.expect("the gateway reads"),
                    _ => return,
                },
                read = far.read(&mut down) => match read {
                    Ok(read @ 1..) => near.write_all(&down[..read]).await.expect("the client reads"),
                    _ => return,
                },
            }
        }
        // Nothing passes any more, and nobody is told.
        std::future::pending::<()>().await;
    });
    (client, cut)
}

#[tokio::test]
async fn a_link_that_is_half_open_is_found_before_the_callers_time_is_over() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let (tcp, cut) = link(&daemon).await;
    let (mut node, _) = connect(Socket::over(tcp).await, &device, 4, &["canvas.eval"]).await;
    row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    let mut params = invoke(&device, "canvas.eval", "key");
    params["timeoutMs"] = json!(0);
    let id = owner.ask("node.invoke", params).await;
    asked(&mut node).await;
    cut.send(()).expect("the link is up");
    let failed = owner.answer(&id).await["error"].clone();
    assert_eq!(
        failed["details"]["nodeError"]["code"], "DISCONNECTED",
        "{failed}"
    );
    row_when(&mut owner, |row| !is_connected(row)).await;
}

#[tokio::test]
async fn a_node_that_answers_pings_may_take_its_time() {
    let daemon = Daemon::start(Plan::default());
    let (mut owner, device, mut node) = approved(&daemon, 4, &["canvas.eval"]).await;
    let id = owner
        .ask("node.invoke", invoke(&device, "canvas.eval", "key"))
        .await;
    let request = asked(&mut node).await;
    // A ping of the client's own keeps its side reading until the gateway's pings were answered.
    node.send_message(Message::Ping(b"here".to_vec().into()))
        .await;
    assert!(matches!(node.next().await, Inbound::Pong(_)));
    node.call("node.invoke.result", result(&device, &request, &json!(1)))
        .await;
    assert_eq!(owner.answer(&id).await["payload"]["payload"], 1);
}

#[tokio::test]
async fn two_hundred_nodes_answer_at_once_out_of_order_and_twice() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let mut nodes = Vec::new();
    for n in 0..200_u8 {
        let device = Device::new(n + 1);
        let (node, _) = connect(daemon.socket().await, &device, 4, &["device.info"]).await;
        nodes.push((device, node));
    }
    let all = |list: &Value| {
        list["pending"]
            .as_array()
            .is_some_and(|all| all.len() == 200)
    };
    let list = crate::harness::soon("all nodes wait", async {
        loop {
            let list = owner.call("node.pair.list", json!({})).await;
            if all(&list) {
                return list;
            }
        }
    })
    .await;
    for request in list["pending"].as_array().expect("a list") {
        let request = json!({ "requestId": request["requestId"] });
        owner.call("node.pair.approve", request).await;
    }
    // No connection has more than 128 requests under way.
    let mut callers = Vec::new();
    for _ in 0..10 {
        callers.push((daemon.client().await, Vec::new()));
    }
    for (n, (device, _)) in nodes.iter().enumerate() {
        let (caller, ids) = &mut callers[n % 10];
        for twice in 0..2 {
            let params = invoke(device, "device.info", &format!("{n}-{twice}"));
            ids.push((n, twice, caller.ask("node.invoke", params).await));
        }
    }
    for (n, (device, node)) in nodes.iter_mut().enumerate().rev() {
        let (first, second) = (asked(node).await, asked(node).await);
        for request in [&second, &first, &second] {
            let value = json!({ "node": n, "key": request["idempotencyKey"] });
            node.ask("node.invoke.result", result(device, request, &value))
                .await;
        }
    }
    for (mut caller, ids) in callers {
        for (n, twice, id) in ids {
            let answer = caller.answer(&id).await;
            let expected = json!({ "node": n, "key": format!("{n}-{twice}") });
            assert_eq!(answer["payload"]["payload"], expected, "{answer}");
        }
    }
    crate::harness::soon("the results that came twice are counted", async {
        loop {
            let status = owner.call("status", json!({})).await;
            if status["gateway"]["limits"]["lateNodeResults"] == 200 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_uses_nodes_within_what_its_caller_may() {
    let daemon = Daemon::start(Plan::default());
    let offers = ["camera.snap", "door.open", "system.run"];
    let (mut owner, device, mut node) = approved(&daemon, 4, &offers).await;
    let use_nodes = |args: Value| json!({ "name": "nodes", "args": args, "sessionKey": "main" });
    let list = owner
        .call("tools.invoke", use_nodes(json!({ "action": "list" })))
        .await;
    let listed = &list["output"]["details"]["nodes"][0];
    assert_eq!(listed["id"], device.id.as_str(), "{list}");
    assert_eq!(listed["commands"], json!(offers));
    let args = json!({ "action": "invoke", "node": "attic", "command": "camera.snap", "params": { "facing": "back" } });
    let id = owner.ask("tools.invoke", use_nodes(args)).await;
    let request = asked(&mut node).await;
    assert_eq!(request["paramsJSON"], "{\"facing\":\"back\"}");
    let photo = json!({ "format": "jpg", "base64": "AAEC", "width": 1 });
    node.call("node.invoke.result", result(&device, &request, &photo))
        .await;
    let answer = owner.answer(&id).await;
    let content = &answer["payload"]["output"]["content"];
    assert_eq!(
        content[1],
        json!({ "type": "image", "mimeType": "image/jpeg", "data": "AAEC" }),
        "{answer}"
    );
    assert!(
        !content[0]["text"].as_str().unwrap().contains("AAEC"),
        "{answer}"
    );
    // Programs wait for a yes, which an agent's may remember.
    let args =
        json!({ "action": "invoke", "command": "system.run", "params": { "command": ["ls"] } });
    let id = owner.ask("tools.invoke", use_nodes(args)).await;
    let waiting = owner
        .until(|frame| frame["event"] == "exec.approval.requested")
        .await["payload"]
        .clone();
    assert_eq!(waiting["request"]["agentId"], "main");
    assert_eq!(
        waiting["request"]["allowedDecisions"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
    owner
        .call(
            "exec.approval.resolve",
            json!({ "id": waiting["id"], "decision": "allow-once" }),
        )
        .await;
    let request = asked(&mut node).await;
    node.call(
        "node.invoke.result",
        result(&device, &request, &json!({ "exitCode": 0 })),
    )
    .await;
    assert_eq!(owner.answer(&id).await["payload"]["ok"], true);

    let mut writer = daemon.socket().await;
    let mut params = connect_params(4);
    params["scopes"] = json!(["operator.write"]);
    writer.hello(params).await;
    let args = json!({ "action": "invoke", "node": "attic", "command": "door.open" });
    let answer = writer.call("tools.invoke", use_nodes(args)).await;
    assert_eq!(answer["ok"], false);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("operator.admin"),
        "{answer}"
    );
}
