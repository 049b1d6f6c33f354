//! The canvas: who may read it and for how long, on both ports; and open pages that follow changes.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::harness::child::{Gateway, Home};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::device::Device;
use crate::harness::http::{Answer, ask, raw};
use crate::harness::socket::{Socket, upgrade_at};
use crate::harness::{TOKEN, soon};
use crate::nodes::{approve, connect, is_connected, row_when};

const PAGE: &str = "<body>hello canvas</body></html>";
const SANDBOX: &str = "sandbox allow-scripts allow-forms";

/// A daemon whose canvas has a port of its own, and a page.
fn daemon() -> Daemon {
    let daemon = Daemon::start(Plan {
        canvas: true,
        ..Plan::default().patient()
    });
    put(&daemon, "index.html", &format!("<html>{PAGE}"));
    daemon
}

fn put(daemon: &Daemon, name: &str, text: &str) {
    let path = daemon.state().join("canvas").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
    std::fs::write(path, text).expect("the page");
}

fn own(daemon: &Daemon) -> SocketAddr {
    ([127, 0, 0, 1], daemon.canvas_port).into()
}

/// The path behind the host of an address that a client was given.
fn path_of(url: &Value, address: SocketAddr) -> String {
    let url = url.as_str().expect("an address");
    let path = url.strip_prefix(&format!("http://{address}"));
    path.unwrap_or_else(|| panic!("{url} is not of {address}"))
        .to_owned()
}

async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, "accept: text/html\r\n").await
}

/// A node of this generation whose canvas is approved, on its second connection.
async fn approved(daemon: &Daemon, generation: u32) -> (Socket, Device, Socket, Value) {
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let commands = ["canvas.present", "canvas.navigate"];
    let (node, hello) = connect(daemon.socket().await, &device, generation, &commands).await;
    assert_eq!(hello["pluginSurfaceUrls"], Value::Null, "{hello}");
    assert_eq!(hello["canvasHostUrl"], Value::Null, "{hello}");
    row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    drop(node);
    row_when(&mut owner, |row| row["connected"] == false).await;
    let (node, hello) = connect(daemon.socket().await, &device, generation, &commands).await;
    row_when(&mut owner, is_connected).await;
    (owner, device, node, hello)
}

#[tokio::test]
async fn attack_27_only_a_capability_or_the_secret_opens_the_canvas() {
    let daemon = daemon();
    let (mut owner, device, mut node, hello) = approved(&daemon, 4).await;
    let base = path_of(&hello["pluginSurfaceUrls"]["canvas"], daemon.address);
    // The node's neighbours have its address, and not its capability.
    for address in [daemon.address, own(&daemon)] {
        for path in [
            "/__openclaw__/canvas/",
            "/__openclaw__/canvas/index.html",
            "/__openclaw__/canvas/none.html",
            "/__openclaw__/a2ui/",
            "/__openclaw__/a2ui/a2ui.js",
            "/__openclaw__/ws",
            "/__openclaw__/cap/x/__openclaw__/canvas/",
            "/__openclaw__/cap/00000000000000000000000000000000/__openclaw__/canvas/",
        ] {
            let answer = get(address, path).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.head);
            assert!(!answer.body.contains("hello canvas"), "{path}");
        }
        let wrong = "authorization: Bearer wrong\r\n";
        let answer = ask(address, "GET", "/__openclaw__/canvas/", wrong).await;
        assert_eq!(answer.status, 401, "{}", answer.head);
        let right = format!("authorization: Bearer {TOKEN}\r\n");
        let answer = ask(address, "GET", "/__openclaw__/canvas/", &right).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(answer.body.ends_with(PAGE), "{}", answer.body);
        let answer = get(address, &format!("{base}/__openclaw__/canvas/")).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(answer.body.contains("hello canvas"), "{}", answer.body);
        let answer = get(address, &format!("{base}/__openclaw__/a2ui/")).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(answer.body.contains("sendUserAction"), "{}", answer.body);
        let posted = format!("{base}/__openclaw__/canvas/index.html");
        assert_eq!(ask(address, "POST", &posted, "").await.status, 405);
    }
    let operator = daemon.client().await;
    let given = &operator.log.last().expect("hello-ok")["payload"]["pluginSurfaceUrls"]["canvas"];
    let theirs = path_of(given, daemon.address);
    let again = node
        .call("node.pluginSurface.refresh", json!({ "surface": "canvas" }))
        .await;
    let other = path_of(&again["pluginSurfaceUrls"]["canvas"], daemon.address);
    assert!(again["expiresAtMs"].as_u64().is_some(), "{again}");
    assert_ne!(other, base);
    let unknown = node
        .refused("node.pluginSurface.refresh", json!({ "surface": "voice" }))
        .await;
    assert_eq!(unknown["code"], "UNAVAILABLE", "{unknown}");
    for base in [&base, &other, &theirs] {
        let answer = get(daemon.address, &format!("{base}/__openclaw__/canvas/")).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
    }
    // With the node's trust its addresses end at once; those of others do not.
    owner
        .call("node.pair.remove", json!({ "nodeId": device.id }))
        .await;
    for base in [&base, &other] {
        let answer = get(daemon.address, &format!("{base}/__openclaw__/canvas/")).await;
        assert_eq!(answer.status, 401, "{}", answer.head);
    }
    let theirs = format!("{theirs}/__openclaw__/canvas/");
    assert_eq!(get(daemon.address, &theirs).await.status, 200);
    drop(operator);
    soon("the end of the operator's capability", async {
        while get(daemon.address, &theirs).await.status == 200 {}
    })
    .await;
}

#[tokio::test]
async fn attack_29_no_path_leads_out_of_the_canvas() {
    let daemon = daemon();
    let canvas = daemon.state().join("canvas");
    std::fs::write(daemon.state().join("secret.txt"), "the secret").expect("a file");
    put(&daemon, "inner/page.html", "inside");
    put(&daemon, ".hidden", "the secret");
    for (link, target) in [
        ("link.txt", "../secret.txt"),
        ("inner/link.txt", "../../secret.txt"),
        ("folder", ".."),
        ("dangling.html", "../not-there-yet"),
        ("inner/index.html", "../../secret.txt"),
    ] {
        std::os::unix::fs::symlink(target, canvas.join(link)).expect("a link");
    }
    let secret = format!("authorization: Bearer {TOKEN}\r\n");
    for path in [
        "link.txt",
        "inner/link.txt",
        "inner/",
        "folder/secret.txt",
        "folder/gateway/gateway.redb",
        "dangling.html",
        ".hidden",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "%2e%2e%2fsecret.txt",
        "%252e%252e%252fsecret.txt",
        "..%5csecret.txt",
        "inner/../../secret.txt",
        "inner//../secret.txt",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "./secret.txt",
    ] {
        let path = format!("/__openclaw__/canvas/{path}");
        for address in [daemon.address, own(&daemon)] {
            let answer = ask(address, "GET", &path, &secret).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.head);
            assert!(!answer.body.contains("the secret"), "{path}");
        }
    }
    let inside = ask(
        daemon.address,
        "GET",
        "/__openclaw__/canvas/inner/page.html",
        &secret,
    )
    .await;
    assert_eq!(inside.status, 200, "{}", inside.head);
    assert!(inside.body.ends_with("inside"), "{}", inside.body);
    let moved = ask(daemon.address, "GET", "/__openclaw__/canvas/inner", &secret).await;
    assert_eq!(moved.status, 404, "its page is a link: {}", moved.head);
    // A link that comes and goes while it is asked for.
    let (swapped, other) = (canvas.join("swap.txt"), canvas.join("swap.next"));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::write(&other, "plain").expect("a file");
                std::fs::rename(&other, &swapped).expect("a rename");
                std::os::unix::fs::symlink("../secret.txt", &other).expect("a link");
                std::fs::rename(&other, &swapped).expect("a rename");
            }
        }
    });
    for _ in 0..300 {
        let answer = ask(
            daemon.address,
            "GET",
            "/__openclaw__/canvas/swap.txt",
            &secret,
        )
        .await;
        assert!(!answer.body.contains("the secret"), "{}", answer.body);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().expect("it ends");
}

#[tokio::test]
async fn each_port_serves_its_own_and_every_page_is_sealed() {
    let daemon = daemon();
    let secret = format!("authorization: Bearer {TOKEN}\r\n");
    for (path, headers) in [
        ("/__openclaw__/canvas/", secret.as_str()),
        ("/__openclaw__/canvas/none", &secret),
        ("/__openclaw__/canvas/", ""),
        ("/__openclaw__/cap/x/__openclaw__/canvas/", ""),
        ("/__openclaw__/other", ""),
        ("/__openclaw__/a2ui/", &secret),
        ("/__openclaw__/a2ui/a2ui.js", &secret),
    ] {
        let answer = ask(daemon.address, "GET", path, headers).await;
        assert_eq!(answer.header("content-security-policy"), Some(SANDBOX));
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let home = get(own(&daemon), "/").await;
    assert_eq!(home.header("location"), Some("/__openclaw__/canvas/"));
    // No chat page, no probe, no API, no socket.
    for path in [
        "/index.html",
        "/chat/main",
        "/healthz",
        "/v1/models",
        "/assets/a.js",
    ] {
        let answer = get(own(&daemon), path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.head);
    }
    for path in ["/", "/ws", "/__openclaw__/canvas/", "/__openclaw__/x"] {
        let refused = upgrade_at(own(&daemon), path, &[]).await;
        assert_ne!(refused.expect_err("no socket").0, 101, "{path}");
    }
    // Nor does a page of that port get a socket of the gateway's.
    for name in ["127.0.0.1", "localhost"] {
        let origin = format!("http://{name}:{}", daemon.canvas_port);
        let refused = upgrade_at(daemon.address, "/", &[("origin", &origin)]).await;
        let (status, body) = refused.expect_err("no socket for it");
        assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    }
    let bare = get(daemon.address, "/a2ui/a2ui.js").await;
    assert!(
        !bare.body.contains("A2UI"),
        "it is served sealed, or not at all"
    );
    let refused = upgrade_at(daemon.address, "/", &[("origin", "null")]).await;
    assert_eq!(refused.expect_err("no socket").0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_v3_node_of_this_host_opens_its_canvas_to_this_host_and_to_nobody_else() {
    let daemon = daemon();
    let page = "/__openclaw__/canvas/";
    assert_eq!(get(own(&daemon), page).await.status, 401);
    let (mut owner, _, node, hello) = approved(&daemon, 3).await;
    assert_eq!(hello["pluginSurfaceUrls"], Value::Null, "{hello}");
    let url = format!("http://127.0.0.1:{}", daemon.canvas_port);
    assert_eq!(hello["canvasHostUrl"], json!(url), "{hello}");
    for (host, status) in [
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("[::1]", 200),
        ("evil.example", 401),
        ("127.0.0.1.evil.example", 401),
    ] {
        for port in ["", ":18793"] {
            let head =
                format!("GET {page} HTTP/1.1\r\nhost: {host}{port}\r\nconnection: close\r\n");
            let answer = raw(own(&daemon), &format!("{head}\r\n")).await;
            assert_eq!(answer.status, status, "{host}: {}", answer.head);
            let foreign = format!("{head}origin: https://evil.example\r\n\r\n");
            let foreign = raw(own(&daemon), &foreign).await.status;
            assert!(matches!(foreign, 401 | 403), "{host}: {foreign}");
            let forwarded = format!("{head}x-forwarded-for: 10.0.0.1\r\n\r\n");
            assert_eq!(raw(own(&daemon), &forwarded).await.status, 403, "{host}");
        }
    }
    drop(node);
    row_when(&mut owner, |row| row["connected"] == false).await;
    assert_eq!(get(own(&daemon), page).await.status, 401);
}

#[tokio::test]
async fn loopback_may_read_where_the_configuration_says_so_and_nothing_where_it_is_off() {
    let mut plan = Plan::default();
    plan.settings.canvas.allow_loopback_read = true;
    let open = Daemon::start(plan);
    let answer = get(open.address, "/__openclaw__/canvas/").await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(
        answer.body.contains("This canvas is empty"),
        "{}",
        answer.body
    );
    let mut plan = Plan::default();
    plan.settings.canvas.enabled = false;
    let off = Daemon::start(plan);
    let secret = format!("authorization: Bearer {TOKEN}\r\n");
    let answer = ask(off.address, "GET", "/__openclaw__/canvas/", &secret).await;
    assert_eq!(answer.status, 404, "{}", answer.head);
    let client = off.client().await;
    let hello = client.log.last().expect("hello-ok");
    assert_eq!(hello["payload"]["pluginSurfaceUrls"], Value::Null);
}

#[tokio::test]
async fn attack_37_an_open_page_follows_changes_by_its_capability_alone() {
    let daemon = daemon();
    let client = daemon.client().await;
    let given = &client.log.last().expect("hello-ok")["payload"]["pluginSurfaceUrls"]["canvas"];
    let base = path_of(given, daemon.address);
    let page = get(daemon.address, &format!("{base}/__openclaw__/canvas/")).await;
    assert!(page.body.contains("new WebSocket"), "{}", page.body);
    for path in ["/__openclaw__/ws", "/__openclaw__/cap/x/__openclaw__/ws"] {
        let refused = upgrade_at(daemon.address, path, &[]).await;
        let (status, _) = refused.expect_err("no socket without a capability");
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let path = format!("{base}/__openclaw__/ws");
    for address in [daemon.address, own(&daemon)] {
        let stream = upgrade_at(address, &path, &[("origin", "null")]).await;
        let mut stream = stream.expect("a socket");
        // The folder is watched from some moment on.
        let told = soon("the news of a change", async {
            for round in 0_u32.. {
                put(&daemon, "deep/er/page.html", &format!("change {round}"));
                let next = tokio::time::timeout(Duration::from_millis(200), stream.next());
                if let Ok(told) = next.await {
                    return told;
                }
            }
            None
        });
        let told = told.await.expect("a message").expect("no error");
        assert_eq!(told, Message::text("reload"));
    }
    // Whatever a page says there, it is not listened to.
    let mut stream = upgrade_at(daemon.address, &path, &[])
        .await
        .expect("a socket");
    let request = json!({ "type": "req", "id": "1", "method": "health", "params": {} });
    futures_util::SinkExt::send(&mut stream, Message::text(request.to_string()))
        .await
        .expect("it is taken");
    futures_util::SinkExt::send(&mut stream, Message::Ping("x".into()))
        .await
        .expect("it is taken");
    let answer = soon("the pong", async {
        loop {
            match stream.next().await.expect("a message").expect("no error") {
                Message::Text(text) if text.as_str() == "reload" => {}
                other => return other,
            }
        }
    });
    assert_eq!(answer.await, Message::Pong("x".into()));
}

#[tokio::test]
async fn a_node_is_shown_a_page_of_the_canvas_by_an_address_that_opens_it() {
    for generation in [4, 3] {
        let daemon = daemon();
        let (mut owner, device, mut node, _) = approved(&daemon, generation).await;
        for (key, url) in [
            ("a", "/__openclaw__/canvas/index.html"),
            ("b", "https://example.org/"),
            ("c", "/__openclaw__/other"),
        ] {
            let params = json!({
                "nodeId": device.id, "command": "canvas.navigate", "idempotencyKey": key,
                "params": { "url": url },
            });
            let id = owner.ask("node.invoke", params).await;
            let asked = node
                .until(|frame| frame["event"] == "node.invoke.request")
                .await;
            let asked = &asked["payload"];
            let given: Value = serde_json::from_str(asked["paramsJSON"].as_str().expect("a text"))
                .expect("it is JSON");
            if key == "a" {
                let address = if generation == 3 {
                    own(&daemon)
                } else {
                    daemon.address
                };
                let answer = get(address, &path_of(&given["url"], address)).await;
                assert_eq!(answer.status, 200, "{}", answer.head);
            } else {
                assert_eq!(given["url"], url);
            }
            let done = json!({ "id": asked["id"], "nodeId": device.id, "ok": true });
            node.call("node.invoke.result", done).await;
            owner.answer(&id).await;
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_named_and_the_gateway_goes_on() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let home = Home::with(&json!({
        "gateway": { "auth": { "mode": "token", "token": TOKEN } },
        "canvasHost": { "port": port },
    }));
    let gateway = Gateway::start(&home).await;
    let address: SocketAddr = ([127, 0, 0, 1], gateway.port).into();
    let secret = format!("authorization: Bearer {TOKEN}\r\n");
    let answer = ask(address, "GET", "/__openclaw__/canvas/", &secret).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    gateway.terminate();
    gateway.ended().await;
    let log = home.log();
    assert!(log.contains("canvasHost.port"), "{log}");
    assert!(
        log.contains(&format!("pid {}", std::process::id())),
        "{log}"
    );
    drop(taken);
}

/// Answers the next command of a node; what it was asked.
async fn answer(node: &mut Socket, device: &Device, payload: Value) -> (Value, Value) {
    let asked = node
        .until(|frame| frame["event"] == "node.invoke.request")
        .await["payload"]
        .clone();
    let result = json!({
        "id": asked["id"], "nodeId": device.id, "ok": true, "payloadJSON": payload.to_string(),
    });
    node.call("node.invoke.result", result).await;
    let params = asked["paramsJSON"].as_str().expect("parameters");
    let params = serde_json::from_str(params).expect("they are JSON");
    (asked["command"].clone(), params)
}

const SURFACE: &str = r#"{"surfaceUpdate":{"surfaceId":"s","components":[{"id":"t","component":{"Text":{"text":{"literalString":"hi"}}}}]}}
{"beginRendering":{"surfaceId":"s","root":"t"}}"#;

#[tokio::test]
async fn an_agent_writes_a_page_shows_it_and_draws_surfaces() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let offers = [
        "canvas.present",
        "canvas.snapshot",
        "canvas.a2ui.pushJSONL",
        "canvas.a2ui.reset",
    ];
    let (mut node, _) = connect(daemon.socket().await, &device, 4, &offers).await;
    row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    let tool = |args: Value| json!({ "name": "canvas", "args": args, "sessionKey": "main" });
    let page = "<html><body>made by an agent</body></html>";
    let wrote = owner
        .call(
            "tools.invoke",
            tool(json!({ "action": "write", "path": "made/index.html", "content": page })),
        )
        .await;
    assert_eq!(wrote["ok"], true, "{wrote}");
    for path in ["../outside.html", "/etc/outside.html", ".hidden/x.html"] {
        let args = json!({ "action": "write", "path": path, "content": page });
        let wrote = owner.call("tools.invoke", tool(args)).await;
        assert_eq!(wrote["ok"], false, "{path}: {wrote}");
    }
    assert!(!daemon.state().join("outside.html").exists());

    let id = owner
        .ask(
            "tools.invoke",
            tool(json!({ "action": "present", "url": "made/" })),
        )
        .await;
    let (command, params) = answer(&mut node, &device, Value::Null).await;
    assert_eq!(command, "canvas.present");
    let shown = get(daemon.address, &path_of(&params["url"], daemon.address)).await;
    assert_eq!(shown.status, 200, "{}", shown.head);
    assert!(shown.body.contains("made by an agent"), "{}", shown.body);
    assert_eq!(owner.answer(&id).await["payload"]["ok"], true);

    let id = owner
        .ask(
            "tools.invoke",
            tool(json!({ "action": "snapshot", "node": "attic" })),
        )
        .await;
    let picture = json!({ "format": "png", "base64": "AAEC" });
    let (command, params) = answer(&mut node, &device, picture).await;
    assert_eq!(
        (command, &params["format"]),
        (json!("canvas.snapshot"), &json!("png"))
    );
    let seen = owner.answer(&id).await;
    assert_eq!(
        seen["payload"]["output"]["content"][1]["mimeType"], "image/png",
        "{seen}"
    );

    let id = owner
        .ask(
            "tools.invoke",
            tool(json!({ "action": "a2ui_push", "jsonl": SURFACE })),
        )
        .await;
    let (command, params) = answer(&mut node, &device, Value::Null).await;
    assert_eq!(
        (command, params),
        (json!("canvas.a2ui.pushJSONL"), json!({ "jsonl": SURFACE }))
    );
    assert_eq!(owner.answer(&id).await["payload"]["ok"], true);
    let args = json!({ "action": "a2ui_push", "jsonl": format!("{SURFACE}\n{{\"x\":1}}") });
    let wrong = owner.call("tools.invoke", tool(args)).await;
    let told = wrong["error"]["message"].as_str().expect("a reason");
    assert!(told.contains("line 3: x: must be an object"), "{wrong}");
    let id = owner
        .ask("tools.invoke", tool(json!({ "action": "a2ui_reset" })))
        .await;
    assert_eq!(
        answer(&mut node, &device, Value::Null).await.0,
        "canvas.a2ui.reset"
    );
    assert_eq!(owner.answer(&id).await["payload"]["ok"], true);
}

#[tokio::test]
async fn surfaces_are_checked_before_a_node_is_sent_them() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let device = Device::new(1);
    let offers = ["canvas.a2ui.push", "canvas.a2ui.pushJSONL"];
    let (mut node, _) = connect(daemon.socket().await, &device, 4, &offers).await;
    row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    let invoke = |command: &str, key: &str, params: Value| json!({ "nodeId": device.id, "command": command, "idempotencyKey": key, "params": params });
    for (key, command, params, told) in [
        (
            "a",
            "canvas.a2ui.push",
            json!({}),
            "/params/messages: must be a list",
        ),
        (
            "b",
            "canvas.a2ui.push",
            json!({ "messages": [{}] }),
            "message 1: a message is exactly one of",
        ),
        (
            "c",
            "canvas.a2ui.pushJSONL",
            json!({ "jsonl": 1 }),
            "/params/jsonl: must be a text",
        ),
        (
            "d",
            "canvas.a2ui.pushJSONL",
            json!({ "jsonl": "\n{}\n\n[" }),
            "line 2: a message is exactly one of",
        ),
        (
            "e",
            "canvas.a2ui.pushJSONL",
            json!({ "jsonl": format!("{SURFACE}\n[") }),
            "line 3: no JSON at column",
        ),
    ] {
        let refused = owner
            .refused("node.invoke", invoke(command, key, params))
            .await;
        assert_eq!(refused["code"], "INVALID_REQUEST", "{refused}");
        let message = refused["message"].as_str().expect("a reason");
        assert!(message.contains(told), "{message}");
    }
    assert!(
        node.places(|frame| frame["event"] == "node.invoke.request")
            .is_empty()
    );
    let params = json!({ "messages": [{ "deleteSurface": { "surfaceId": "s" } }] });
    let id = owner
        .ask(
            "node.invoke",
            invoke("canvas.a2ui.push", "f", params.clone()),
        )
        .await;
    assert_eq!(answer(&mut node, &device, Value::Null).await.1, params);
    assert_eq!(owner.answer(&id).await["ok"], true);
}
