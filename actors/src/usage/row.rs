//! A row for each message that counts, in the order of time.

use std::ops::ControlFlow;

use openclaw_protocol::methods::message::{
    Content, ContentPart, KnownPart, Message, MessageRole, Usage,
};
use openclaw_protocol::methods::usage::{MessageCounts, UsageTotals};
use serde::{Deserialize, Serialize};

use super::price;
use crate::clock::Millis;
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

/// What is kept of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageRow {
    /// When, milliseconds since the epoch; also in the key.
    pub at: u64,
    /// The session's canonical key.
    pub key: String,
    /// Its transcript.
    pub session_id: String,
    /// Its agent.
    pub agent_id: String,
    /// Who said it.
    pub role: MessageRole,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// With which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// The tools that it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Whether a run failed with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// The row of message number `seq`; `None` for what costs nobody anything: results of tools, chat
/// commands, and messages that no model wrote.
///
/// # Errors
///
/// When it cannot be written as JSON.
pub fn row_of(
    (key, agent_id): (&str, &str),
    session_id: &str,
    seq: u64,
    message: &Message,
    now: Millis,
) -> Result<Option<Op>, StoreError> {
    let is_command = message.meta.as_ref().and_then(|meta| meta.command) == Some(true);
    let injected = message.model.as_deref() == Some("gateway-injected");
    if message.role == MessageRole::ToolResult || is_command || injected {
        return Ok(None);
    }
    let row = UsageRow {
        at: now.wire(),
        key: key.to_owned(),
        session_id: session_id.to_owned(),
        agent_id: agent_id.to_owned(),
        role: message.role,
        provider: message.provider.clone(),
        model: message.model.clone(),
        usage: message.usage.clone(),
        tools: calls(message),
        failed: message.is_error == Some(true),
    };
    let place = keys::usage(row.at, session_id, seq);
    Op::put_json(Table::Usage, place, &row).map(Some)
}

fn calls(message: &Message) -> Vec<String> {
    let Content::Parts(parts) = &message.content else {
        return Vec::new();
    };
    let name = |part: &ContentPart| match part {
        ContentPart::Known(KnownPart::ToolCall(call)) => Some(call.name.clone()),
        _ => None,
    };
    parts.iter().filter_map(name).collect()
}

impl UsageRow {
    /// Its tokens and dollars.
    pub fn totals(&self) -> UsageTotals {
        let Some(usage) = &self.usage else {
            return UsageTotals::default();
        };
        let cost = usage.cost.as_ref();
        let part = |name: &str| cost.map_or(0.0, |cost| price::part(cost, name));
        UsageTotals {
            input: usage.input,
            output: usage.output,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            total_tokens: usage.total_tokens,
            total_cost: part("total"),
            input_cost: part("input"),
            output_cost: part("output"),
            cache_read_cost: part("cacheRead"),
            cache_write_cost: part("cacheWrite"),
            missing_cost_entries: u64::from(cost.is_none()),
        }
    }

    /// It as a number of messages.
    pub fn counts(&self) -> MessageCounts {
        let calls = self.tools.len() as u64;
        MessageCounts {
            total: 1,
            user: u64::from(self.role == MessageRole::User),
            assistant: u64::from(self.role == MessageRole::Assistant),
            tool_calls: calls,
            tool_results: calls,
            errors: u64::from(self.failed),
        }
    }
}

/// Shows the rows from `from` (included) to `to` (excluded), milliseconds since the epoch, oldest
/// first. A row that cannot be read is left out.
///
/// # Errors
///
/// When the store cannot be read.
pub fn between(
    reader: &StoreReader,
    (from, to): (u64, u64),
    mut see: impl FnMut(UsageRow),
) -> Result<(), StoreError> {
    let (from, to) = (from.to_be_bytes(), to.to_be_bytes());
    reader.scan(Table::Usage, &from[..]..&to[..], false, |_, value| {
        if let Ok(row) = rows::decode(Table::Usage, value) {
            see(row);
        }
        ControlFlow::Continue(())
    })
}

/// When a row was written, from its key.
pub fn age(key: &[u8]) -> Option<Millis> {
    let at = u64::from_be_bytes(*key.first_chunk()?);
    i64::try_from(at).ok().map(Millis)
}
