//! Signal, whole: crabline's signal-cli, one that the test scripts, the daemon, a model.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::AccountRef;
use openclaw_actors::channel::policy::GroupRule;
use openclaw_actors::channel::signal::{Managed, SignalSetup, Timing, Way};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::accounts::{in_state, plan, row_when};
use crate::harness::child::{Gateway, Home, Shown, config};
use crate::harness::crabline::{Crabline, programs};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::model::Model;
use crate::harness::signal::SignalCli;
use crate::harness::socket::Socket;
use crate::harness::{TOKEN, ended};

const US: &str = "+15550000000";
const ANN: &str = "+447700900123";
const BOB: &str = "3fa85f64-5717-4562-b3fc-2c963f66afa6";
const GROUP: &str = "5M1NlYCcJ9lfhyOa0b5YrQ==";
/// What begins like a voice message.
const VOICE: &str = "T2dnUwACAAAAAAAAAAA=";

fn setup(url: &str) -> SignalSetup {
    SignalSetup {
        name: "default".into(),
        way: Way::External {
            url: url.to_owned(),
        },
        account: Some(US.into()),
        uuid: None,
        read_receipts: true,
        ignore_files: false,
        named: BTreeSet::new(),
        timing: Timing::default(),
    }
}

/// With one group in which everything counts.
fn with_group(mut plan: Plan) -> Plan {
    let who = AccountRef::new("signal", "default");
    let mut channels = (*plan.settings.channels).clone();
    let mut account = (*channels.accounts[&who]).clone();
    let rule = GroupRule {
        require_mention: Some(false),
        ..GroupRule::default()
    };
    account.policy.groups = BTreeMap::from([(GROUP.to_owned(), rule)]);
    channels.accounts.insert(who, Arc::new(account));
    plan.settings.channels = Arc::new(channels);
    plan
}

fn from_ann(text: &str, at: u64) -> Value {
    json!({ "account": US, "envelope": { "source": ANN, "sourceNumber": ANN, "sourceName": "Ann", "timestamp": at,
        "dataMessage": { "timestamp": at, "message": text } } })
}

async fn calls(platform: &Crabline, method: &str, count: usize) -> Vec<Value> {
    let own = || -> Vec<Value> {
        let all = platform.calls("rpc").into_iter();
        let own = all.filter(|body| body["method"] == method);
        own.map(|mut body| body["params"].take()).collect()
    };
    platform
        .noted(&format!("{count} calls of {method}"), || {
            own().len() >= count
        })
        .await;
    own()
}

#[tokio::test]
async fn people_are_answered_alone_and_in_groups() {
    let (platform, model) = (Crabline::start("signal").await, Model::echoing().await);
    let url = platform.manifest["baseUrl"].as_str().expect("its address");
    let daemon = Daemon::start(with_group(plan(&model, setup(url), &[ANN])));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "signal", "connected").await;
    assert_eq!(row["probe"]["bot"]["username"], US);

    platform
        .write(&json!({ "sourceNumber": ANN, "sourceName": "Ann", "text": "hello **you**" }))
        .await;
    let sent = calls(&platform, "send", 1).await;
    assert_eq!(
        sent[0],
        json!({ "account": US, "recipient": [ANN], "message": "re: hello you", "textStyle": ["10:3:BOLD"] })
    );
    let typing = calls(&platform, "sendTyping", 1).await;
    assert_eq!(typing[0], json!({ "account": US, "recipient": [ANN] }));
    let read = calls(&platform, "sendReceipt", 1).await;
    assert_eq!(
        (&read[0]["recipient"], &read[0]["type"]),
        (&json!(ANN), &json!("read"))
    );

    platform
        .write(&json!({ "sourceNumber": ANN, "sourceName": "Ann", "groupId": GROUP, "text": "and here?" }))
        .await;
    let sent = calls(&platform, "send", 2).await;
    assert_eq!(sent[1]["groupId"], GROUP);
    assert_eq!(sent[1]["message"], "re: Ann: and here?");

    // A stranger without a number is asked to pair, by their id.
    platform
        .write(&json!({ "sourceUuid": BOB, "sourceName": "Bob", "text": "let me in" }))
        .await;
    let sent = calls(&platform, "send", 3).await;
    assert_eq!(sent[2]["recipient"], json!([BOB]));
    let listed = client.call("channels.pairing.list", json!({})).await;
    assert_eq!(listed["requests"][0]["senderId"], format!("uuid:{BOB}"));
    let code = &listed["requests"][0]["metadata"]["code"];
    let told = sent[2]["message"].as_str().unwrap_or_default();
    assert!(told.contains(code.as_str().expect("a code")), "{told}");
    assert_eq!(model.journal().len(), 2);

    let react = json!({ "channel": "signal", "action": "react", "idempotencyKey": "r",
        "params": { "target": ANN, "messageId": format!("17:{ANN}"), "emoji": "🎉" } });
    client.call("message.action", react).await;
    let reaction = calls(&platform, "sendReaction", 1).await;
    assert_eq!(
        reaction[0],
        json!({ "account": US, "recipient": [ANN], "targetAuthor": ANN, "targetTimestamp": 17, "emoji": "🎉" })
    );
}

#[tokio::test]
async fn one_envelope_that_nobody_can_read_stops_nothing() {
    let (peer, model) = (SignalCli::start(&[US]).await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(&peer.url), &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "signal", "connected").await;
    peer.stream("event:receive\ndata:{half\n\n");
    peer.event(&json!({ "exception": { "type": "NullPointerException" }, "envelope": { "source": ANN, "timestamp": 1 } }));
    peer.event(&json!({ "envelope": { "timestamp": [], "dataMessage": 7 } }));
    peer.event(&json!(["nothing"]));
    peer.event(&from_ann("hello", 5));
    // The same again is the same message.
    peer.event(&from_ann("hello", 5));
    peer.until("an answer", |peer| peer.calls("send").len() == 1)
        .await;
    peer.event(&from_ann("more", 6));
    peer.until("two answers", |peer| peer.calls("send").len() == 2)
        .await;
    let row = in_state(&mut client, "signal", "connected").await;
    assert_eq!(row["generation"], 1);
    assert_eq!(model.journal(), ["hello", "more"]);
}

#[tokio::test]
async fn voices_are_heard_and_sent() {
    let (peer, model) = (SignalCli::start(&[US]).await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(&peer.url), &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "signal", "connected").await;
    peer.answer("getAttachment", json!({ "result": { "data": VOICE } }));
    let mut voice = from_ann("", 5);
    voice["envelope"]["dataMessage"]["attachments"] =
        json!([{ "contentType": "audio/aac", "id": "v5.aac", "size": 14, "voiceNote": true }]);
    peer.event(&voice);
    peer.until("an answer", |peer| peer.calls("send").len() == 1)
        .await;
    assert_eq!(
        peer.calls("getAttachment"),
        [json!({ "account": US, "id": "v5.aac", "recipient": ANN })]
    );
    let history = json!({ "sessionKey": "main", "limit": 50 });
    let history = client.call("chat.history", history).await;
    assert!(history.to_string().contains("voice message"), "{history}");

    // signal-cli has no word for a voice message: a sound is played where it stands.
    let ours = json!({ "channel": "signal", "to": ANN, "buffer": VOICE, "filename": "hello.ogg", "asVoice": true,
        "idempotencyKey": "voice" });
    client.call("send", ours).await;
    let sent = &peer.calls("send")[1];
    let file = format!("data:audio/ogg;filename=hello.ogg;base64,{VOICE}");
    assert_eq!(
        (&sent["message"], &sent["attachments"]),
        (&json!(""), &json!([file]))
    );
}

#[tokio::test]
async fn a_stream_that_is_silent_or_ends_is_opened_again_alone() {
    let (peer, model) = (SignalCli::start(&[US]).await, Model::echoing().await);
    let mut own = setup(&peer.url);
    own.timing.silence = Duration::from_secs(2);
    let daemon = Daemon::start(plan(&model, own, &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "signal", "connected").await;
    peer.stream("id:41\n");
    peer.event(&from_ann("hello", 5));
    peer.until("an answer", |peer| peer.calls("send").len() == 1)
        .await;
    // Requests are answered all the while: that the stream is deaf shows only in the stream.
    peer.silent(true);
    peer.until("a second stream", |peer| peer.opened().len() == 2)
        .await;
    peer.silent(false);
    let opened = peer.opened();
    let again = opened[1].to_lowercase();
    assert!(again.contains("last-event-id: 41"), "{again}");
    let first = &opened[0];
    assert!(first.contains("account=%2B15550000000"), "{first}");
    let second = |row: &Value| row["state"] == "connected" && row["generation"] == 2;
    row_when(&mut client, "signal", second).await;
    peer.end();
    row_when(&mut client, "signal", |row| {
        let why = row["lastError"].as_str();
        why.is_some_and(|why| why.contains("ended its stream"))
    })
    .await;
    in_state(&mut client, "signal", "connected").await;
    assert_eq!(peer.most_open(), 1);
}

#[tokio::test]
async fn an_account_that_is_not_linked_waits_for_its_owner() {
    let (peer, model) = (SignalCli::start(&[]).await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(&peer.url), &[ANN]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "signal", "parked").await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("openclaw channels login signal"), "{row}");
    assert!(peer.opened().is_empty());

    peer.answer(
        "listAccounts",
        json!({ "result": [{ "number": "+15550000009" }] }),
    );
    client
        .call("channels.start", json!({ "channel": "signal" }))
        .await;
    row_when(&mut client, "signal", |row| {
        row["state"] == "parked"
            && row["lastError"]
                .as_str()
                .is_some_and(|why| why.contains("+15550000009"))
    })
    .await;
    // It was unlinked between its list and the stream.
    peer.answer("listAccounts", json!({ "result": [{ "number": US }] }));
    peer.refuse(&[400]);
    client
        .call("channels.start", json!({ "channel": "signal" }))
        .await;
    row_when(&mut client, "signal", |row| {
        row["state"] == "parked" && row["generation"] == 3
    })
    .await;
    client
        .call("channels.start", json!({ "channel": "signal" }))
        .await;
    in_state(&mut client, "signal", "connected").await;
}

#[tokio::test]
async fn an_account_that_its_phone_unlinks_is_found_though_its_stream_goes_on() {
    let (peer, model) = (SignalCli::start(&[US]).await, Model::echoing().await);
    let mut own = setup(&peer.url);
    own.timing.look = Duration::from_millis(100);
    let daemon = Daemon::start(plan(&model, own, &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "signal", "connected").await;
    peer.until("some looks", |peer| peer.calls("listAccounts").len() > 3)
        .await;
    let row = in_state(&mut client, "signal", "connected").await;
    assert_eq!(
        (&row["generation"], &row["linked"]),
        (&json!(1), &json!(true))
    );
    peer.answer("listAccounts", json!({ "result": [] }));
    let row = in_state(&mut client, "signal", "parked").await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("openclaw channels login signal"), "{row}");
    assert_eq!(row["linked"], false, "{row}");
}

/// Waits until a login is over.
async fn over(client: &mut Socket) -> Value {
    loop {
        let params = json!({ "timeoutMs": 20_000, "accountId": "signal/" });
        let end = client.call("web.login.wait", params).await;
        if end["connected"] == true || end["failed"] == true {
            return end;
        }
    }
}

#[tokio::test]
async fn a_phone_links_a_signal_cli_that_runs_elsewhere() {
    let (peer, model) = (SignalCli::start(&[]).await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(&peer.url), &[ANN]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "signal", "parked").await;
    assert_eq!(row["linked"], false, "{row}");
    // Nobody scans: another picture comes, and in the end it is said.
    let address = |name: &str| json!({ "result": { "deviceLinkUri": format!("sgnl://linkdevice?uuid={name}") } });
    peer.answer("startLink", address("one"));
    let late =
        json!({ "error": { "code": -1, "message": "Link request timed out, please try again." } });
    peer.answer("finishLink", late);
    client.call("web.login.start", json!({})).await;
    let end = over(&mut client).await;
    let said = end["message"].as_str().unwrap_or_default();
    assert!(said.contains("nobody scanned the code in time"), "{end}");
    assert_eq!(peer.calls("startLink").len(), 4);

    // The wrong phone scans.
    peer.answer(
        "finishLink",
        json!({ "result": { "number": "+15550000009" } }),
    );
    client.call("web.login.start", json!({})).await;
    let end = over(&mut client).await;
    let said = end["message"].as_str().unwrap_or_default();
    assert!(said.contains("set it to +15550000009"), "{end}");

    // The right one does.
    peer.hold("finishLink");
    peer.answer("finishLink", json!({ "result": { "number": US } }));
    let begun = client
        .call("web.login.start", json!({ "timeoutMs": 20_000 }))
        .await;
    assert_eq!(begun["qrText"], "sgnl://linkdevice?uuid=one", "{begun}");
    let said = begun["message"].as_str().unwrap_or_default();
    assert!(said.contains("Signal, Settings, Linked devices"), "{begun}");
    peer.answer("listAccounts", json!({ "result": [{ "number": US }] }));
    peer.let_go("finishLink");
    let end = over(&mut client).await;
    assert_eq!(end["message"], format!("linked as {US}"), "{end}");
    let row = in_state(&mut client, "signal", "connected").await;
    assert_eq!(
        (&row["linked"], &row["lastError"]),
        (&json!(true), &Value::Null)
    );
    let params = &peer.calls("finishLink")[5];
    assert_eq!(
        *params,
        json!({ "deviceLinkUri": "sgnl://linkdevice?uuid=one", "deviceName": "OpenClaw" })
    );
    // There is no other way than a picture.
    let params = json!({ "channel": "signal", "phone": US });
    let refused = client.request("channels.link", params).await;
    let said = refused["error"]["message"].to_string();
    assert!(said.contains("linked by a picture only"), "{refused}");
    // Who is linked is not linked anew by accident.
    let again = client.call("web.login.start", json!({})).await;
    assert_eq!(again["connected"], true, "{again}");
}

#[tokio::test]
async fn what_signal_did_with_a_message_is_told_as_it_is() {
    let (peer, model) = (SignalCli::start(&[US]).await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(&peer.url), &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "signal", "connected").await;
    let failed = |code: i64, kind: &str| {
        json!({ "error": { "code": code, "message": "Failed to send message", "data": { "response": {
            "timestamp": 1, "results": [{ "recipientAddress": { "number": ANN }, "type": kind, "retryAfterSeconds": 1 }] } } } })
    };
    let send = |text: &str| json!({ "to": ANN, "channel": "signal", "message": text, "idempotencyKey": text });
    peer.answer("send", failed(-3, "NETWORK_FAILURE"));
    let answer = client.request("send", send("one")).await;
    assert_eq!(answer["error"]["details"]["state"], "unknown", "{answer}");
    peer.answer("send", failed(-1, "UNREGISTERED_FAILURE"));
    let answer = client.request("send", send("two")).await;
    assert_eq!(answer["ok"], false, "{answer}");
    assert_ne!(answer["error"]["details"]["state"], "unknown", "{answer}");
    // A limit is waited for, and then it is sent: once.
    peer.answer("send", failed(-5, "RATE_LIMIT_FAILURE"));
    let waiting = client.ask("send", send("three")).await;
    let count = |peer: &SignalCli, text: &str| {
        let sent = peer.calls("send").into_iter();
        sent.filter(|params| params["message"] == text).count()
    };
    peer.until("the limit", |peer| count(peer, "three") == 1)
        .await;
    peer.answer("send", json!({ "result": { "timestamp": 99 } }));
    client.answer(&waiting).await;
    peer.until("another try", |peer| count(peer, "three") == 2)
        .await;
    row_when(&mut client, "signal", |row| row["waitingOutbound"] == 0).await;
    assert_eq!(
        (
            count(&peer, "one"),
            count(&peer, "two"),
            count(&peer, "three")
        ),
        (1, 1, 2)
    );
}

/// A program that takes signal-cli's arguments and is crabline's. It has no account where there is a file
/// `unlinked`; a phone that links one scans what it says once there is a file `scanned`.
fn program(folder: &Path) -> std::path::PathBuf {
    let (node, crabline) = programs();
    let text = format!(
        "#!/bin/sh\nfor arg; do case $arg in --http=*) port=${{arg##*:}};; link) link=1;; esac; done\n\
         if [ -n \"$link\" ]; then\n\
           echo 'sgnl://linkdevice?uuid=one&pub_key=two'\n\
           while [ ! -f '{folder}/scanned' ]; do sleep 0.05; done\n\
           rm '{folder}/unlinked'; echo 'Associated with: {US}'; exit 0\n\
         fi\n\
         [ -f '{folder}/unlinked' ] && {{ echo 'User {US} is not registered.' >&2; exit 1; }}\n\
         [ -f '{folder}/slow' ] && sleep 6\n\
         rm -rf '{folder}/ready.json' '{folder}/ready.json.lock'\n\
         echo $$ >'{folder}/pid'\n\
         CRABLINE_ADMIN_TOKEN=managed exec '{node}' '{crabline}' --json serve signal --port \"$port\" \
         --ready-file '{folder}/ready.json' --recorder '{folder}/journal.jsonl'\n",
        folder = folder.display(),
        node = node.display(),
        crabline = crabline.display(),
    );
    let path = folder.join("signal-cli");
    std::fs::write(&path, text).expect("a program");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
        .expect("its permissions");
    path
}

fn pid(folder: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(folder.join("pid")).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

#[tokio::test]
async fn a_signal_cli_of_its_own_is_started_watched_and_ended() {
    let (folder, model) = (TempDir::new().expect("a folder"), Model::echoing().await);
    std::fs::write(folder.path().join("slow"), "").expect("a file");
    let mut own = setup("");
    own.way = Way::Managed(Managed {
        program: program(folder.path()),
        only: None,
        config: None,
        host: "127.0.0.1".into(),
        port: None,
        startup: Duration::from_secs(30),
        receive_mode: "on-connection".into(),
        ignore_stories: true,
    });
    let daemon = Daemon::start(plan(&model, own, &[ANN]));
    let mut client = daemon.client().await;
    // A Java program takes a while, and that is said.
    let row = row_when(&mut client, "signal", |row| row["lastError"].is_string()).await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(
        why.contains("starting") && row["state"] == "connecting",
        "{row}"
    );
    let row = in_state(&mut client, "signal", "connected").await;
    assert_eq!(
        (&row["generation"], &row["lastError"]),
        (&json!(1), &Value::Null)
    );
    std::fs::remove_file(folder.path().join("slow")).expect("the file");

    let first = pid(folder.path()).expect("its number");
    kill_process(first, Signal::KILL).expect("it lives");
    let row = row_when(&mut client, "signal", |row| {
        row["state"] == "connected" && row["generation"] == 2
    })
    .await;
    assert_eq!(row["lastError"], Value::Null);
    let second = pid(folder.path()).expect("its number");
    assert_ne!(first, second);
    client
        .call("channels.stop", json!({ "channel": "signal" }))
        .await;
    ended(second).await;
    client
        .call("channels.start", json!({ "channel": "signal" }))
        .await;
    in_state(&mut client, "signal", "connected").await;
    let platform = Crabline::found(folder).await;
    platform
        .write(&json!({ "sourceNumber": ANN, "text": "hello" }))
        .await;
    let sent = calls(&platform, "send", 1).await;
    assert_eq!(sent[0]["message"], "re: hello");
}

#[tokio::test]
async fn the_terminal_shows_what_a_phone_scans_and_the_end() {
    let (folder, model) = (TempDir::new().expect("a folder"), Model::echoing().await);
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("unlinked"), "").expect("a file");
    let mut own = setup("");
    own.way = Way::Managed(Managed {
        program: program(folder.path()),
        only: Some(US.into()),
        config: None,
        host: "127.0.0.1".into(),
        port: None,
        startup: Duration::from_secs(30),
        receive_mode: "on-connection".into(),
        ignore_stories: true,
    });
    let daemon = Daemon::start(plan(&model, own, &[ANN]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "signal", "parked").await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("openclaw channels login signal"), "{row}");
    let home = Home::new();
    let url = format!("ws://{}", daemon.address);
    let at = ["--url", &url, "--token", TOKEN];
    let mut login = Shown::start(
        &home,
        &[&["channels", "login", "signal"][..], &at[..]].concat(),
    );
    login.until("scan this with the phone: Signal").await;
    std::fs::write(file("scanned"), "").expect("the phone");
    let out = login.until("linked as").await;
    let picture = out.lines().filter(|line| line.contains('█')).count();
    assert!(picture > 10, "{out}");
    login.succeeds().await;
    in_state(&mut client, "signal", "connected").await;
}

#[tokio::test]
async fn signal_cli_dies_with_the_gateway_however_that_ends() {
    let (folder, model) = (TempDir::new().expect("a folder"), Model::echoing().await);
    let mut config = config(&model);
    config["channels"]["signal"] = json!({
        "account": US, "cliPath": program(folder.path()), "allowFrom": [ANN],
    });
    let mut home = Home::with(&config);
    home.variables
        .push(("PATH", "/usr/local/bin:/usr/bin:/bin".into()));
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    in_state(&mut client, "signal", "connected").await;
    let pid = pid(folder.path()).expect("its number");
    gateway.kill().await;
    ended(pid).await;
}

#[tokio::test]
async fn a_program_that_is_missing_or_fails_is_named() {
    let (folder, model) = (TempDir::new().expect("a folder"), Model::echoing().await);
    let managed = |program: std::path::PathBuf| {
        let mut own = setup("");
        own.way = Way::Managed(Managed {
            program,
            only: None,
            config: None,
            host: "127.0.0.1".into(),
            port: None,
            startup: Duration::from_secs(20),
            receive_mode: "on-connection".into(),
            ignore_stories: true,
        });
        own
    };
    let missing = folder.path().join("nothing/signal-cli");
    let daemon = Daemon::start(plan(&model, managed(missing), &[ANN]));
    let row = in_state(&mut daemon.client().await, "signal", "parked").await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("channels.signal.cliPath"), "{row}");

    let failing = folder.path().join("failing");
    std::fs::write(
        &failing,
        "#!/bin/sh\necho 'ERROR no Java here' >&2\nexit 7\n",
    )
    .expect("a program");
    std::fs::set_permissions(&failing, std::fs::Permissions::from_mode(0o700))
        .expect("its permissions");
    let daemon = Daemon::start(plan(&model, managed(failing), &[ANN]));
    let row = in_state(&mut daemon.client().await, "signal", "backoff").await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(
        why.contains("exit code 7") && why.contains("no Java here"),
        "{row}"
    );
}
