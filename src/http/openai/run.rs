//! One run, watched from its request to its end.

use std::time::Duration;

use actix_web::web::Bytes;
use openclaw_actors::session::inner::{Entrant, InnerConnection};
use openclaw_actors::session::socket::Worker;
use openclaw_protocol::{ErrorCode, ErrorShape};
use serde_json::{Value, json};

use super::super::HttpState;
use super::prompt::Prompt;

/// How long a stream says nothing at most.
const QUIET: Duration = Duration::from_secs(5);

/// A run under way. Dropped before its end, it is stopped.
pub(super) struct Run {
    connection: InnerConnection,
    session: String,
    id: String,
    request: String,
    sent: String,
    over: bool,
}

/// What a run gave.
#[derive(Debug)]
pub(super) enum Piece {
    /// More of the answer.
    Text(String),
    /// The end of it.
    Done(Done),
    /// There is no answer, or no more of it.
    Failed(ErrorShape),
}

/// A finished answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// What was not yet given as [`Piece::Text`].
    pub(super) rest: String,
    /// The whole answer.
    pub(super) text: String,
    /// Tokens read, cached ones included.
    pub(super) input: u64,
    /// Tokens written.
    pub(super) output: u64,
    /// Whether it was cut at a limit.
    pub(super) cut: bool,
}

impl Run {
    /// Starts it.
    pub(super) async fn start(
        state: &HttpState,
        worker: &Worker,
        entrant: Entrant,
        prompt: &Prompt,
    ) -> Result<Self, ErrorShape> {
        let shared = &state.sessions;
        let mut connection = InnerConnection::open(shared, worker, entrant).await?;
        let id = shared.entropy.uuid().to_string();
        let mut params = json!({
            "message": prompt.message, "agentId": prompt.agent, "sessionKey": prompt.session,
            "idempotencyKey": id, "deliver": false,
        });
        if let Some(system) = &prompt.system {
            params["extraSystemPrompt"] = system.as_str().into();
        }
        let request = connection.request("agent", &params);
        let mut run = Self {
            connection,
            session: prompt.session.clone(),
            id,
            request,
            sent: String::new(),
            over: false,
        };
        // What cannot be started is refused before anything is streamed.
        loop {
            let Some(frame) = run.connection.next().await else {
                return Err(gone());
            };
            if frame["id"] != *run.request {
                continue;
            }
            if frame["payload"]["status"] == "accepted" {
                return Ok(run);
            }
            run.over = true;
            return Err(error_of(&frame));
        }
    }

    /// What comes next; nothing after an end.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        while !self.over {
            let Some(frame) = self.connection.next().await else {
                self.over = true;
                return Some(Piece::Failed(gone()));
            };
            if frame["type"] == "res" && frame["id"] == *self.request {
                self.over = true;
                return Some(self.end(&frame));
            }
            if let Some(text) = self.grown(&frame) {
                return Some(Piece::Text(text));
            }
        }
        None
    }

    /// The next bytes of a stream. After [`QUIET`] without any they are a comment, which readers skip:
    /// that a client has left shows only when something is written to it.
    pub(super) async fn written(&mut self, write: impl FnOnce(Piece) -> Bytes) -> Option<Bytes> {
        match tokio::time::timeout(QUIET, self.next()).await {
            Ok(piece) => piece.map(write),
            Err(_) => Some(Bytes::from_static(b": still at it\n\n")),
        }
    }

    /// What an event adds to the answer.
    fn grown(&mut self, frame: &Value) -> Option<String> {
        let payload = &frame["payload"];
        let fits = frame["event"] == "agent"
            && payload["runId"] == *self.id
            && payload["stream"] == "assistant";
        let text = payload["data"]["text"].as_str().filter(|_| fits)?;
        self.take(text)
    }

    /// What of the text so far was not given yet. A text that was changed behind what was given
    /// cannot be taken back: what is new goes on in a line of its own.
    fn take(&mut self, text: &str) -> Option<String> {
        let added = match text.strip_prefix(&*self.sent) {
            Some(added) => added.to_owned(),
            None if self.sent.starts_with(text) => return None,
            None => format!("\n\n{text}"),
        };
        text.clone_into(&mut self.sent);
        (!added.is_empty()).then_some(added)
    }

    fn end(&mut self, frame: &Value) -> Piece {
        let payload = &frame["payload"];
        match payload["status"].as_str() {
            Some("ok") if frame["ok"] == true => {
                let parts = payload["result"]["payloads"].as_array();
                let texts = parts.into_iter().flatten();
                let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
                let text = texts.join("\n\n");
                let usage = &payload["result"]["meta"]["agentMeta"]["usage"];
                let count = |key: &str| usage[key].as_u64().unwrap_or_default();
                Piece::Done(Done {
                    rest: self.take(&text).unwrap_or_default(),
                    input: count("input") + count("cacheRead") + count("cacheWrite"),
                    output: count("output"),
                    cut: payload["result"]["meta"]["stopReason"] == "length",
                    text,
                })
            }
            Some("timeout") => Piece::Failed(ErrorShape::unavailable(
                "the run was stopped before its end",
            )),
            _ => Piece::Failed(error_of(frame)),
        }
    }

    /// Waits for the end.
    pub(super) async fn whole(mut self) -> Result<Done, ErrorShape> {
        loop {
            match self.next().await {
                Some(Piece::Text(_)) => {}
                Some(Piece::Done(done)) => return Ok(done),
                Some(Piece::Failed(error)) => return Err(error),
                None => return Err(gone()),
            }
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.over {
            // Whoever asked has left: nobody reads the answer.
            let params = json!({ "sessionKey": self.session, "runId": self.id });
            self.connection.request("chat.abort", &params);
        }
    }
}

fn gone() -> ErrorShape {
    ErrorShape::unavailable("the gateway ended the request; try again")
}

fn error_of(frame: &Value) -> ErrorShape {
    serde_json::from_value(frame["error"].clone()).unwrap_or_else(|_| {
        ErrorShape::new(ErrorCode::Unavailable, "the run did not start; try again")
    })
}
