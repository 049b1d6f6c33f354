//! Runs that call tools: good ones, bad ones, endless ones, and runs that are stopped meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use serde_json::{Value, json};

use super::peer::{Peer, Who, is_event};
use super::world::{Setup, World, paused};
use crate::agent::model::{ModelEvent, ModelStream, StopReason, ToolCall};
use crate::agent::tools::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput,
};
use crate::settings::ModelPlan;

std::thread_local! {
    /// How often a tool that counts was called.
    static CALLS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A tool that does what its name says.
struct Fake(&'static str);

impl Tool for Fake {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: self.0.into(),
            label: "Fake",
            description: "For tests.".into(),
            group: Group::Runtime,
            parameters: json!({"type": "object"}),
            risk: if self.0 == "changes" {
                Risk::Change
            } else {
                Risk::Read
            },
            limit: Duration::from_mins(1),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, _: Value) -> Running<'a> {
        match self.0 {
            "panics" => panic!("a tool panics before it begins"),
            "again" => Box::pin(async { Ok(ToolOutput::text("call again")) }),
            "counts" => Box::pin(async {
                let calls = CALLS.with(|calls| {
                    calls.set(calls.get() + 1);
                    calls.get()
                });
                Ok(ToolOutput::text(calls.to_string()))
            }),
            "fails" => Box::pin(async { Err(ToolError::new("there is no such thing")) }),
            "floods" => Box::pin(async { Ok(ToolOutput::text("x".repeat(10_000_000))) }),
            "hangs" => Box::pin(async {
                (cx.progress)("so far");
                std::future::pending().await
            }),
            _ => Box::pin(async { Ok(ToolOutput::text("pong").with(json!({"n": 1}))) }),
        }
    }
}

/// The tools that every world of a test has besides the built-in ones.
pub(super) fn fakes() -> Vec<Arc<dyn Tool>> {
    let names = [
        "pong", "counts", "changes", "panics", "again", "fails", "floods", "hangs",
    ];
    names
        .into_iter()
        .map(|name| Arc::new(Fake(name)) as Arc<dyn Tool>)
        .collect()
}

/// Calls the tools that the newest words name behind `call`; answers anything else.
fn script(newest: &str) -> ModelStream {
    let mut events = Vec::new();
    if let Some(names) = newest.strip_prefix("call ") {
        events.push(ModelEvent::Thinking("I need tools.".into()));
        events.push(ModelEvent::Text("Let me see.".into()));
        events.extend(names.split(' ').map(|name| {
            ModelEvent::ToolCall(ToolCall {
                id: String::new(),
                name: name.into(),
                arguments: json!({"of": name}),
                signature: None,
            })
        }));
        events.push(ModelEvent::Stop(StopReason::ToolUse));
    } else {
        let start: String = newest.chars().take(300).collect();
        events.push(ModelEvent::Text(format!("got: {start}")));
        events.push(ModelEvent::Stop(StopReason::EndTurn));
    }
    ModelStream::from_stream(stream::iter(events.into_iter().map(Ok)))
}

async fn world() -> World {
    Setup::here(ModelPlan::Scripted(script)).start().await
}

async fn shows_tools(world: &World) -> Peer {
    let who = Who {
        caps: vec!["tool-events".into()],
        ..Who::admin()
    };
    Peer::connect(&world.core, &world.worker(), &who).await
}

fn send(message: &str, key: &str) -> Value {
    json!({"sessionKey": "main", "message": message, "idempotencyKey": key})
}

async fn ended(peer: &mut Peer) -> Vec<Value> {
    peer.until(|frame| {
        is_event(frame, "chat")
            && matches!(
                frame["payload"]["state"].as_str(),
                Some("final" | "error" | "aborted")
            )
    })
    .await
}

fn tool_steps(frames: &[Value]) -> Vec<(String, String)> {
    frames
        .iter()
        .filter(|frame| frame["payload"]["stream"] == "tool")
        .map(|frame| {
            let data = &frame["payload"]["data"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&data["phase"]), text(&data["name"]))
        })
        .collect()
}

async fn history(peer: &mut Peer) -> Vec<Value> {
    let page = peer
        .ask("chat.history", &json!({"sessionKey": "main"}))
        .await;
    page["payload"]["messages"].as_array().unwrap().clone()
}

#[test]
fn a_run_calls_tools_and_answers_with_what_they_gave() {
    paused(async {
        let world = world().await;
        let mut shows = shows_tools(&world).await;
        let mut plain = Peer::connect(&world.core, &world.worker(), &Who::admin()).await;
        shows.request("chat.send", &send("call pong changes", "k1"));
        let frames = ended(&mut shows).await;
        let steps = tool_steps(&frames);
        let step = |phase: &str, name: &str| (phase.to_owned(), name.to_owned());
        // One of them changes something, so they run in order.
        assert_eq!(
            steps,
            [
                step("start", "pong"),
                step("result", "pong"),
                step("start", "changes"),
                step("result", "changes")
            ]
        );
        let started = frames.iter().find(|frame| {
            frame["payload"]["data"]["phase"] == "start" && frame["payload"]["stream"] == "tool"
        });
        let data = &started.unwrap()["payload"]["data"];
        assert_eq!(data["args"], json!({"of": "pong"}));
        let id = data["toolCallId"].as_str().unwrap().to_owned();
        let done = frames
            .iter()
            .find(|frame| frame["payload"]["data"]["phase"] == "result");
        let data = &done.unwrap()["payload"]["data"];
        assert_eq!(
            (data["toolCallId"].as_str(), &data["isError"]),
            (Some(id.as_str()), &json!(false))
        );
        assert_eq!(
            data["result"],
            json!({"content": [{"type": "text", "text": "pong"}], "details": {"n": 1}})
        );
        // The second answer takes the place of the first one's text.
        let deltas: Vec<&Value> = frames
            .iter()
            .filter(|frame| frame["payload"]["state"] == "delta")
            .map(|frame| &frame["payload"])
            .collect();
        assert_eq!(deltas[0]["deltaText"], "Let me see.");
        assert_eq!(deltas[0].get("replace"), None);
        let last = deltas.last().unwrap();
        assert_eq!(
            (&last["deltaText"], &last["replace"]),
            (&json!("got: pong\npong"), &json!(true))
        );
        let rows = history(&mut shows).await;
        let roles: Vec<&Value> = rows.iter().map(|row| &row["role"]).collect();
        assert_eq!(
            roles,
            ["user", "assistant", "toolResult", "toolResult", "assistant"]
        );
        let call = &rows[1]["content"];
        assert_eq!(
            call[0],
            json!({"type": "thinking", "thinking": "I need tools."})
        );
        assert_eq!(call[1], json!({"type": "text", "text": "Let me see."}));
        assert_eq!(
            call[2],
            json!({"type": "toolCall", "id": id, "name": "pong", "arguments": {"of": "pong"}})
        );
        assert_eq!(rows[1]["stopReason"], "toolUse");
        assert_eq!(
            (&rows[2]["toolCallId"], &rows[2]["toolName"]),
            (&json!(id), &json!("pong"))
        );
        assert_eq!(
            (&rows[2]["isError"], &rows[2]["content"][0]["text"]),
            (&json!(false), &json!("pong"))
        );
        assert_eq!(
            rows[4]["content"],
            json!([{"type": "text", "text": "got: pong\npong"}])
        );
        // A client that cannot show tools hears nothing of them, and misses nothing else.
        let frames = ended(&mut plain).await;
        assert_eq!(tool_steps(&frames), []);
        let seqs: Vec<u64> = frames
            .iter()
            .filter_map(|frame| frame["seq"].as_u64())
            .collect();
        assert!(
            seqs.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{seqs:?}"
        );
    });
}

#[test]
fn a_tool_that_fails_panics_hangs_or_floods_fails_alone_and_the_model_is_told() {
    paused(async {
        let world = world().await;
        let mut peer = shows_tools(&world).await;
        peer.request(
            "chat.send",
            &send("call panics fails nobody hangs floods pong", "k1"),
        );
        let frames = ended(&mut peer).await;
        assert_eq!(frames.last().unwrap()["payload"]["state"], "final");
        let updates: Vec<&Value> = frames
            .iter()
            .filter(|frame| frame["payload"]["data"]["phase"] == "update")
            .map(|frame| &frame["payload"]["data"]["partialResult"]["content"][0]["text"])
            .collect();
        assert_eq!(updates, ["so far"]);
        let rows = history(&mut peer).await;
        let result = |name: &str| {
            let row = rows.iter().find(|row| row["toolName"] == name).unwrap();
            let text = row["content"][0]["text"].as_str().unwrap();
            (row["isError"].as_bool().unwrap(), text.to_owned())
        };
        for (name, said) in [
            ("panics", "failed inside the gateway"),
            ("fails", "there is no such thing"),
            ("nobody", "there is no tool \"nobody\" here"),
            ("hangs", "within 60 s"),
        ] {
            let (is_error, text) = result(name);
            assert!(is_error && text.contains(said), "{name}: {text}");
        }
        let (is_error, text) = result("floods");
        assert!(!is_error && text.len() < 70_000 && text.contains("[cut: "));
        assert_eq!(result("pong"), (false, "pong".to_owned()));
        let answer = rows.last().unwrap()["content"][0]["text"].as_str().unwrap();
        assert!(answer.starts_with("got: the tool failed"), "{answer}");
    });
}

#[test]
fn a_model_that_never_stops_calling_tools_is_stopped() {
    paused(async {
        let world = world().await;
        let mut peer = shows_tools(&world).await;
        peer.request("chat.send", &send("call again", "k1"));
        let frames = ended(&mut peer).await;
        let last = &frames.last().unwrap()["payload"];
        // The refusal of its last call is what the scripted model answers.
        assert_eq!(last["state"], "final", "{last}");
        let text = last["message"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("limit of tool calls"), "{text}");
        let calls = tool_steps(&frames);
        let started = calls.iter().filter(|(phase, _)| phase == "start").count();
        assert_eq!(started, 41);
    });
}

#[test]
fn a_run_that_is_stopped_takes_its_calls_with_it_and_says_so() {
    paused(async {
        let world = world().await;
        let mut peer = shows_tools(&world).await;
        peer.request("chat.send", &send("call hangs", "k1"));
        peer.until(|frame| frame["payload"]["data"]["phase"] == "update")
            .await;
        peer.request("chat.abort", &json!({"sessionKey": "main"}));
        let frames = ended(&mut peer).await;
        assert_eq!(frames.last().unwrap()["payload"]["state"], "aborted");
        assert_eq!(
            tool_steps(&frames),
            [("result".to_owned(), "hangs".to_owned())]
        );
        let rows = history(&mut peer).await;
        let result = rows.iter().find(|row| row["role"] == "toolResult").unwrap();
        assert_eq!(result["isError"], true);
        assert!(
            result["content"][0]["text"]
                .as_str()
                .unwrap()
                .contains("stopped")
        );
        // The session is free, and its history is one that a model can be sent.
        peer.request("chat.send", &send("and now?", "k2"));
        let frames = ended(&mut peer).await;
        let last = &frames.last().unwrap()["payload"]["message"];
        assert_eq!(last["content"][0]["text"], "got: and now?");
    });
}

#[test]
fn the_inventory_follows_the_callers_scopes_and_the_rules() {
    use openclaw_protocol::{Scope, Scopes};
    paused(async {
        let world = world().await;
        let who = |scope| Who {
            scopes: Scopes::of(&[scope]),
            ..Who::admin()
        };
        let mut reader = Peer::connect(&world.core, &world.worker(), &who(Scope::Read)).await;
        let mut writer = Peer::connect(&world.core, &world.worker(), &who(Scope::Write)).await;
        let mine = json!({"sessionKey": "main"});
        let names = |answer: &Value| -> Vec<String> {
            let tools = answer["payload"]["groups"][0]["tools"].as_array().unwrap();
            tools
                .iter()
                .map(|tool| tool["id"].as_str().unwrap().to_owned())
                .collect()
        };
        let read = names(&reader.ask("tools.effective", &mine).await);
        assert!(read.contains(&"read".to_owned()) && !read.contains(&"exec".to_owned()));
        let write = names(&writer.ask("tools.effective", &mine).await);
        assert!(write.contains(&"exec".to_owned()) && write.contains(&"web_fetch".to_owned()));
        let catalog = reader.ask("tools.catalog", &json!({})).await;
        let groups = catalog["payload"]["groups"].as_array().unwrap();
        assert!(groups.iter().any(|group| group["id"] == "fs"));
        let pong = writer.ask("tools.invoke", &json!({"name": "pong"})).await;
        assert_eq!(pong["payload"]["output"]["content"][0]["text"], "pong");
        let none = writer
            .ask("tools.invoke", &json!({"name": "gateway"}))
            .await;
        assert_eq!(
            none["payload"]["error"]["message"],
            "Tool not available: gateway"
        );
        let denied = reader.ask("tools.invoke", &json!({"name": "pong"})).await;
        assert_eq!(denied["error"]["code"], "FORBIDDEN");
    });
}

#[test]
fn a_call_with_a_key_is_run_once_and_asked_for_again_gives_its_result() {
    paused(async {
        let setup = Setup::here(ModelPlan::Unconfigured);
        let world = setup.start().await;
        let worker = world.worker();
        let mut peer = Peer::connect(&world.core, &worker, &Who::admin()).await;
        let call = |key: &str, name: &str| json!({"name": name, "idempotencyKey": key});
        let before = CALLS.with(std::cell::Cell::get);
        let first = peer.request("tools.invoke", &call("k", "counts"));
        let second = peer.request("tools.invoke", &call("k", "counts"));
        let (mut answers, wanted) = (Vec::new(), [first, second]);
        while answers.len() < 2 {
            let frame = peer.next().await;
            if wanted.iter().any(|id| frame["id"] == id.as_str()) {
                answers.push(frame["payload"].clone());
            }
        }
        let late = peer.ask("tools.invoke", &call("k", "counts")).await;
        assert_eq!(answers[0]["ok"], true, "{answers:?}");
        assert_eq!((&answers[0], &answers[0]), (&answers[1], &late["payload"]));
        assert_eq!(CALLS.with(std::cell::Cell::get), before + 1);
        let other = peer.ask("tools.invoke", &call("k", "pong")).await;
        assert_eq!(other["error"]["code"], "INVALID_REQUEST", "{other}");
        // A failure is a result too.
        let failed = peer.ask("tools.invoke", &call("f", "fails")).await["payload"].clone();
        assert_eq!(failed["ok"], false);
        let again = peer.ask("tools.invoke", &call("f", "fails")).await;
        assert_eq!(again["payload"], failed);
        // Without a key it is run each time.
        for _ in 0..2 {
            peer.ask("tools.invoke", &json!({"name": "counts"})).await;
        }
        assert_eq!(CALLS.with(std::cell::Cell::get), before + 3);
    });
}
