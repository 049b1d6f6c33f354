//! Puts an archive back. What was there is moved aside, and never deleted.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::{BackupError, Manifest, at, private, verify, walk};
use crate::lock::LOCK_FILE;
use crate::state_dir::StatePaths;

/// The gateway's own folder.
const GATEWAY: &str = "gateway";
/// What stays in it: no archive has them.
const STAYS: [&str; 3] = [LOCK_FILE, "backups", "logs"];

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
/// [`BackupError`]. Everything is as it was then, but for [`BackupError::Torn`], which names the folder
/// with what was there.
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
    let mut moves = Moves::default();
    if let Err(error) = exchange(&mut moves, root, &staging, &before) {
        // The error counts, not how well what was done is undone: every file is in one of three places.
        let undone = moves.undo();
        let _ = fs::remove_dir_all(&staging);
        return Err(if undone {
            let _ = fs::remove_dir_all(&before);
            error
        } else {
            BackupError::Torn {
                before,
                source: Box::new(error),
            }
        });
    }
    fs::remove_dir_all(&staging).map_err(at("remove", &staging))?;
    fs::File::open(root)
        .and_then(|folder| folder.sync_all())
        .map_err(at("save", root))?;
    let moved = before.exists();
    Ok(Restored {
        manifest,
        before: moved.then_some(before),
    })
}

/// Puts everything of `staging` in its place, and what was there into `before`.
fn exchange(
    moves: &mut Moves,
    root: &Path,
    staging: &Path,
    before: &Path,
) -> Result<(), BackupError> {
    for name in names(staging)? {
        if name == GATEWAY {
            continue;
        }
        moves.replace(&staging.join(&name), &root.join(&name), &before.join(&name))?;
    }
    let (new, there, aside) = (
        staging.join(GATEWAY),
        root.join(GATEWAY),
        before.join(GATEWAY),
    );
    if !new.exists() {
        return Ok(());
    }
    // Its lock is held, and an archive may lie in its folder of backups: it stays, its content goes.
    folder(&there)?;
    let stays = |name: &OsString| STAYS.iter().any(|stays| name == stays);
    for name in names(&there)?.into_iter().filter(|name| !stays(name)) {
        moves.aside(&there.join(&name), &aside.join(&name))?;
    }
    for name in names(&new)?.into_iter().filter(|name| !stays(name)) {
        moves.rename("put in its place", &new.join(&name), &there.join(&name))?;
    }
    Ok(())
}

/// What was renamed, in order.
#[derive(Default)]
struct Moves(Vec<(PathBuf, PathBuf)>);

impl Moves {
    fn replace(&mut self, new: &Path, there: &Path, aside: &Path) -> Result<(), BackupError> {
        if there.symlink_metadata().is_ok() {
            self.aside(there, aside)?;
        }
        self.rename("put in its place", new, there)
    }

    fn aside(&mut self, there: &Path, aside: &Path) -> Result<(), BackupError> {
        if let Some(parent) = aside.parent() {
            folder(parent)?;
        }
        self.rename("move aside", there, aside)
    }

    fn rename(&mut self, action: &'static str, from: &Path, to: &Path) -> Result<(), BackupError> {
        fs::rename(from, to).map_err(at(action, from))?;
        self.0.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Whether all is as it was.
    fn undo(self) -> bool {
        let mut undone = true;
        for (from, to) in self.0.into_iter().rev() {
            undone &= fs::rename(to, from).is_ok();
        }
        undone
    }
}

fn names(folder: &Path) -> Result<Vec<OsString>, BackupError> {
    let mut names: Vec<OsString> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .map_err(at("read", folder))?;
    names.sort();
    Ok(names)
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
