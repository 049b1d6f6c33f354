//! Models that fail: the run says what happened and what to do, and never falls back to the echo.

use openclaw_actors::settings::ModelPlan;
use serde_json::{Value, json};

use crate::chat::{history, message, say, scripted, text_of, turn};
use crate::harness::daemon::{Daemon, Plan, resolved};
use crate::harness::model::Model;
use crate::harness::socket::Socket;

/// Sends a message whose run must fail; gives the chat event.
async fn failing(client: &mut Socket, key: &str) -> Value {
    say(client, "main", "hello", key).await;
    client.chat(key, "error").await
}

#[tokio::test]
async fn a_model_that_refuses_the_key_is_named_with_the_config_path() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "hello", "k1").await;
    model
        .asked()
        .await
        .fail("401 Unauthorized", "", "bad key sk-scripted")
        .await;
    let error = client.chat("k1", "error").await;
    let text = error["errorMessage"].as_str().unwrap();
    assert!(text.contains("models.providers.scripted.apiKey"), "{text}");
    assert!(
        !text.contains("sk-scripted"),
        "the key is not shown: {text}"
    );
    let replay = client
        .request("chat.send", message("main", "hello", "k1"))
        .await;
    assert_eq!(
        (&replay["ok"], &replay["payload"]["status"]),
        (&json!(false), &json!("error")),
        "{replay}"
    );
    assert_eq!(replay["error"]["message"], text);
    let waited = client.call("agent.wait", json!({ "runId": "k1" })).await;
    assert_eq!(
        (waited["status"].as_str(), waited["error"].as_str()),
        (Some("error"), Some(text))
    );
    let page = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(page["messages"][0]["role"], "user");
    assert_eq!(page["messages"][1]["errorMessage"], text, "{page}");
}

#[tokio::test]
async fn a_model_that_asks_for_patience_beyond_the_limit_is_a_rate_limit() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "hello", "k1").await;
    model
        .asked()
        .await
        .fail(
            "429 Too Many Requests",
            "retry-after: 3600\r\n",
            "slow down",
        )
        .await;
    let error = client.chat("k1", "error").await;
    assert_eq!(error["errorKind"], "rate_limit", "{error}");
    assert_eq!(model.journal().len(), 1);
}

#[tokio::test]
async fn a_model_that_asks_for_a_moment_is_asked_again() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "hello", "k1").await;
    model
        .asked()
        .await
        .fail("429 Too Many Requests", "retry-after: 0\r\n", "slow down")
        .await;
    let mut asked = model.asked().await;
    asked.text("now").await;
    asked.done().await;
    assert_eq!(text_of(&client.chat("k1", "final").await["message"]), "now");
}

#[tokio::test]
async fn a_broken_model_is_asked_three_times_then_its_fallback() {
    let mut model = Model::start().await;
    let plan = ModelPlan::Chain(vec![resolved(&model, "m1"), resolved(&model, "m2")]);
    let daemon = Daemon::start(Plan::default().model(plan));
    let mut client = daemon.client().await;
    say(&mut client, "main", "hello", "k1").await;
    for _ in 0..3 {
        let asked = model.asked().await;
        assert_eq!(asked.body["model"], "m1");
        asked.fail("500 Internal Server Error", "", "oh dear").await;
    }
    let mut asked = model.asked().await;
    assert_eq!(asked.body["model"], "m2");
    asked.text("from the second").await;
    asked.done().await;
    assert_eq!(
        text_of(&client.chat("k1", "final").await["message"]),
        "from the second"
    );
    let page = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    assert_eq!(
        page["messages"][1]["model"], "m2",
        "the one that answered is named"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_asked_for_again() {
    let (mut model, _daemon, mut client) = scripted().await;
    say(&mut client, "main", "hello", "k1").await;
    let mut asked = model.asked().await;
    asked.text("half an ans").await;
    client.chat("k1", "delta").await;
    asked.cut();
    let error = client.chat("k1", "error").await;
    assert!(
        error["errorMessage"].as_str().unwrap().contains("scripted"),
        "{error}"
    );
    let rows = history(&mut client, "main").await;
    assert_eq!(rows[1].1, "half an ans", "what came is kept");
    assert_eq!(model.journal().len(), 1);
}

#[tokio::test]
async fn a_missing_key_names_the_config_path_and_never_echoes() {
    let mut chain = resolved(&Model::start().await, "gpt-5");
    chain.endpoint.provider = "openai".into();
    chain.endpoint.base_url = "https://api.openai.com/v1".into();
    chain.endpoint.api_key = None;
    let broken =
        "agents.defaults.model.primary: unknown provider \"nope\"; add models.providers.nope";
    for (plan, remedies) in [
        (
            ModelPlan::Chain(vec![chain]),
            vec!["models.providers.openai.apiKey", "OPENAI_API_KEY"],
        ),
        (ModelPlan::Broken(broken.into()), vec![broken]),
    ] {
        let daemon = Daemon::start(Plan::default().model(plan));
        let mut client = daemon.client().await;
        let error = failing(&mut client, "k1").await;
        for remedy in remedies {
            assert!(
                error["errorMessage"].as_str().unwrap().contains(remedy),
                "{error}"
            );
        }
        let rows = history(&mut client, "main").await;
        assert!(
            !rows.iter().any(|(_, text)| text.contains("echo")),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_is_said_to_be_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", nobody.local_addr().unwrap());
    drop(nobody);
    let mut chain = resolved(&Model::start().await, "m1");
    chain.endpoint.base_url = url;
    let daemon = Daemon::start(Plan::default().model(ModelPlan::Chain(vec![chain])));
    let mut client = daemon.client().await;
    let error = failing(&mut client, "k1").await;
    let text = error["errorMessage"].as_str().unwrap();
    assert!(
        text.contains("scripted") && text.contains("models.providers.scripted.baseUrl"),
        "{text}"
    );
    let model = Model::echoing().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    let mut client = daemon.client().await;
    turn(&mut client, "main", "well", "k2").await;
}
