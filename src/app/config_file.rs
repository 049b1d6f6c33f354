//! The configuration file written by this process: whole or not at all, and what was there is kept.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::state_dir::StatePaths;

/// How many older texts are kept.
const BACKUPS: usize = 5;
/// Mode of a file that did not exist: it may hold secrets.
const PRIVATE: u32 = 0o600;

/// Where the text of the `n`th last write is kept: in our own folder, never beside the file.
pub(super) fn backup(paths: &StatePaths, n: usize) -> PathBuf {
    let name = match n {
        0 => "openclaw.json.bak".to_owned(),
        n => format!("openclaw.json.bak.{n}"),
    };
    paths.gateway_dir.join("config-backups").join(name)
}

/// Keeps `text` as the newest backup; the oldest one goes.
pub(super) fn keep(paths: &StatePaths, text: &str) -> io::Result<PathBuf> {
    let newest = backup(paths, 0);
    let folder = newest.parent().unwrap_or(&paths.gateway_dir);
    crate::state_dir::ensure_private_dir(folder).map_err(io::Error::other)?;
    if fs::read_to_string(&newest).is_ok_and(|kept| kept == text) {
        return Ok(newest);
    }
    for n in (0..BACKUPS - 1).rev() {
        match fs::rename(backup(paths, n), backup(paths, n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    write(&newest, text)?;
    Ok(newest)
}

/// Writes `path`: after a crash it holds the old text or the new one. Its mode is kept, and a link
/// goes on leading to the file that it leads to.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let target = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        other => other?,
    };
    let mode = fs::metadata(&target).map_or(PRIVATE, |data| data.permissions().mode() & 0o7777);
    let folder = target.parent().unwrap_or(Path::new("/"));
    let draft = folder.join(format!(".openclaw-{}.tmp", uuid::Uuid::new_v4().simple()));
    let placed = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, &target));
    if placed.is_err() {
        // A leftover is harmless and named as ours.
        fs::remove_file(&draft).ok();
    }
    placed?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path) -> StatePaths {
        StatePaths {
            home: root.to_owned(),
            gateway_dir: root.join("gateway"),
            config_path: root.join("openclaw.json"),
            state_dir: root.to_owned(),
        }
    }

    #[test]
    fn a_written_file_keeps_its_mode_and_its_link() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().join("dotfiles.json");
        let link = root.path().join("openclaw.json");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let new = root.path().join("first.json");
        write(&new, "first").unwrap();
        assert_eq!(
            fs::metadata(&new).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            3,
            "no draft is left"
        );
    }

    #[test]
    fn the_last_texts_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        for n in 0..BACKUPS + 3 {
            let text = n.to_string();
            assert_eq!(keep(&paths, &text).unwrap(), backup(&paths, 0));
            // Kept once, however often it is written.
            keep(&paths, &text).unwrap();
        }
        let kept: Vec<String> = (0..BACKUPS)
            .map(|n| fs::read_to_string(backup(&paths, n)).unwrap())
            .collect();
        assert_eq!(kept, ["7", "6", "5", "4", "3"]);
        let folder = backup(&paths, 0);
        let folder = folder.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), BACKUPS);
        assert_eq!(
            fs::metadata(folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_leaves_the_file_alone() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("none/openclaw.json");
        assert!(write(&missing, "x").is_err());
    }
}
