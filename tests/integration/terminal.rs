//! `openclaw models`, `sessions` and `chat`, as programs: what a person reads, what a script gets.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::TOKEN;
use crate::harness::child::{Gateway, Home, config};
use crate::harness::model::Model;
use crate::harness::soon;

async fn answered(model: &mut Model, text: &str) {
    let mut asked = model.asked().await;
    asked.text(text).await;
    asked.done().await;
}

fn url(gateway: &Gateway) -> String {
    format!("ws://127.0.0.1:{}", gateway.port)
}

#[tokio::test]
async fn models_are_listed_chosen_and_tested() {
    let mut model = Model::start().await;
    let mut settings = config(&model);
    settings["models"]["providers"]["scripted"]["models"] =
        json!([{ "id": "m1" }, { "id": "m2", "contextWindow": 200_000 }]);
    let home = Home::with(&settings);
    let gateway = Gateway::start(&home).await;
    let url = url(&gateway);

    let (code, out, _) = home
        .run(&["models", "list", "--url", &url, "--token", TOKEN])
        .await;
    assert_eq!(code, Some(0), "{out}");
    let row = |name: &str| {
        let row = out.lines().find(|line| line.contains(name));
        row.unwrap_or_else(|| panic!("{name} in {out}")).to_owned()
    };
    assert!(row("scripted/m1").contains("answers"), "{out}");
    assert!(row("scripted/m2").contains("200k"), "{out}");

    let (code, _, err) = home
        .run(&["models", "set", "m2", "--url", &url, "--token", TOKEN])
        .await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("models list"), "{err}");
    let (code, out, err) = home
        .run(&[
            "models",
            "set",
            "scripted/m2",
            "--url",
            &url,
            "--token",
            TOKEN,
        ])
        .await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("openclaw models test scripted"), "{out}");
    let (_, out, _) = home
        .run(&["models", "list", "--json", "--url", &url, "--token", TOKEN])
        .await;
    let rows: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(rows["models"].as_array().map(Vec::len), Some(2), "{out}");

    let args = ["models", "test", "--url", &url, "--token", TOKEN];
    let (tested, ()) = tokio::join!(home.run(&args), answered(&mut model, "OK"));
    assert_eq!(tested.0, Some(0), "{tested:?}");
    assert!(
        tested.1.starts_with("ok scripted/m2 answered"),
        "{tested:?}"
    );
    let (tested, ()) = tokio::join!(home.run(&args), async {
        let asked = model.asked().await;
        asked.fail("401 Unauthorized", "", "no such key").await;
    });
    assert_eq!(tested.0, Some(1), "{tested:?}");
    assert!(
        tested.2.contains("models.providers.scripted.apiKey"),
        "{tested:?}"
    );

    // What cannot be asked is said where it is chosen, and not only by the first message.
    let args = ["models", "set", "typo/m", "--url", &url, "--token", TOKEN];
    let (_, out, err) = home.run(&args).await;
    assert!(out.contains("cannot answer yet"), "{out}{err}");
    let (_, out, _) = home
        .run(&["models", "list", "--url", &url, "--token", TOKEN])
        .await;
    assert!(
        out.contains("cannot be asked") && out.contains("openclaw models test"),
        "{out}"
    );
}

#[tokio::test]
async fn a_conversation_through_a_pipe_is_listed_shown_and_begun_anew() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let url = url(&gateway);
    let mut child = home
        .command(&["chat", "--url", &url, "--token", TOKEN])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut typed = child.stdin.take().expect("its standard input");
    typed
        .write_all(b"hello\nand again\n/quit\n")
        .await
        .expect("typed");
    answered(&mut model, "a first answer").await;
    answered(&mut model, "a second answer").await;
    let output = soon("the end of the conversation", child.wait_with_output())
        .await
        .expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "a first answer\na second answer\n", "{output:?}");

    let (_, out, _) = home
        .run(&["sessions", "list", "--url", &url, "--token", TOKEN])
        .await;
    assert!(out.contains("agent:main:main"), "{out}");
    let (_, out, _) = home
        .run(&["sessions", "show", "--url", &url, "--token", TOKEN])
        .await;
    for said in [
        "you",
        "hello",
        "a first answer",
        "and again",
        "a second answer",
    ] {
        assert!(out.contains(said), "{said} in {out}");
    }
    let (code, _, err) = home
        .run(&["sessions", "reset", "mian", "--url", &url, "--token", TOKEN])
        .await;
    assert_eq!(code, Some(1), "{err}");
    assert!(
        err.contains("no conversation mian") && err.contains("sessions list"),
        "{err}"
    );
    let (code, out, err) = home
        .run(&["sessions", "reset", "main", "--url", &url, "--token", TOKEN])
        .await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("begins anew"), "{out}");
    let (_, out, _) = home
        .run(&["sessions", "show", "--url", &url, "--token", TOKEN])
        .await;
    assert!(!out.contains("a first answer"), "{out}");
}

/// A way to a gateway that a test can cut.
struct Line {
    port: u16,
    cut: tokio::sync::watch::Sender<u32>,
}

impl Line {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let (cut, cuts) = tokio::sync::watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", port))
                        .await
                        .expect("it listens");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port: own, cut }
    }

    fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

#[tokio::test]
async fn a_conversation_comes_back_by_itself_and_loses_nothing() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let line = Line::to(gateway.port).await;
    let url = format!("ws://127.0.0.1:{}", line.port);
    let mut child = home
        .command(&["chat", "--url", &url, "--token", TOKEN])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut typed = child.stdin.take().expect("its standard input");
    typed.write_all(b"hello\n").await.expect("typed");
    let mut asked = model.asked().await;
    asked.text("half ").await;
    line.cut();
    asked.text("and whole").await;
    asked.done().await;
    // The next message goes over the next connection; and another is cut while nothing is said.
    typed.write_all(b"again\n").await.expect("typed");
    let asked = model.asked().await;
    line.cut();
    let mut asked = asked;
    asked.text("second").await;
    asked.done().await;
    typed.write_all(b"/quit\n").await.expect("typed");
    let output = soon("the end of the conversation", child.wait_with_output())
        .await
        .expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "half and whole\nsecond\n", "{output:?}");
    assert_eq!(model.journal().len(), 2, "nothing was asked twice");
}

#[tokio::test]
async fn a_conversation_for_a_script_is_one_line_of_json_an_answer() {
    let mut model = Model::start().await;
    let home = Home::with(&config(&model));
    let gateway = Gateway::start(&home).await;
    let url = url(&gateway);
    let mut child = home
        .command(&["chat", "work", "--json", "--url", &url, "--token", TOKEN])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut typed = child.stdin.take().expect("its standard input");
    typed.write_all(b"hello\n").await.expect("typed");
    answered(&mut model, "an answer").await;
    typed.write_all(b"fail\n").await.expect("typed");
    let asked = model.asked().await;
    asked.fail("401 Unauthorized", "", "no such key").await;
    drop(typed);
    let output = soon("the end of the conversation", child.wait_with_output())
        .await
        .expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let states: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["state"].as_str())
        .collect();
    assert_eq!(states, ["final", "error"], "{text}");
    assert_eq!(lines[0]["sessionKey"], "agent:main:work");
}
