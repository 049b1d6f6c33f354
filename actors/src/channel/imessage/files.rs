//! Files of messages: those that came are read where Messages keeps them, here or on the Mac; those of ours lie where
//! `imsg` reads them until it has sent them.

use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{SSH, child};
use crate::channel::files::Upload;

/// How long a file of ours may take on its way to the Mac.
const BRINGING: Duration = Duration::from_mins(2);
/// Puts standard input into a folder of its own, and says where that is. The name stands behind it.
const PUT: &str = r#"umask 077; d=$(mktemp -d "${TMPDIR:-/tmp}/openclaw.XXXXXXXX") && cat >"$d/$0" && printf %s "$d""#;
/// Removes such a folder.
const REMOVE: &str = r#"rm -rf -- "$0""#;

/// A file of ours where `imsg` finds it. Dropped, it is removed.
pub(super) struct Staged {
    /// Its path there.
    pub(super) path: String,
    folder: PathBuf,
    host: Option<String>,
}

impl Staged {
    /// Puts a file where `imsg` finds it: on this host, or on the Mac.
    pub(super) async fn put(file: &Upload, host: Option<&str>) -> Result<Self, String> {
        let name = name(&file.name);
        let folder = match host {
            None => {
                let folder = format!("openclaw-imessage-{}", uuid::Uuid::new_v4().simple());
                let folder = std::env::temp_dir().join(folder);
                let mut make = tokio::fs::DirBuilder::new();
                let made = make.mode(0o700).create(&folder).await;
                made.map_err(|error| error.to_string())?;
                folder
            }
            Some(host) => {
                let bringing = there(host, PUT, name, &file.bytes);
                let said = timeout(BRINGING, bringing).await;
                let said = said.map_err(|_| format!("ssh {host} takes too long"))??;
                if !said.starts_with('/') || said.contains('\n') {
                    return Err(format!("ssh {host} does not say where it is"));
                }
                said.into()
            }
        };
        let staged = Self {
            path: folder.join(name).display().to_string(),
            folder,
            host: host.map(str::to_owned),
        };
        if host.is_none() {
            let written = tokio::fs::write(&staged.path, &file.bytes).await;
            written.map_err(|error| error.to_string())?;
        }
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let Some(host) = self.host.take() else {
            let _ = std::fs::remove_dir_all(&self.folder);
            return;
        };
        let folder = self.folder.display().to_string();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let removing = timeout(BRINGING, there(&host, REMOVE, &folder, &[]));
                if !matches!(removing.await, Ok(Ok(_))) {
                    tracing::warn!(
                        folder,
                        "a file that was sent is still in this folder of the Mac"
                    );
                }
            });
        }
    }
}

/// A file's name as one of a folder.
pub(super) fn name(said: &str) -> &str {
    let last = said.rsplit('/').next().unwrap_or_default();
    if last.is_empty() || last.starts_with('.') || last.contains('\0') {
        "file"
    } else {
        last
    }
}

/// Runs a line of shell on the Mac with one word and this input; what it says.
async fn there(host: &str, line: &str, word: &str, input: &[u8]) -> Result<String, String> {
    let shell = format!("/bin/sh -c {} {}", child::quoted(line), child::quoted(word));
    let mut command = tokio::process::Command::new("ssh");
    command
        .args(SSH)
        .args(["--", host])
        .arg(shell)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut running = command.spawn().map_err(|error| error.to_string())?;
    let (stdin, stdout) = (running.stdin.take(), running.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
        return Err("ssh has no pipes".into());
    };
    let written = stdin.write_all(input).await;
    drop(stdin);
    let said = read(stdout, 4_096).await?;
    let status = running.wait().await.map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("ssh {host} cannot write it"));
    }
    written.map_err(|error| error.to_string())?;
    String::from_utf8(said).map_err(|error| error.to_string())
}

/// The bytes of a file, no more than so many.
pub(super) async fn fetch(
    path: &str,
    host: Option<&str>,
    roots: &[String],
    most: u64,
) -> Result<Vec<u8>, String> {
    let file = Path::new(path);
    if !roots.iter().any(|root| is_below(file, root)) {
        return Err(format!(
            "{path} is not where Messages keeps files (channels.imessage.attachmentRoots)"
        ));
    }
    match host {
        Some(host) => over_ssh(host, path, most).await,
        None => from_disk(file, roots, most).await,
    }
}

/// Whether a path is below a folder in which `*` is any one folder.
pub(super) fn is_below(path: &Path, root: &str) -> bool {
    let mut parts = path.components();
    let plain = !path.components().any(|part| part == Component::ParentDir);
    plain
        && Path::new(root).components().all(|own| {
            parts
                .next()
                .is_some_and(|part| own.as_os_str() == "*" || own == part)
        })
}

async fn from_disk(path: &Path, roots: &[String], most: u64) -> Result<Vec<u8>, String> {
    // A link must not lead out of where files may lie.
    let real = tokio::fs::canonicalize(path).await;
    let real = real.map_err(|error| error.to_string())?;
    let mut allowed = false;
    for root in roots {
        allowed |= is_below(&real, root);
        if !root.contains('*')
            && let Ok(root) = tokio::fs::canonicalize(root).await
        {
            allowed |= real.starts_with(root);
        }
    }
    if !allowed {
        return Err("it is a link to somewhere else".into());
    }
    let file = tokio::fs::File::open(real).await;
    read(file.map_err(|error| error.to_string())?, most).await
}

async fn over_ssh(host: &str, path: &str, most: u64) -> Result<Vec<u8>, String> {
    let mut command = tokio::process::Command::new("ssh");
    command
        .args(SSH)
        .args(["--", host])
        .arg(format!("cat -- {}", child::quoted(path)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut running = command.spawn().map_err(|error| error.to_string())?;
    let output = running.stdout.take().ok_or("ssh has no output")?;
    let bytes = read(output, most).await?;
    let status = running.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        Ok(bytes)
    } else {
        Err(format!("ssh {host} cannot read it"))
    }
}

async fn read(from: impl tokio::io::AsyncRead + Unpin, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut from = from.take(most.saturating_add(1));
    let read = from.read_to_end(&mut bytes).await;
    read.map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err("it is too large".into());
    }
    Ok(bytes)
}
