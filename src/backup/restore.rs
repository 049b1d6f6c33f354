//! Puts an archive back. What was there is moved aside, and never deleted.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{BackupError, Manifest, at, private, verify, walk};
use crate::state_dir::StatePaths;

/// An archive that was put back.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What it held.
    pub manifest: Manifest,
    /// Where what was there before is now; none where nothing was.
    pub before: Option<PathBuf>,
}

/// Puts an archive back into the state directory. Nobody may use it meanwhile: the caller holds its
/// lock. The archive is read whole before anything is moved.
///
/// # Errors
///
/// [`BackupError`]. Before the first file is moved nothing has changed; after it the error names the
/// place, and what was there is in the folder `before-restore-...`.
pub fn restore(archive: &Path, paths: &StatePaths, now_ms: u64) -> Result<Restored, BackupError> {
    let root = &paths.state_dir;
    folder(root)?;
    let staging = root.join(format!("restoring-{now_ms}"));
    folder(&staging)?;
    let staged = stage(archive, &staging);
    if staged.is_err() {
        let _ = fs::remove_dir_all(&staging);
    }
    let manifest = staged?;
    let before = root.join(format!("before-restore-{now_ms}"));
    let mut moved = false;
    let mut new: Vec<PathBuf> = fs::read_dir(&staging)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(at("read", &staging))?;
    new.sort();
    for path in new {
        let Some(name) = path.file_name() else {
            continue;
        };
        let there = root.join(name);
        if there.symlink_metadata().is_ok() {
            folder(&before)?;
            fs::rename(&there, before.join(name)).map_err(at("move aside", &there))?;
            moved = true;
        }
        fs::rename(&path, &there).map_err(at("put in its place", &there))?;
    }
    fs::remove_dir(&staging).map_err(at("remove", &staging))?;
    fs::File::open(root)
        .and_then(|folder| folder.sync_all())
        .map_err(at("save", root))?;
    Ok(Restored {
        manifest,
        before: moved.then_some(before),
    })
}

/// Unpacks an archive that was found good.
fn stage(archive: &Path, staging: &Path) -> Result<Manifest, BackupError> {
    verify(archive, staging)?;
    walk(archive, |entry, content| {
        let path = staging.join(&entry.name);
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)?;
        }
        let mut file = private(&path)?;
        io::copy(content, &mut file)?;
        // No more than its owner had, and nothing for others where it was secret.
        file.set_permissions(fs::Permissions::from_mode(entry.mode & 0o755))?;
        file.sync_all()
    })
}

fn folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at("make", path))
}
