//! Compaction: a conversation that has become too long for its model goes on with a summary in place
//! of its older messages. The transcript stays whole; only what models see of it changes.
//!
//! The summary and its effect are one commit: killed before it, a gateway has the conversation as it
//! was, and the next run begins again. Where no summary can be had, the oldest messages are left out of
//! what the model sees, and the conversation says so.

mod by_hand;
mod plan;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::methods::message::{Message, MessageRole, Usage as WireUsage};
use openclaw_protocol::methods::session_changes::CompactionFigures;
use serde_json::Value;

pub(crate) use by_hand::ByHand;
pub(crate) use plan::Compactions;

use super::RunnerDeps;
use super::context::{self, Context};
use super::emit::Emitter;
use super::generate::{Answer, Ask, DEFAULT_CONTEXT_TOKENS, NoAnswer, Source};
use super::model::{PromptMessage, budget};
use super::state::RunnerState;
use super::take::Page;
use crate::event::EventOut;
use crate::kept::Kept;
use crate::sessions::compact::StoreSummary;
use crate::sessions::keys::SessionKey;
use crate::sessions::record::COMPACTION;
use crate::settings::ModelPlan;
use plan::Cut;

/// What a request for a summary holds besides one piece of the old conversation: what is known so far,
/// and the instructions; tokens. At most half of the model's room.
const BESIDES: u64 = 4_500;
/// Type of the row that tells that there is no summary.
const FAILED: &str = "compaction-failed";

/// Why a conversation is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Somebody asked.
    Manual,
    /// It no longer fits.
    Threshold,
    /// The provider said so.
    Overflow,
}

impl Trigger {
    const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Threshold => "threshold",
            Self::Overflow => "overflow",
        }
    }
}

/// A conversation that is to be shortened.
pub(super) struct Compaction<'a> {
    pub(super) deps: &'a RunnerDeps,
    pub(super) session: &'a SessionKey,
    pub(super) session_id: &'a Arc<str>,
    /// The run, or the operation.
    pub(super) run_id: &'a str,
    /// Which model summarises.
    pub(super) plan: ModelPlan,
    /// When it has to be done.
    pub(super) deadline: Instant,
    pub(super) trigger: Trigger,
    /// What a person wants to be kept above all.
    pub(super) focus: Option<&'a str>,
}

/// A conversation that was shortened.
pub(super) struct Shortened {
    pub(super) figures: CompactionFigures,
    /// What listeners have to be told.
    pub(super) events: Vec<EventOut>,
}

/// Lets nobody else shorten the same conversation meanwhile.
pub(super) struct Busy {
    state: Kept<RunnerState>,
    key: Arc<str>,
}

impl Busy {
    /// `None` where somebody does already.
    pub(super) fn begin(deps: &RunnerDeps, session: &SessionKey) -> Option<Self> {
        let key = Arc::clone(&session.canonical);
        let begun = deps.state.with(|state| state.compactions.begin(&key));
        begun.then(|| Self {
            state: deps.state.clone(),
            key,
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.state.with(|state| state.compactions.end(&self.key));
    }
}

impl Compaction<'_> {
    /// Makes room for a run; gives back what it sees from now on, or `None` where nothing changed.
    ///
    /// `room` is what the model takes, in tokens.
    pub(super) async fn make_room(
        &self,
        context: &Context,
        asked: u64,
        room: u64,
        emitter: &Emitter,
    ) -> Option<Context> {
        let key = &self.session.canonical;
        let may_try = |state: &mut RunnerState| state.compactions.may_try(key, context.next_seq);
        let cut = plan::cut(
            &context.rows,
            Some(asked),
            plan::kept(room),
            context.next_seq,
        )?;
        if !self.deps.state.with(may_try) {
            return None;
        }
        let _busy = Busy::begin(self.deps, self.session)?;
        let reason = self.trigger.name();
        emitter.compaction(Data::compaction_started(reason));
        match self.shorten(context, cut).await {
            Ok(shortened) => {
                self.settle(None);
                emitter.pass_on(shortened.events);
                emitter.compaction(Data::compaction_ended(reason, None));
                context::load(self.deps, self.session, self.session_id, Some(asked))
                    .await
                    .inspect_err(|error| tracing::warn!(%error, "a shortened conversation cannot be read again"))
                    .ok()
            }
            Err(problem) => {
                self.settle(Some(context.next_seq));
                tracing::warn!(session = %key, %problem, "a conversation that is too long could not be summarised");
                self.tell_failure(&problem, emitter).await;
                emitter.compaction(Data::compaction_ended(reason, Some(&problem)));
                None
            }
        }
    }

    fn settle(&self, failed_at: Option<u64>) {
        let key = &self.session.canonical;
        self.deps
            .state
            .with(|state| state.compactions.settle(key, failed_at));
    }

    /// Says in the conversation that the model no longer sees all of it.
    async fn tell_failure(&self, problem: &str, emitter: &Emitter) {
        let text = format!(
            "This conversation has become too long for its model, and could not be summarised, so the model does not see the oldest messages: {problem}. `/compact` tries again, `/new` begins a new conversation."
        );
        let mut row = Message::text(MessageRole::Custom, "", emitter.now());
        row.custom_type = Some(FAILED.into());
        row.error_message = Some(text);
        row.is_error = Some(true);
        row.meta.get_or_insert_default().run_id = Some(self.run_id.to_owned());
        let append = crate::sessions::Append {
            draft: crate::sessions::state::Draft {
                key: Arc::clone(&self.session.canonical),
                agent_id: self.session.agent.clone(),
                session_id: Some(Arc::clone(self.session_id)),
                messages: vec![row],
                last_run: None,
                ops: Vec::new(),
            },
            run_id: Some(self.run_id.to_owned()),
            reason: "compact",
        };
        // The run goes on without the note; the log has it.
        if let Ok(Ok(appended)) = self.deps.sessions.send(append).await {
            emitter.pass_on(appended.events);
        }
    }

    /// Summarises what is before the cut, and puts that into effect.
    ///
    /// # Errors
    ///
    /// Says why not; nothing changed then.
    async fn shorten(&self, context: &Context, cut: Cut) -> Result<Shortened, String> {
        let (old, kept) = context.rows.split_at(cut.old);
        let (summary, answer) = self.summarise(context, old).await?;
        self.put(context, cut, kept, Some((summary, answer))).await
    }

    /// Leaves out what is before the cut, without a summary of it; an earlier summary stays.
    ///
    /// # Errors
    ///
    /// Says why not; nothing changed then.
    async fn leave_out(&self, context: &Context, cut: Cut) -> Result<Shortened, String> {
        let (_, kept) = context.rows.split_at(cut.old);
        self.put(context, cut, kept, None).await
    }

    async fn put(
        &self,
        context: &Context,
        cut: Cut,
        kept: &[(u64, Message)],
        written: Option<(String, Answer)>,
    ) -> Result<Shortened, String> {
        let count = |rows: &[(u64, Message)]| rows.iter().map(|(_, row)| plan::tokens(row)).sum();
        let all: u64 = count(&context.rows);
        let rest: u64 = count(kept);
        let summary = written
            .as_ref()
            .map_or(context.summary.clone(), |(summary, _)| summary.clone());
        let figures = CompactionFigures {
            first_kept_seq: cut.kept_from,
            tokens_before: all + budget::estimate(&context.summary),
            tokens_after: rest + budget::estimate(&summary),
            summary: written.as_ref().map(|(summary, _)| summary.clone()),
        };
        let now = self.deps.now_ms();
        let mut row = Message::text(MessageRole::Custom, summary, now);
        row.custom_type = Some(COMPACTION.into());
        if let Some((_, answer)) = written {
            row.provider = Some(answer.provider).filter(|name| !name.is_empty());
            row.model = Some(answer.model).filter(|name| !name.is_empty());
            row.usage = answer.total;
        }
        let meta = row.meta.get_or_insert_default();
        meta.run_id = Some(self.run_id.to_owned());
        let notes = [
            ("kind", Value::from("compaction")),
            ("reason", self.trigger.name().into()),
            ("tokensBefore", figures.tokens_before.into()),
            ("tokensAfter", figures.tokens_after.into()),
            ("firstKeptSeq", figures.first_kept_seq.into()),
        ];
        let notes = notes.map(|(name, value)| (name.to_owned(), value));
        meta.other.extend(notes);
        let stored = self.deps.sessions.send(StoreSummary {
            session: self.session.clone(),
            session_id: Arc::clone(self.session_id),
            before: context.compacted,
            row,
            kept_from: cut.kept_from,
            run_id: self.run_id.to_owned(),
        });
        let events = stored
            .await
            .map_err(|_| "the session index is restarting; try again".to_owned())?
            .map_err(|error| error.to_string())?;
        Ok(Shortened { figures, events })
    }

    /// Asks the model for a summary, piece by piece where all of it is too much at once.
    async fn summarise(
        &self,
        context: &Context,
        old: &[(u64, Message)],
    ) -> Result<(String, Answer), String> {
        let mut ask = Ask {
            plan: self.plan.clone(),
            system: Some(plan::instructions(self.focus)),
            summary: None,
            conversation: Vec::new(),
            tools: Vec::new(),
            thinking: None,
            room: None,
            http: &self.deps.http,
            ollama: self.deps.ollama.clone(),
            deadline: self.deadline,
            entropy: Arc::clone(&self.deps.entropy),
        };
        let mut source = Source::of(&ask).await.map_err(said)?;
        if source.is_echo() {
            return Err("no model is configured that could write a summary; set agents.defaults.model.primary".into());
        }
        let room = source.room().unwrap_or(DEFAULT_CONTEXT_TOKENS as u64);
        let (pieces, mut left_out) = plan::pieces(old, room - BESIDES.min(room / 2));
        left_out += usize::from(context.cut);
        let mut before = context.summary.clone();
        let mut last = Answer::default();
        let mut total: Option<WireUsage> = None;
        for piece in pieces {
            let question = plan::question(&before, &piece, left_out);
            left_out = 0;
            ask.conversation = vec![PromptMessage::user(question)];
            let text = Arc::new(Mutex::new(String::new()));
            let page = Page {
                emitter: None,
                text: &text,
                later: false,
            };
            (last, _) = source.answer(&ask, page).await.map_err(said)?;
            super::rounds::add(&mut total, last.usage.as_ref());
            let written = text.lock().unwrap_or_else(PoisonError::into_inner).clone();
            before = plan::summary(&written)
                .ok_or("the model gave an empty answer in place of a summary")?;
        }
        last.total = total;
        Ok((before, last))
    }
}

fn said(problem: NoAnswer) -> String {
    match problem {
        NoAnswer::Model(error) => error.to_string(),
        NoAnswer::Setup(message) => message,
    }
}
