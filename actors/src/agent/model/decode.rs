//! What the decoders of all APIs share.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Fault;
use super::request::{ModelEvent, StopReason, ToolCall, Usage};

/// Most tools that one answer may call.
const MAX_CALLS: usize = 64;
/// Most bytes of the arguments of all calls of one answer.
const MAX_ARGUMENT_BYTES: usize = 1024 * 1024;

/// Turns the events of one API into [`ModelEvent`]s. Holds the state of one answer.
pub(super) trait Decode: Send {
    /// Reads one event; what it says is appended to `out`, but for usage and stop, which wait in the tail.
    fn event(&mut self, data: &str, out: &mut VecDeque<ModelEvent>) -> Result<Progress, Fault>;

    /// What is known about the answer's end.
    fn tail(&mut self) -> &mut Tail;
}

/// Whether the API announces more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Read on.
    More,
    /// This was the last event; what follows is not read.
    Done,
}

/// How an answer ends, gathered on the way: most APIs give the reason before the usage.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) usage: Option<Usage>,
    /// The tools that the answer calls so far.
    pub(super) calls: Calls,
    /// Set once the API has said that the text is complete.
    pub(super) stop: Option<StopReason>,
}

impl Tail {
    /// The last events of a complete answer, [`Fault::Truncated`] for one that is not.
    pub(super) fn finish(&mut self) -> Result<impl Iterator<Item = ModelEvent> + use<>, Fault> {
        let stop = self.stop.ok_or(Fault::Truncated)?;
        let calls = self.calls.take();
        let usage = self.usage.take().map(ModelEvent::Usage);
        Ok(calls.chain(usage).chain([ModelEvent::Stop(stop)]))
    }
}

/// Tool calls that arrive in pieces, several of them side by side.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Vec<OpenCall>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct OpenCall {
    index: u64,
    id: String,
    name: String,
    arguments: String,
    signature: Option<String>,
}

/// A piece of a call.
#[derive(Debug, Default)]
pub(super) struct CallPiece<'a> {
    /// Which of the answer's calls; the newest when unset.
    pub(super) index: Option<u64>,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) arguments: Option<&'a str>,
    pub(super) signature: Option<&'a str>,
}

impl Calls {
    /// Adds a piece. One with a name or id of its own begins another call, also under an index that
    /// was used: some servers number every call 0.
    pub(super) fn piece(&mut self, piece: &CallPiece<'_>) -> Result<(), Fault> {
        let id = piece.id.unwrap_or_default();
        let at = match piece.index {
            Some(index) => self.open.iter().rposition(|call| call.index == index),
            None => self.open.len().checked_sub(1),
        };
        let continues = at.filter(|at| {
            let call = &self.open[*at];
            id.is_empty() && piece.index.is_some()
                || (!id.is_empty() && call.id == id)
                || (id.is_empty() && piece.name.is_none())
        });
        let at = match continues {
            Some(at) => at,
            None if self.open.len() >= MAX_CALLS => {
                return Err(Fault::TooLarge {
                    what: "the list of tool calls",
                    limit: MAX_CALLS,
                });
            }
            None => {
                self.open.push(OpenCall {
                    index: piece.index.unwrap_or(self.open.len() as u64),
                    id: id.to_owned(),
                    ..OpenCall::default()
                });
                self.open.len() - 1
            }
        };
        let call = &mut self.open[at];
        let (name, arguments) = (
            piece.name.unwrap_or_default(),
            piece.arguments.unwrap_or_default(),
        );
        self.bytes += name.len() + arguments.len();
        if self.bytes > MAX_ARGUMENT_BYTES {
            return Err(Fault::TooLarge {
                what: "the arguments of tool calls",
                limit: MAX_ARGUMENT_BYTES,
            });
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        call.arguments.push_str(arguments);
        if let Some(signature) = piece.signature {
            call.signature = Some(signature.to_owned());
        }
        Ok(())
    }

    /// Adds a call that came whole.
    pub(super) fn whole(
        &mut self,
        id: Option<&str>,
        name: &str,
        arguments: Option<&Value>,
        signature: Option<&str>,
    ) -> Result<(), Fault> {
        let text = match arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        self.piece(&CallPiece {
            index: Some(self.open.len() as u64),
            id,
            name: Some(name),
            arguments: Some(&text),
            signature,
        })
    }

    fn take(&mut self) -> impl Iterator<Item = ModelEvent> + use<> {
        let open = std::mem::take(&mut self.open);
        open.into_iter().filter_map(|call| {
            let text = call.arguments.trim();
            let arguments = match serde_json::from_str(text) {
                _ if text.is_empty() => Value::Object(serde_json::Map::new()),
                Ok(value @ Value::Object(_)) => value,
                Ok(_) | Err(_) => Value::String(call.arguments),
            };
            (!call.name.is_empty()).then_some(ModelEvent::ToolCall(ToolCall {
                id: call.id,
                name: call.name,
                arguments,
                signature: call.signature,
            }))
        })
    }
}

/// Parses one event.
pub(super) fn parse<T: DeserializeOwned>(data: &str) -> Result<T, Fault> {
    serde_json::from_str(data).map_err(|error| Fault::Protocol {
        detail: format!("an event is not what it should be: {error}"),
    })
}

/// Appends a piece of text unless it is empty.
pub(super) fn push_text(out: &mut VecDeque<ModelEvent>, text: Option<String>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push_back(ModelEvent::Text(text));
    }
}

/// Appends a piece of reasoning unless it is empty.
pub(super) fn push_thinking(out: &mut VecDeque<ModelEvent>, text: Option<String>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push_back(ModelEvent::Thinking(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn calls(pieces: &[CallPiece<'_>]) -> Vec<(String, String, Value)> {
        let mut calls = Calls::default();
        for piece in pieces {
            calls.piece(piece).unwrap();
        }
        let calls = calls.take().map(|event| match event {
            ModelEvent::ToolCall(call) => (call.id, call.name, call.arguments),
            other => panic!("{other:?}"),
        });
        calls.collect()
    }

    fn piece<'a>(
        index: Option<u64>,
        id: &'a str,
        name: &'a str,
        arguments: &'a str,
    ) -> CallPiece<'a> {
        CallPiece {
            index,
            id: Some(id).filter(|id| !id.is_empty()),
            name: Some(name).filter(|name| !name.is_empty()),
            arguments: Some(arguments),
            signature: None,
        }
    }

    #[test]
    fn pieces_of_calls_side_by_side_find_their_own() {
        let both = [
            ("a".into(), "read".into(), json!({"path": "x"})),
            ("b".into(), "exec".into(), json!({})),
        ];
        assert_eq!(
            calls(&[
                piece(Some(0), "a", "read", ""),
                piece(Some(1), "b", "exec", ""),
                piece(Some(0), "", "", "{\"path\":"),
                piece(Some(1), "", "", "{}"),
                piece(Some(0), "", "", "\"x\"}"),
            ]),
            both
        );
        // Every call under index 0, and no index at all.
        for index in [Some(0), None] {
            assert_eq!(
                calls(&[
                    piece(index, "a", "read", "{\"path\":\"x\"}"),
                    piece(index, "b", "exec", "{"),
                    piece(index, "", "", "}"),
                ]),
                both
            );
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_kept_as_the_model_wrote_them() {
        let text = |arguments| {
            calls(&[piece(Some(0), "a", "read", arguments)])[0]
                .2
                .clone()
        };
        assert_eq!(text(""), json!({}));
        assert_eq!(text("[1]"), json!("[1]"));
        assert_eq!(text("{\"path"), json!("{\"path"));
    }

    #[test]
    fn endless_arguments_and_endless_calls_end_the_answer() {
        let mut calls = Calls::default();
        let long = "x".repeat(MAX_ARGUMENT_BYTES);
        let fault = calls.piece(&piece(Some(0), "a", "read", &long));
        assert!(matches!(fault, Err(Fault::TooLarge { .. })));
        let mut calls = Calls::default();
        for number in 0..MAX_CALLS {
            calls
                .whole(None, "read", Some(&json!({ "n": number })), None)
                .unwrap();
        }
        assert!(calls.whole(None, "read", None, None).is_err());
        assert_eq!(calls.take().count(), MAX_CALLS);
    }
}
