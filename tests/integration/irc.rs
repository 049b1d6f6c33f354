//! IRC, whole: Debian's ngircd, the daemon, a model.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use openclaw_actors::channel::irc::{IrcSetup, NickServ, Timing};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::accounts::{in_state, plan, row_when};
use crate::harness::child::{Gateway, Home, config};
use crate::harness::daemon::Daemon;
use crate::harness::model::Model;
use crate::harness::ngircd::{Ngircd, Person, cutting};
use crate::harness::soon;

/// Ann, whatever the server makes of her user name.
const ANN: &[&str] = &["ann!*@127.0.0.1"];

fn setup(port: u16) -> IrcSetup {
    IrcSetup {
        host: "127.0.0.1".into(),
        port,
        tls: false,
        nick: "helper".into(),
        username: "helper".into(),
        realname: "Helper".into(),
        password: None,
        channels: vec!["#Room".into()],
        keys: std::collections::BTreeMap::new(),
        nickserv: None,
        timing: Timing {
            chores: Duration::from_secs(1),
            ..Timing::default()
        },
    }
}

#[tokio::test]
async fn people_are_answered_alone_and_in_channels() {
    let (server, model) = (Ngircd::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(server.port), ANN));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "irc", "connected").await;
    assert_eq!(row["probe"]["bot"]["username"], "helper");
    let mut ann = Person::come(server.port, "ann").await;
    ann.say("helper", "hello **you**").await;
    let said = ("ann".to_owned(), "re: hello \x02you\x02".to_owned());
    assert_eq!(ann.hears("helper").await, said);

    ann.meet("#room", "helper").await;
    ann.say("#room", "nobody is meant").await;
    ann.say("#room", "helper: hello").await;
    let said = ("#room".to_owned(), "re: ann: hello".to_owned());
    assert_eq!(ann.hears("helper").await, said);
    let sessions = client.call("sessions.list", json!({})).await;
    let keys = sessions["sessions"].to_string();
    assert!(keys.contains("agent:main:irc:group:#room"), "{keys}");

    // A stranger is asked to pair, by their mask.
    let mut bob = Person::come(server.port, "bob").await;
    bob.say("helper", "let me in").await;
    bob.until("a code", |line| {
        line.contains("openclaw pairing approve irc")
    })
    .await;
    let listed = client.call("channels.pairing.list", json!({})).await;
    let sender = listed["requests"][0]["senderId"]
        .as_str()
        .unwrap_or_default();
    assert!(
        sender.starts_with("bob!") && sender.ends_with("@127.0.0.1"),
        "{listed}"
    );
    assert_eq!(model.journal().len(), 2);

    // Somebody who is not there cannot be told: the server says so, and a person sees it.
    ann.say("helper", "one").await;
    ann.hears("helper").await;
    assert_eq!(
        in_state(&mut client, "irc", "connected").await["undelivered"],
        Value::Null
    );
}

#[tokio::test]
async fn a_channel_with_a_key_is_entered() {
    let (server, model) = (Ngircd::patient().await, Model::echoing().await);
    let mut ann = Person::come(server.port, "ann").await;
    ann.write("JOIN #Secret").await;
    ann.until("the names", |line| line.contains(" 353 ")).await;
    ann.write("MODE #Secret +k s3same").await;
    ann.until("the key", |line| line.contains("MODE")).await;
    let mut own = setup(server.port);
    own.channels.push("#Secret".into());
    own.keys
        .insert("#secret".into(), "s3same".to_owned().into());
    let _daemon = Daemon::start(plan(&model, own, ANN));
    ann.until("helper", |line| {
        line.starts_with(":helper!") && line.contains("JOIN")
    })
    .await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    let (mut server, model) = (Ngircd::start().await, Model::echoing().await);
    let daemon = Daemon::start(plan(&model, setup(server.port), ANN));
    let mut client = daemon.client().await;
    in_state(&mut client, "irc", "connected").await;
    server.kill().await;
    let row = in_state(&mut client, "irc", "backoff").await;
    assert_eq!(row["connected"], false);
    assert!(
        row["nextRetryAt"].is_u64() && row["lastError"].is_string(),
        "{row}"
    );
    server.again().await;
    let row = in_state(&mut client, "irc", "connected").await;
    assert_eq!(row["lastError"], Value::Null);
    assert!(row["generation"].as_u64() >= Some(2), "{row}");
    let mut ann = Person::come(server.port, "ann").await;
    ann.meet("#room", "helper").await;
    ann.say("#room", "helper, hello").await;
    assert_eq!(ann.hears("helper").await.1, "re: ann: hello");
    // One connection beside that of Ann.
    ann.write("LUSERS").await;
    ann.until("two users", |line| {
        line.contains(" 251 ") && line.contains("are 2 users")
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let (server, model) = (Ngircd::start().await, Model::echoing().await);
    let mut own = setup(server.port);
    own.timing.quiet = Duration::from_millis(500);
    // ngircd makes who has just come wait for some seconds.
    own.timing.answer = Duration::from_secs(4);
    own.timing.chores = Duration::from_mins(5);
    let daemon = Daemon::start(plan(&model, own, ANN));
    let mut client = daemon.client().await;
    in_state(&mut client, "irc", "connected").await;
    server.signal(Signal::STOP);
    let row = row_when(&mut client, "irc", |row| row["lastError"].is_string()).await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("does not answer a ping"), "{row}");
    server.signal(Signal::CONT);
    let row = in_state(&mut client, "irc", "connected").await;
    assert!(row["generation"].as_u64() >= Some(2));
    // The server may hold the nick for the connection that it has not seen the end of.
    let nick = row["probe"]["bot"]["username"].as_str().expect("a nick");
    let mut ann = Person::come(server.port, "ann").await;
    ann.meet("#room", nick).await;
    ann.say(nick, "hello").await;
    assert_eq!(ann.hears(nick).await.1, "re: hello");
}

#[tokio::test]
async fn a_taken_nick_is_had_back_when_it_is_free() {
    let (server, model) = (Ngircd::start().await, Model::echoing().await);
    let mut other = Person::come(server.port, "helper").await;
    let daemon = Daemon::start(plan(&model, setup(server.port), ANN));
    let mut client = daemon.client().await;
    // Connected first; what is wrong with its nick is told right after.
    let row = row_when(&mut client, "irc", |row| {
        row["state"] == "connected" && row["lastError"].is_string()
    })
    .await;
    assert_eq!(row["probe"]["bot"]["username"], "helper_");
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("taken"), "{row}");
    let mut ann = Person::come(server.port, "ann").await;
    ann.meet("#room", "helper_").await;
    ann.say("#room", "helper: are you there").await;
    assert_eq!(ann.hears("helper_").await.1, "re: ann: are you there");
    other.write("QUIT :gone").await;
    ann.until("the nick", |line| {
        line.starts_with(":helper_!") && line.contains("NICK")
    })
    .await;
    ann.say("helper", "hello").await;
    assert_eq!(ann.hears("helper").await.1, "re: hello");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let server = Ngircd::with("Password = right", None).await;
    let model = Model::echoing().await;
    let mut own = setup(server.port);
    own.password = Some("wrong".to_owned().into());
    let daemon = Daemon::start(plan(&model, own, ANN));
    let mut client = daemon.client().await;
    let row = in_state(&mut client, "irc", "parked").await;
    let why = row["lastError"].as_str().unwrap_or_default();
    assert!(why.contains("IRC_PASSWORD"), "{row}");
    assert_eq!(
        (&row["generation"], &row["running"]),
        (&json!(1), &json!(false))
    );
    let started = client
        .call("channels.start", json!({ "channel": "irc" }))
        .await;
    assert_eq!(started["started"], true, "{started}");
    row_when(&mut client, "irc", |row| {
        row["generation"] == 2 && row["state"] == "parked"
    })
    .await;
}

#[tokio::test]
async fn long_answers_arrive_whole_in_lines_that_servers_take() {
    let (server, mut model) = (Ngircd::start().await, Model::start().await);
    let daemon = Daemon::start(plan(&model, setup(server.port), ANN));
    let mut client = daemon.client().await;
    in_state(&mut client, "irc", "connected").await;
    let mut ann = Person::come(server.port, "ann").await;
    ann.say("helper", "tell me").await;
    let mut ask = model.asked().await;
    let words: Vec<String> = (0..220).map(|n| format!("wört{n}€")).collect();
    ask.text(&words.join(" ")).await;
    ask.done().await;
    let mut heard = Vec::new();
    while heard.len() < words.len() {
        let (_, line) = ann.hears("helper").await;
        heard.extend(line.split(' ').map(str::to_owned));
    }
    assert_eq!(heard, words);
    row_when(&mut client, "irc", |row| row["waitingOutbound"] == 0).await;
    assert_eq!(ann.heard("helper").await, [""; 0], "nothing comes twice");
}

/// A connection to a server that takes anybody in.
async fn taken_in(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().await.expect("a connection");
    let mut stream = BufReader::new(stream);
    hears(&mut stream, "USER ").await;
    let welcome = b":irc 001 helper :hi\r\n:irc 422 helper :none\r\n";
    stream.write_all(welcome).await.expect("it is written");
    stream
}

/// The next line that begins so.
async fn hears(stream: &mut BufReader<TcpStream>, begin: &str) -> String {
    let reading = async {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.expect("a line");
            if line.starts_with(begin) || line.is_empty() {
                return line;
            }
        }
    };
    soon(begin, reading).await
}

#[tokio::test]
async fn what_a_server_sends_with_its_last_breath_is_answered() {
    // No real server sends a message and its goodbye in one piece when it is told to.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let model = Model::echoing().await;
    let daemon = Daemon::start(plan(&model, setup(port), &["ann!*@*"]));
    let mut stream = taken_in(&listener).await;
    let last = b":ann!a@host PRIVMSG helper :hello\r\nERROR :Closing Link\r\n";
    stream.write_all(last).await.expect("it is written");
    let mut stream = soon("the next connection", taken_in(&listener)).await;
    let said = hears(&mut stream, "PRIVMSG ").await;
    assert_eq!(said, "PRIVMSG ann :re: hello\r\n");
    drop(daemon);
}

#[tokio::test]
async fn what_was_not_confirmed_is_unknown_and_never_sent_again() {
    let (server, mut model) = (Ngircd::start().await, Model::start().await);
    let way = cutting(server.port, "PRIVMSG ann :one").await;
    let daemon = Daemon::start(plan(&model, setup(way), ANN));
    let mut client = daemon.client().await;
    in_state(&mut client, "irc", "connected").await;
    let mut ann = Person::come(server.port, "ann").await;
    ann.say("helper", "first").await;
    let mut ask = model.asked().await;
    ask.text("one").await;
    ask.done().await;
    assert_eq!(ann.hears("helper").await.1, "one", "it arrived");
    let row = row_when(&mut client, "irc", |row| row["undelivered"].is_array()).await;
    let lost = &row["undelivered"];
    assert_eq!(lost[0]["state"], "unknown", "{row}");
    assert_eq!(
        (&lost[0]["to"], lost.as_array().map(Vec::len)),
        (&json!("ann"), Some(1))
    );
    // The next connection is another one, and the next answer goes out over it.
    row_when(&mut client, "irc", |row| {
        row["generation"] == 2 && row["state"] == "connected"
    })
    .await;
    ann.meet("#room", "helper").await;
    ann.say("helper", "second").await;
    let mut ask = model.asked().await;
    ask.text("two").await;
    ask.done().await;
    assert_eq!(
        ann.hears("helper").await.1,
        "two",
        "and not the first one again"
    );

    // Who left cannot be told, and that is no matter of luck.
    ann.say("helper", "third").await;
    let mut ask = model.asked().await;
    ann.write("NICK gone").await;
    ann.until("another nick", |line| line.contains("NICK :gone"))
        .await;
    ask.text("three").await;
    ask.done().await;
    let row = row_when(&mut client, "irc", |row| row["undelivered"][1].is_object()).await;
    let lost = &row["undelivered"][1];
    assert_eq!(lost["state"], "refused", "{row}");
    assert!(lost["why"].as_str().is_some_and(|why| why.contains("ann")));
}

fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(args.split(' '))
        .output();
    let output = output.expect("openssl is installed");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "openssl {args}: {told}");
}

/// A certificate for `localhost`, its key, and that of who signed it.
fn certificates(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    std::fs::write(folder.join("ext"), "subjectAltName=DNS:localhost\n").expect("a file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=ca"),
    );
    openssl(
        folder,
        &format!("req {key} -keyout own.key -out own.csr -subj /CN=localhost"),
    );
    openssl(
        folder,
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 30 -extfile ext",
    );
    let path = |name| folder.join(name);
    (path("own.pem"), path("own.key"), path("ca.pem"))
}

#[tokio::test]
async fn over_tls_the_nick_is_proven_and_a_kill_loses_nothing_that_was_read() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (cert, key, authority) = certificates(folder.path());
    let server = Ngircd::with("", Some((&cert, &key))).await;
    let mut model = Model::start().await;
    let mut services = Person::come(server.port, "NickServ").await;
    let mut config = config(&model);
    config["channels"]["irc"] = json!({
        "host": "localhost", "port": server.tls_port, "nick": "helper", "channels": ["#room"],
        "nickserv": { "password": "s3cret-of-nick" }, "allowFrom": ANN,
    });
    let mut home = Home::with(&config);
    home.variables.push(("SSL_CERT_FILE", authority));
    let gateway = Gateway::start(&home).await;
    let (_, told) = services.hears("helper").await;
    assert_eq!(told, "IDENTIFY s3cret-of-nick");
    let mut ann = Person::come(server.port, "ann").await;
    ann.meet("#room", "helper").await;
    ann.say("helper", "hello").await;
    let cut_off = model.asked().await;
    gateway.kill().await;
    drop(cut_off);

    let gateway = Gateway::start(&home).await;
    let mut again = model.asked().await;
    assert_eq!(again.prompt, "hello");
    again.text("hi").await;
    again.done().await;
    assert_eq!(ann.hears("helper").await.1, "hi");
    let mut client = gateway.client().await;
    row_when(&mut client, "irc", |row| row["waitingOutbound"] == 0).await;
    assert_eq!(ann.heard("helper").await, [""; 0], "once");
    gateway.kill().await;

    // Without the authority the certificate is nobody's, and that is said.
    home.variables.clear();
    let gateway = Gateway::start(&home).await;
    let mut client = gateway.client().await;
    let row = in_state(&mut client, "irc", "backoff").await;
    assert!(
        row["lastError"]
            .as_str()
            .is_some_and(|why| why.contains("certificate")),
        "{row}"
    );
    assert!(!home.log().contains("s3cret-of-nick"));
}

#[tokio::test]
async fn a_service_is_told_the_password_only_when_it_is_to_be() {
    let (server, model) = (Ngircd::start().await, Model::echoing().await);
    let mut services = Person::come(server.port, "Auth").await;
    let _other = Person::come(server.port, "helper").await;
    let mut own = setup(server.port);
    own.nickserv = Some(NickServ {
        service: "Auth".into(),
        password: "s3cret".to_owned().into(),
        register: Some("a@example.org".into()),
    });
    let _daemon = Daemon::start(plan(&model, own, ANN));
    assert_eq!(
        services.hears("helper_").await.1,
        "REGISTER s3cret a@example.org"
    );
    assert_eq!(services.hears("helper_").await.1, "IDENTIFY helper s3cret");
}
