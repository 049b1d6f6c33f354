//! The command line has nodes do things, and writes what they give.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::device::Device;
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::nodes::{approve, connect, is_connected, row_when};

/// Runs the command line against this gateway, as somebody of this host.
async fn cli(home: &Home, gateway: &Gateway, args: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    // What follows `--` is the program's own.
    let end = args
        .iter()
        .position(|arg| *arg == "--")
        .unwrap_or(args.len());
    let mut all = args[..end].to_vec();
    all.extend(["--url", &url, "--token", TOKEN]);
    all.extend(&args[end..]);
    home.run(&all).await
}

/// Answers the next command and gives what was asked.
async fn answers(node: &mut Socket, device: &Device, payload: Value) -> Value {
    let frame = node
        .until(|frame| frame["event"] == "node.invoke.request")
        .await;
    let request = frame["payload"].clone();
    let result = json!({
        "id": request["id"], "nodeId": device.id, "ok": true, "payloadJSON": payload.to_string(),
    });
    node.call("node.invoke.result", result).await;
    let text = request["paramsJSON"].as_str().expect("parameters");
    json!({ "command": request["command"], "params": serde_json::from_str::<Value>(text).expect("JSON") })
}

#[tokio::test]
async fn commands_of_nodes_are_carried_out_and_files_written() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let device = Device::new(1);
    let offers = [
        "camera.snap",
        "canvas.a2ui.pushJSONL",
        "canvas.navigate",
        "device.info",
        "system.notify",
        "system.run",
    ];
    let (mut node, _) = connect(gateway.socket().await, &device, 4, &offers).await;
    row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;

    let photo = [0_u8, 1, 2, 255];
    let base64 = base64::engine::general_purpose::STANDARD.encode(photo);
    let file = home.state().join("photo.jpg");
    let out = file.display().to_string();
    let args = [
        "nodes", "camera", "snap", "attic", "--facing", "back", "--out", &out,
    ];
    let (ran, asked) = tokio::join!(
        cli(&home, &gateway, &args),
        answers(
            &mut node,
            &device,
            json!({ "format": "jpg", "base64": base64 })
        ),
    );
    assert_eq!(ran.0, Some(0), "{ran:?}");
    assert!(ran.1.contains("4 bytes"), "{}", ran.1);
    assert_eq!(std::fs::read(&file).expect("the photo"), photo);
    assert_eq!(asked["command"], "camera.snap");
    assert_eq!(asked["params"]["facing"], "back");

    let args = [
        "nodes",
        "invoke",
        "attic",
        "--command",
        "device.info",
        "--params",
        "{\"a\":1}",
        "--json",
    ];
    let (ran, asked) = tokio::join!(
        cli(&home, &gateway, &args),
        answers(&mut node, &device, json!({ "battery": 7 })),
    );
    let answer: Value = serde_json::from_str(&ran.1).expect("JSON");
    assert_eq!(answer["payload"]["battery"], 7, "{ran:?}");
    assert_eq!(asked["params"], json!({ "a": 1 }));

    let args = [
        "nodes", "run", "attic", "--yes", "--cwd", "/tmp", "--", "uname", "-a",
    ];
    let given =
        json!({ "exitCode": 3, "stdout": "Linux \u{1b}[31m\n", "stderr": "", "success": false });
    let (ran, asked) = tokio::join!(
        cli(&home, &gateway, &args),
        answers(&mut node, &device, given)
    );
    assert_eq!(ran.0, Some(1), "{ran:?}");
    assert!(
        ran.1.starts_with("Linux ") && !ran.1.contains('\u{1b}'),
        "{}",
        ran.1
    );
    assert!(ran.2.contains("exit code 3"), "{}", ran.2);
    assert_eq!(asked["params"]["command"], json!(["uname", "-a"]));
    assert_eq!(asked["params"]["cwd"], "/tmp");

    let surface = home.state().join("surface.jsonl");
    let path = surface.display().to_string();
    std::fs::write(
        &surface,
        "{\"deleteSurface\":{\"surfaceId\":\"s\"}}\n{\"x\":{}}\n",
    )
    .expect("a file");
    let args = ["nodes", "canvas", "a2ui", "push", "attic", "--jsonl", &path];
    let ran = cli(&home, &gateway, &args).await;
    assert_eq!(ran.0, Some(1), "{ran:?}");
    assert!(
        ran.2.contains("surface.jsonl: line 2: there is no \"x\""),
        "{}",
        ran.2
    );
    let args = [
        "nodes", "canvas", "a2ui", "push", "attic", "--text", "hello",
    ];
    let (ran, asked) = tokio::join!(
        cli(&home, &gateway, &args),
        answers(&mut node, &device, Value::Null),
    );
    assert_eq!(ran.0, Some(0), "{ran:?}");
    let lines = asked["params"]["jsonl"].as_str().expect("lines");
    assert!(
        lines.contains("hello") && lines.lines().count() == 2,
        "{lines}"
    );
    let page = "/__openclaw__/canvas/";
    let args = ["nodes", "canvas", "navigate", "attic", "--page", page];
    let (ran, asked) = tokio::join!(
        cli(&home, &gateway, &args),
        answers(&mut node, &device, Value::Null),
    );
    assert_eq!(ran.0, Some(0), "{ran:?}");
    let url = asked["params"]["url"].as_str().expect("an address");
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with(page),
        "{url}"
    );

    // Without a terminal and without --yes somebody else decides; here it is a no.
    let args = ["nodes", "run", "attic", "--", "rm", "x"];
    let no = async {
        let asked = owner
            .until(|frame| {
                frame["event"] == "exec.approval.requested"
                    && frame["payload"]["request"]["command"] == "rm x"
            })
            .await;
        let deny = json!({ "id": asked["payload"]["id"], "decision": "deny" });
        owner.call("exec.approval.resolve", deny).await;
    };
    let (ran, ()) = tokio::join!(cli(&home, &gateway, &args), no);
    assert_eq!(ran.0, Some(1), "{ran:?}");
    assert!(ran.2.contains("an owner refused it"), "{}", ran.2);

    drop(node);
    row_when(&mut owner, |row| !is_connected(row)).await;
    let args = ["nodes", "notify", "attic", "--body", "hi"];
    let ran = cli(&home, &gateway, &args).await;
    assert_eq!(ran.0, Some(1), "{ran:?}");
    assert!(ran.2.contains("openclaw nodes describe"), "{}", ran.2);
    gateway.terminate();
    gateway.ended().await;
}
