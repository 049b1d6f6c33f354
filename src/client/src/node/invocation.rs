//! What a command is asked, and how it answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openclaw_protocol::connect::HelloOk;
use openclaw_protocol::methods::node_invoke::{
    MAX_CHUNK, NodeInvokeProgress, NodeInvokeProgressParams,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{Client, Error};

/// Why a command was not carried out; the gateway passes both texts on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CommandError {
    /// For programs, in capitals.
    pub code: String,
    /// For people.
    pub message: String,
}

impl CommandError {
    /// The error of these texts.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// Parameters that cannot be used.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("INVALID_REQUEST", message)
    }
}

/// The gateway that a node is connected to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Sends requests.
    pub client: Client,
    /// What it said when it accepted the connection.
    pub hello: Arc<HelloOk>,
}

impl Gateway {
    /// Tells it an event of this node, such as `agent.request`.
    ///
    /// # Errors
    ///
    /// As [`Client::request`].
    pub async fn tell(&self, event: &str, payload: &Value) -> Result<Value, Error> {
        let params = json!({ "event": event, "payloadJSON": payload.to_string() });
        self.client.request_value("node.event", &params).await
    }

    /// Where the gateway shows pages of a surface, such as `canvas`, to this node: an address with a
    /// capability that ends some time after its last use, so it is asked for anew.
    ///
    /// # Errors
    ///
    /// As [`Client::request`]; the gateway has none for a node whose capability nobody approved.
    pub async fn surface(&self, name: &str) -> Result<String, Error> {
        if self.hello.protocol < 4 {
            let known = self.hello.canvas_host_url.clone();
            return known.ok_or_else(|| Error::Protocol(format!("the gateway has no {name}")));
        }
        let params = json!({ "surface": name });
        let given = self
            .client
            .request_value("node.pluginSurface.refresh", &params)
            .await?;
        given["pluginSurfaceUrls"][name]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::Protocol(format!("the gateway named no address of {name}")))
    }
}

/// One command that the gateway asks for.
#[derive(Debug)]
pub struct Invocation {
    /// The command.
    pub command: String,
    /// What it takes; null when nothing was sent.
    pub params: Value,
    /// How long it may take; then its future is dropped.
    pub time: Duration,
    /// The caller's key: the same request never comes twice with it.
    pub key: Option<String>,
    /// Shows what there is so far.
    pub progress: Progress,
    /// Who asks.
    pub gateway: Gateway,
}

impl Invocation {
    /// Decodes the parameters; absent ones are an empty object.
    ///
    /// # Errors
    ///
    /// `INVALID_REQUEST` that names the field.
    pub fn params<T: DeserializeOwned>(&mut self) -> Result<T, CommandError> {
        let params = match self.params.take() {
            Value::Null => json!({}),
            given => given,
        };
        serde_json::from_value(params).map_err(|error| {
            CommandError::invalid(format!("invalid {} params: {error}", self.command))
        })
    }
}

/// Where a command shows what there is so far.
#[derive(Clone)]
pub struct Progress {
    pub(super) gateway: Gateway,
    pub(super) node: String,
    pub(super) id: String,
    pub(super) next: Arc<Mutex<u64>>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Progress")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Progress {
    /// Shows a piece of text, and waits until the gateway has it. Gateways of the older generation take
    /// none, and one that is gone is learned of elsewhere: neither is an error.
    pub async fn send(&self, text: &str) {
        if self.gateway.hello.protocol < 4 {
            return;
        }
        // Pieces are numbered in the order in which they are sent.
        let mut next = self.next.lock().await;
        for chunk in pieces(text) {
            let params = NodeInvokeProgressParams {
                invoke_id: self.id.clone(),
                node_id: self.node.clone(),
                seq: *next,
                chunk: chunk.to_owned(),
            };
            *next += 1;
            let sent = self.gateway.client.request::<NodeInvokeProgress>(&params);
            if let Err(error) = sent.await {
                tracing::debug!(%error, "progress was not taken");
                return;
            }
        }
    }
}

/// A text in pieces that a frame may hold.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Bytes are never fewer than characters, however these are counted.
        let mut end = rest.len().min(MAX_CHUNK);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_progress_is_cut_between_characters() {
        let text = "ä".repeat(MAX_CHUNK);
        let cut: Vec<&str> = pieces(&text).collect();
        assert_eq!(cut.concat(), text);
        assert!(
            cut.iter().all(|piece| piece.len() <= MAX_CHUNK),
            "{}",
            cut.len()
        );
        assert_eq!(pieces("").count(), 0);
    }
}
