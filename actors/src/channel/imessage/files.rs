//! Files that came with messages: read where Messages keeps them, here or on the Mac.

use std::path::{Component, Path};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;

use super::{SSH, child};

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
