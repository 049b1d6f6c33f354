//! Files of a workspace, opened step by step so that no link and no `..` leads out of it.
//!
//! Every folder on the way is opened by its parent's handle and without following links; so a link
//! that is put there between a check and its use leads nowhere either. All of this blocks, and runs
//! on the blocking pool.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::ToolError;

/// The largest file that tools read or write.
pub(super) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A workspace, and what is not to be touched even where it lies inside.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// The workspace.
    pub(crate) path: PathBuf,
    /// The gateway's own folder: secrets and the store.
    pub(crate) state: PathBuf,
    /// The configuration.
    pub(crate) config: PathBuf,
}

impl Root {
    /// A folder in which only files of fixed names are looked for.
    pub(crate) fn plain(path: PathBuf) -> Self {
        let nowhere = PathBuf::from("/nonexistent");
        Self {
            path,
            state: nowhere.clone(),
            config: nowhere,
        }
    }

    /// Refuses what belongs to the gateway. No links are followed below the workspace, so the path is
    /// what it looks like from the workspace's real place on.
    fn check(&self, parts: &[std::ffi::OsString], written: &str) -> Result<(), ToolError> {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (root, state, config) = (real(&self.path), real(&self.state), real(&self.config));
        let path = parts
            .iter()
            .fold(root.clone(), |path, part| path.join(part));
        let apart = root.starts_with(&state) && root != state;
        let own = (path.starts_with(&state) && !apart)
            || path.starts_with(state.join("gateway"))
            || path == config;
        if own {
            return Err(ToolError::new(format!(
                "\"{written}\" belongs to the gateway itself; tools do not touch it"
            )));
        }
        Ok(())
    }
}

/// A place inside a workspace: its folder, opened, and its name there.
struct Spot {
    folder: OwnedFd,
    name: std::ffi::OsString,
}

/// The parts of a path below the workspace. A path may be written from the workspace's own root.
fn parts(root: &Root, written: &str) -> Result<Vec<std::ffi::OsString>, ToolError> {
    let path = Path::new(written);
    let inside = if path.is_absolute() {
        path.strip_prefix(&root.path)
            .map_err(|_| outside(written))?
    } else {
        path
    };
    let mut parts = Vec::new();
    for part in inside.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(outside(written));
            }
        }
    }
    root.check(&parts, written)?;
    Ok(parts)
}

fn outside(written: &str) -> ToolError {
    ToolError::new(format!(
        "\"{written}\" is outside of the workspace; paths are relative to it and have no \"..\""
    ))
}

fn failed(written: &str, error: Errno) -> ToolError {
    ToolError::new(match error {
        Errno::NOENT => format!("\"{written}\" does not exist"),
        Errno::LOOP | Errno::NOTDIR => format!(
            "\"{written}\" goes through a link or a file; links are not followed in the workspace"
        ),
        Errno::ISDIR => format!("\"{written}\" is a folder"),
        other => format!("\"{written}\": {other}"),
    })
}

fn open_root(root: &Root, create: bool) -> Result<OwnedFd, ToolError> {
    if create {
        std::fs::create_dir_all(&root.path).map_err(|error| {
            ToolError::new(format!(
                "cannot make the workspace {}: {error}",
                root.path.display()
            ))
        })?;
    }
    // The owner may have put a link here; what is below is confined to where it leads.
    rustix::fs::open(
        &root.path,
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| ToolError::new(format!("the workspace {}: {error}", root.path.display())))
}

fn spot(root: &Root, written: &str, create: bool) -> Result<Spot, ToolError> {
    let mut parts = parts(root, written)?;
    let name = parts.pop().ok_or_else(|| failed(written, Errno::ISDIR))?;
    let mut folder = open_root(root, create)?;
    for part in parts {
        let opened = rustix::fs::openat(&folder, &part, FOLDER, Mode::empty());
        folder = match opened {
            Err(Errno::NOENT) if create => {
                match rustix::fs::mkdirat(&folder, &part, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(failed(written, error)),
                }
                rustix::fs::openat(&folder, &part, FOLDER, Mode::empty())
                    .map_err(|error| failed(written, error))?
            }
            other => other.map_err(|error| failed(written, error))?,
        };
    }
    Ok(Spot { folder, name })
}

/// Reads a file.
///
/// # Errors
///
/// In words for the model.
pub(crate) fn read(root: &Root, written: &str) -> Result<Vec<u8>, ToolError> {
    let Spot { folder, name } = spot(root, written, false)?;
    // Not waiting for the other end of a pipe that somebody put there.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &name, flags, Mode::empty())
        .map_err(|error| failed(written, error))?;
    let kind = rustix::fs::fstat(&file).map_err(|error| failed(written, error))?;
    match FileType::from_raw_mode(kind.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(failed(written, Errno::ISDIR)),
        _ => return Err(ToolError::new(format!("\"{written}\" is not a file"))),
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ToolError::new(format!("\"{written}\": {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ToolError::new(format!(
            "\"{written}\" is larger than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

/// The names in a folder, folders with a slash behind them, in order; at most `most`, and how many
/// there are.
///
/// # Errors
///
/// In words for the model.
pub(super) fn list(
    root: &Root,
    written: &str,
    most: usize,
) -> Result<(Vec<String>, usize), ToolError> {
    let mut folder = open_root(root, false)?;
    for part in parts(root, written)? {
        folder = rustix::fs::openat(&folder, &part, FOLDER, Mode::empty())
            .map_err(|error| failed(written, error))?;
    }
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&folder).map_err(|error| failed(written, error))? {
        let entry = entry.map_err(|error| failed(written, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        let slash = if entry.file_type() == FileType::Directory {
            "/"
        } else {
            ""
        };
        names.push(format!("{name}{slash}"));
    }
    names.sort();
    let count = names.len();
    names.truncate(most);
    Ok((names, count))
}

/// Writes a file, whole or not at all; folders on the way are made.
///
/// # Errors
///
/// In words for the model.
pub(crate) fn write(root: &Root, written: &str, bytes: &[u8]) -> Result<(), ToolError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ToolError::new(format!(
            "the content is larger than {MAX_FILE_BYTES} bytes"
        )));
    }
    let Spot { folder, name } = spot(root, written, true)?;
    let present = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW);
    let mode = match present {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            Mode::from_raw_mode(stat.st_mode & 0o777)
        }
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            return Err(failed(written, Errno::ISDIR));
        }
        Ok(_) => return Err(failed(written, Errno::LOOP)),
        Err(Errno::NOENT) => Mode::from_raw_mode(0o644),
        Err(error) => return Err(failed(written, error)),
    };
    let beside = beside(&name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &beside, flags, mode)
        .map_err(|error| failed(written, error))?;
    let mut file = File::from(file);
    let stored = file
        .write_all(bytes)
        .map_err(|error| ToolError::new(format!("\"{written}\": {error}")))
        .and_then(|()| {
            rustix::fs::renameat(&folder, &beside, &folder, &name)
                .map_err(|error| failed(written, error))
        });
    if stored.is_err() {
        // What cannot be taken away again is found by its name.
        let _ = rustix::fs::unlinkat(&folder, &beside, AtFlags::empty());
    }
    stored
}

/// A name of its own in the same folder: a rename is only whole inside one file system.
fn beside(name: &OsStr) -> PathBuf {
    let mut beside = std::ffi::OsString::from(".");
    let short: String = name.to_string_lossy().chars().take(40).collect();
    beside.push(short);
    beside.push(format!(".{}.part", uuid::Uuid::new_v4().simple()));
    beside.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn at(path: impl Into<PathBuf>) -> Root {
        Root {
            path: path.into(),
            state: "/nonexistent/state".into(),
            config: "/nonexistent/openclaw.json".into(),
        }
    }

    fn text(result: Result<Vec<u8>, ToolError>) -> String {
        result.map_or_else(
            |error| error.to_string(),
            |bytes| String::from_utf8(bytes).unwrap(),
        )
    }

    #[test]
    fn files_are_written_whole_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let root = at(home.path().join("workspace"));
        write(&root, "notes/today.md", b"one").unwrap();
        write(&root, "notes/today.md", b"two").unwrap();
        let absolute = root.path.join("notes/today.md");
        for path in [
            "notes/today.md",
            "./notes/today.md",
            absolute.to_str().unwrap(),
        ] {
            assert_eq!(text(read(&root, path)), "two");
        }
        assert_eq!(
            list(&root, ".", 10).unwrap(),
            (vec!["notes/".to_owned()], 1)
        );
        assert_eq!(
            list(&root, "notes", 10).unwrap(),
            (vec!["today.md".to_owned()], 1)
        );
        assert!(text(read(&root, "notes")).contains("is a folder"));
        assert!(text(read(&root, "gone")).contains("does not exist"));
    }

    #[test]
    fn nothing_leads_out_of_the_workspace() {
        let home = tempfile::tempdir().unwrap();
        let root = at(home.path().join("workspace"));
        std::fs::create_dir_all(root.path.join("inner")).unwrap();
        std::fs::create_dir(home.path().join("secrets")).unwrap();
        std::fs::write(home.path().join("secrets/key"), "secret").unwrap();
        symlink(home.path().join("secrets/key"), root.path.join("link")).unwrap();
        symlink(home.path().join("secrets"), root.path.join("folder")).unwrap();
        symlink(home.path().join("secrets/new"), root.path.join("dangling")).unwrap();
        symlink("..", root.path.join("inner/up")).unwrap();
        for path in [
            "../secrets/key",
            "inner/../../secrets/key",
            "/etc/passwd",
            "link",
            "folder/key",
            "dangling",
            "inner/up/link",
            "",
            ".",
        ] {
            assert!(!text(read(&root, path)).contains("secret\n"), "{path}");
            read(&root, path).unwrap_err();
            write(&root, path, b"mine").unwrap_err();
        }
        list(&root, "folder", 10).unwrap_err();
        list(&root, "..", 10).unwrap_err();
        assert_eq!(
            std::fs::read_to_string(home.path().join("secrets/key")).unwrap(),
            "secret"
        );
        assert!(!home.path().join("secrets/new").exists());
    }

    #[test]
    fn what_belongs_to_the_gateway_is_not_touched_wherever_the_workspace_is() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir_all(state.join("gateway")).unwrap();
        std::fs::create_dir_all(state.join("workspace")).unwrap();
        std::fs::write(state.join("openclaw.json"), "token").unwrap();
        std::fs::write(state.join("gateway/store"), "token").unwrap();
        std::fs::write(home.path().join("elsewhere.json"), "token").unwrap();
        let root = |path: &Path| Root {
            path: path.to_owned(),
            state: state.clone(),
            config: home.path().join("elsewhere.json"),
        };
        for (path, file) in [
            (home.path(), ".openclaw/openclaw.json"),
            (home.path(), ".openclaw/gateway/store"),
            (home.path(), ".openclaw/new"),
            (home.path(), "elsewhere.json"),
            (&*state, "openclaw.json"),
            (&*state, "gateway/store"),
            (&*state.join("gateway"), "store"),
        ] {
            let error = text(read(&root(path), file));
            assert!(error.contains("belongs to the gateway"), "{file}: {error}");
            write(&root(path), file, b"mine").unwrap_err();
        }
        write(&root(&state.join("workspace")), "notes.md", b"ok").unwrap();
        write(&root(home.path()), "notes.md", b"ok").unwrap();
    }

    #[test]
    fn pipes_and_large_files_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let pipe = home.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(text(read(&at(home.path()), "pipe")).contains("is not a file"));
        let large = File::create(home.path().join("large")).unwrap();
        large.set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(text(read(&at(home.path()), "large")).contains("larger"));
        let bytes = vec![0; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
        write(&at(home.path()), "larger", &bytes).unwrap_err();
        assert!(!home.path().join("larger").exists());
    }
}
