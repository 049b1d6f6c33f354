//! Tells when one of a few files may have changed.
//!
//! Folders are watched, not files: editors write a new file and rename it over the old one, and a
//! link may be turned to another file. Where the system cannot watch (too many watches, a network
//! file system), the files are looked at every other second.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use openclaw_actors::canvas::host::WatchFolder;

/// How often files are looked at where the system cannot watch.
const POLL: Duration = Duration::from_secs(2);

/// Watches a set of files.
pub struct FileWatch {
    watcher: Box<dyn Watcher + Send>,
    folders: BTreeSet<PathBuf>,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl FileWatch {
    /// Calls `changed` from a thread of its own, as often as there is a sign.
    ///
    /// # Errors
    ///
    /// When neither way of watching can be had.
    pub fn new(changed: impl Fn() + Clone + Send + 'static) -> notify::Result<Self> {
        let files: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
        let handler = {
            let files = Arc::clone(&files);
            move |event: notify::Result<Event>| {
                let files = files.lock().unwrap_or_else(PoisonError::into_inner);
                if is_sign(&event, &files) {
                    drop(files);
                    changed();
                }
            }
        };
        Ok(Self {
            watcher: watcher(&handler)?,
            folders: BTreeSet::new(),
            files,
        })
    }

    /// Watches these files from here on, and no others. One that is a link counts as itself and as
    /// what it leads to.
    pub fn set(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let mut wanted = BTreeSet::new();
        for file in files {
            wanted.extend(file.canonicalize().ok());
            wanted.extend(in_real_folder(&file));
        }
        let folders: BTreeSet<PathBuf> = wanted
            .iter()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        for gone in self.folders.difference(&folders) {
            // A folder that is gone is no longer watched anyway.
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(
                    folder = %new.display(), %error,
                    "this folder cannot be watched: after a change of the configuration, send SIGHUP to the gateway"
                );
            }
        }
        self.folders = folders;
    }
}

/// Watches whole folders, for the canvas.
#[derive(Debug, Clone, Copy, Default)]
pub struct Folders;

impl WatchFolder for Folders {
    fn watch(
        &self,
        folder: &Path,
        changed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Box<dyn Send>, String> {
        let changed: Arc<dyn Fn() + Send + Sync> = Arc::from(changed);
        let handler = move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_change) {
                changed();
            }
        };
        let watcher = watcher(&handler).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        // The folder may be too large to be watched, and can still be looked at.
        let watcher = watcher.or_else(|_| {
            let config = Config::default().with_poll_interval(POLL);
            let mut watcher: Box<dyn Watcher + Send> = Box::new(PollWatcher::new(handler, config)?);
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok::<_, notify::Error>(watcher)
        });
        match watcher {
            Ok(watcher) => Ok(Box::new(watcher)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What the system has for watching, else one that looks every other second.
fn watcher<F>(handler: &F) -> notify::Result<Box<dyn Watcher + Send>>
where
    F: Fn(notify::Result<Event>) + Clone + Send + 'static,
{
    let config = Config::default().with_poll_interval(POLL);
    match RecommendedWatcher::new(handler.clone(), config) {
        Ok(watcher) => Ok(Box::new(watcher)),
        Err(error) => {
            tracing::info!(%error, "files are looked at every other second instead of being watched");
            Ok(Box::new(PollWatcher::new(handler.clone(), config)?))
        }
    }
}

/// The path with its folder resolved, which is how events name it; the file itself need not exist.
fn in_real_folder(file: &Path) -> Option<PathBuf> {
    Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?))
}

fn is_sign(event: &notify::Result<Event>, files: &BTreeSet<PathBuf>) -> bool {
    let Ok(event) = event else {
        // Something was missed, and it may have been this.
        return true;
    };
    if event.need_rescan() {
        return true;
    }
    is_change(event) && event.paths.iter().any(|path| files.contains(path))
}

/// Reading is no change; our own reading least of all.
const fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn writes_renames_and_turned_links_are_signs_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a", "b", "c", "other"] {
            std::fs::write(at(name), "1").unwrap();
        }
        std::os::unix::fs::symlink(at("c"), at("link")).unwrap();
        let (sign, signs) = mpsc::channel();
        let mut watch = FileWatch::new(move || {
            // The test may be over.
            let _ = sign.send(());
        })
        .unwrap();
        watch.set([at("a"), at("b"), at("link")]);
        let next = |what: &str| {
            signs
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("no sign of {what}"));
        };
        let drain = || while signs.try_recv().is_ok() {};

        std::fs::write(at("a"), "2").unwrap();
        next("a write");
        std::fs::write(at("b.new"), "2").unwrap();
        drain();
        std::fs::rename(at("b.new"), at("b")).unwrap();
        next("a rename over the file");
        drain();
        std::fs::write(at("c"), "2").unwrap();
        next("a write behind the link");
        std::os::unix::fs::symlink(at("other"), at("link.new")).unwrap();
        drain();
        std::fs::rename(at("link.new"), at("link")).unwrap();
        next("a link that leads elsewhere");
    }

    #[test]
    fn only_changes_of_these_files_are_signs() {
        let files = BTreeSet::from([PathBuf::from("/s/openclaw.json")]);
        let event = |kind, path: &str| Ok(Event::new(kind).add_path(path.into()));
        let write = EventKind::Modify(notify::event::ModifyKind::Any);
        let read = EventKind::Access(AccessKind::Open(AccessMode::Read));
        assert!(is_sign(&event(write, "/s/openclaw.json"), &files));
        assert!(!is_sign(&event(write, "/s/other"), &files));
        assert!(!is_sign(&event(read, "/s/openclaw.json"), &files));
        assert!(is_sign(&Err(notify::Error::generic("overflow")), &files));
    }
}
