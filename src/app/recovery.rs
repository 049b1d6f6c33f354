//! What the last process left unfinished: every accepted request gets its end before anything is served.

use openclaw_actors::clock::{SharedClock, SharedEntropy};
use openclaw_actors::dedupe;
use openclaw_actors::dedupe::state::{Interrupted, Keys};
use openclaw_actors::sessions;
use openclaw_actors::sessions::state::{Draft, Index, LastRun};
use openclaw_actors::settings::Settings;
use openclaw_actors::store::{Op, StoreError, StoreHandle};
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::sessions::SessionStatus;

/// What happened to a run whose gateway ended.
const INTERRUPTED: &str = "interrupted by a gateway restart";

/// What owners start with.
pub(super) struct Recovered {
    /// Requests that have been seen.
    pub(super) keys: Keys,
    /// Conversations.
    pub(super) index: Index,
}

/// Reads keys and conversations. Requests that were interrupted get their result, and their
/// conversations a note, in one commit.
///
/// # Errors
///
/// When the store cannot be read or written.
pub(super) async fn recover(
    store: &StoreHandle,
    settings: &Settings,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Recovered, StoreError> {
    let found = dedupe::recover(store.reader(), clock.now())?;
    let mut index = sessions::load(store.reader())?;
    let mut ops = found.ops;
    for run in found.interrupted {
        tracing::warn!(run_id = %run.run_id, session = %run.session, "a run was interrupted by the restart");
        ops.extend(note(&mut index, run, settings, clock, entropy)?);
    }
    if !ops.is_empty() {
        store.commit(ops).await?;
    }
    Ok(Recovered {
        keys: found.keys,
        index,
    })
}

/// The note in the conversation of an interrupted run.
fn note(
    index: &mut Index,
    run: Interrupted,
    settings: &Settings,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Vec<Op>, StoreError> {
    let Ok(key) = sessions::keys::canonical(&run.session, None, settings) else {
        // Its agent is no longer configured; the key's own result tells the client.
        return Ok(Vec::new());
    };
    let now = clock.now();
    let mut row = Message::text(
        MessageRole::Custom,
        "",
        u64::try_from(now.get()).unwrap_or_default(),
    );
    row.custom_type = Some("run-failed-before-reply".into());
    row.error_message = Some(INTERRUPTED.into());
    row.is_error = Some(true);
    row.meta.get_or_insert_default().run_id = Some(run.run_id.clone());
    let draft = Draft {
        key: key.canonical,
        agent_id: key.agent,
        messages: vec![row],
        session_id: None,
        last_run: Some(LastRun {
            run_id: run.run_id,
            status: SessionStatus::Failed,
            error: Some(INTERRUPTED.into()),
            provider: None,
            model: None,
        }),
        ops: Vec::new(),
    };
    let prepared = index.prepare(draft, || entropy.uuid().to_string(), now)?;
    Ok(prepared.ops)
}
