//! iMessage, whole: an `imsg rpc` that follows its page to the letter, the daemon, a model. No Mac has
//! run this.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_actors::channel::AccountRef;
use openclaw_actors::channel::imessage::{IMessageSetup, Timing, Way, protocol};
use openclaw_actors::channel::policy::GroupRule;
use serde_json::{Value, json};

use crate::harness::accounts::{in_state, plan, row_when};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::imsg::{Fault, Mac, TABLE};
use crate::harness::model::Model;
use crate::harness::{PNG, look_again, soon};

const ANN: &str = "+447700900123";

fn setup(mac: &Mac) -> IMessageSetup {
    IMessageSetup {
        way: Way::Here {
            program: mac.program.clone(),
        },
        database: None,
        service: Some("auto".into()),
        region: None,
        transport: None,
        files: true,
        roots: vec![mac.folder().display().to_string()],
        files_host: None,
        groups: BTreeSet::new(),
        catch_up: Some(Duration::from_hours(2)),
        timing: Timing::default(),
    }
}

fn with_group(mut plan: Plan, group: &str) -> Plan {
    let who = AccountRef::new("imessage", "default");
    let mut channels = (*plan.settings.channels).clone();
    let mut account = (*channels.accounts[&who]).clone();
    let rule = GroupRule {
        require_mention: Some(false),
        ..GroupRule::default()
    };
    account.policy.groups = BTreeMap::from([(group.to_owned(), rule)]);
    channels.accounts.insert(who, Arc::new(account));
    plan.settings.channels = Arc::new(channels);
    plan
}

#[test]
fn everything_that_is_used_is_on_the_page_of_the_protocol() {
    for method in protocol::METHODS {
        assert!(TABLE["methods"][method]["section"].is_string(), "{method}");
    }
    for name in protocol::NOTIFICATIONS {
        assert!(
            TABLE["notifications"][name]["section"].is_string(),
            "{name}"
        );
    }
    for code in protocol::ERRORS {
        assert!(
            TABLE["errors"][code.to_string()]["section"].is_string(),
            "{code}"
        );
    }
}

#[tokio::test]
async fn people_are_answered_alone_and_in_groups_also_after_the_gateway_was_down() {
    let (mac, model) = (Mac::start().await, Model::echoing().await);
    mac.write(ANN, "from before there was an assistant");
    let planned = || with_group(plan(&model, setup(&mac), &[ANN]), "77");
    let daemon = Daemon::start(planned());
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "imessage", "connected").await;
    assert_eq!(row["probe"]["bot"]["username"], "bot@example.org");
    mac.write(ANN, "hello **you**");
    mac.until("an answer", |mac| mac.sent().len() == 1).await;
    assert_eq!(
        mac.calls("send")[0],
        json!({ "to": ANN, "service": "auto", "text": "re: hello you" })
    );
    mac.post(&json!({ "chat_id": 77, "chat_identifier": "chat77", "is_group": true, "sender": ANN, "sender_name": "Ann", "text": "and here?" }));
    mac.until("two answers", |mac| mac.sent().len() == 2).await;
    assert_eq!(
        mac.calls("send")[1],
        json!({ "chat_id": 77, "text": "re: Ann: and here?" })
    );
    // A stranger is asked to pair; a reaction is no message.
    mac.write("bob@example.org", "let me in");
    mac.post(
        &json!({ "sender": ANN, "is_reaction": true, "reaction_type": "like", "text": "Liked" }),
    );
    mac.until("a code", |mac| mac.sent().len() == 3).await;
    let listed = client.call("channels.pairing.list", json!({})).await;
    assert_eq!(listed["requests"][0]["senderId"], "bob@example.org");

    row_when(&mut client, "imessage", |row| row["waitingOutbound"] == 0).await;
    let home = daemon.stop().await;
    mac.write(ANN, "while you were away");
    mac.post(&json!({ "sender": ANN, "text": "long ago", "created_at": "2020-01-01T00:00:00Z" }));
    let _daemon = Daemon::start_in(home, planned());
    mac.until("an answer to it", |mac| mac.sent().len() == 4)
        .await;
    mac.write(ANN, "now");
    mac.until("an answer to the next", |mac| mac.sent().len() == 5)
        .await;
    assert_eq!(
        model.journal(),
        [
            "hello **you**",
            "Ann: and here?",
            "while you were away",
            "now"
        ]
    );
    assert_eq!(mac.programs(), (2, 1));
}

#[tokio::test]
async fn what_we_wrote_is_never_answered_whatever_messages_says_of_it() {
    for (early, no_receipts) in [(true, false), (true, true), (false, true)] {
        let (mac, model) = (Mac::start().await, Model::echoing().await);
        mac.echo(early, no_receipts);
        let daemon = Daemon::start(plan(&model, setup(&mac), &[ANN]));
        let mut client = daemon.client().await;
        in_state(&mut client, "imessage", "connected").await;
        mac.write(ANN, "hello");
        mac.until("an answer", |mac| mac.sent().len() == 1).await;
        // Somebody who says the same as we did is heard.
        mac.write(ANN, "re: hello");
        mac.until("another", |mac| mac.sent().len() == 2).await;
        mac.write(ANN, "bye");
        mac.until("the last", |mac| mac.sent().len() == 3).await;
        assert_eq!(
            model.journal(),
            ["hello", "re: hello", "bye"],
            "{early} {no_receipts}"
        );
    }
}

fn delivery(safe: bool, disposition: &str) -> Value {
    json!({ "retry_safe": safe, "disposition": disposition, "transport": "bridge", "operation": "send", "detail": "x" })
}

#[tokio::test]
async fn what_may_have_left_is_never_sent_again() {
    let (mac, model) = (Mac::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(&mac), &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "imessage", "connected").await;
    let send = |text: &str| json!({ "to": ANN, "channel": "imessage", "message": text, "idempotencyKey": text });
    for (number, fault) in [
        Fault::Refuse(-32001, delivery(false, "may_have_completed")),
        Fault::Refuse(-32001, delivery(false, "still_in_flight")),
        Fault::Refuse(-32603, json!("Automation failed")),
        Fault::End,
        Fault::DoneAndEnd,
        // The rest of them cannot be sent until it is started anew.
        Fault::Refuse(-32004, delivery(false, "still_in_flight")),
    ]
    .into_iter()
    .enumerate()
    {
        in_state(&mut client, "imessage", "connected").await;
        mac.fail("send", [fault.clone()]);
        let text = format!("out {number}");
        let answer = client.request("send", send(&text)).await;
        assert_eq!(
            answer["error"]["details"]["state"], "unknown",
            "{fault:?}: {answer}"
        );
        client
            .call("channels.start", json!({ "channel": "imessage" }))
            .await;
    }
    let row = row_when(&mut client, "imessage", |row| {
        row["state"] == "connected" && row["generation"].as_u64() >= Some(4)
    })
    .await;
    assert_eq!(
        row["undelivered"].as_array().map(Vec::len),
        Some(6),
        "{row}"
    );
    // What certainly did not begin is tried again.
    mac.fail(
        "send",
        [
            Fault::Refuse(-32001, delivery(true, "not_started")),
            Fault::Refuse(-32000, json!("Server busy")),
        ],
    );
    client.request("send", send("again")).await;
    mac.until("the last", |mac| mac.sent() == ["out 4", "again"])
        .await;
    assert_eq!(mac.programs().1, 1);
}

#[tokio::test]
async fn files_go_out_and_voices_as_such_where_the_mac_can() {
    let (mac, model) = (Mac::start().await, Model::echoing().await);
    // Messages tells of the file first as if Ann had sent it.
    mac.echo(true, true);
    let daemon = Daemon::start(plan(&model, setup(&mac), &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "imessage", "connected").await;
    let file = |key: &str, name: &str, text: &str, voice: bool| {
        json!({ "channel": "imessage", "to": ANN, "message": text, "buffer": STANDARD.encode(PNG),
            "filename": name, "asVoice": voice, "idempotencyKey": key })
    };
    client
        .call("send", file("a", "cat.png", "**look**", false))
        .await;
    client.call("send", file("b", "../.cat", "", false)).await;
    let names: Vec<String> = mac.files().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["cat.png", "file"]);
    let sent = mac.calls("send");
    assert_eq!(
        (&sent[0]["text"], &sent[1]["text"]),
        (&json!("look"), &Value::Null)
    );
    for call in &sent {
        let path = std::path::Path::new(call["file"].as_str().expect("a path"));
        assert!(
            !path.parent().expect("a folder").exists(),
            "nothing stays of it"
        );
    }
    // What is said to be Ann's and is ours is not answered; what is hers is.
    let own = json!({ "path": mac.folder().join("none"), "mime_type": "application/pdf", "transfer_name": "cat.png", "byte_size": 5 });
    mac.post(&json!({ "sender": ANN, "text": "\u{fffc}", "attachments": [own] }));
    mac.until("an answer", |mac| mac.sent().len() == 3).await;
    assert_eq!(model.journal().len(), 1, "{:?}", model.journal());

    mac.bridge();
    mac.end();
    row_when(&mut client, "imessage", |row| {
        row["state"] == "connected" && row["generation"] == 2
    })
    .await;
    client.call("send", file("c", "hello.ogg", "", true)).await;
    let voice = &mac.calls("send.attachment")[0];
    assert_eq!(
        (&voice["audio"], &voice["chat_identifier"]),
        (&json!(true), &json!(ANN))
    );
    assert_eq!(mac.files().len(), 3);
}

#[tokio::test]
async fn a_watch_that_stalls_is_found_and_nothing_is_lost() {
    let (mac, model) = (Mac::start().await, Model::echoing().await);
    let mut own = setup(&mac);
    own.timing.answer = Duration::from_secs(3);
    own.timing.look = Duration::from_millis(300);
    own.timing.grace = Duration::from_millis(300);
    let daemon = Daemon::start(plan(&model, own, &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "imessage", "connected").await;
    mac.stall(true);
    mac.write(ANN, "hello");
    mac.until("another program", |mac| mac.programs().0 == 2)
        .await;
    mac.stall(false);
    mac.until("an answer", |mac| mac.sent().len() == 1).await;
    row_when(&mut client, "imessage", |row| row["state"] == "connected").await;
    // Too much at once: the watch ends by itself, and what followed is asked for.
    mac.overflow(1);
    mac.write(ANN, "more");
    mac.until("another", |mac| mac.sent().len() == 2).await;
    mac.write(ANN, "and more");
    mac.until("the third", |mac| mac.sent().len() == 3).await;
    assert_eq!(model.journal(), ["hello", "more", "and more"]);
    assert_eq!(mac.programs().1, 1);
    let row = in_state(&mut client, "imessage", "connected").await;
    let generation = row["generation"].as_u64();
    assert!(generation <= Some(3), "{row}");
    // One that answers nothing more is started anew.
    mac.fail("messages.after", [Fault::Hang]);
    let newer =
        |row: &Value| row["state"] == "connected" && row["generation"].as_u64() > generation;
    row_when(&mut client, "imessage", newer).await;
}

#[tokio::test]
async fn lines_in_parts_and_words_that_are_none_of_the_protocol_end_nothing() {
    let (mac, model) = (Mac::start().await, Model::echoing().await);
    mac.in_parts();
    let daemon = Daemon::start(plan(&model, setup(&mac), &[ANN]));
    let mut client = daemon.client().await;
    in_state(&mut client, "imessage", "connected").await;
    mac.raw("Last login: Mon Nov 23\n\n{\"jsonrpc\":\"2.0\",\"method\":\"bridge.event\",\"params\":{}}\n{\"half\n");
    mac.raw("{\"jsonrpc\":\"2.0\",\"id\":9999,\"result\":{}}\n");
    mac.post(&json!({ "sender": ANN, "text": "odd", "chat_id": "not a number" }));
    mac.write(ANN, "one");
    mac.until("an answer", |mac| mac.sent().len() == 1).await;
    mac.write(ANN, "two");
    mac.until("two answers", |mac| mac.sent().len() == 2).await;
    assert_eq!(model.journal(), ["one", "two"]);
    let row = in_state(&mut client, "imessage", "connected").await;
    assert_eq!(row["generation"], 1);
    mac.end();
    row_when(&mut client, "imessage", |row| {
        row["state"] == "connected" && row["generation"] == 2
    })
    .await;
    mac.write(ANN, "three");
    mac.until("the third", |mac| mac.sent().len() == 3).await;
}

#[tokio::test]
async fn what_the_mac_lacks_is_named() {
    let (mac, model) = (Mac::start().await, Model::echoing().await);
    mac.database(Some("authorization denied"));
    let daemon = Daemon::start(plan(&model, setup(&mac), &[ANN]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "imessage", "backoff").await;
    assert!(
        row["lastError"]
            .as_str()
            .is_some_and(|why| why.contains("Full Disk Access")),
        "{row}"
    );
    mac.database(None);
    in_state(&mut client, "imessage", "connected").await;
    let act = |key: &str, action: &str, more: Value| {
        let mut params = json!({ "target": ANN, "messageId": "GUID-1" });
        for (key, value) in more.as_object().into_iter().flatten() {
            params[key] = value.clone();
        }
        json!({ "channel": "imessage", "action": action, "params": params, "idempotencyKey": key })
    };
    let refused = client
        .request(
            "message.action",
            act("a", "react", json!({ "emoji": "🎉" })),
        )
        .await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .is_some_and(|why| why.contains("imsg launch")),
        "{refused}"
    );

    mac.bridge();
    mac.end();
    row_when(&mut client, "imessage", |row| {
        row["state"] == "connected" && row["generation"].as_u64() >= Some(3)
    })
    .await;
    client
        .call(
            "message.action",
            act("b", "react", json!({ "emoji": "🎉" })),
        )
        .await;
    assert_eq!(
        mac.calls("tapback")[0],
        json!({ "chat_identifier": ANN, "message_guid": "GUID-1", "emoji": "🎉" })
    );
    client
        .call(
            "message.action",
            act("c", "edit", json!({ "message": "**new**" })),
        )
        .await;
    assert_eq!(mac.calls("message.edit")[0]["text"], "new");
    client
        .call("message.action", act("d", "delete", json!({})))
        .await;
    assert_eq!(mac.calls("message.unsend").len(), 1);

    let mut missing = setup(&mac);
    missing.way = Way::Here {
        program: mac.folder().join("nothing"),
    };
    let daemon = Daemon::start(plan(&model, missing, &[ANN]));
    let row = in_state(&mut daemon.client().await, "imessage", "parked").await;
    assert!(
        row["lastError"]
            .as_str()
            .is_some_and(|why| why.contains("brew install")),
        "{row}"
    );
}

#[tokio::test]
async fn a_mac_elsewhere_is_reached_by_ssh_with_its_files() {
    let (mac, mut model) = (Mac::start().await, Model::start().await);
    // What ssh does with the text behind the host: a shell there runs it.
    let ssh = mac.folder().join("ssh");
    let text = format!(
        "#!/bin/bash\necho \"$*\" >>'{}/asked'\nexec /bin/bash -c \"${{@: -1}}\"\n",
        mac.folder().display()
    );
    std::fs::write(&ssh, text).expect("a program");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o700))
        .expect("its permissions");
    let picture = mac.folder().join("it's red.png");
    std::fs::write(&picture, PNG).expect("a picture");
    let mut config = config(&model);
    config["models"]["providers"]["scripted"]["models"][0]["input"] = json!(["text", "image"]);
    config["channels"]["imessage"] = json!({
        "remoteHost": "bot@mac.local", "allowFrom": [ANN], "remoteAttachmentRoots": [mac.folder()],
    });
    let mut home = Home::with(&config);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", mac.folder().display());
    home.variables.push(("PATH", path.into()));
    let gateway = Gateway::start(&home).await;
    in_state(&mut gateway.client().await, "imessage", "connected").await;
    let file = json!({ "path": picture, "mime_type": "image/png", "transfer_name": "red.png", "byte_size": PNG.len(), "missing": false, "is_sticker": false });
    mac.post(&json!({ "sender": ANN, "text": "what is this?", "attachments": [file] }));
    let mut asked = model.asked().await;
    assert!(
        asked.body.to_string().contains("image_url"),
        "{}",
        asked.body
    );
    asked.text("red").await;
    asked.done().await;
    mac.until("an answer", |mac| mac.sent() == ["red"]).await;
    let asked = std::fs::read_to_string(mac.folder().join("asked")).expect("what ssh was asked");
    // A file of ours is brought there, and does not stay.
    let file = json!({ "channel": "imessage", "to": ANN, "message": "look", "idempotencyKey": "file",
        "buffer": STANDARD.encode(PNG), "filename": "it's a cat.png" });
    gateway.client().await.call("send", file).await;
    let cat = ("it's a cat.png".to_owned(), PNG.to_vec(), "look".to_owned());
    assert_eq!(mac.files(), [cat]);
    let sent = mac.calls("send");
    let path = sent.last().expect("it was sent")["file"].clone();
    let path = std::path::PathBuf::from(path.as_str().expect("its path"));
    soon("the end of the file", async {
        while path.parent().is_some_and(std::path::Path::exists) {
            look_again().await;
        }
    })
    .await;
    assert!(
        asked.contains("-T -o BatchMode=yes") && asked.contains("-- bot@mac.local 'imsg' 'rpc'"),
        "{asked}"
    );
}
