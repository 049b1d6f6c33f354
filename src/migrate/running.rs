//! Whether the other gateway runs: its locks name its process.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::source::{json_file, names};

/// The process of the gateway that uses this directory.
pub(super) fn pid(root: &Path, temp: &Path) -> Option<u32> {
    // Its newer releases lock within the directory, older ones in the folder for what lies about.
    let own = folders(&root.join("tmp"), "openclaw-");
    let common = folders(temp, "openclaw");
    let locks = own.into_iter().chain(common).flat_map(|folder| {
        let files = names(&folder).unwrap_or_default();
        let locks = files.into_iter().filter(|name| {
            name.starts_with("gateway.")
                && Path::new(name).extension().is_some_and(|end| end == "lock")
        });
        locks.map(move |name| folder.join(name)).collect::<Vec<_>>()
    });
    locks
        .filter_map(|path| json_file(&path).ok().flatten())
        .find_map(|lock| {
            let config = lock["configPath"].as_str()?;
            let pid = u32::try_from(lock["pid"].as_u64()?).ok()?;
            (Path::new(config).starts_with(root) && lives(pid, &lock["startTime"])).then_some(pid)
        })
}

fn folders(parent: &Path, beginning: &str) -> Vec<std::path::PathBuf> {
    let names = names(parent).unwrap_or_default();
    let names = names.into_iter().filter(|name| name.starts_with(beginning));
    names.map(|name| parent.join(name)).collect()
}

/// Whether a process is there, and the one that was meant: on Linux its start is told, in ticks since the boot.
fn lives(pid: u32, started: &Value) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    if let Ok(stat) = stat {
        // Behind the name, which can hold anything, the start is the twentieth word.
        let start = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(19)?.parse::<u64>().ok());
        return started
            .as_u64()
            .is_none_or(|started| Some(started) == start);
    }
    if cfg!(target_os = "linux") {
        return false;
    }
    let asked = Command::new("kill")
        .args(["-0", &pid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
