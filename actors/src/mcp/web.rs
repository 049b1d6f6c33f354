//! A server at an address: streamable HTTP. Each message is a POST, answered with JSON or a stream.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use sse_stream::SseStream;

use super::McpError;
use super::message::{self, Incoming, MAX_MESSAGE};

/// Names the conversation, once the server gave it a name.
const SESSION: &str = "mcp-session-id";

/// An address.
pub(super) struct Address {
    http: reqwest::Client,
    url: String,
    headers: HeaderMap,
    session: Mutex<Option<HeaderValue>>,
}

impl Address {
    /// An address with the headers of every request.
    pub(super) fn new(
        http: reqwest::Client,
        url: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<Self, McpError> {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let wrong = || McpError::new(format!("the header \"{name}\" cannot be sent"));
            let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            all.insert(name, value);
        }
        Ok(Self {
            http,
            url: url.to_owned(),
            headers: all,
            session: Mutex::new(None),
        })
    }

    fn session(&self) -> Option<HeaderValue> {
        let session = self.session.lock();
        session.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn post(&self, message: &Value) -> Result<Response, McpError> {
        let mut asking = self
            .http
            .post(&self.url)
            .headers(self.headers.clone())
            .header(ACCEPT, "application/json, text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .body(message.to_string());
        if let Some(session) = self.session() {
            asking = asking
                .header(SESSION, session)
                .header("mcp-protocol-version", message::VERSION);
        }
        let answer = asking.send().await.map_err(|error| {
            // The address may hold a secret.
            let error = error.without_url();
            McpError::new(format!("the server cannot be reached: {error}"))
        })?;
        if let Some(session) = answer.headers().get(SESSION) {
            let mut place = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            *place = Some(session.clone());
        }
        Ok(answer)
    }

    /// Sends a notice, or an answer; what comes back is not read.
    pub(super) async fn tell(&self, message: &Value) -> Result<(), McpError> {
        self.post(message).await.map(drop)
    }

    /// Sends request number `id` and waits for its answer.
    ///
    /// # Errors
    ///
    /// The second value says whether the conversation is over and has to begin anew.
    pub(super) async fn ask(&self, id: u64, request: &Value) -> Result<Value, (McpError, bool)> {
        let known = self.session().is_some();
        let answer = self.post(request).await.map_err(|error| (error, true))?;
        let status = answer.status();
        if !status.is_success() {
            let gone = known && status == StatusCode::NOT_FOUND;
            let why = match status {
                _ if gone => "the server ended the conversation".to_owned(),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    format!("the server answered {status}; set mcp.servers.<name>.headers")
                }
                _ => format!("the server answered {status}"),
            };
            return Err((McpError::new(why), true));
        }
        let kind = answer.headers().get(CONTENT_TYPE);
        let streams = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let found = if streams {
            self.stream(id, answer).await
        } else {
            whole(id, answer).await
        };
        found
            .map_err(|error| (error, true))?
            .map_err(|error| (error, false))
    }

    async fn stream(&self, id: u64, answer: Response) -> Result<Result<Value, McpError>, McpError> {
        let broken = || McpError::new("the server broke its answer off");
        let mut left = MAX_MESSAGE;
        let bounded = answer.bytes_stream().map(move |piece| {
            let piece = piece.map_err(|_| std::io::Error::other("broken"))?;
            left = left
                .checked_sub(piece.len())
                .ok_or_else(|| std::io::Error::other("too large"))?;
            Ok::<_, std::io::Error>(piece)
        });
        let mut events = std::pin::pin!(SseStream::from_bytes_stream(bounded));
        while let Some(event) = events.next().await {
            let data = event.map_err(|_| broken())?.data.unwrap_or_default();
            let Ok(message) = serde_json::from_str(&data) else {
                continue;
            };
            match message::read(&message) {
                Some(Incoming::Answer(of, result)) if of == id => return Ok(result),
                Some(Incoming::Question(reply)) => self.tell(&reply).await?,
                _ => {}
            }
        }
        Err(broken())
    }

    /// Ends the conversation, so that the server need not wait for its time to be over.
    pub(super) fn leave(&self) {
        let Some(session) = self.session() else {
            return;
        };
        let leaving = self
            .http
            .delete(&self.url)
            .headers(self.headers.clone())
            .header(SESSION, session)
            .timeout(std::time::Duration::from_secs(5))
            .send();
        // At the end of the process there is nothing to run it on.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(leaving.await) });
        }
    }
}

async fn whole(id: u64, mut answer: Response) -> Result<Result<Value, McpError>, McpError> {
    let mut body = Vec::new();
    let broken = |_| McpError::new("the server broke its answer off");
    while let Some(piece) = answer.chunk().await.map_err(broken)? {
        if body.len() + piece.len() > MAX_MESSAGE {
            return Err(McpError::new("the answer is too large"));
        }
        body.extend_from_slice(&piece);
    }
    let message = serde_json::from_slice(&body).ok();
    match message.and_then(|message: Value| message::read(&message)) {
        Some(Incoming::Answer(of, result)) if of == id => Ok(result),
        _ => Err(McpError::new(
            "the answer is no message of MCP; is the address right?",
        )),
    }
}
