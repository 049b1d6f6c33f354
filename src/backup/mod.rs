//! Backups: one tar archive of the state directory with a copy of the database, which can be checked
//! and put back.
//!
//! The last file of an archive is its list (`manifest.json`): every other file with its size and
//! SHA-256. Left out are logs, locks, earlier backups, sockets, and links.

mod create;
mod restore;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use create::{Created, Place, create};
pub use restore::{Restored, restore};

/// The list's name in the archive.
const MANIFEST: &str = "manifest.json";
/// The database's name in the archive.
const STORE: &str = "gateway/store.redb";
/// The configuration's name in the archive.
const CONFIG: &str = "openclaw.json";
/// The form of archives that this build writes and reads.
const FORM: u32 = 1;
/// Longest list that is read, bytes.
const MAX_MANIFEST: u64 = 64 * 1024 * 1024;

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form of the archive.
    pub form: u32,
    /// The release that wrote it.
    pub version: String,
    /// When, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// The state directory that it is of.
    pub state_dir: String,
    /// The format of the database in it; none where there was no database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_format: Option<u32>,
    /// Rows of that database.
    pub rows: u64,
    /// Its files.
    pub files: Vec<Item>,
    /// What was left out, and why.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its place.
    pub name: String,
    /// Its size, bytes.
    pub size: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

/// Why a backup was not made, is not good, or was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive is not what was written once.
    #[error("`{}` is not a good backup: {reason}", path.display())]
    Bad {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was put back in part, and that could not be undone.
    #[error("{source}; what was there is in `{}`", before.display())]
    Torn {
        /// What was there before.
        before: PathBuf,
        /// What came in the way.
        source: Box<BackupError>,
    },
    /// The database cannot be copied.
    #[error(transparent)]
    Store(#[from] openclaw_actors::store::StoreError),
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io {
        action,
        path,
        source,
    }
}

/// Reads an archive from its beginning to its end: every file is there, as it was written, and the
/// database in it can be read row by row. `scratch` is a folder for that database.
///
/// # Errors
///
/// [`BackupError::Bad`] with the first thing that is wrong.
pub fn verify(archive: &Path, scratch: &Path) -> Result<Manifest, BackupError> {
    let bad = |reason: String| BackupError::Bad {
        path: archive.to_owned(),
        reason,
    };
    let store = scratch.join(format!("verify-{}.redb", std::process::id()));
    // An earlier one that was killed.
    let _ = std::fs::remove_file(&store);
    let read = walk(archive, |entry, content| {
        if entry.name == STORE {
            let mut file = private(&store)?;
            io::copy(content, &mut file)?;
        }
        Ok(())
    });
    let checked = read.and_then(|manifest| {
        if manifest.store_format.is_none() {
            return Ok(manifest);
        }
        let found = openclaw_actors::store::verify(&store)?;
        if found.unreadable > 0 {
            let rows = found.unreadable;
            return Err(bad(format!("{rows} rows of its database cannot be read")));
        }
        if found.rows != manifest.rows {
            return Err(bad(format!(
                "its database has {} rows, its list says {}",
                found.rows, manifest.rows
            )));
        }
        Ok(manifest)
    });
    let _ = std::fs::remove_file(&store);
    checked
}

/// A file of an archive, as its header tells it.
struct Entry {
    name: String,
    size: u64,
    /// Its permissions.
    mode: u32,
}

impl Entry {
    fn of<R: Read>(found: &tar::Entry<'_, R>) -> io::Result<Self> {
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if !found.header().entry_type().is_file() {
            return Err(bad("something other than a plain file"));
        }
        let name = found.path_bytes();
        let name = std::str::from_utf8(&name).map_err(|_| bad("a name that is not text"))?;
        let safe = |part: &str| !matches!(part, "" | "." | "..");
        if name.contains('\0') || !name.split('/').all(safe) {
            return Err(bad("a name that leads out of the archive"));
        }
        Ok(Self {
            name: name.to_owned(),
            size: found.size(),
            mode: found.header().mode()?,
        })
    }
}

/// Shows every file of an archive to `take`, then compares all with the list.
fn walk(
    archive: &Path,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
) -> Result<Manifest, BackupError> {
    let bad = |reason: String| BackupError::Bad {
        path: archive.to_owned(),
        reason,
    };
    let file = File::open(archive).map_err(at("open", archive))?;
    let broken = |error: io::Error| match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::UnexpectedEof, _) => bad("it ends too early".to_owned()),
        // Not the disk's word: what stands there is not what was written.
        (io::ErrorKind::InvalidData | io::ErrorKind::Other, None) => bad(error.to_string()),
        _ => at("read", archive)(error),
    };
    let mut from = tar::Archive::new(io::BufReader::with_capacity(256 * 1024, file));
    let mut found: Vec<Item> = Vec::new();
    let mut manifest: Option<Manifest> = None;
    for read in from.entries().map_err(broken)? {
        let read = read.map_err(broken)?;
        let entry = Entry::of(&read).map_err(broken)?;
        if entry.name == MANIFEST {
            if entry.size > MAX_MANIFEST {
                return Err(bad("its list is too long".to_owned()));
            }
            let mut text = Vec::new();
            read.take(entry.size)
                .read_to_end(&mut text)
                .map_err(broken)?;
            let list = serde_json::from_slice(&text)
                .map_err(|error| bad(format!("its list cannot be read: {error}")))?;
            manifest = Some(list);
            break;
        }
        let mut content = Hashing {
            from: read.take(entry.size),
            digest: Sha256::new(),
        };
        take(&entry, &mut content).map_err(broken)?;
        // What was not taken counts too.
        io::copy(&mut content, &mut io::sink()).map_err(broken)?;
        if content.from.limit() > 0 {
            return Err(bad("it ends too early".to_owned()));
        }
        let sha256 = hex(&content.digest.finalize());
        found.push(Item {
            name: entry.name,
            size: entry.size,
            sha256,
        });
    }
    let manifest = manifest.ok_or_else(|| bad("it has no list of its files".to_owned()))?;
    if manifest.form > FORM {
        return Err(bad(format!(
            "it was written by version {}; use that version or newer",
            manifest.version
        )));
    }
    for (there, listed) in found.iter().zip(&manifest.files) {
        if there != listed {
            return Err(bad(format!("`{}` is not what was written", listed.name)));
        }
    }
    if found.len() != manifest.files.len() {
        return Err(bad("it has not the files of its list".to_owned()));
    }
    Ok(manifest)
}

struct Hashing<R> {
    from: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.digest.update(&out[..read]);
        Ok(read)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A new file of this user alone; what is there already, a link too, is never written to.
fn private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;
