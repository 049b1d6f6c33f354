//! `openclaw node run`, the built program, as a node of the daemon.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use openclaw_actors::clock::TestClock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::{TOKEN, ended, soon, written};
use crate::nodes::{approve, is_connected, row_when};

/// A node as a child process, with a folder of its own.
struct Node {
    home: Home,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
}

impl Node {
    /// Starts one for the gateway at this port.
    async fn start(port: u16, args: &[&str]) -> Self {
        Self::start_in(Home::new(), port, args).await
    }

    async fn start_in(home: Home, port: u16, args: &[&str]) -> Self {
        let url = format!("ws://127.0.0.1:{port}");
        let mut all = vec!["node", "run", "--url", &url, "--token", TOKEN];
        all.extend(["--display-name", "Attic"]);
        all.extend(args);
        let mut command = home.command(&all);
        command
            .env("PATH", "/usr/bin:/bin")
            .stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("its stdout is a pipe");
        let mut node = Self {
            home,
            child,
            lines: BufReader::new(stdout).lines(),
            said: String::new(),
        };
        node.says("node Attic offers ").await;
        node
    }

    /// The next line that holds this text.
    async fn says(&mut self, text: &str) -> String {
        loop {
            let line = soon("a line of the node", self.lines.next_line()).await;
            let line = line.expect("it is text");
            let line = line.unwrap_or_else(|| panic!("it ended without: {text}\n{}", self.said));
            self.said.push_str(&line);
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Kills it as a power cut would.
    async fn kill(mut self) -> Home {
        soon("the kill", self.child.kill())
            .await
            .expect("it can be killed");
        self.home
    }
}

fn invoke(row: &Value, command: &str, params: &Value, key: &str) -> Value {
    json!({
        "nodeId": row["nodeId"], "command": command, "params": params, "idempotencyKey": key,
        "timeoutMs": 20_000,
    })
}

/// What a command gave.
async fn gave(owner: &mut Socket, row: &Value, command: &str, params: &Value, key: &str) -> Value {
    let params = invoke(row, command, params, key);
    owner.call("node.invoke", params).await["payload"].clone()
}

/// What a program gave that an owner said yes to.
async fn ran(owner: &mut Socket, row: &Value, params: &Value, key: &str) -> Value {
    let asked = owner
        .ask("node.invoke", invoke(row, "system.run", params, key))
        .await;
    say_yes(owner).await;
    owner.answer(&asked).await
}

async fn say_yes(owner: &mut Socket) {
    let asked = owner
        .until(|frame| frame["event"] == "exec.approval.requested")
        .await;
    let yes = json!({ "id": asked["payload"]["id"], "decision": "allow-once" });
    owner.call("exec.approval.resolve", yes).await;
}

#[tokio::test]
async fn a_node_pairs_is_approved_carries_out_and_comes_back_after_a_restart() {
    let model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let mut node = Node::start(gateway.port, &["--location=52.52,13.405"]).await;
    node.says("connected to ").await;
    let row = row_when(&mut owner, is_connected).await;
    assert_eq!(row["displayName"], "Attic");
    assert_eq!(
        row["commands"],
        json!([]),
        "nothing is in effect before the approval"
    );
    approve(&mut owner).await;

    let wanted = json!({ "bins": ["sh", "no-such-program"] });
    let which = gave(&mut owner, &row, "system.which", &wanted, "k1").await;
    assert_eq!(which["bins"], json!({ "sh": "/usr/bin/sh" }));
    let place = gave(&mut owner, &row, "location.get", &json!({}), "k2").await;
    assert_eq!(
        (&place["lat"], &place["lon"]),
        (&json!(52.52), &json!(13.405))
    );
    let info = gave(&mut owner, &row, "device.info", &json!({}), "k3").await;
    assert_eq!(info["deviceName"], "Attic");
    let status = gave(&mut owner, &row, "device.status", &json!({}), "k4").await;
    assert!(status["uptimeSeconds"].as_f64() > Some(0.0), "{status}");
    let program = json!({
        "command": ["sh", "-c", "echo $WORD $OPENCLAW_GATEWAY_TOKEN; pwd; exit 3"],
        "env": { "WORD": "hello" }, "cwd": "/",
    });
    let done = ran(&mut owner, &row, &program, "k5").await;
    assert_eq!(
        done["payload"]["payload"],
        json!({ "exitCode": 3, "timedOut": false, "success": false, "stdout": "hello\n/\n", "stderr": "" }),
        "{done}"
    );
    let code = json!({ "command": ["ls"], "env": { "LD_PRELOAD": "/tmp/x.so" } });
    let refused = ran(&mut owner, &row, &code, "k6").await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("LD_PRELOAD"),
        "{refused}"
    );

    let port = gateway.port.to_string();
    gateway.kill().await;
    node.says("again in ").await;
    let gateway = Gateway::start_with(&home, &["--port", &port]).await;
    node.says("connected to ").await;
    let mut owner = gateway.client().await;
    let row = row_when(&mut owner, is_connected).await;
    let again = gave(
        &mut owner,
        &row,
        "location.get",
        &json!({ "desiredAccuracy": "coarse" }),
        "k7",
    )
    .await;
    assert_eq!(again["isPrecise"], false, "{again}");

    // Its key and its token are its own, in files that only it reads; with them it needs no secret.
    let folder = node.home.state().join("gateway/node");
    for name in ["identity.json", "tokens.json"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = folder.join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(
        !std::fs::read_to_string(folder.join("tokens.json"))
            .unwrap()
            .contains(TOKEN)
    );
    let node_home = node.kill().await;
    row_when(&mut owner, |row| !is_connected(row)).await;
    let url = format!("ws://127.0.0.1:{port}");
    let mut without = node_home.command(&["node", "run", "--url", &url, "--display-name", "Attic"]);
    let _without = without.spawn().expect("the program starts");
    let back = row_when(&mut owner, is_connected).await;
    assert_eq!(back["nodeId"], row["nodeId"]);
    assert!(!back["commands"].as_array().unwrap().is_empty(), "{back}");
}

#[tokio::test]
async fn the_nodes_own_rules_come_first_and_can_be_changed_from_afar() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let mut node = Node::start(daemon.address.port(), &[]).await;
    node.says("connected to ").await;
    let row = row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    let id = &row["nodeId"];
    let rules = owner
        .call("exec.approvals.node.get", json!({ "nodeId": id }))
        .await;
    assert_eq!(rules["exists"], false);
    // Agents use node.invoke too, and must not change what holds them back.
    for command in ["system.execApprovals.get", "SYSTEM.EXECAPPROVALS.SET"] {
        let params =
            json!({ "nodeId": id, "command": command, "params": {}, "idempotencyKey": command });
        let refused = owner.refused("node.invoke", params).await;
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("exec.approvals.node.set"), "{message}");
    }
    let neither = owner
        .refused("exec.approvals.node.set", json!({ "nodeId": id }))
        .await;
    let message = neither["message"].as_str().unwrap();
    assert!(message.contains("'file' and 'native'"), "{message}");
    let ask = json!({ "nodeId": id, "file": { "version": 1, "defaults": { "ask": "always" } } });
    let changed = owner.call("exec.approvals.node.set", ask).await;
    assert_eq!(changed["file"]["defaults"]["ask"], "always", "{changed}");
    let mut deny =
        json!({ "nodeId": id, "file": { "version": 1, "defaults": { "security": "deny" } } });
    deny["baseHash"] = changed["hash"].clone();
    let set = owner.call("exec.approvals.node.set", deny).await;
    assert_eq!(set["file"]["defaults"]["security"], "deny", "{set}");
    let refused = ran(&mut owner, &row, &json!({ "command": ["true"] }), "k3").await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("SYSTEM_RUN_DENIED") && message.contains("exec-approvals.json"),
        "{message}"
    );
    // What an owner types into the file counts at once.
    std::fs::write(set["path"].as_str().unwrap(), r#"{ "version": 1 }"#).unwrap();
    let done = ran(&mut owner, &row, &json!({ "command": ["true"] }), "k4").await;
    assert_eq!(done["payload"]["payload"]["success"], true, "{done}");
    drop(node);
}

/// A program that writes its process id there and runs for long.
fn long(home: &Home) -> (Value, PathBuf) {
    let file = home.state().join("pid");
    let script = format!(
        "echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600",
        file.display()
    );
    (json!({ "command": ["sh", "-c", script] }), file)
}

/// The id that it wrote there.
async fn pid_in(file: &Path) -> Pid {
    let pid = written(file.parent().expect("a folder"), "the program's id", || {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    Pid::from_raw(pid.await).expect("a process id")
}

#[tokio::test]
async fn what_nobody_waits_for_ends_and_a_killed_node_fails_what_it_owes() {
    let daemon = Daemon::start(Plan::default());
    let mut owner = daemon.client().await;
    let mut node = Node::start(daemon.address.port(), &[]).await;
    node.says("connected to ").await;
    let row = row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;

    // The caller's time is over: the gateway cancels, and the program ends.
    let (params, file) = long(&node.home);
    let mut asked = invoke(&row, "system.run", &params, "k1");
    asked["timeoutMs"] = json!(1_500);
    let id = owner.ask("node.invoke", asked).await;
    say_yes(&mut owner).await;
    let pid = pid_in(&file).await;
    let over = owner.answer(&id).await;
    assert!(
        over["error"]["message"]
            .as_str()
            .unwrap()
            .contains("TIMEOUT"),
        "{over}"
    );
    ended(pid).await;

    // Its own time is over, which is a result.
    let mut params = params;
    params["timeoutMs"] = json!(200);
    std::fs::remove_file(&file).unwrap();
    let over = ran(&mut owner, &row, &params, "k2").await;
    assert_eq!(over["payload"]["payload"]["timedOut"], true, "{over}");
    ended(pid_in(&file).await).await;

    // The node is asked to stop: what it runs ends with it.
    params["timeoutMs"] = json!(60_000);
    std::fs::remove_file(&file).unwrap();
    let id = owner
        .ask("node.invoke", invoke(&row, "system.run", &params, "k3"))
        .await;
    say_yes(&mut owner).await;
    let pid = pid_in(&file).await;
    let own = i32::try_from(node.child.id().unwrap()).unwrap();
    let own = Pid::from_raw(own).unwrap();
    kill_process(own, Signal::TERM).unwrap();
    let lost = owner.answer(&id).await;
    assert!(
        lost["error"]["message"]
            .as_str()
            .unwrap()
            .contains("DISCONNECTED"),
        "{lost}"
    );
    ended(pid).await;
    assert_eq!(
        soon("its end", node.child.wait()).await.unwrap().code(),
        Some(0)
    );

    // It is killed: the gateway tells at once, and the node comes back as itself.
    let mut node = Node::start_in(node.home, daemon.address.port(), &[]).await;
    node.says("connected to ").await;
    row_when(&mut owner, is_connected).await;
    std::fs::remove_file(&file).unwrap();
    let id = owner
        .ask("node.invoke", invoke(&row, "system.run", &params, "k4"))
        .await;
    say_yes(&mut owner).await;
    let orphan = pid_in(&file).await;
    let home = node.kill().await;
    let lost = owner.answer(&id).await;
    assert!(
        lost["error"]["message"]
            .as_str()
            .unwrap()
            .contains("DISCONNECTED"),
        "{lost}"
    );
    kill_process(orphan, Signal::KILL).unwrap();
    let mut node = Node::start_in(home, daemon.address.port(), &[]).await;
    node.says("connected to ").await;
    let back = row_when(&mut owner, is_connected).await;
    assert_eq!(back["nodeId"], row["nodeId"]);
    gave(&mut owner, &row, "device.info", &json!({}), "k5").await;
}

#[tokio::test]
async fn a_result_that_no_frame_holds_is_said_and_nothing_else_suffers() {
    let mut plan = Plan::default();
    plan.limits.max_payload = 64 * 1024;
    let daemon = Daemon::start(plan);
    let mut owner = daemon.client().await;
    let mut node = Node::start(daemon.address.port(), &[]).await;
    node.says("connected to ").await;
    let row = row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    let large = json!({ "command": ["head", "-c", "150000", "/dev/zero"] });
    let refused = ran(&mut owner, &row, &large, "k1").await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("PAYLOAD_TOO_LARGE"), "{message}");
    gave(&mut owner, &row, "device.info", &json!({}), "k2").await;
}

#[tokio::test]
async fn the_clocks_of_a_node_and_its_gateway_need_not_agree() {
    let clock: Arc<TestClock> = Arc::new(TestClock::frozen());
    let plan = Plan {
        clock: Arc::<TestClock>::clone(&clock),
        ..Plan::default()
    };
    let daemon = Daemon::start(plan);
    let mut owner = daemon.client().await;
    let mut node = Node::start(daemon.address.port(), &[]).await;
    node.says("connected to ").await;
    let row = row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    gave(&mut owner, &row, "device.info", &json!({}), "k1").await;
}

#[tokio::test]
async fn a_second_program_of_the_same_node_takes_over_and_the_first_says_so() {
    let daemon = Daemon::start(Plan::default());
    let mut first = Node::start(daemon.address.port(), &[]).await;
    first.says("connected to ").await;
    let folder = first.home.state().join("gateway/node");
    let mut second = Node::start(
        daemon.address.port(),
        &["--state-dir", folder.to_str().unwrap()],
    )
    .await;
    second.says("connected to ").await;
    let ended = soon("the first one's end", first.child.wait())
        .await
        .unwrap();
    assert_eq!(ended.code(), Some(69), "{}", first.said);
}

#[tokio::test]
async fn a_one_time_code_pairs_a_node_that_knows_no_secret() {
    let home = Home::with(&json!({ "gateway": { "auth": { "mode": "token", "token": TOKEN } } }));
    let gateway = Gateway::start(&home).await;
    let mut owner = gateway.client().await;
    let url = format!("ws://127.0.0.1:{}", gateway.port);
    let args = [
        "devices",
        "setup-code",
        "--access",
        "node",
        "--setup-code-only",
        "--public-url",
        &url,
    ];
    let args = [&args[..], &["--url", &url, "--token", TOKEN]].concat();
    let (code, out, error) = home.run(&args).await;
    assert_eq!(code, Some(0), "{error}");
    let other = Home::new();
    let mut command = other.command(&["node", "run", "--setup-code", out.trim(), "--no-programs"]);
    let _node = command.spawn().expect("the program starts");
    let row = row_when(&mut owner, is_connected).await;
    approve(&mut owner).await;
    gave(&mut owner, &row, "device.info", &json!({}), "k1").await;
    let tokens = other.state().join("gateway/node/tokens.json");
    let tokens = std::fs::read_to_string(tokens).unwrap();
    assert!(!tokens.contains(out.trim()) && !tokens.contains(TOKEN));
    let (code, _, error) = other
        .run(&["node", "run", "--setup-code", "nonsense"])
        .await;
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("openclaw qr"), "{error}");
}
