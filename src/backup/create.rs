//! Makes an archive.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use openclaw_actors::store;
use sha2::{Digest as _, Sha256};

use super::{
    BackupError, CONFIG, FORM, Hashing, Item, MANIFEST, Manifest, STORE, at, hex, private, tar,
};
use crate::lock::LOCK_FILE;
use crate::state_dir::StatePaths;

/// Folders of `gateway/` that are not part of a backup.
const NOT: [&str; 3] = ["gateway/logs", "gateway/backups", "gateway/snapshots"];

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

/// Makes an archive (0600), which has its name only once it is whole and on the disk.
///
/// # Errors
///
/// [`BackupError`]; nothing is left then.
pub fn create(place: &Place<'_>) -> Result<Created, BackupError> {
    let mut partial = place.archive.to_owned().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let made = write(place, &partial);
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
    let mut writer = Writer {
        out: BufWriter::with_capacity(256 * 1024, out),
        seconds: place.now_ms / 1000,
        partial,
    };
    if let Some(store) = place.store {
        let found = store::verify(store)?;
        (manifest.store_format, manifest.rows) = (Some(found.format), found.rows);
        manifest.files.push(writer.file(store, STORE, 0o600)?);
    }
    let config = &place.paths.config_path;
    if !config.starts_with(&place.paths.state_dir) && config.is_file() {
        manifest.files.push(writer.file(config, CONFIG, 0o600)?);
    }
    writer.folder(place, &mut manifest)?;
    let list = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| at("write", partial)(io::Error::other(error)))?;
    writer.bytes(MANIFEST, &list)?;
    tar::write_end(&mut writer.out).map_err(at("write", partial))?;
    let file = writer
        .out
        .into_inner()
        .map_err(|error| at("write", partial)(error.into_error()))?;
    file.sync_all().map_err(at("save", partial))?;
    Ok(manifest)
}

struct Writer<'a> {
    out: BufWriter<File>,
    seconds: u64,
    partial: &'a Path,
}

impl Writer<'_> {
    /// Everything of the state directory but what is written already or not part of it.
    fn folder(&mut self, place: &Place<'_>, manifest: &mut Manifest) -> Result<(), BackupError> {
        let root = &place.paths.state_dir;
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            let mut inside: Vec<PathBuf> = fs::read_dir(&folder)
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .map_err(at("read", &folder))?;
            inside.sort();
            for path in inside {
                let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else {
                    manifest
                        .left_out
                        .push(format!("{}: its name is not text", path.display()));
                    continue;
                };
                if is_left_out(name) || path == place.archive || path == self.partial {
                    continue;
                }
                let known = manifest.files.iter().any(|item| item.name == name);
                let Ok(meta) = path.symlink_metadata() else {
                    continue; // It went meanwhile.
                };
                if meta.is_dir() {
                    folders.push(path);
                } else if !meta.is_file() {
                    manifest
                        .left_out
                        .push(format!("{name}: is not a plain file"));
                } else if name.len() > 255 {
                    manifest
                        .left_out
                        .push(format!("{name}: its name is too long"));
                } else if !known {
                    manifest.files.push(self.file(&path, name, mode(&meta))?);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str, mode: u32) -> Result<Item, BackupError> {
        let file = File::open(path).map_err(at("read", path))?;
        let size = file.metadata().map_err(at("read", path))?.len();
        let entry = tar::Entry {
            name: name.to_owned(),
            size,
            mode,
        };
        tar::write_header(&mut self.out, &entry, self.seconds)
            .map_err(at("write", self.partial))?;
        let mut content = Hashing {
            from: file.take(size),
            digest: Sha256::new(),
        };
        let copied = io::copy(&mut content, &mut self.out).map_err(at("copy", path))?;
        if copied < size {
            let cause = io::Error::other("it became shorter while it was read; try again");
            return Err(at("copy", path)(cause));
        }
        tar::write_padding(&mut self.out, size).map_err(at("write", self.partial))?;
        Ok(Item {
            name: name.to_owned(),
            size,
            sha256: hex(&content.digest.finalize()),
        })
    }

    fn bytes(&mut self, name: &str, content: &[u8]) -> Result<(), BackupError> {
        let entry = tar::Entry {
            name: name.to_owned(),
            size: content.len() as u64,
            mode: 0o600,
        };
        tar::write_header(&mut self.out, &entry, self.seconds)
            .and_then(|()| self.out.write_all(content))
            .and_then(|()| tar::write_padding(&mut self.out, entry.size))
            .map_err(at("write", self.partial))
    }
}

fn mode(meta: &Metadata) -> u32 {
    meta.permissions().mode() & 0o777
}

fn is_left_out(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let of_store = name == STORE
        || name
            .strip_prefix(STORE)
            .is_some_and(|rest| rest.starts_with(".damaged-") || rest.starts_with(".format-"));
    NOT.contains(&name) || last == LOCK_FILE || of_store || name.starts_with("before-restore-")
}
