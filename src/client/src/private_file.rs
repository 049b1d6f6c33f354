//! Small files that only their owner may read, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// No identity or token file is larger, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a private file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// An operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others may read or write the secret in it.
    #[error("{} can be read by other users; run `chmod 600 {}`, and replace the secret in it if they are not trusted", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It is not what it should be.
    #[error("{}: {message}; move the file away and a new one is made", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        message: String,
    },
}

impl FileError {
    pub(crate) fn content(path: &Path, message: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            message: message.into(),
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads a private file; `None` when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("open", path)(error)),
    };
    let mode = file
        .metadata()
        .map_err(FileError::io("look at", path))?
        .mode();
    if mode & 0o077 != 0 {
        return Err(FileError::Open {
            path: path.to_owned(),
        });
    }
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(FileError::io("read", path))?;
    Ok(Some(text))
}

/// How [`write`] treats an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and the new content is thrown away.
    Keep,
    /// It is replaced.
    Replace,
}

/// Writes a file of mode 0600 whose content appears at once; makes its folder (0700) where needed.
/// Returns whether the content is now in the file.
pub(crate) fn write(path: &Path, content: &[u8], existing: Existing) -> Result<bool, FileError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(FileError::io("make directory", parent))?;
    let draft = parent.join(format!(".openclaw-{}.tmp", uuid::Uuid::new_v4().simple()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    let placed = written.and_then(|()| match existing {
        Existing::Replace => fs::rename(&draft, path),
        Existing::Keep => fs::hard_link(&draft, path),
    });
    // Gone already after a rename; a leftover of a crash is harmless and named as ours.
    fs::remove_file(&draft).ok();
    match placed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(FileError::io("write", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_private_and_replaced_only_on_demand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/secret.json");
        assert_eq!(read(&path).unwrap(), None);
        assert!(write(&path, b"one", Existing::Keep).unwrap());
        assert!(!write(&path, b"two", Existing::Keep).unwrap());
        assert_eq!(read(&path).unwrap().as_deref(), Some("one"));
        assert!(write(&path, b"three", Existing::Replace).unwrap());
        assert_eq!(read(&path).unwrap().as_deref(), Some("three"));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.json");
        write(&path, b"one", Existing::Keep).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
