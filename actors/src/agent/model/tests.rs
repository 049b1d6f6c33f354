//! The client against servers of canned bytes, and against recorded streams of every API.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

const HELLO: &str = "Grüße aus der Aufnahme, 🦀 und 日本語. This is a recorded answer.";
const KEY: &str = "sk-test-0123456789";

fn http() -> reqwest::Client {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    http_client().expect("this host has certificates")
}

fn request(api: ApiKind, base_url: &str) -> ModelRequest {
    let endpoint = Endpoint {
        provider: "mock".into(),
        api,
        base_url: base_url.into(),
        api_key: Some(KEY.into()),
        headers: BTreeMap::new(),
    };
    let mut request = ModelRequest::new(endpoint, "some-model");
    request.system = Some("Be brief.".into());
    request.messages = vec![PromptMessage::user("hello")];
    request.max_output_tokens = Some(77);
    request
}

/// What a server does after it has read the request.
enum Then {
    /// Closes the connection.
    Close,
    /// Keeps it open until the client is gone.
    Hang,
}

/// Serves one connection: reads one request, answers with these bytes. Gives the request's text.
async fn serve(answer: Vec<u8>, then: Then) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let request = read_request(&mut socket).await;
        for piece in answer.chunks(7) {
            socket.write_all(piece).await.unwrap();
        }
        if matches!(then, Then::Hang) {
            // Ends when the client closes its side, by a reset or in good order.
            let _ = socket.read(&mut [0; 64]).await;
        }
        request
    });
    (base, served)
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        socket.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if length.map_or(0, |length| length.parse().unwrap()) <= body.len() {
                return text;
            }
        }
    }
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn event_stream(body: &[u8]) -> Vec<u8> {
    response("200 OK", "content-type: text/event-stream\r\n", body)
}

fn recorded(api: ApiKind, name: &str) -> Vec<u8> {
    let extension = if api == ApiKind::Ollama {
        "ndjson"
    } else {
        "sse"
    };
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/models");
    std::fs::read(format!("{root}/{api}/{name}.{extension}")).unwrap()
}

#[derive(Debug, Default)]
struct Read {
    text: String,
    thinking: String,
    calls: Vec<ToolCall>,
    usage: Option<Usage>,
    stop: Option<StopReason>,
    error: Option<ModelError>,
}

async fn read(mut stream: ModelStream) -> Read {
    let mut read = Read::default();
    while let Some(event) = stream.next().await {
        assert!(
            read.stop.is_none() && read.error.is_none(),
            "nothing follows the end"
        );
        match event {
            Ok(ModelEvent::Text(text)) => read.text += &text,
            Ok(ModelEvent::Thinking(text)) => read.thinking += &text,
            Ok(ModelEvent::ToolCall(call)) => read.calls.push(call),
            Ok(ModelEvent::Usage(usage)) => assert_eq!(read.usage.replace(usage), None),
            Ok(ModelEvent::Stop(reason)) => read.stop = Some(reason),
            Err(error) => read.error = Some(error),
        }
    }
    read
}

async fn ask(api: ApiKind, answer: Vec<u8>) -> Result<Read, ModelError> {
    let (base, _served) = serve(answer, Then::Close).await;
    Ok(read(stream(&http(), request(api, &base)).await?).await)
}

#[tokio::test]
async fn recorded_answers_of_every_api_are_read_whole() {
    for api in ApiKind::ALL {
        let hello = ask(api, event_stream(&recorded(api, "hello")))
            .await
            .unwrap();
        assert_eq!(
            (hello.text.as_str(), hello.stop),
            (HELLO, Some(StopReason::EndTurn)),
            "{api}"
        );
        let output = if api == ApiKind::Ollama { 0 } else { 17 };
        assert_eq!(hello.usage.map(|usage| usage.output), Some(output), "{api}");

        let think = ask(api, event_stream(&recorded(api, "think")))
            .await
            .unwrap();
        assert_eq!(think.text, "The answer is 42.", "{api}");
        let thinking = "First I consider the question, then I answer it.";
        assert_eq!(think.thinking, thinking, "{api}");

        if api != ApiKind::Ollama {
            let long = ask(api, event_stream(&recorded(api, "long")))
                .await
                .unwrap();
            assert_eq!(long.stop, Some(StopReason::MaxTokens), "{api}");
        }
    }
}

#[tokio::test]
async fn an_answer_cut_off_anywhere_is_never_taken_for_a_whole_one() {
    for api in ApiKind::ALL {
        let whole = recorded(api, "hello");
        for cut in [0, 1, whole.len() / 3, whole.len() / 2, whole.len() * 2 / 3] {
            let read = ask(api, event_stream(&whole[..cut])).await.unwrap();
            assert!(HELLO.starts_with(&read.text));
            assert_eq!(read.stop, None, "{api} at {cut}");
            let fault = read.error.unwrap().fault;
            let half_line = api == ApiKind::Ollama && matches!(fault, Fault::Protocol { .. });
            assert!(
                half_line || fault == Fault::Truncated,
                "{api} at {cut}: {fault:?}"
            );
        }
        let broken = response(
            "200 OK",
            "content-type: text/event-stream\r\ncontent-length: 99999\r\n",
            &whole[..whole.len() / 2],
        );
        let fault = ask(api, broken).await.unwrap().error.unwrap().fault;
        assert_eq!(fault, Fault::Truncated, "{api}");
        let complete_but_broken = response(
            "200 OK",
            "content-type: text/event-stream\r\ncontent-length: 99999\r\n",
            &whole,
        );
        let read = ask(api, complete_but_broken).await.unwrap();
        assert_eq!(read.stop, Some(StopReason::EndTurn), "{api}");
    }
}

#[tokio::test]
async fn each_api_is_asked_in_its_own_way() {
    for (api, path, header, pointers) in [
        (
            ApiKind::OpenaiCompletions,
            "/v1/chat/completions",
            "authorization: Bearer sk-test-0123456789",
            [
                ("/messages/0/role", "system"),
                ("/messages/1/content", "hello"),
                ("/stream_options/include_usage", "true"),
                ("/max_tokens", "77"),
            ],
        ),
        (
            ApiKind::AnthropicMessages,
            "/v1/messages",
            "x-api-key: sk-test-0123456789",
            [
                ("/system", "Be brief."),
                ("/messages/0/content", "hello"),
                ("/stream", "true"),
                ("/max_tokens", "77"),
            ],
        ),
        (
            ApiKind::Ollama,
            "/api/chat",
            "authorization: Bearer sk-test-0123456789",
            [
                ("/messages/0/content", "Be brief."),
                ("/messages/1/role", "user"),
                ("/stream", "true"),
                ("/options/num_predict", "77"),
            ],
        ),
        (
            ApiKind::GoogleGenerativeAi,
            "/v1beta/models/some-model:streamGenerateContent?alt=sse",
            "x-goog-api-key: sk-test-0123456789",
            [
                ("/systemInstruction/parts/0/text", "Be brief."),
                ("/contents/0/role", "user"),
                ("/contents/0/parts/0/text", "hello"),
                ("/generationConfig/maxOutputTokens", "77"),
            ],
        ),
    ] {
        let (base, served) = serve(event_stream(&recorded(api, "hello")), Then::Close).await;
        let mut asked = request(api, &base);
        asked.endpoint.headers = BTreeMap::from([("X-Team".into(), "blue".into())]);
        read(stream(&http(), asked).await.unwrap()).await;
        let sent = served.await.unwrap();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(&format!("POST {path} HTTP/1.1\r\n")),
            "{head}"
        );
        for line in [header, "x-team: blue", "content-type: application/json"] {
            assert!(head.contains(line), "{line} is not in {head}");
        }
        let body: Value = serde_json::from_str(body).unwrap();
        for (pointer, want) in pointers {
            let found = body.pointer(pointer).unwrap_or(&Value::Null);
            let found = found
                .as_str()
                .map_or_else(|| found.to_string(), str::to_owned);
            assert_eq!(found, want, "{api} {pointer}");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_is_told_with_its_wait_and_without_the_key() {
    let body = format!(r#"{{"error":{{"message":"limit reached for {KEY}","type":"x"}}}}"#);
    let headers = "content-type: application/json\r\nretry-after: 7\r\n";
    let answer = response("429 Too Many Requests", headers, body.as_bytes());
    let error = ask(ApiKind::OpenaiCompletions, answer).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(
        (error.kind(), error.retryable()),
        (ErrorKind::RateLimit, true)
    );
    let text = error.to_string();
    assert!(
        text.contains("mock") && text.contains("some-model") && text.contains("[key]"),
        "{text}"
    );
    assert!(!format!("{text}{error:?}").contains(KEY));
}

#[tokio::test]
async fn answers_that_are_no_stream_are_explained() {
    let api = ApiKind::AnthropicMessages;
    let page = response(
        "200 OK",
        "content-type: text/html; charset=utf-8\r\n",
        b"<html>",
    );
    let text = ask(api, page).await.unwrap_err().to_string();
    assert!(text.contains("models.providers.mock.baseUrl"), "{text}");

    let json = b"{\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}";
    let answer = response("200 OK", "content-type: application/json\r\n", json);
    let fault = ask(api, answer).await.unwrap_err().fault;
    assert!(matches!(fault, Fault::Overloaded { .. }), "{fault:?}");

    let redirect = response(
        "308 Permanent Redirect",
        "location: https://u:p@other/v1\r\n",
        b"",
    );
    let text = ask(api, redirect).await.unwrap_err().to_string();
    assert!(text.contains("redirects to https://other/v1"), "{text}");

    let endless = [b"<".as_slice(), &vec![b'x'; 200_000]].concat();
    let answer = response(
        "500 Internal Server Error",
        "content-type: text/html\r\n",
        &endless,
    );
    let text = ask(api, answer).await.unwrap_err().to_string();
    assert!(text.contains("HTTP 500 (it sent a web page)"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let asked = request(ApiKind::Ollama, &format!("http://{address}/v1"));
    let error = stream(&http(), asked).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Network { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_missing_key_is_told_before_anything_is_sent() {
    let mut asked = request(ApiKind::OpenaiCompletions, "https://api.openai.com/v1/");
    asked.endpoint.provider = "openai".into();
    asked.endpoint.api_key = Some("  ".into());
    let error = stream(&http(), asked).await.unwrap_err();
    assert_eq!(error.fault, Fault::MissingKey);
    assert!(error.to_string().contains("OPENAI_API_KEY"), "{error}");
}

#[tokio::test]
async fn a_header_that_is_none_is_named() {
    let mut asked = request(ApiKind::Ollama, "http://127.0.0.1:1");
    asked.endpoint.headers = BTreeMap::from([("bad name".into(), "x".into())]);
    let text = stream(&http(), asked).await.unwrap_err().to_string();
    assert!(text.contains("headers.bad name"), "{text}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_by_size() {
    let line = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(700_000)
    );
    let (base, served) = serve_large(event_stream(line.repeat(7).as_bytes())).await;
    let asked = request(ApiKind::OpenaiCompletions, &base);
    let read = read(stream(&http(), asked).await.unwrap()).await;
    assert!(read.text.len() <= MAX_ANSWER_BYTES);
    assert!(matches!(read.error.unwrap().fault, Fault::TooLarge { .. }));
    drop(served);
}

async fn serve_large(answer: Vec<u8>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        let _ = socket.write_all(&answer).await;
    });
    (base, served)
}

fn phase(error: &ModelError) -> Option<TimeoutPhase> {
    match error.fault {
        Fault::Timeout { phase, .. } => Some(phase),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_a_timeout_and_not_retried() {
    let (base, _served) = serve(Vec::new(), Then::Hang).await;
    let asked = request(ApiKind::OpenaiCompletions, &base);
    let error = stream(&http(), asked).await.unwrap_err();
    assert_eq!(phase(&error), Some(TimeoutPhase::FirstByte));
    assert_eq!(
        (error.kind(), error.retryable()),
        (ErrorKind::Timeout, false)
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_is_a_connect_timeout() {
    let (base, _served) = serve(Vec::new(), Then::Hang).await;
    let mut asked = request(ApiKind::OpenaiCompletions, &base.replace("http:", "https:"));
    asked.timeouts.connect = Duration::from_secs(3);
    let error = stream(&http(), asked).await.unwrap_err();
    assert_eq!(phase(&error), Some(TimeoutPhase::Connect), "{error:?}");
    assert!(
        error.retryable() && error.to_string().contains("within 3 s"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_a_timeout_unless_it_had_finished() {
    let api = ApiKind::OpenaiCompletions;
    let half = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let (base, _served) = serve(event_stream(half), Then::Hang).await;
    let silent = read(stream(&http(), request(api, &base)).await.unwrap()).await;
    assert_eq!(silent.text, "a");
    assert_eq!(phase(&silent.error.unwrap()), Some(TimeoutPhase::Idle));

    let whole =
        b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    let (base, _served) = serve(event_stream(whole), Then::Hang).await;
    let finished = read(stream(&http(), request(api, &base)).await.unwrap()).await;
    assert_eq!(finished.stop, Some(StopReason::EndTurn));
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let half = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let (base, served) = serve(event_stream(half), Then::Hang).await;
    let asked = request(ApiKind::OpenaiCompletions, &base);
    let mut answer = stream(&http(), asked).await.unwrap();
    assert_eq!(answer.next().await, Some(Ok(ModelEvent::Text("a".into()))));
    drop(answer);
    served.await.unwrap();
}

#[tokio::test]
async fn an_ollama_is_found_by_its_first_chat_model() {
    let tags = br#"{"models":[{"name":"nomic-embed-text"},{"name":"llama3.2:3b"}]}"#;
    let answer = response("200 OK", "content-type: application/json\r\n", tags);
    let (base, served) = serve(answer, Then::Close).await;
    assert_eq!(
        ollama::probe(&http(), &base).await.as_deref(),
        Some("llama3.2:3b")
    );
    assert!(served.await.unwrap().starts_with("GET /api/tags "));
    assert_eq!(ollama::probe(&http(), "http://127.0.0.1:1").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_ollama_that_does_not_answer_is_none() {
    let (base, _served) = serve(Vec::new(), Then::Hang).await;
    assert_eq!(ollama::probe(&http(), &base).await, None);
}
