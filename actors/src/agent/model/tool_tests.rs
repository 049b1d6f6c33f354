//! Tools and pictures on the wire of every API, both ways.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};

use super::decode::{Decode, Progress};
use super::{
    ApiKind, Endpoint, ModelEvent, ModelRequest, PromptDocument, PromptImage, PromptMessage,
    PromptPart, PromptRole, StopReason, Takes, ToolCall, ToolDefinition, ToolResult, anthropic,
    google, ollama, openai,
};

fn image() -> PromptImage {
    PromptImage {
        mime: "image/png".into(),
        data: Bytes::from_static(b"png"),
    }
}

fn call(id: &str, path: &str) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: "read".into(),
        arguments: json!({ "path": path }),
        signature: None,
    }
}

fn result(id: &str, text: &str, images: Vec<PromptImage>, is_error: bool) -> ToolResult {
    ToolResult {
        call_id: id.into(),
        name: "read".into(),
        text: text.into(),
        images,
        is_error,
    }
}

/// A person shows a picture, the model calls one tool twice, one call fails, one gives a picture.
fn request(api: ApiKind, base_url: &str) -> ModelRequest {
    let endpoint = Endpoint {
        provider: "mock".into(),
        api,
        base_url: base_url.into(),
        api_key: None,
        headers: BTreeMap::new(),
    };
    let mut request = ModelRequest::new(endpoint, "some-model");
    request.tools = vec![ToolDefinition {
        name: "read".into(),
        description: "Reads a file.".into(),
        parameters: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    }];
    request.messages = vec![
        PromptMessage::of(
            PromptRole::User,
            vec![
                PromptPart::Text("what is this?".into()),
                PromptPart::Image(image()),
            ],
        ),
        PromptMessage::of(
            PromptRole::Assistant,
            vec![
                PromptPart::Text("I look.".into()),
                PromptPart::ToolCall(call("c1", "a.txt")),
                PromptPart::ToolCall(call("c2", "b.txt")),
            ],
        ),
        PromptMessage::results([result("c1", "hello", vec![], false)]),
        PromptMessage::results([result("c2", "no such file", vec![image()], true)]),
        PromptMessage::user("go on"),
    ];
    request
}

const DATA: &str = "cG5n";

#[test]
fn openai_gets_calls_as_text_and_pictures_of_tools_behind_them() {
    let body = openai::call(&request(ApiKind::OpenaiCompletions, "http://h/v1"))
        .unwrap()
        .body;
    let url = format!("data:image/png;base64,{DATA}");
    let call = |id, path: &str| json!({"id": id, "type": "function", "function": {"name": "read", "arguments": json!({"path": path}).to_string()}});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": url}},
            ]},
            {"role": "assistant", "content": "I look.", "tool_calls": [call("c1", "a.txt"), call("c2", "b.txt")]},
            {"role": "tool", "tool_call_id": "c1", "content": "hello"},
            {"role": "tool", "tool_call_id": "c2", "content": "no such file"},
            {"role": "user", "content": [
                {"type": "text", "text": "The pictures that the tools gave:"},
                {"type": "image_url", "image_url": {"url": url}},
            ]},
            {"role": "user", "content": "go on"},
        ])
    );
    assert_eq!(body["tools"][0]["function"]["name"], "read");
    assert_eq!(body["tools"][0]["type"], "function");

    // A conversation that another provider had: its names for calls are written in one's own way.
    let mistral = openai::call(&request(
        ApiKind::OpenaiCompletions,
        "https://api.mistral.ai/v1",
    ));
    let messages = mistral.unwrap().body["messages"].clone();
    let id = messages[1]["tool_calls"][0]["id"].as_str().unwrap();
    assert_eq!(
        (id.len(), Some(id)),
        (9, messages[2]["tool_call_id"].as_str())
    );
}

#[test]
fn anthropic_gets_blocks_and_results_on_the_persons_side() {
    let body = anthropic::call(&request(ApiKind::AnthropicMessages, "http://h"))
        .unwrap()
        .body;
    let picture = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}});
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "what is this?"}, picture]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "a.txt"}},
                {"type": "tool_use", "id": "c2", "name": "read", "input": {"path": "b.txt"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "hello"}]},
                {"type": "tool_result", "tool_use_id": "c2", "is_error": true, "content": [
                    {"type": "text", "text": "no such file"}, picture,
                ]},
                {"type": "text", "text": "go on"},
            ]},
        ])
    );
    assert_eq!(body["tools"][0]["input_schema"]["type"], "object");
}

#[test]
fn google_gets_function_parts_and_the_signature_it_gave() {
    let mut asked = request(ApiKind::GoogleGenerativeAi, "http://h");
    if let PromptPart::ToolCall(call) = &mut asked.messages[1].parts[1] {
        call.signature = Some("sig".into());
    }
    let body = google::call(&asked).unwrap().body;
    let picture = json!({"inlineData": {"mimeType": "image/png", "data": DATA}});
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "what is this?"}, picture]},
            {"role": "model", "parts": [
                {"text": "I look."},
                {"functionCall": {"name": "read", "args": {"path": "a.txt"}}, "thoughtSignature": "sig"},
                {"functionCall": {"name": "read", "args": {"path": "b.txt"}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "read", "response": {"output": "hello"}}},
                {"functionResponse": {"name": "read", "response": {"error": "no such file"}}},
                picture,
                {"text": "go on"},
            ]},
        ])
    );
    let declared = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(declared["parametersJsonSchema"]["type"], "object");
    asked.model = "gemini-3-pro".into();
    let body = google::call(&asked).unwrap().body;
    let unsigned = &body["contents"][1]["parts"][2]["thoughtSignature"];
    assert_eq!(unsigned, "skip_thought_signature_validator");
}

#[test]
fn ollama_gets_objects_and_results_by_the_name_of_the_tool() {
    let body = ollama::call(&request(ApiKind::Ollama, "http://h"))
        .unwrap()
        .body;
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": "what is this?", "images": [DATA]},
            {"role": "assistant", "content": "I look.", "tool_calls": [
                {"function": {"name": "read", "arguments": {"path": "a.txt"}}},
                {"function": {"name": "read", "arguments": {"path": "b.txt"}}},
            ]},
            {"role": "tool", "content": "hello", "tool_name": "read"},
            {"role": "tool", "content": "no such file", "tool_name": "read", "images": [DATA]},
            {"role": "user", "content": "go on"},
        ])
    );
    assert_eq!(body["tools"][0]["function"]["name"], "read");
}

/// What an answer of these events comes to: its text, its calls, its end.
fn decode(mut decoder: impl Decode, events: &[Value]) -> (String, Vec<ToolCall>, StopReason) {
    let mut out = VecDeque::new();
    for event in events {
        if decoder.event(&event.to_string(), &mut out).unwrap() == Progress::Done {
            break;
        }
    }
    out.extend(decoder.tail().finish().unwrap());
    let (mut text, mut calls, mut stop) = (String::new(), Vec::new(), None);
    for event in out {
        assert_eq!(stop, None, "nothing follows the end");
        match event {
            ModelEvent::Text(piece) => text += &piece,
            ModelEvent::ToolCall(call) => calls.push(call),
            ModelEvent::Stop(reason) => stop = Some(reason),
            ModelEvent::Thinking(_) | ModelEvent::Usage(_) => {}
        }
    }
    (text, calls, stop.unwrap())
}

fn unnamed(path: &str) -> ToolCall {
    call("", path)
}

#[test]
fn calls_side_by_side_are_read_from_every_api() {
    let openai_call = |calls: Value| json!({"choices": [{"delta": {"tool_calls": calls}}]});
    let read = decode(
        openai::Decoder::default(),
        &[
            json!({"choices": [{"delta": {"content": "I look.", "tool_calls": null}}]}),
            openai_call(
                json!([{"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": ""}}]),
            ),
            openai_call(
                json!([{"index": 1, "id": "c2", "function": {"name": "read", "arguments": "{\"path\": \"b"}}]),
            ),
            openai_call(
                json!([{"index": 0, "function": {"arguments": "{\"path\": \"a.txt\"}"}}, {"index": 1, "function": {"arguments": ".txt\"}"}}]),
            ),
            json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
        ],
    );
    let two = (
        "I look.".to_owned(),
        vec![call("c1", "a.txt"), call("c2", "b.txt")],
        StopReason::ToolUse,
    );
    assert_eq!(read, two);

    let block = |index, id: &str| json!({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": id, "name": "read", "input": {}}});
    let piece = |index, text: &str| json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": text}});
    let read = decode(
        anthropic::Decoder::default(),
        &[
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "I look."}}),
            block(1, "c1"),
            piece(1, "{\"path\":"),
            piece(1, "\"a.txt\"}"),
            json!({"type": "content_block_stop", "index": 1}),
            block(2, "c2"),
            piece(2, "{\"path\":\"b.txt\"}"),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
            json!({"type": "message_stop"}),
        ],
    );
    assert_eq!(read, two);

    let part = |path: &str| json!({"functionCall": {"name": "read", "args": {"path": path}}});
    let mut signed = part("a.txt");
    signed["thoughtSignature"] = "sig".into();
    let (text, calls, _) = decode(
        google::Decoder::default(),
        &[
            json!({"candidates": [{"content": {"parts": [{"text": "I look."}, signed]}}]}),
            json!({"candidates": [{"content": {"parts": [part("b.txt")]}, "finishReason": "STOP"}]}),
        ],
    );
    let with_signature = ToolCall {
        signature: Some("sig".into()),
        ..unnamed("a.txt")
    };
    assert_eq!(
        (text.as_str(), calls),
        ("I look.", vec![with_signature, unnamed("b.txt")])
    );

    let tool = |path: &str| json!({"function": {"name": "read", "arguments": {"path": path}}});
    let (text, calls, _) = decode(
        ollama::Decoder::default(),
        &[
            json!({"message": {"content": "I look.", "tool_calls": [tool("a.txt")]}, "done": false}),
            json!({"message": {"content": "", "tool_calls": [tool("b.txt")]}, "done": false}),
            json!({"message": {"content": ""}, "done": true, "done_reason": "stop"}),
        ],
    );
    assert_eq!(
        (text.as_str(), calls),
        ("I look.", vec![unnamed("a.txt"), unnamed("b.txt")])
    );
}

#[test]
fn a_conversation_is_never_cut_between_a_call_and_its_result() {
    let asked = request(ApiKind::Ollama, "http://h");
    let trimmed = super::budget::trim(&asked.messages, 1);
    assert_eq!(trimmed.kept, &asked.messages[4..]);
    let unfinished = &asked.messages[..4];
    assert_eq!(super::budget::trim(unfinished, 1).kept, unfinished);
}

#[test]
fn a_document_goes_to_the_apis_that_read_it_and_others_are_told_of_it() {
    let asked = |api: ApiKind, base_url: &str| {
        let mut request = request(api, base_url);
        let mut message = PromptMessage::of(
            PromptRole::User,
            vec![
                PromptPart::Text("read".into()),
                PromptPart::Document(PromptDocument {
                    name: "a.pdf".into(),
                    data: Bytes::from_static(b"png"),
                }),
            ],
        );
        message.withhold(Takes::usually(api, base_url));
        request.messages = vec![message];
        request
    };
    let request = asked(ApiKind::AnthropicMessages, "http://h");
    let sent = anthropic::call(&request).unwrap().body;
    let block = &sent["messages"][0]["content"][1];
    assert_eq!(block["source"]["media_type"], "application/pdf", "{sent}");
    assert_eq!(
        (&block["type"], &block["source"]["data"]),
        (&json!("document"), &json!(DATA))
    );

    let request = asked(ApiKind::GoogleGenerativeAi, "http://h");
    let sent = google::call(&request).unwrap().body;
    let part = &sent["contents"][0]["parts"][1]["inlineData"];
    assert_eq!(part, &json!({"mimeType": "application/pdf", "data": DATA}));

    let request = asked(ApiKind::OpenaiCompletions, "https://api.openai.com/v1");
    let sent = openai::call(&request).unwrap().body;
    assert_eq!(
        sent["messages"][0]["content"][1]["file"],
        json!({"filename": "a.pdf", "file_data": format!("data:application/pdf;base64,{DATA}")})
    );

    for (api, sent) in [
        (
            ApiKind::OpenaiCompletions,
            openai::call as fn(&ModelRequest) -> _,
        ),
        (ApiKind::Ollama, ollama::call),
    ] {
        let sent = sent(&asked(api, "http://127.0.0.1:1")).unwrap().body;
        let text = sent["messages"][0]["content"].as_str().unwrap();
        assert!(
            text.contains("a.pdf") && text.contains("takes no PDF"),
            "{sent}"
        );
    }
}
