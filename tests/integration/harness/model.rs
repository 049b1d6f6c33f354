//! A model that speaks the `OpenAI` wire format, keeps a journal, and answers when it is told to.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::soon;

/// The model.
pub(crate) struct Model {
    /// Its base URL.
    pub(crate) url: String,
    journal: Arc<Mutex<Vec<String>>>,
    asked: mpsc::UnboundedReceiver<Ask>,
}

/// One request to the model, which waits for what the test makes of it.
pub(crate) struct Ask {
    /// The request's body.
    pub(crate) body: Value,
    /// The newest message of the user.
    pub(crate) prompt: String,
    stream: TcpStream,
    begun: bool,
}

impl Model {
    /// Starts a model whose every request waits for the test.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("its address"));
        let journal: Arc<Mutex<Vec<String>>> = Arc::default();
        let (tell, asked) = mpsc::unbounded_channel();
        let notes = Arc::clone(&journal);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, notes) = (tell.clone(), Arc::clone(&notes));
                tokio::spawn(async move {
                    if let Some(ask) = Ask::read(stream).await {
                        notes
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(ask.prompt.clone());
                        // The test may be over.
                        let _ = tell.send(ask);
                    }
                });
            }
        });
        Self {
            url,
            journal,
            asked,
        }
    }

    /// Starts a model that answers every request at once with `re: ` and the prompt.
    pub(crate) async fn echoing() -> Self {
        let mut model = Self::start().await;
        let (_, nobody) = mpsc::unbounded_channel();
        let mut asked = std::mem::replace(&mut model.asked, nobody);
        tokio::spawn(async move {
            while let Some(mut ask) = asked.recv().await {
                tokio::spawn(async move {
                    let text = format!("re: {}", ask.prompt);
                    ask.text(&text).await;
                    ask.done().await;
                });
            }
        });
        model
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> Ask {
        soon("a request to the model", self.asked.recv())
            .await
            .expect("the model runs")
    }

    /// The prompt of every request so far.
    pub(crate) fn journal(&self) -> Vec<String> {
        self.journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Ask {
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let length = String::from_utf8_lossy(&bytes[..head])
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            })?;
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        let body: Value = serde_json::from_slice(&bytes[head..head + length]).ok()?;
        let last = body["messages"].as_array()?.last()?;
        let prompt = match &last["content"] {
            Value::String(text) => text.clone(),
            parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
        };
        // Messages in a row of one role go out as one; the newest is its last paragraph.
        let prompt = prompt.rsplit("\n\n").next().unwrap_or_default().to_owned();
        Some(Self {
            body,
            prompt,
            stream,
            begun: false,
        })
    }

    /// Roles and texts of the conversation that was sent.
    pub(crate) fn conversation(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.body["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|message| (text(&message["role"]), text(&message["content"])))
            .collect()
    }

    async fn write(&mut self, text: &str) {
        // A gateway that hung up is seen by `hung_up`.
        let _ = self.stream.write_all(text.as_bytes()).await;
        let _ = self.stream.flush().await;
    }

    async fn chunk(&mut self, chunk: Value) {
        if !self.begun {
            self.begun = true;
            self.write(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
            )
            .await;
        }
        self.write(&format!("data: {chunk}\n\n")).await;
    }

    /// Streams a piece of the answer.
    pub(crate) async fn text(&mut self, text: &str) {
        self.chunk(json!({ "id": "c", "object": "chat.completion.chunk", "model": "m1", "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] }))
            .await;
    }

    /// Calls a tool, and ends the answer.
    pub(crate) async fn call(mut self, name: &str, arguments: &Value) {
        let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": arguments.to_string() } });
        self.chunk(json!({ "id": "c", "object": "chat.completion.chunk", "model": "m1", "choices": [{ "index": 0, "delta": { "tool_calls": [call] }, "finish_reason": null }] }))
            .await;
        self.chunk(json!({ "id": "c", "object": "chat.completion.chunk", "model": "m1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "tool_calls" }] }))
            .await;
        self.write("data: [DONE]\n\n").await;
    }

    /// Ends the answer.
    pub(crate) async fn done(mut self) {
        self.chunk(json!({ "id": "c", "object": "chat.completion.chunk", "model": "m1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }))
            .await;
        self.chunk(json!({ "id": "c", "object": "chat.completion.chunk", "model": "m1", "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12 } }))
            .await;
        self.write("data: [DONE]\n\n").await;
    }

    /// Ends the connection in the middle of the answer.
    pub(crate) fn cut(self) {
        drop(self.stream);
    }

    /// Answers with an error.
    pub(crate) async fn fail(mut self, status: &str, headers: &str, message: &str) {
        let body = json!({ "error": { "message": message } }).to_string();
        self.write(&format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
            body.len()
        ))
        .await;
    }

    /// Waits until the gateway gives up on this request.
    pub(crate) async fn hung_up(mut self) {
        let mut rest = [0; 64];
        let hung_up = async {
            // An error is an end too.
            while let Ok(1..) = self.stream.read(&mut rest).await {}
        };
        soon("the gateway hanging up on the model", hung_up).await;
    }
}
