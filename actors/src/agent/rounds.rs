//! The agent loop: ask the model, run the tools that it calls, ask again with what they gave.
//!
//! Every step is written down before the next: calls before they are run, each result before the
//! model hears of it. So a gateway that is killed in between leaves calls without a result, and the
//! next run tells the model that. A run that is stopped drops this future, and the calls with it.
//!
//! **Bounds:** rounds, calls of one answer, bytes of results over a run, time per call.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::methods::message::{
    ContentPart, ImagePart, KnownPart, Message, MessageRole, ThinkingPart, ToolCallPart,
    Usage as WireUsage,
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::RunnerDeps;
use super::emit::Emitter;
use super::generate::{Answer, Ask, NoAnswer, Source};
use super::model::{PromptMessage, PromptPart, PromptRole, ToolCall, ToolDefinition, ToolResult};
use super::prompt::SIGNATURE;
use super::run::Turn;
use super::take::Page;
use super::tools::{self, Outcome, Tool, ToolContext};
use crate::sessions::Append;
use crate::sessions::state::Draft;
use crate::settings::{AgentSettings, Settings};
use crate::usage::add_cost;

/// Most answers of one run that call tools.
const MAX_ROUNDS: usize = 40;
/// Most calls of one answer that are run; the others are refused.
const MAX_CALLS: usize = 16;
/// Most bytes that the tools of one run may give.
const MAX_RUN_BYTES: usize = 2 * 1024 * 1024;
/// Shortest time between two updates of one call.
const UPDATE_PACE: Duration = Duration::from_millis(250);
/// Most bytes of an update.
const MAX_UPDATE_BYTES: usize = 8 * 1024;

/// What the loop of one run works with.
pub(super) struct Job<'a> {
    pub(super) turn: &'a Turn,
    pub(super) deps: &'a RunnerDeps,
    pub(super) emitter: &'a Emitter,
    pub(super) settings: &'a Settings,
    pub(super) agent: &'a AgentSettings,
    pub(super) inventory: Vec<Arc<dyn Tool>>,
    /// Bytes that tools may still give.
    left: Cell<usize>,
    begun: Cell<bool>,
}

/// A call that is written down and has no result yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCall {
    /// The call.
    pub id: String,
    /// The tool.
    pub name: String,
}

impl<'a> Job<'a> {
    /// The loop of a run, with the tools that its caller may use.
    pub(super) fn new(
        turn: &'a Turn,
        deps: &'a RunnerDeps,
        emitter: &'a Emitter,
        settings: &'a Settings,
        agent: &'a AgentSettings,
    ) -> Self {
        Self {
            turn,
            deps,
            emitter,
            settings,
            agent,
            inventory: deps.tools.inventory(agent, turn.origin.scopes),
            left: Cell::new(MAX_RUN_BYTES),
            begun: Cell::new(false),
        }
    }

    /// What the model may call.
    pub(super) fn definitions(&self) -> Vec<ToolDefinition> {
        let definition = |tool: &Arc<dyn Tool>| tool.descriptor().definition();
        self.inventory.iter().map(definition).collect()
    }

    /// Whether the model called anything yet.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// Gets the answer of the run, running tools on the way.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`], with what to do. The text of the last answer is kept in the turn.
    pub(super) async fn answer(
        &self,
        ask: &mut Ask<'_>,
        source: &mut Source,
    ) -> Result<Answer, NoAnswer> {
        let mut total = None;
        let text = &self.turn.text;
        for round in 0.. {
            text.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let page = Page {
                emitter: Some(self.emitter),
                text,
                later: round > 0,
            };
            let (mut answer, calls) = source.answer(ask, page).await?;
            add(&mut total, answer.usage.as_ref());
            if calls.is_empty() {
                answer.total = total;
                return Ok(answer);
            }
            if round > MAX_ROUNDS {
                return Err(NoAnswer::Setup(format!(
                    "the model called tools {MAX_ROUNDS} times and still does not answer; ask for less at a time, or try another model"
                )));
            }
            let said = text.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let calls = named(calls);
            self.begin(&answer, &said, &calls).await?;
            let parts = calls.iter().cloned().map(PromptPart::ToolCall);
            let spoken = [PromptPart::Text(said)].into_iter().chain(parts).collect();
            ask.conversation
                .push(PromptMessage::of(PromptRole::Assistant, spoken));
            let results = self.results(calls, round >= MAX_ROUNDS).await?;
            ask.conversation.push(PromptMessage::results(results));
            if round < MAX_ROUNDS {
                ask.conversation.extend(self.steered().await?);
            }
        }
        unreachable!("the rounds are counted without end")
    }

    /// Writes the calls down, before anything of them happens.
    async fn begin(&self, answer: &Answer, said: &str, calls: &[ToolCall]) -> Result<(), NoAnswer> {
        let mut parts = Vec::new();
        if !answer.thinking.is_empty() {
            parts.push(thought(&answer.thinking));
        }
        if !said.is_empty() {
            parts.push(ContentPart::text(said));
        }
        parts.extend(calls.iter().map(call_part));
        let mut row = Message::parts(MessageRole::Assistant, parts, self.emitter.now());
        row.provider = Some(answer.provider.clone());
        row.model = Some(answer.model.clone());
        row.usage.clone_from(&answer.usage);
        row.stop_reason = Some("toolUse".into());
        // Noted first: a run that is stopped while the row is on its way to the disk has it all the same.
        let open = |call: &ToolCall| OpenCall {
            id: call.id.clone(),
            name: call.name.clone(),
        };
        self.begun.set(true);
        self.open_calls(|list| list.extend(calls.iter().map(open)));
        self.turn.steering.mark(&mut row);
        let stored = self.append(row).await;
        if stored.is_err() {
            self.open_calls(Vec::clear);
        } else {
            self.turn.steering.noted();
        }
        stored
    }

    fn open_calls(&self, change: impl FnOnce(&mut Vec<OpenCall>)) {
        let calls = self.turn.open_calls.lock();
        change(&mut calls.unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs the calls of one answer: side by side where none of them changes anything, else in order.
    async fn results(&self, calls: Vec<ToolCall>, over: bool) -> Result<Vec<ToolResult>, NoAnswer> {
        let side_by_side = calls.iter().all(|call| {
            self.tool(&call.name)
                .is_none_or(|tool| tool.descriptor().risk.side_by_side())
        });
        let numbered = calls.iter().enumerate();
        let work = numbered.map(|(number, call)| self.one(call, over, number >= MAX_CALLS));
        if side_by_side {
            join_all(work).await.into_iter().collect()
        } else {
            let mut results = Vec::with_capacity(calls.len());
            for call in work {
                results.push(call.await?);
            }
            Ok(results)
        }
    }

    fn tool(&self, name: &str) -> Option<&dyn Tool> {
        let found = self
            .inventory
            .iter()
            .find(|tool| tool.descriptor().name == name);
        found.map(|tool| &**tool)
    }

    /// Runs one call and writes its result down.
    async fn one(
        &self,
        call: &ToolCall,
        over: bool,
        surplus: bool,
    ) -> Result<ToolResult, NoAnswer> {
        self.emitter
            .tool(Data::tool_started(&call.id, &call.name, &call.arguments));
        let mut outcome = if over {
            Outcome::failed(
                "the limit of tool calls of this run is reached; answer now with what you have",
            )
        } else if surplus {
            Outcome::failed(format!(
                "at most {MAX_CALLS} tools are run at a time; call it again"
            ))
        } else {
            self.run(call).await
        };
        let left = self.left.get();
        if outcome.text.len() > left {
            outcome = Outcome::failed(
                "the tools of this run have given too much already; answer now with what you have",
            );
        }
        self.left.set(left.saturating_sub(outcome.text.len()));
        self.append(result_row(call, &outcome, self.emitter.now()))
            .await?;
        self.open_calls(|list| list.retain(|open| open.id != call.id));
        let shown = outcome.shown();
        self.emitter.tool(Data::tool_ended(
            &call.id,
            &call.name,
            outcome.is_error,
            shown,
        ));
        Ok(ToolResult {
            call_id: call.id.clone(),
            name: call.name.clone(),
            text: outcome.text,
            images: outcome.images,
            is_error: outcome.is_error,
        })
    }

    async fn run(&self, call: &ToolCall) -> Outcome {
        let told = RefCell::new(None::<Instant>);
        let progress = |text: &str| {
            let now = Instant::now();
            if told.borrow().is_some_and(|told| now - told < UPDATE_PACE) {
                return;
            }
            *told.borrow_mut() = Some(now);
            let mut start = text.len().saturating_sub(MAX_UPDATE_BYTES);
            while !text.is_char_boundary(start) {
                start += 1;
            }
            let partial = json!({"content": [{"type": "text", "text": &text[start..]}]});
            self.emitter
                .tool(Data::tool_update(&call.id, &call.name, partial));
        };
        let cx = ToolContext {
            agent: self.agent,
            session: &self.turn.session.canonical,
            origin: &self.turn.origin,
            settings: self.settings,
            deps: self.deps.tools.deps(),
            progress: &progress,
        };
        let names: Vec<String> = self
            .inventory
            .iter()
            .map(|tool| tool.descriptor().name)
            .collect();
        tools::run(self.tool(&call.name), &cx, call, &names).await
    }

    async fn append(&self, mut row: Message) -> Result<(), NoAnswer> {
        let turn = self.turn;
        row.meta.get_or_insert_default().run_id = Some(turn.run_id.to_string());
        let draft = Draft {
            key: Arc::clone(&turn.session.canonical),
            agent_id: turn.session.agent.clone(),
            session_id: Some(Arc::clone(&turn.session_id)),
            messages: vec![row],
            last_run: None,
            ops: Vec::new(),
        };
        let append = Append {
            draft,
            run_id: Some(turn.run_id.to_string()),
            reason: "tool",
        };
        let failed = |why: String| {
            NoAnswer::Setup(format!(
                "a step of the run could not be stored, so it goes no further: {why}"
            ))
        };
        match self.deps.sessions.send(append).await {
            Ok(Ok(appended)) => {
                self.emitter.pass_on(appended.events);
                Ok(())
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the session index is restarting; try again".into())),
        }
    }
}

/// Calls with names of their own: some providers give none, or the same ones in every answer.
fn named(calls: Vec<ToolCall>) -> Vec<ToolCall> {
    let mut calls = calls;
    for at in 0..calls.len() {
        let taken = |id: &str| calls[..at].iter().any(|call| call.id == id);
        let id = &calls[at].id;
        if id.is_empty() || id.len() > 200 || taken(id) {
            calls[at].id = format!("call_{}", uuid::Uuid::new_v4().simple());
        }
    }
    calls
}

fn call_part(call: &ToolCall) -> ContentPart {
    let mut other = Map::new();
    if let Some(signature) = &call.signature {
        other.insert(SIGNATURE.into(), signature.clone().into());
    }
    ContentPart::Known(KnownPart::ToolCall(ToolCallPart {
        id: call.id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
        other,
    }))
}

/// What a model thought aloud, as rows keep it.
pub(super) fn thought(thinking: &str) -> ContentPart {
    ContentPart::Known(KnownPart::Thinking(ThinkingPart {
        thinking: thinking.to_owned(),
        other: Map::new(),
    }))
}

fn result_row(call: &ToolCall, outcome: &Outcome, now: u64) -> Message {
    let mut parts = vec![ContentPart::text(outcome.text.clone())];
    parts.extend(outcome.images.iter().map(|image| {
        ContentPart::Known(KnownPart::Image(ImagePart {
            mime_type: Some(image.mime.clone()),
            data: Some(image.base64()),
            ..ImagePart::default()
        }))
    }));
    let mut row = Message::parts(MessageRole::ToolResult, parts, now);
    row.tool_call_id = Some(call.id.clone());
    row.tool_name = Some(call.name.clone());
    row.is_error = Some(outcome.is_error);
    if let Some(details) = &outcome.details {
        row.other.insert("details".into(), details.clone());
    }
    row
}

/// The row of a call that the end of its run cut off.
pub(super) fn cut_off_row(call: &OpenCall, now: u64) -> Message {
    let mut row = Message::text(MessageRole::ToolResult, CUT_OFF, now);
    row.tool_call_id = Some(call.id.clone());
    row.tool_name = Some(call.name.clone());
    row.is_error = Some(true);
    row
}

/// What clients and later runs see of a call that the end of its run cut off.
pub(super) const CUT_OFF: &str = "stopped with its run; it may have had its effect";

/// Adds what one answer cost.
pub(super) fn add(total: &mut Option<WireUsage>, usage: Option<&WireUsage>) {
    let Some(usage) = usage else { return };
    let sum: &mut WireUsage = total.get_or_insert_default();
    sum.input += usage.input;
    sum.output += usage.output;
    sum.cache_read += usage.cache_read;
    sum.cache_write += usage.cache_write;
    sum.total_tokens += usage.total_tokens;
    add_cost(&mut sum.cost, usage.cost.as_ref());
}

/// The result of a call that was cut off, as events show it.
pub(super) fn cut_off_event(call: &OpenCall) -> Map<String, Value> {
    Data::tool_ended(&call.id, &call.name, true, Outcome::failed(CUT_OFF).shown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_gets_a_name_of_its_own() {
        let call = |id: &str| ToolCall {
            id: id.into(),
            name: "read".into(),
            arguments: json!({}),
            signature: None,
        };
        let named = named(vec![call(""), call("a"), call("a"), call("")]);
        let ids: std::collections::BTreeSet<&str> =
            named.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids.len(), 4);
        assert_eq!(named[1].id, "a");
    }
}
