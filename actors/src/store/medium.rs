//! Where the bytes of the database live: a locked file, or memory for tests.
//!
//! A medium outlives every database opened on it, so the file lock is held without a gap while the
//! database is closed and opened again. redb's own locks are therefore not used.

use std::fmt::Debug;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::StorageBackend;

use super::error::StoreError;

/// Opens storage backends over the same bytes, again and again.
pub trait Medium: Debug + Send + Sync + 'static {
    /// A new backend. Several may exist; only the newest is written.
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>>;
    /// What a person calls it: the path, or `memory`.
    fn name(&self) -> String;
    /// Bytes used now; 0 when that cannot be told.
    fn bytes(&self) -> u64;
    /// Forgets what the system has cached but perhaps failed to write, so that the next open sees
    /// what is really there. Best effort.
    fn forget_cached(&self) {}
    /// Gives up the lock: the store was closed for good.
    fn release(&self) {}
    /// Keeps a copy beside it, under its name with `suffix` behind; says where, if it is a file.
    fn keep_copy(&self, _suffix: &str) -> io::Result<Option<PathBuf>> {
        Ok(None)
    }
    /// Why the medium can no longer keep anything, if so (its file was removed).
    fn lost(&self) -> Option<String> {
        None
    }
}

/// One file, locked for as long as this value lives.
#[derive(Debug)]
pub struct FileMedium {
    file: Arc<File>,
    path: PathBuf,
}

impl FileMedium {
    /// Opens or creates `path` (0600) in its folder (0700) and locks it.
    ///
    /// # Errors
    ///
    /// [`StoreError::AlreadyOpen`] when another holder has the lock, [`StoreError::Unavailable`]
    /// with the path and the remedy for everything else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let fail = |what: &str, error: &io::Error| {
            StoreError::Unavailable(format!(
                "cannot {what} `{}`: {error}{}",
                path.display(),
                remedy(error)
            ))
        };
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        make_private_folder(folder).map_err(|error| fail("make the folder of", &error))?;
        let new = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| fail("open", &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::AlreadyOpen {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(fail("lock", &error)),
        }
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(|error| fail("protect", &error))?;
        let empty = file.metadata().is_ok_and(|meta| meta.len() == 0);
        if !new && empty {
            // Not to be taken for one that begins.
            return Err(StoreError::Corrupt {
                name: path.display().to_string(),
                reason: "it is empty".to_owned(),
            });
        }
        if new {
            // Without this a power cut can forget the name of a file whose content is safe.
            File::open(folder)
                .and_then(|dir| dir.sync_all())
                .map_err(|error| fail("save the name of", &error))?;
        }
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
        })
    }

    /// A file that is only read; no lock is taken, so that nobody who starts meets one.
    pub(super) fn look(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| {
            StoreError::Unavailable(format!("cannot open `{}`: {error}", path.display()))
        })?;
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
        })
    }
}

pub(crate) fn make_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mode = folder.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

impl Medium for FileMedium {
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(FileBackend(Arc::clone(&self.file))))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    fn forget_cached(&self) {
        // After a failed fsync Linux marks the pages clean although the disk never got them: a
        // database opened on that cache would build on data that a power cut takes away.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::fs::fadvise(&*self.file, 0, None, rustix::fs::Advice::DontNeed)
        {
            tracing::debug!(%error, "page cache of the store kept");
        }
    }

    fn release(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "lock of the store kept until the process ends");
        }
    }

    fn keep_copy(&self, suffix: &str) -> io::Result<Option<PathBuf>> {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        let copy = PathBuf::from(name);
        std::fs::copy(&self.path, &copy)?;
        File::open(&copy)?.sync_all()?;
        Ok(Some(copy))
    }

    fn lost(&self) -> Option<String> {
        match self.file.metadata() {
            Ok(meta) if meta.nlink() == 0 => Some(format!(
                "`{}` was deleted while the gateway ran; restore it from a backup, then restart the gateway",
                self.path.display()
            )),
            Ok(_) | Err(_) => None,
        }
    }
}

#[derive(Debug)]
struct FileBackend(Arc<File>);

impl StorageBackend for FileBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

/// Bytes in memory that survive the database, so that tests can close and open it again.
#[derive(Debug, Clone, Default)]
pub struct MemoryMedium(Arc<RwLock<Vec<u8>>>);

impl Medium for MemoryMedium {
    fn backend(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn bytes(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}

/// The part of a buffer that an access names, or the error that a file would give.
pub(super) fn window(len: usize, offset: u64, wanted: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    match start.checked_add(wanted) {
        Some(end) if end <= len => Ok(start..end),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl StorageBackend for MemoryMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let window = window(bytes.len(), offset, out.len())?;
        out.copy_from_slice(&bytes[window]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let window = window(bytes.len(), offset, data.len())?;
        bytes[window].copy_from_slice(data);
        Ok(())
    }
}

/// A boxed backend, because redb takes one by value.
#[derive(Debug)]
pub(super) struct Boxed(pub(super) Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

/// What a person can do about an error of the file system, to be put behind its text.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; free some space on that disk",
        io::ErrorKind::QuotaExceeded => "; free some space or raise the quota",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable",
        io::ErrorKind::PermissionDenied => "; give the gateway's user the right to write there",
        _ => "",
    }
}
