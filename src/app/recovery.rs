//! What the last process left unfinished: every accepted request gets its end before anything is served.

use openclaw_actors::approvals;
use openclaw_actors::approvals::state::Rules;
use openclaw_actors::clock::{SharedClock, SharedEntropy};
use openclaw_actors::dedupe;
use openclaw_actors::dedupe::state::{Interrupted, Keys};
use openclaw_actors::pairing;
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
    /// What may run on this host without asking.
    pub(super) exec_rules: Option<Rules>,
    /// Jobs that run by the clock.
    pub(super) jobs: openclaw_actors::cron::state::State,
    /// Heartbeats.
    pub(super) heartbeats: openclaw_actors::heartbeat::state::State,
}

/// Reads keys and conversations. Requests that were interrupted get their result, and their
/// conversations a note, in one commit. Where the disk does not take it (it is full, say), the gateway
/// serves reads all the same, and the next start writes them.
///
/// # Errors
///
/// When the store cannot be read, or holds trust that cannot be understood.
pub(super) async fn recover(
    store: &StoreHandle,
    settings: &Settings,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<Recovered, StoreError> {
    pairing::check(store.reader())?;
    let found = dedupe::recover(store.reader(), clock.now(), settings.retention.keys)?;
    let mut index = sessions::load(store.reader())?;
    let mut ops = found.ops;
    for run in found.interrupted {
        tracing::warn!(run_id = %run.run_id, session = %run.session, "a run was interrupted by the restart");
        ops.extend(note(&mut index, run, settings, clock, entropy)?);
    }
    if !ops.is_empty()
        && let Err(error) = store.commit(ops).await
    {
        tracing::error!(%error, "what a restart interrupted cannot be written down now; the next start does it");
        // Without the notes that are not on the disk.
        index = sessions::load(store.reader())?;
    }
    Ok(Recovered {
        keys: found.keys,
        index,
        exec_rules: approvals::load(store.reader())?,
        jobs: openclaw_actors::cron::load(store.reader())?,
        heartbeats: openclaw_actors::heartbeat::load(store.reader())?,
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
    let mut row = Message::text(MessageRole::Custom, "", now.wire());
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openclaw_actors::clock::{Millis, SystemClock, SystemEntropy};
    use openclaw_actors::dedupe::state::{Bounds, KeyId, Verdict};
    use openclaw_actors::placement::Place;
    use openclaw_actors::settings::testing::settings;
    use openclaw_actors::store::faults::{Fault, FaultyMedium};
    use openclaw_actors::store::{MemoryMedium, Store, StoreConfig, StoreDeps};
    use openclaw_actors::supervision::{DeathWatch, RestartPolicy, supervise};

    use super::*;

    #[actix_web::test]
    async fn a_full_disk_does_not_keep_a_gateway_with_an_interrupted_run_from_reading() {
        let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
        let medium = FaultyMedium::new(Arc::new(MemoryMedium::default()));
        let config = StoreConfig::on(Arc::new(medium.clone()));
        let deps = StoreDeps::open(&config, Arc::clone(&clock)).unwrap();
        let watch = DeathWatch::new(Arc::clone(&clock), Arc::clone(&entropy));
        let store = supervise::<Store>(&Place::here(), RestartPolicy::CORE, &watch, deps.clone());
        let store = deps.handle(store.recipient());
        let id = KeyId {
            method: "chat.send".into(),
            principal: "device:1".into(),
            key: "k".into(),
        };
        let session = Some("agent:main:main");
        let accepted = id.op("digest", session, None, clock.now()).unwrap();
        store.commit(vec![accepted]).await.unwrap();

        medium.fail(Fault::Writes(std::io::ErrorKind::StorageFull), 0);
        let mut recovered = recover(&store, &settings(), &clock, &entropy)
            .await
            .unwrap();
        assert!(!store.status().ok);
        let (verdict, _) = recovered
            .keys
            .begin(&id, "digest", Millis(1), Bounds::default());
        assert_eq!(verdict, Verdict::Done, "it is never run again");
        assert!(recovered.index.is_empty(), "its note is not on the disk");

        medium.heal();
        let mut opened = deps.status();
        opened.wait_for(|status| status.ok).await.unwrap();
        let recovered = recover(&store, &settings(), &clock, &entropy)
            .await
            .unwrap();
        assert_eq!(recovered.index.len(), 1, "the next start writes it");
    }
}
