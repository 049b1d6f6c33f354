//! What the decoders of all APIs share.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;

use super::error::Fault;
use super::request::{ModelEvent, StopReason, Usage};

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
    /// Set once the API has said that the text is complete.
    pub(super) stop: Option<StopReason>,
}

impl Tail {
    /// The last events of a complete answer, [`Fault::Truncated`] for one that is not.
    pub(super) fn finish(&mut self) -> Result<impl Iterator<Item = ModelEvent> + use<>, Fault> {
        let stop = self.stop.ok_or(Fault::Truncated)?;
        let usage = self.usage.take().map(ModelEvent::Usage);
        Ok(usage.into_iter().chain([ModelEvent::Stop(stop)]))
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
