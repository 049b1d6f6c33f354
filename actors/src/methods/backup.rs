//! `backup.snapshot`: a copy of the database beside it, for a backup; owner: sweeper, which also lets
//! forgotten copies go.

use std::path::{Path, PathBuf};

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::backup::{BackupSnapshot, BackupSnapshotResult};

use crate::call::Call;
use crate::clock::Millis;
use crate::methods::store_error;
use crate::sweep::{FORGOTTEN, Sweeper};

/// Where copies are, in the state directory.
const FOLDER: &str = "gateway/snapshots";

impl Handler<Call<BackupSnapshot>> for Sweeper {
    type Result = ();

    fn handle(&mut self, call: Call<BackupSnapshot>, _: &mut Self::Context) {
        let reply = call.reply;
        let Some(folder) = folder(&self.deps.views.places.state_dir) else {
            return reply.error(ErrorShape::unavailable(
                "this gateway has no folder for a copy of its database",
            ));
        };
        // One at a time: each takes as much room as the database.
        let Ok(turn) = self.copying.clone().try_lock_owned() else {
            let mut busy =
                ErrorShape::unavailable("a copy is being made already; try again in a moment");
            busy.retryable = Some(true);
            return reply.error(busy);
        };
        let path = folder.join(format!("{}.redb", self.deps.entropy.uuid()));
        let to = path.clone();
        let copy = self.deps.store.reader().offload(move |reader| {
            let copied = reader.copy_to(&to);
            if copied.is_err() {
                // What there is of it helps nobody.
                let _ = std::fs::remove_file(&to);
            }
            copied
        });
        actix_rt::spawn(async move {
            let copied = copy.await;
            drop(turn);
            match copied {
                Ok(copied) => reply.ok(&BackupSnapshotResult {
                    path: path.display().to_string(),
                    bytes: copied.bytes,
                    rows: copied.rows,
                }),
                Err(error) => reply.error(store_error(&error)),
            }
        });
    }
}

fn folder(state_dir: &str) -> Option<PathBuf> {
    (!state_dir.is_empty()).then(|| Path::new(state_dir).join(FOLDER))
}

/// Lets copies go that nobody took away.
pub(crate) fn forget(state_dir: &str, now: Millis) {
    let Some(folder) = folder(state_dir) else {
        return;
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return; // There are none.
    };
    for entry in entries.flatten() {
        let made = entry.metadata().and_then(|meta| meta.modified()).ok();
        let made = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
        let made = made.and_then(|made| i64::try_from(made.as_millis()).ok());
        if made.is_some_and(|made| now.since(Millis(made)) > FORGOTTEN)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::debug!(%error, "a forgotten copy of the database stays for now");
        }
    }
}
