//! Bytes as files that are named by their hash.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock::Millis;
use crate::store::make_private_folder;

/// How references begin that history shows.
const PREFIX: &str = "media_";
/// Files that one sweep removes.
const BATCH: usize = 1_000;

/// The name of some bytes: their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The name in a hash.
    pub const fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.0
    }

    /// As history names it.
    pub fn artifact_id(&self) -> String {
        format!("{PREFIX}{}", self.hex())
    }

    /// What [`Self::artifact_id`] wrote.
    pub fn of_artifact(id: &str) -> Option<Self> {
        Self::of_hex(id.strip_prefix(PREFIX)?)
    }

    fn hex(&self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn of_hex(hex: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let hex: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(hash))
    }
}

/// Why bytes could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {source}", path.display())]
pub struct MediaError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl MediaError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// The folder of the bytes. Every call reads or writes files: not on an actor's thread.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: Arc<Path>,
    /// Held from the decision about one file until it is done: a file that is named again while it
    /// is swept would be gone under its new reference.
    deciding: Arc<Mutex<()>>,
    readers: Readers,
}

/// Who reads whole files for clients: few at a time, because each holds its file several times over in
/// memory until it is written into an outbox; a bounded number waits, and one more is refused.
#[derive(Debug, Clone)]
pub struct Readers {
    turns: Arc<Semaphore>,
    admitted: Arc<AtomicUsize>,
}

impl Readers {
    /// Most files that are read at one time.
    const AT_ONCE: usize = 4;
    /// Most readers, with those that wait.
    pub const MOST: usize = 64;

    fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(Self::AT_ONCE)),
            admitted: Arc::default(),
        }
    }

    /// Lets one more in, who then waits for a turn; `None` where there are [`Self::MOST`].
    pub fn admit(&self) -> Option<Reader> {
        let reader = Reader(self.clone());
        let others = self.admitted.fetch_add(1, Ordering::Relaxed);
        // One that is not let in leaves again as it is dropped.
        (others < Self::MOST).then_some(reader)
    }
}

/// A reader that was let in, until it is dropped.
#[derive(Debug)]
pub struct Reader(Readers);

impl Reader {
    /// Waits for the turn to read, which ends as this is dropped.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.turns.acquire().await.ok()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Blobs {
    /// The bytes in `folder`, which is made when there are any.
    pub fn new(folder: impl Into<Arc<Path>>) -> Self {
        Self {
            folder: folder.into(),
            deciding: Arc::default(),
            readers: Readers::new(),
        }
    }

    /// Who reads whole files for clients.
    pub const fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Keeps bytes; they are on the disk when this returns, and stay there for as long as a sweep
    /// spares young files, until a row names them.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn put(&self, bytes: &[u8], now: Millis) -> Result<BlobId, MediaError> {
        let id = BlobId::of(bytes);
        let path = self.path(&id);
        let fail = |what| {
            let path = path.clone();
            move |source| MediaError { what, path, source }
        };
        if self.touch(&path, bytes.len() as u64, now) {
            return Ok(id);
        }
        let folder = path.parent().unwrap_or(&self.folder);
        make_private_folder(&self.folder).map_err(fail("make the folder of"))?;
        make_private_folder(folder).map_err(fail("make the folder of"))?;
        // Two writers of the same bytes must not write into one file.
        let new = folder.join(format!("{}.new", uuid::Uuid::new_v4().simple()));
        let written = write(&new, bytes, now).and_then(|()| {
            let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
            fs::rename(&new, &path)?;
            File::open(folder)?.sync_all()?;
            File::open(&*self.folder)?.sync_all()
        });
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written.map_err(fail("write"))?;
        Ok(id)
    }

    /// Whether the bytes are there already; then they count as new.
    fn touch(&self, path: &Path, length: u64, now: Millis) -> bool {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let touched = || -> io::Result<bool> {
            let file = OpenOptions::new().write(true).open(path)?;
            if file.metadata()?.len() != length {
                return Ok(false);
            }
            file.set_modified(time(now))?;
            Ok(true)
        };
        touched().unwrap_or(false)
    }

    /// The bytes.
    ///
    /// # Errors
    ///
    /// When they are not there, or cannot be read.
    pub fn get(&self, id: &BlobId) -> Result<Vec<u8>, MediaError> {
        let path = self.path(id);
        fs::read(&path).map_err(|source| MediaError {
            what: "read",
            path,
            source,
        })
    }

    /// Removes what `live` does not name and nobody wrote within `spare`; gives back how many files
    /// went. A bounded number goes at a time.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn sweep(
        &self,
        live: &HashSet<BlobId>,
        now: Millis,
        spare: Duration,
    ) -> Result<usize, MediaError> {
        let fail = |source| MediaError {
            what: "sweep",
            path: self.folder.to_path_buf(),
            source,
        };
        let groups = match fs::read_dir(&self.folder) {
            Ok(groups) => groups,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(fail(error)),
        };
        let mut gone = 0;
        for group in groups.flatten() {
            let Ok(files) = fs::read_dir(group.path()) else {
                continue;
            };
            for file in files.flatten() {
                if gone == BATCH {
                    return Ok(gone);
                }
                let name = file.file_name();
                let id = name.to_str().and_then(BlobId::of_hex);
                let ours = id.is_some() || name.to_string_lossy().ends_with(".new");
                if ours && id.is_none_or(|id| !live.contains(&id)) {
                    gone += usize::from(self.remove_old(&file.path(), now, spare));
                }
            }
        }
        Ok(gone)
    }

    fn remove_old(&self, path: &Path, now: Millis, spare: Duration) -> bool {
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let modified = fs::metadata(path).and_then(|file| file.modified());
        let old = modified.is_ok_and(|modified| {
            time(now)
                .duration_since(modified)
                .is_ok_and(|age| age > spare)
        });
        old && fs::remove_file(path).is_ok()
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        let hex = id.hex();
        self.folder.join(&hex[..2]).join(hex)
    }
}

fn write(path: &Path, bytes: &[u8], now: Millis) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_modified(time(now))?;
    file.sync_all()
}

fn time(now: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(now.wire())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("media"));
        (folder, blobs)
    }

    #[test]
    fn bytes_come_back_under_their_hash_and_belong_to_their_owner_alone() {
        let (folder, blobs) = blobs();
        let id = blobs.put(b"hello", Millis(1)).unwrap();
        assert_eq!(blobs.put(b"hello", Millis(2)).unwrap(), id);
        assert_eq!(blobs.get(&id).unwrap(), b"hello");
        assert_eq!(BlobId::of_artifact(&id.artifact_id()), Some(id));
        let path = blobs.path(&id);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let media = folder.path().join("media").metadata().unwrap();
        assert_eq!(media.permissions().mode() & 0o777, 0o700);
        // A file that was cut by a failing disk is written anew.
        fs::write(&path, b"hel").unwrap();
        blobs.put(b"hello", Millis(3)).unwrap();
        assert_eq!(blobs.get(&id).unwrap(), b"hello");
        assert!(blobs.get(&BlobId::of(b"else")).unwrap_err().is_missing());
    }

    #[test]
    fn only_old_bytes_that_nothing_names_are_swept() {
        let (_folder, blobs) = blobs();
        let named = blobs.put(b"named", Millis(0)).unwrap();
        let old = blobs.put(b"old", Millis(0)).unwrap();
        let young = blobs.put(b"young", Millis(7_000_000)).unwrap();
        let again = blobs.put(b"again", Millis(0)).unwrap();
        blobs.put(b"again", Millis(7_000_000)).unwrap();
        let gone = blobs
            .sweep(&[named].into(), Millis(7_200_000), HOUR)
            .unwrap();
        assert_eq!(gone, 1);
        assert!(blobs.get(&old).is_err());
        for kept in [named, young, again] {
            assert!(blobs.get(&kept).is_ok());
        }
    }

    #[test]
    fn nothing_else_in_the_folder_is_touched_and_no_id_leaves_it() {
        let (folder, blobs) = blobs();
        let id = blobs.put(b"x", Millis(0)).unwrap();
        let stranger = blobs.path(&id).with_file_name("notes.txt");
        fs::write(&stranger, b"mine").unwrap();
        assert_eq!(
            blobs
                .sweep(&HashSet::new(), Millis(i64::MAX / 2), HOUR)
                .unwrap(),
            1
        );
        assert!(stranger.exists());
        for id in [
            "media_",
            "media_../../etc/passwd",
            "x",
            &format!("media_{}", "G".repeat(64)),
        ] {
            assert_eq!(BlobId::of_artifact(id), None);
        }
        drop(folder);
    }
}
