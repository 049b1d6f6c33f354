//! Makes an archive.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use openclaw_actors::store;
use sha2::{Digest as _, Sha256};

use super::{
    BackupError, CONFIG, FORM, Hashing, Item, MANIFEST, Manifest, STORE, at, hex, private, walk,
};
use crate::lock::LOCK_FILE;
use crate::state_dir::StatePaths;

/// Folders of `gateway/` that are not part of a backup.
const NOT: [&str; 4] = [
    "gateway/logs",
    "gateway/backups",
    "gateway/snapshots",
    "gateway/whatsapp/node_modules",
];

/// Where an archive comes from and goes.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The gateway's places.
    pub paths: &'a StatePaths,
    /// A copy of the database that nobody writes; none where there is no database.
    pub store: Option<&'a Path>,
    /// The archive.
    pub archive: &'a Path,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
}

/// An archive that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// What it holds.
    pub manifest: Manifest,
    /// Its size, bytes.
    pub bytes: u64,
}

/// Makes an archive (0600), which has its name only once it is whole, on the disk, and was read again.
///
/// # Errors
///
/// [`BackupError`]; nothing is left then.
pub fn create(place: &Place<'_>) -> Result<Created, BackupError> {
    let mut partial = place.archive.to_owned().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // An earlier one that was killed.
    let _ = fs::remove_file(&partial);
    let made = write(place, &partial).and_then(|manifest| {
        walk(&partial, |_, _| Ok(()))?;
        Ok(manifest)
    });
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    let manifest = made?;
    fs::rename(&partial, place.archive).map_err(at("name", place.archive))?;
    let folder = place
        .archive
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at("save the name of", place.archive))?;
    let bytes = place.archive.metadata().map_or(0, |meta| meta.len());
    Ok(Created { manifest, bytes })
}

fn write(place: &Place<'_>, partial: &Path) -> Result<Manifest, BackupError> {
    let mut manifest = Manifest {
        form: FORM,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at_ms: place.now_ms,
        state_dir: place.paths.state_dir.display().to_string(),
        store_format: None,
        rows: 0,
        files: Vec::new(),
        left_out: Vec::new(),
    };
    let out = private(partial).map_err(at("make", partial))?;
    let meta = out.metadata().map_err(at("read", partial))?;
    let out = BufWriter::with_capacity(256 * 1024, out);
    let mut writer = Writer {
        out: tar::Builder::new(out),
        seconds: place.now_ms / 1000,
        own: (meta.dev(), meta.ino()),
    };
    if let Some(store) = place.store {
        let found = store::verify(store)?;
        (manifest.store_format, manifest.rows) = (Some(found.format), found.rows);
        writer.file(store, STORE, 0o600, &mut manifest)?;
    }
    let config = &place.paths.config_path;
    if !config.starts_with(&place.paths.state_dir) && config.is_file() {
        writer.file(config, CONFIG, 0o600, &mut manifest)?;
    }
    writer.folder(place, &mut manifest)?;
    let list = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| at("write", partial)(io::Error::other(error)))?;
    let (size, mode) = (list.len() as u64, 0o600);
    writer
        .entry(MANIFEST, size, mode, list.as_slice())
        .map_err(at("write", partial))?;
    let file = writer
        .out
        .into_inner()
        .and_then(|out| out.into_inner().map_err(io::IntoInnerError::into_error))
        .map_err(at("write", partial))?;
    file.sync_all().map_err(at("save", partial))?;
    Ok(manifest)
}

struct Writer {
    out: tar::Builder<BufWriter<File>>,
    seconds: u64,
    /// Device and number of the archive itself.
    own: (u64, u64),
}

impl Writer {
    /// Everything of the state directory but what is written already or not part of it.
    fn folder(&mut self, place: &Place<'_>, manifest: &mut Manifest) -> Result<(), BackupError> {
        let root = &place.paths.state_dir;
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let inside = fs::read_dir(&folder)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
            let mut inside: Vec<PathBuf> = match inside {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // It went meanwhile.
                inside => inside.map_err(at("read", &folder))?,
            };
            inside.sort();
            for path in inside {
                let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else {
                    manifest
                        .left_out
                        .push(format!("{}: its name is not text", path.display()));
                    continue;
                };
                if is_left_out(name) {
                    continue;
                }
                let known = manifest.files.iter().any(|item| item.name == name);
                let Ok(meta) = path.symlink_metadata() else {
                    continue; // It went meanwhile.
                };
                if (meta.dev(), meta.ino()) == self.own {
                    continue;
                }
                if meta.is_dir() {
                    folders.push(path);
                } else if !meta.is_file() {
                    let left_out = format!("{name}: is not a plain file");
                    manifest.left_out.push(left_out);
                } else if name == MANIFEST {
                    let left_out = format!("{name}: has the name of the archive's own list");
                    manifest.left_out.push(left_out);
                } else if !known {
                    self.file(&path, name, mode(&meta), manifest)?;
                }
            }
        }
        Ok(())
    }

    /// A file; one that went meanwhile is none.
    fn file(
        &mut self,
        path: &Path,
        name: &str,
        mode: u32,
        manifest: &mut Manifest,
    ) -> Result<(), BackupError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(at("read", path))?,
        };
        let size = file.metadata().map_err(at("read", path))?.len();
        // The header stands before the bytes, so there must be as many as it says.
        let whole = Counting {
            from: file,
            count: 0,
        };
        let mut content = Hashing {
            from: whole.chain(io::repeat(0)).take(size),
            digest: Sha256::new(),
        };
        self.entry(name, size, mode, &mut content)
            .map_err(at("copy", path))?;
        if content.from.get_ref().get_ref().0.count < size {
            let left_out = format!("{name}: became shorter while it was read; zeroes fill its end");
            manifest.left_out.push(left_out);
        }
        manifest.files.push(Item {
            name: name.to_owned(),
            size,
            sha256: hex(&content.digest.finalize()),
        });
        Ok(())
    }

    fn entry(&mut self, name: &str, size: u64, mode: u32, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.seconds);
        self.out.append_data(&mut header, name, content)
    }
}

/// Counts what a file gave.
struct Counting {
    from: File,
    count: u64,
}

impl Read for Counting {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(out)?;
        self.count += read as u64;
        Ok(read)
    }
}

fn mode(meta: &Metadata) -> u32 {
    meta.permissions().mode() & 0o777
}

fn is_left_out(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let of_store = name == STORE
        || name.strip_prefix(STORE).is_some_and(|rest| {
            rest.starts_with(".damaged-") || rest.starts_with(".format-") || rest == ".salvaging"
        });
    NOT.contains(&name) || last == LOCK_FILE || of_store || name.starts_with("before-restore-")
}
