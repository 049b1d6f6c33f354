//! Linking a phone: what the screens are told, with a sidecar that follows a script.

use openclaw_actors::channel::whatsapp::{WhatsAppSetup, lock_name};
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::accounts::{in_state, plan};
use crate::harness::child::{Home, Shown};
use crate::harness::daemon::Daemon;
use crate::harness::model::Model;
use crate::harness::socket::Socket;
use crate::harness::whatsapp::Scripted;

const US: &str = "15550009999:7@s.whatsapp.net";

fn hello() -> Value {
    json!({ "event": "hello", "protocol": 1 })
}

fn qr(code: &str) -> Value {
    json!({ "event": "qr", "code": code })
}

/// What a phone does that scans the code, as the platform tells it: the device is linked, and has to
/// connect once more.
fn scanned() -> [Value; 2] {
    [
        json!({ "creds": US }),
        json!({ "event": "close", "code": 515, "why": "restart required" }),
    ]
}

fn opened() -> Value {
    json!([hello(), { "answer": "start" }, { "event": "open", "me": { "id": US, "name": "Ann" } }, { "answer": "logout" }])
}

async fn started(
    sidecar: &Scripted,
    change: impl Fn(&mut WhatsAppSetup),
) -> (Daemon, Model, Socket) {
    let model = Model::echoing().await;
    let mut setup = sidecar.setup();
    change(&mut setup);
    let daemon = Daemon::start(plan(&model, setup, &[]));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "whatsapp", "parked").await;
    assert_eq!(row["linked"], false, "{row}");
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("openclaw channels login whatsapp"), "{why}");
    (daemon, model, client)
}

#[tokio::test]
async fn a_phone_links_the_account_by_the_newest_picture() {
    // The second code comes once the screen has shown the first; the phone takes the second.
    let [creds, close] = scanned();
    let first = json!([hello(), { "answer": "start" }, qr("2@one"), { "await": "go-on" }]);
    let sidecar = Scripted::new(&json!([first, opened()]));
    let (_daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    let begun = client
        .call("web.login.start", json!({ "timeoutMs": 20_000 }))
        .await;
    assert_eq!(
        (&begun["connected"], &begun["qrText"]),
        (&json!(false), &json!("2@one")),
        "{begun}"
    );
    let picture = begun["qrDataUrl"].as_str().expect("a picture");
    assert!(picture.starts_with("data:image/png;base64,"));
    // Nothing new: the picture stays.
    let shown = json!({ "timeoutMs": 50, "currentQrDataUrl": picture });
    let same = client.call("web.login.wait", shown).await;
    assert_eq!(
        (&same["connected"], same["qrDataUrl"].as_str()),
        (&json!(false), Some(picture))
    );
    drop(client);

    let second = json!([hello(), { "answer": "start" }, qr("2@one"), qr("2@two"), creds, close]);
    let sidecar = Scripted::new(&json!([second, opened()]));
    let (_daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    client
        .call("web.login.start", json!({ "timeoutMs": 20_000 }))
        .await;
    let mut end = Value::Null;
    while end["connected"] != true {
        end = client
            .call("web.login.wait", json!({ "timeoutMs": 20_000 }))
            .await;
        assert_ne!(end["failed"], true, "{end}");
    }
    assert_eq!(end["message"], "linked as +15550009999 (Ann), device 7");
    let row = in_state(&mut client, "whatsapp", "connected").await;
    assert_eq!(
        (&row["linked"], &row["lastError"]),
        (&json!(true), &Value::Null)
    );
    // The first connection had no account to lock, the second its number.
    let starts: Vec<Value> = sidecar
        .heard()
        .into_iter()
        .filter(|line| line["method"] == "start")
        .collect();
    assert_eq!(starts[0]["params"]["me"], Value::Null);
    assert_eq!(starts[1]["params"]["me"], "15550009999");
    assert_eq!(
        starts[1]["params"]["locks"].as_array().map(Vec::len),
        Some(2)
    );

    // Who is linked is not linked anew by accident.
    let again = client.call("web.login.start", json!({})).await;
    assert_eq!(again["connected"], true, "{again}");
    // Logged out, the keys are gone.
    let out = client
        .call("channels.logout", json!({ "channel": "whatsapp" }))
        .await;
    assert_eq!(out["cleared"], true, "{out}");
    assert!(!sidecar.folder.path().join("device/creds.json").exists());
    let asked = sidecar
        .heard()
        .iter()
        .any(|line| line["method"] == "logout");
    assert!(asked, "the phone is told");
}

#[tokio::test]
async fn a_login_that_comes_to_nothing_says_why() {
    let close =
        |code: u16| json!({ "event": "close", "code": code, "why": "QR refs attempts ended" });
    let sidecar =
        Scripted::new(&json!([[hello(), { "answer": "start" }, qr("2@one"), close(408)]]));
    let (_daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    client
        .call("web.login.start", json!({ "timeoutMs": 20_000 }))
        .await;
    let mut end = Value::Null;
    while end["failed"] != true {
        end = client
            .call("web.login.wait", json!({ "timeoutMs": 20_000 }))
            .await;
        assert_ne!(end["connected"], true, "{end}");
    }
    assert!(
        end["message"]
            .to_string()
            .contains("nobody scanned the code in time"),
        "{end}"
    );
    in_state(&mut client, "whatsapp", "parked").await;

    // No login is under way: so it says.
    let idle = client
        .call("web.login.wait", json!({ "timeoutMs": 50 }))
        .await;
    assert_eq!(idle["failed"], true, "{idle}");
    let unknown = client
        .request("web.login.start", json!({ "accountId": "work" }))
        .await;
    let said = unknown["error"]["message"].to_string();
    assert!(said.contains("whatsapp/default"), "{said}");
}

#[tokio::test]
async fn the_terminal_shows_the_code_and_the_end() {
    let [creds, close] = scanned();
    let first = json!([hello(), { "answer": "start" }, qr("2@for,the,terminal"), { "file": "scanned" }, creds, close]);
    let sidecar = Scripted::new(&json!([first, opened()]));
    let (daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    let home = Home::new();
    let url = format!("ws://{}", daemon.address);
    let at = ["--url", &url, "--token", TOKEN];
    let mut login = Shown::start(
        &home,
        &[&["channels", "login", "whatsapp"][..], &at[..]].concat(),
    );
    login.until("scan this with the phone").await;
    std::fs::write(sidecar.folder.path().join("scanned"), "").expect("the phone");
    let out = login.until("linked as").await.to_owned();
    assert!(
        out.contains("linked as +15550009999 (Ann), device 7"),
        "{out}"
    );
    assert!(
        out.lines().filter(|line| line.contains('█')).count() > 10,
        "{out}"
    );
    login.succeeds().await;
    in_state(&mut client, "whatsapp", "connected").await;
    let (code, out, err) = home
        .run(&[&["channels", "status"][..], &at[..]].concat())
        .await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("+15550009999 (Ann), device 7"), "{out}");
}

#[tokio::test]
async fn a_phone_without_a_camera_links_it_by_a_code() {
    let [creds, close] = scanned();
    let code = json!({ "event": "pairing-code", "code": "ABCD1234" });
    let first = json!([hello(), { "answer": "start" }, code, { "file": "typed" }, creds, close]);
    let sidecar = Scripted::new(&json!([first, opened()]));
    let (daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    for (phone, why) in [
        ("5551", "no number with its country"),
        ("+1555000999x", "\\\"+1555000999x"),
    ] {
        let params = json!({ "channel": "whatsapp", "phone": phone });
        let refused = client.request("channels.link", params).await;
        let said = refused["error"]["message"].to_string();
        assert!(said.contains(why), "{refused}");
    }
    let home = Home::new();
    let url = format!("ws://{}", daemon.address);
    let at = ["--url", &url, "--token", TOKEN];
    let words = [
        "channels",
        "login",
        "whatsapp",
        "--phone",
        "+1 (555) 000-9999",
    ];
    let mut login = Shown::start(&home, &[&words[..], &at[..]].concat());
    login.until("Link with phone number): ABCD-1234").await;
    std::fs::write(sidecar.folder.path().join("typed"), "").expect("the phone");
    let out = login.until("linked as").await;
    assert!(!out.contains('█'), "{out}");
    login.succeeds().await;
    in_state(&mut client, "whatsapp", "connected").await;
    let start = sidecar
        .heard()
        .into_iter()
        .find(|line| line["method"] == "start");
    assert_eq!(start.expect("a start")["params"]["pairing"], "15550009999");
}

#[tokio::test]
async fn a_client_is_told_the_code_and_how_it_ends() {
    let [creds, close] = scanned();
    let code = json!({ "event": "pairing-code", "code": "ABCD1234" });
    let first = json!([hello(), { "answer": "start" }, code, { "file": "typed" }, creds, close]);
    let sidecar = Scripted::new(&json!([first, opened()]));
    let (_daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    let params = json!({ "channel": "whatsapp", "phone": "+15550009999" });
    let begun = client.call("channels.link", params).await;
    assert_eq!(begun["code"], "ABCD-1234", "{begun}");
    std::fs::write(sidecar.folder.path().join("typed"), "").expect("the phone");
    let end = client
        .call("web.login.wait", json!({ "timeoutMs": 20_000 }))
        .await;
    assert_eq!(end["connected"], true, "{end}");
}

#[tokio::test]
async fn an_account_that_another_gateway_has_is_not_linked() {
    let [creds, close] = scanned();
    let sidecar =
        Scripted::new(&json!([[hello(), { "answer": "start" }, qr("2@one"), creds, close]]));
    let host = sidecar.folder.path().join("host");
    std::fs::create_dir_all(&host).expect("the host's folder");
    let path = host.join(lock_name("15550009999"));
    let held = std::fs::File::create(&path).expect("the lock");
    held.lock().expect("it is free");
    let owner = json!({ "pid": 1, "startedAtMs": 1_700_000_000_000_i64, "version": "1" });
    std::fs::write(&path, owner.to_string()).expect("its owner");
    let (_daemon, _model, mut client) = started(&sidecar, |_| ()).await;
    client
        .call("web.login.start", json!({ "timeoutMs": 20_000 }))
        .await;
    let mut end = Value::Null;
    while end["failed"] != true {
        end = client
            .call("web.login.wait", json!({ "timeoutMs": 20_000 }))
            .await;
    }
    let said = end["message"].to_string();
    assert!(
        said.contains("pid 1, started 2023-11-14 22:13:20 UTC"),
        "{said}"
    );
}
