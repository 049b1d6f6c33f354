//! What the end of a run looks like from every side: the stored row and result, the events, the
//! second answer of `agent`. Pure.

use openclaw_protocol::events::ChatState;
use openclaw_protocol::events::agent::AgentEvent as Data;
use openclaw_protocol::events::chat::{
    ChatAborted, ChatError, ChatErrorDetail, ChatErrorKind, ChatFinal,
};
use openclaw_protocol::methods::agent::{
    AgentFinal, AgentMeta, RunMeta, RunPayload, RunResult, RunStatus,
};
use openclaw_protocol::methods::message::{ContentPart, Message, MessageRole};
use openclaw_protocol::methods::sessions::SessionStatus;
use openclaw_protocol::{ErrorCode, ErrorShape};
use serde_json::{Value, json};

use super::delivery::Said;
use super::generate::{Answer, NoAnswer};
use super::model::ErrorKind;
use super::rounds;
use super::run::Turn;
use crate::dedupe::state::Stored;

/// How the work of a run came out.
pub(super) enum Outcome {
    Completed(Answer),
    Stopped(&'static str),
    Failed(NoAnswer),
    Panicked,
}

/// What the end of a run looks like from every side.
pub(super) struct End {
    pub(super) status: RunStatus,
    pub(super) row: Option<Message>,
    /// Rows of calls that the end cut off.
    pub(super) cut_off: Vec<Message>,
    pub(super) session_status: SessionStatus,
    pub(super) stored_chat: Stored,
    pub(super) agent_final: AgentFinal,
    pub(super) error: Option<ErrorShape>,
    pub(super) lifecycle: serde_json::Map<String, Value>,
    pub(super) chat: ChatState,
    pub(super) answer: Answer,
    pub(super) stop_reason: Option<String>,
    /// What the model said.
    text: String,
}

impl End {
    /// The end that `outcome` comes to; `text` is what was said until then.
    pub(super) fn of(
        turn: &Turn,
        outcome: Outcome,
        text: &str,
        started_at: u64,
        ended_at: u64,
    ) -> Self {
        match outcome {
            Outcome::Completed(answer) => Self::completed(turn, answer, text, started_at, ended_at),
            Outcome::Stopped(reason) => Self::stopped(turn, reason, text, started_at, ended_at),
            Outcome::Failed(NoAnswer::Model(error)) => {
                let kind = match error.kind() {
                    ErrorKind::Refusal => ChatErrorKind::Refusal,
                    ErrorKind::Timeout => ChatErrorKind::Timeout,
                    ErrorKind::RateLimit => ChatErrorKind::RateLimit,
                    ErrorKind::ContextLength => ChatErrorKind::ContextLength,
                    ErrorKind::Unknown => ChatErrorKind::Unknown,
                };
                let detail = ChatErrorDetail {
                    provider: Some(error.provider.clone()),
                    model: Some(error.model.clone()),
                    ..ChatErrorDetail::default()
                };
                Self::failed(turn, &error.to_string(), kind, Some(detail), text, ended_at)
            }
            Outcome::Failed(NoAnswer::Setup(message)) => {
                Self::failed(turn, &message, ChatErrorKind::Unknown, None, text, ended_at)
            }
            Outcome::Panicked => {
                let message = "the run failed inside the gateway; the log has the place. Other runs are not affected; send the message again";
                Self::failed(turn, message, ChatErrorKind::Unknown, None, text, ended_at)
            }
        }
    }

    /// What is said of it where it was asked for.
    pub(super) fn said(&self) -> Said<'_> {
        if let Some(error) = &self.error {
            return Said::Failed(&error.message);
        }
        match &self.stop_reason {
            Some(reason) => Said::Stopped {
                reason,
                text: &self.text,
            },
            None => Said::Text(&self.text),
        }
    }

    /// What the run's key is answered with from now on.
    pub(super) fn stored(&self, answered_twice: bool) -> Stored {
        if !answered_twice {
            return self.stored_chat.clone();
        }
        Stored {
            ok: self.error.is_none(),
            payload: serde_json::to_value(&self.agent_final).ok(),
            error: self.error.clone(),
        }
    }

    fn completed(turn: &Turn, answer: Answer, text: &str, started_at: u64, ended_at: u64) -> Self {
        let stop_reason = if answer.cut { "length" } else { "stop" };
        let mut parts = vec![ContentPart::text(text)];
        if !answer.thinking.is_empty() {
            parts.insert(0, rounds::thought(&answer.thinking));
        }
        let mut row = Message::parts(MessageRole::Assistant, parts, ended_at);
        row.provider = Some(answer.provider.clone());
        row.model = Some(answer.model.clone());
        row.usage.clone_from(&answer.usage);
        row.stop_reason = Some(stop_reason.to_owned());
        mark(&mut row, turn);
        let chat = ChatFinal {
            message: Some(row.clone()),
            usage: answer.usage.clone(),
            stop_reason: Some(stop_reason.to_owned()),
        };
        Self {
            status: RunStatus::Ok,
            session_status: SessionStatus::Done,
            stored_chat: Stored {
                ok: true,
                payload: Some(json!({ "runId": *turn.run_id, "status": "ok" })),
                error: None,
            },
            agent_final: AgentFinal {
                run_id: turn.run_id.to_string(),
                status: RunStatus::Ok,
                summary: Some("completed".into()),
                result: Some(result_of(turn, &answer, text, started_at, ended_at, None)),
                stop_reason: None,
                timeout_phase: None,
                provider_started: None,
                ended_at: None,
            },
            error: None,
            lifecycle: Data::ended(started_at, ended_at, Some(stop_reason)),
            chat: ChatState::Final(chat),
            row: Some(row),
            cut_off: Vec::new(),
            answer,
            stop_reason: None,
            text: text.to_owned(),
        }
    }

    fn stopped(
        turn: &Turn,
        reason: &'static str,
        text: &str,
        started_at: u64,
        ended_at: u64,
    ) -> Self {
        let timed_out = reason == "timeout";
        let row = (!text.is_empty()).then(|| {
            let mut row = Message::text(MessageRole::Assistant, text, ended_at);
            row.stop_reason = Some("aborted".into());
            mark(&mut row, turn);
            row
        });
        let answer = Answer::default();
        Self {
            status: RunStatus::Timeout,
            session_status: if timed_out {
                SessionStatus::Timeout
            } else {
                SessionStatus::Killed
            },
            stored_chat: Stored {
                ok: true,
                payload: Some(
                    json!({ "runId": *turn.run_id, "status": "timeout", "summary": "aborted", "stopReason": reason, "endedAt": ended_at }),
                ),
                error: None,
            },
            agent_final: AgentFinal {
                run_id: turn.run_id.to_string(),
                status: RunStatus::Timeout,
                summary: Some("aborted".into()),
                result: timed_out
                    .then(|| result_of(turn, &answer, text, started_at, ended_at, Some(true))),
                stop_reason: (!timed_out).then(|| reason.to_owned()),
                timeout_phase: timed_out.then(|| "provider".to_owned()),
                provider_started: timed_out.then_some(true),
                ended_at: Some(ended_at),
            },
            error: None,
            lifecycle: {
                let mut data = Data::ended(started_at, ended_at, Some(reason));
                data.insert("aborted".into(), Value::Bool(true));
                data
            },
            chat: ChatState::Aborted(ChatAborted {
                message: row.clone(),
                stop_reason: Some(reason.to_owned()),
                error_message: None,
            }),
            row,
            cut_off: Vec::new(),
            answer,
            stop_reason: Some(reason.to_owned()),
            text: text.to_owned(),
        }
    }

    fn failed(
        turn: &Turn,
        message: &str,
        kind: ChatErrorKind,
        detail: Option<ChatErrorDetail>,
        text: &str,
        ended_at: u64,
    ) -> Self {
        let error = ErrorShape::new(ErrorCode::Unavailable, message.to_owned());
        let mut row = Message::text(MessageRole::Custom, text, ended_at);
        row.custom_type = Some("run-failed-before-reply".into());
        row.error_message = Some(message.to_owned());
        row.is_error = Some(true);
        mark(&mut row, turn);
        Self {
            status: RunStatus::Error,
            session_status: SessionStatus::Failed,
            stored_chat: Stored {
                ok: false,
                payload: Some(
                    json!({ "runId": *turn.run_id, "status": "error", "summary": message }),
                ),
                error: Some(error.clone()),
            },
            agent_final: AgentFinal {
                run_id: turn.run_id.to_string(),
                status: RunStatus::Error,
                summary: Some(message.to_owned()),
                result: None,
                stop_reason: None,
                timeout_phase: None,
                provider_started: None,
                ended_at: None,
            },
            error: Some(error),
            lifecycle: Data::failed(ended_at, message),
            chat: ChatState::Error(ChatError {
                message: None,
                error_message: Some(message.to_owned()),
                error_kind: Some(kind),
                error_detail: detail,
                stop_reason: None,
            }),
            row: Some(row),
            cut_off: Vec::new(),
            answer: Answer::default(),
            stop_reason: None,
            text: String::new(),
        }
    }
}

fn mark(row: &mut Message, turn: &Turn) {
    row.meta.get_or_insert_default().run_id = Some(turn.run_id.to_string());
}

fn result_of(
    turn: &Turn,
    answer: &Answer,
    text: &str,
    started_at: u64,
    ended_at: u64,
    aborted: Option<bool>,
) -> RunResult {
    let payload = RunPayload {
        text: text.to_owned(),
        media_url: None.into(),
    };
    RunResult {
        payloads: if text.is_empty() {
            Vec::new()
        } else {
            vec![payload]
        },
        meta: RunMeta {
            duration_ms: ended_at.saturating_sub(started_at),
            agent_meta: AgentMeta {
                session_id: turn.session_id.to_string(),
                provider: answer.provider.clone(),
                model: answer.model.clone(),
                usage: answer.total.clone().or_else(|| answer.usage.clone()),
            },
            aborted,
        },
    }
}
