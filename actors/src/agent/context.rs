//! What a run sees of its session: the summary of what is old, and the rest as it is.

use std::sync::Arc;

use openclaw_protocol::methods::message::Message;

use super::RunnerDeps;
use super::model::PromptMessage;
use super::prompt;
use crate::sessions::ask::Find;
use crate::sessions::compact::Compacted;
use crate::sessions::history;
use crate::sessions::keys::SessionKey;

/// Most rows of a transcript that a run sees as they are; with older ones it is summarised.
const MAX_ROWS: usize = 2_000;

/// What a run sees of its session.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// What stands for the older messages; empty where they were left out without one.
    pub(super) summary: String,
    /// The messages, each with the number of its turn, in turns.
    pub(super) rows: Vec<(u64, Message)>,
    /// What is in effect.
    pub(super) compacted: Option<Compacted>,
    /// Whether there are older messages, too many to be looked at.
    pub(super) cut: bool,
    /// Number of the row that comes next.
    pub(super) next_seq: u64,
}

impl Context {
    /// The messages alone.
    pub(super) fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.rows.iter().map(|(_, row)| row)
    }

    /// The summary as models are told it.
    ///
    /// As somebody's message, not as instructions: it was made of what anybody said.
    pub(super) fn told(&self) -> Option<PromptMessage> {
        (!self.summary.is_empty()).then(|| {
            PromptMessage::user(format!(
                "What was said before in this conversation, summarised because it became too long:\n\n<summary>\n{}\n</summary>",
                self.summary
            ))
        })
    }
}

/// Reads what the run of message number `asked` sees; with none, all there is.
///
/// # Errors
///
/// When the transcript cannot be read; says so.
pub(super) async fn load(
    deps: &RunnerDeps,
    session: &SessionKey,
    session_id: &Arc<str>,
    asked: Option<u64>,
) -> Result<Context, String> {
    let found = deps.sessions.send(Find(Arc::clone(&session.canonical)));
    let record = found
        .await
        .map_err(|_| "the session index is restarting; try again".to_owned())?
        // A run that waited while its session began anew still ends where it began.
        .filter(|record| record.session_id == *session_id);
    let compacted = record.as_ref().and_then(|record| record.compacted);
    let next_seq = record.map_or(0, |record| record.next_seq);
    let from = compacted.map_or(1, |compacted| compacted.kept_from);
    let session_id = Arc::clone(session_id);
    let asked = asked.unwrap_or(u64::MAX - 1);
    let read = deps.reader.offload(move |reader| {
        let summary = match compacted {
            Some(Compacted { row, .. }) => {
                history::recent(reader, &session_id, row..row + 1, 1)?.pop()
            }
            None => None,
        };
        let mut rows = history::recent(reader, &session_id, from..asked + 1, MAX_ROWS)?;
        let oldest = rows.first().and_then(|row| row.meta.as_ref()?.seq);
        let cut = oldest.is_some_and(|oldest| oldest > from) && rows.len() >= MAX_ROWS;
        // A message that waited has the answers to earlier ones behind it.
        rows.extend(history::recent(
            reader,
            &session_id,
            asked + 1..u64::MAX,
            MAX_ROWS,
        )?);
        Ok((summary, rows, cut))
    });
    let (summary, rows, cut) = read
        .await
        .map_err(|error| format!("cannot read the conversation: {error}"))?;
    Ok(Context {
        summary: summary.map(|row| row.plain_text()).unwrap_or_default(),
        rows: prompt::turns(rows, asked, from),
        compacted,
        cut,
        next_seq,
    })
}
