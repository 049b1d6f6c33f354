//! A session as it is stored, and the row of it that clients see.

use std::sync::Arc;

use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::methods::common::ModelDefaults;
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::sessions::{SessionKind, SessionRow, SessionStatus};
use serde::{Deserialize, Serialize};

use super::compact::Compacted;
use crate::agent::model::thinking::Thinking;
use crate::media;
use crate::store::{Op, StoreError, Table, keys};

/// Characters of a message that the index keeps as its preview.
const PREVIEW_CHARS: usize = 160;

/// What a row with a summary is called, here and by other gateways.
pub const COMPACTION: &str = "openclaw.context-compaction";

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Canonical key.
    pub key: Arc<str>,
    /// Identity of its transcript.
    pub session_id: Arc<str>,
    /// Its agent.
    pub agent_id: String,
    /// Milliseconds since the epoch.
    pub created_at: i64,
    /// Milliseconds since the epoch.
    pub updated_at: i64,
    /// When its present conversation began, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<i64>,
    /// Number of the next transcript row.
    pub next_seq: u64,
    /// Name that a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its first user message, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its newest message, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The run that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// The model that a person chose for it, `provider/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much models think in it, as a person chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Thinking>,
    /// From where on models see its transcript as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted: Option<Compacted>,
    /// What becomes of a message that comes during its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_mode: Option<QueueMode>,
    /// Whether lists leave it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// Whether lists show it first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Transcripts that were set aside, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<Past>,
    /// Tells a newer state of this record from an older one, in this process.
    #[serde(skip)]
    pub revision: u64,
}

/// A transcript that was set aside by a reset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    /// Its identity.
    pub session_id: Arc<str>,
    /// Number of its next row: a run that was stopped by the reset still ends there.
    pub next_seq: u64,
}

/// The run of a session that ended last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its id.
    pub run_id: String,
    /// How it ended.
    pub status: SessionStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Record {
    pub(super) fn to_op(&self) -> Result<Op, StoreError> {
        Op::put_json(Table::Sessions, keys::text(&self.key), self)
    }

    /// The number of the next row of a transcript, which is spent; `None` when it is gone.
    pub(super) fn spend(&mut self, session_id: &Arc<str>) -> Option<u64> {
        let next = if self.session_id == *session_id {
            &mut self.next_seq
        } else {
            let mut past = self.past.iter_mut();
            &mut past.find(|past| past.session_id == *session_id)?.next_seq
        };
        let seq = *next;
        *next += 1;
        Some(seq)
    }

    pub(super) fn show(&mut self, message: &Message) {
        if message.meta.as_ref().and_then(|meta| meta.command) == Some(true) {
            return;
        }
        if message.custom_type.as_deref() == Some(COMPACTION) {
            return;
        }
        let text = shorten(&message.plain_text()).or_else(|| {
            let names = media::references(message).map(|file| file.name);
            shorten(&names.collect::<Vec<_>>().join(", "))
        });
        if message.role == MessageRole::User && self.title.is_none() {
            self.title.clone_from(&text);
        }
        self.preview = text.or(self.preview.take());
    }

    /// Whether it is its agent's main session.
    pub fn is_main(&self, main_key: &str) -> bool {
        let last = self.key.rsplit(':').next();
        let is_main = last == Some(main_key) || last == Some("global");
        *self.key == *"global" || (is_main && self.key.matches(':').count() == 2)
    }

    fn kind(&self) -> SessionKind {
        let mut parts = self
            .key
            .splitn(3, ':')
            .nth(2)
            .unwrap_or_default()
            .split(':');
        if *self.key == *"global" {
            SessionKind::Global
        } else if parts.any(|part| part == "group" || part == "channel") {
            SessionKind::Group
        } else {
            SessionKind::Direct
        }
    }

    /// The row that clients see.
    pub fn row(&self, main_key: &str, defaults: &ModelDefaults, active: &[String]) -> SessionRow {
        let last = self.last_run.as_ref();
        let is_main = self.is_main(main_key);
        let chosen = self
            .model
            .as_deref()
            .and_then(|model| model.split_once('/'));
        let epoch = |at: i64| u64::try_from(at).ok();
        SessionRow {
            key: self.key.to_string(),
            session_id: Some(self.session_id.to_string()),
            kind: self.kind(),
            label: self.label.clone(),
            display_name: self.label.clone(),
            derived_title: self.title.clone(),
            last_message_preview: self.preview.clone(),
            agent_id: Some(self.agent_id.clone()),
            is_main: Some(is_main),
            updated_at: epoch(self.updated_at).into(),
            created_at: epoch(self.created_at),
            last_activity_at: epoch(self.updated_at),
            last_interaction_at: epoch(self.updated_at),
            status: if active.is_empty() {
                last.map(|run| run.status)
            } else {
                Some(SessionStatus::Running)
            },
            has_active_run: Some(!active.is_empty()),
            active_run_ids: Some(active.to_vec()),
            last_run_id: last.map(|run| run.run_id.clone()),
            last_run_error: last.and_then(|run| run.error.clone()),
            archived: self.archived.then_some(true),
            pinned: self.pinned.then_some(true),
            model: chosen
                .map(|(_, model)| model.to_owned())
                .or_else(|| last.and_then(|run| run.model.clone()))
                .or_else(|| defaults.model.clone()),
            model_provider: chosen
                .map(|(provider, _)| provider.to_owned())
                .or_else(|| last.and_then(|run| run.provider.clone()))
                .or_else(|| defaults.model_provider.clone()),
            context_tokens: defaults.context_tokens,
            thinking_level: self.thinking.map(|level| level.name().to_owned()),
            queue_mode: self.queue_mode,
            ..SessionRow::default()
        }
    }
}

fn shorten(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(PREVIEW_CHARS).collect())
}
