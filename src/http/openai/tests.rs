use openclaw_actors::settings::testing::settings;
use serde_json::{Value, json};

use super::chat;
use super::prompt::{Hints, Prompt, build, input, messages};
use super::responses;
use super::run::Done;

fn hints() -> Hints {
    Hints {
        fresh: "1".into(),
        ..Hints::default()
    }
}

fn chat(body: &Value) -> Result<Prompt, String> {
    build(body, &messages(&body["messages"])?, &hints(), &settings())
}

#[test]
fn a_conversation_without_a_session_goes_along_as_text() {
    let prompt = chat(&json!({ "model": "openclaw/main", "messages": [
        { "role": "system", "content": "be short" },
        { "role": "user", "content": "hi" }, { "role": "assistant", "content": "hello" },
        { "role": "user", "content": [{ "type": "text", "text": "and now?" }] },
    ] }))
    .unwrap();
    assert_eq!(prompt.system.as_deref(), Some("be short"));
    assert_eq!(
        (&*prompt.agent, &*prompt.session),
        ("main", "agent:main:openai:1")
    );
    let parts = ["User: hi", "Assistant: hello", "and now?"];
    let places = parts.map(|part| prompt.message.find(part).unwrap());
    assert!(places.is_sorted(), "{}", prompt.message);
}

#[test]
fn a_session_that_is_named_gets_the_newest_message_alone() {
    let mut body = json!({ "user": "Ada", "messages": [
        { "role": "user", "content": "hi" }, { "role": "assistant", "content": "hello" },
        { "role": "user", "content": "again" },
    ] });
    let prompt = chat(&body).unwrap();
    assert_eq!(
        (&*prompt.session, &*prompt.message),
        ("agent:main:openai-user:ada", "again")
    );
    body["messages"] = json!([{ "role": "user", "content": "hi" }]);
    let named = Hints {
        session: Some("agent:main:work".into()),
        ..hints()
    };
    let said = messages(&body["messages"]).unwrap();
    let prompt = build(&body, &said, &named, &settings()).unwrap();
    assert_eq!(prompt.session, "agent:main:work");
}

#[test]
fn what_is_wrong_is_named() {
    let hi = json!([{ "role": "user", "content": "hi" }]);
    for (body, part) in [
        (json!({}), "Missing user message"),
        (
            json!({ "messages": hi, "model": "gpt-5" }),
            "openclaw/<agentId>",
        ),
        (
            json!({ "messages": hi, "model": "openclaw/nobody" }),
            "nobody",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "image_url" }] }] }),
            "image_url",
        ),
    ] {
        let wrong = chat(&body).unwrap_err();
        assert!(wrong.contains(part), "{wrong}");
    }
    assert!(input(&json!({ "input": 5 })).is_err());
}

#[test]
fn an_input_is_a_text_or_items() {
    let said = input(&json!({ "instructions": "be short", "input": [
        { "role": "user", "content": [{ "type": "input_text", "text": "hi" }] },
        { "type": "function_call_output", "call_id": "1", "output": "42" },
    ] }))
    .unwrap();
    let roles: Vec<&str> = said.iter().map(|said| &*said.role).collect();
    assert_eq!(roles, ["system", "user", "function_call_output"]);
    assert_eq!(input(&json!({ "input": "hi" })).unwrap()[0].text, "hi");
}

#[test]
fn answers_have_the_form_that_clients_read() {
    let done = Done {
        rest: String::new(),
        text: "hello".into(),
        input: 3,
        output: 2,
        cut: true,
    };
    let answer = chat::Answer {
        id: "chatcmpl_1".into(),
        created: 1,
        model: "openclaw".into(),
        usage: false,
    };
    let whole = answer.whole(&done);
    assert_eq!(whole["choices"][0]["message"]["content"], "hello");
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["total_tokens"], 5);
    let answer = responses::Answer {
        id: "resp_1".into(),
        item: "msg_1".into(),
        created: 1,
        model: "openclaw".into(),
        number: 0,
    };
    let whole = answer.response("completed", Some(&done));
    assert_eq!(whole["output"][0]["content"][0]["text"], "hello");
    assert_eq!(whole["usage"]["input_tokens"], 3);
}
