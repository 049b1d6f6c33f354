//! The OpenAI-compatible endpoints: who may use them, and that they are runs like any other.

use std::net::SocketAddr;

use openclaw_actors::settings::HttpEndpoints;
use serde_json::{Value, json};

use crate::harness::TOKEN;
use crate::harness::daemon::{Daemon, Plan};
use crate::harness::http::{Answer, ask, raw};
use crate::harness::model::Model;

fn plan(model: &Model) -> Plan {
    let mut plan = Plan::with_model(model);
    plan.settings.http = HttpEndpoints {
        chat_completions: true,
        responses: true,
    };
    plan
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

async fn post_as(address: SocketAddr, path: &str, headers: &str, body: &Value) -> Answer {
    let body = body.to_string();
    let length = body.len();
    raw(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ),
    )
    .await
}

async fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    post_as(address, path, &bearer(TOKEN), body).await
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{}", answer.body))
}

async fn answered(model: &mut Model, pieces: &[&str]) -> Vec<(String, String)> {
    let mut asked = model.asked().await;
    let conversation = asked.conversation();
    for piece in pieces {
        asked.text(piece).await;
    }
    asked.done().await;
    conversation
}

fn hello() -> Value {
    json!({ "model": "openclaw", "messages": [{ "role": "user", "content": "hello" }] })
}

#[tokio::test]
async fn an_answer_comes_whole_and_in_pieces() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(plan(&model));
    let path = "/v1/chat/completions";
    let mut body = hello();
    let (answer, _) = tokio::join!(
        post(daemon.address, path, &body),
        answered(&mut model, &["a whole ", "answer"])
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    let whole = json_of(&answer);
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["message"]["content"], "a whole answer");
    assert_eq!(whole["usage"]["total_tokens"], 12, "{whole}");

    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });
    let (answer, _) = tokio::join!(
        post(daemon.address, path, &body),
        answered(&mut model, &["in ", "pieces"])
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let chunks: Vec<Value> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: {"))
        .map(|line| serde_json::from_str(&format!("{{{line}")).expect("JSON"))
        .collect();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "in pieces", "{}", answer.body);
    assert!(answer.body.contains("data: [DONE]"), "{}", answer.body);
    let last = chunks.last().expect("chunks");
    assert_eq!(last["usage"]["completion_tokens"], 5, "{last}");

    // The same runs: a client sees their sessions.
    let mut client = daemon.client().await;
    let list = client.call("sessions.list", json!({})).await.to_string();
    assert!(list.contains("agent:main:openai:"), "{list}");
}

#[tokio::test]
async fn a_response_comes_whole_and_in_pieces() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(plan(&model));
    let mut body = json!({ "model": "openclaw/main", "input": "hello", "user": "ada" });
    let (answer, _) = tokio::join!(
        post(daemon.address, "/v1/responses", &body),
        answered(&mut model, &["one"])
    );
    let whole = json_of(&answer);
    assert_eq!(whole["status"], "completed", "{whole}");
    assert_eq!(whole["output"][0]["content"][0]["text"], "one");

    body["stream"] = json!(true);
    body["input"] = json!("again");
    let (answer, conversation) = tokio::join!(
        post(daemon.address, "/v1/responses", &body),
        answered(&mut model, &["two"])
    );
    for event in [
        "response.created",
        "response.output_text.delta",
        "response.completed",
    ] {
        let line = format!("event: {event}\n");
        assert!(answer.body.contains(&line), "{event} in {}", answer.body);
    }
    // A user's session remembers.
    let said: Vec<&str> = conversation.iter().map(|(_, text)| &**text).collect();
    assert_eq!(said, ["hello", "one", "again"]);
}

#[tokio::test]
async fn nobody_comes_in_without_the_secret_and_who_guesses_is_locked_out() {
    let model = Model::start().await;
    let mut plan = plan(&model);
    plan.gate.rate_limit.exempt_loopback = false;
    plan.gate.rate_limit.max_attempts = 3;
    let daemon = Daemon::start(plan);
    let path = "/v1/chat/completions";
    let without = post_as(daemon.address, path, "", &hello()).await;
    assert_eq!(without.status, 401);
    assert_eq!(json_of(&without)["error"]["type"], "unauthorized");
    for _ in 0..3 {
        let wrong = post_as(daemon.address, path, &bearer("wrong"), &hello()).await;
        assert_eq!(wrong.status, 401, "{}", wrong.body);
    }
    let locked = post(daemon.address, path, &hello()).await;
    assert_eq!(locked.status, 429, "{}", locked.body);
    assert!(locked.header("retry-after").is_some(), "{}", locked.head);
    let models = ask(daemon.address, "GET", "/v1/models", &bearer(TOKEN)).await;
    assert_eq!(models.status, 429, "one limiter for all");
}

#[tokio::test]
async fn pages_of_other_sites_and_proxies_that_nobody_trusts_are_refused() {
    let model = Model::start().await;
    let daemon = Daemon::start(plan(&model));
    for header in [
        "origin: https://evil.example\r\n",
        "x-forwarded-for: 10.0.0.1\r\n",
    ] {
        let headers = format!("{}{header}", bearer(TOKEN));
        let answer = post_as(daemon.address, "/v1/chat/completions", &headers, &hello()).await;
        assert_eq!(answer.status, 403, "{header}: {}", answer.body);
    }
    assert_eq!(model.journal().len(), 0);
}

#[tokio::test]
async fn what_is_off_is_not_there_and_what_is_wrong_is_named() {
    let model = Model::start().await;
    let daemon = Daemon::start(Plan::with_model(&model));
    for path in ["/v1/chat/completions", "/v1/responses"] {
        assert_eq!(post(daemon.address, path, &hello()).await.status, 404);
    }
    let models = ask(daemon.address, "GET", "/v1/models", &bearer(TOKEN)).await;
    assert_eq!(models.status, 404);
    let daemon = Daemon::start(plan(&model));
    let empty = post(daemon.address, "/v1/chat/completions", &json!({})).await;
    assert_eq!(empty.status, 400);
    let message = json_of(&empty)["error"]["message"].clone();
    assert_eq!(message, "Missing user message in `messages`.");
    let get = ask(daemon.address, "GET", "/v1/chat/completions", "").await;
    assert_eq!(get.status, 405);
    let models = ask(daemon.address, "GET", "/v1/models", &bearer(TOKEN)).await;
    let ids = json_of(&models)["data"].to_string();
    assert!(ids.contains("\"openclaw/main\""), "{ids}");
    let one = ask(daemon.address, "GET", "/v1/models/openclaw", &bearer(TOKEN)).await;
    assert_eq!(json_of(&one)["id"], "openclaw");
}

#[tokio::test]
async fn a_failed_run_is_an_error_and_a_client_that_leaves_stops_its_run() {
    let mut model = Model::start().await;
    let daemon = Daemon::start(plan(&model));
    let path = "/v1/chat/completions";
    let mut body = hello();
    let (answer, ()) = tokio::join!(post(daemon.address, path, &body), async {
        let asked = model.asked().await;
        asked.fail("401 Unauthorized", "", "no such key").await;
    });
    assert_eq!(answer.status, 500, "{}", answer.body);
    let message = json_of(&answer)["error"]["message"].to_string();
    assert!(
        message.contains("models.providers.scripted.apiKey"),
        "{message}"
    );

    for streams in [true, false] {
        body["stream"] = json!(streams);
        let (address, body) = (daemon.address, body.clone());
        let asking = tokio::spawn(async move { post(address, path, &body).await });
        let mut asked = model.asked().await;
        asked.text("half").await;
        asking.abort();
        asked.hung_up().await;
    }
}
