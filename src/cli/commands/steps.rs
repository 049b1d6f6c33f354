//! What installing a service comes to, carried out or shown.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::service::{Manager, Step};

/// Carries out what a service needs.
pub(super) struct Steps<'a> {
    pub(super) manager: Manager,
    /// The unit, whose log says more.
    pub(super) unit: &'static str,
    /// How it is run without a service manager.
    pub(super) foreground: &'static str,
    /// Whether steps are shown as JSON.
    pub(super) json: bool,
    pub(super) output: &'a Output,
}

/// Writes a file that only its owner reads, from its first byte on.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        let mut folders = std::fs::DirBuilder::new();
        folders.recursive(true).mode(0o700).create(folder)?;
    }
    let draft = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new();
    let mut file = file
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&draft, path)
}

impl Steps<'_> {
    /// Says what would be done.
    pub(super) fn show(&self, steps: &[Step]) -> Result<(), Failure> {
        if self.json {
            let steps: Vec<Value> = steps
                .iter()
                .map(|step| match step {
                    Step::Write(path, text) => json!({ "write": path, "text": text }),
                    Step::WriteSecret(path, _) => json!({ "write": path }),
                    Step::Run(call) => json!({ "run": call }),
                    Step::Try(call) => json!({ "try": call }),
                    Step::Remove(path) => json!({ "remove": path }),
                })
                .collect();
            return self.output.json(&json!({ "steps": steps }));
        }
        for step in steps {
            self.output.line(&match step {
                Step::Write(path, _) | Step::WriteSecret(path, _) => {
                    format!("write {}", path.display())
                }
                Step::Remove(path) => format!("rm -f {}", path.display()),
                Step::Run(call) => call.join(" "),
                Step::Try(call) => format!("{} || true", call.join(" ")),
            })?;
        }
        Ok(())
    }

    /// Does one thing.
    pub(super) fn step(&self, step: &Step) -> Result<(), Failure> {
        let at = |what: &str, path: &Path, error: std::io::Error| {
            let root =
                (self.manager == Manager::System).then(|| "run this as root: sudo".to_owned());
            Failure::failed(format!("cannot {what} {}: {error}", path.display()), root)
        };
        match step {
            Step::Write(path, text) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| at("make", folder, error))?;
                }
                std::fs::write(path, text).map_err(|error| at("write", path, error))
            }
            Step::WriteSecret(path, text) => {
                write_secret(path, text).map_err(|error| at("write", path, error))
            }
            Step::Remove(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(at("remove", path, error))
                }
                _ => Ok(()),
            },
            Step::Try(call) => {
                let quiet = Command::new(&call[0])
                    .args(&call[1..])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status();
                drop(quiet);
                Ok(())
            }
            Step::Run(call) => self.call(call),
        }
    }

    fn call(&self, call: &[String]) -> Result<(), Failure> {
        let line = call.join(" ");
        let done = Command::new(&call[0])
            .args(&call[1..])
            .stdin(Stdio::null())
            .output();
        match done {
            Ok(done) if done.status.success() => Ok(()),
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
                let log = match self.manager {
                    Manager::User => Some(format!("journalctl --user -u {} -n 50", self.unit)),
                    Manager::System => Some(format!("journalctl -u {} -n 50", self.unit)),
                    Manager::Launchd => None,
                };
                let log = log.map(|log| format!("its log: {log}"));
                Err(Failure::failed(format!("`{line}` failed: {said}"), log))
            }
            Err(error) => Err(Failure::failed(
                format!("cannot run `{line}`: {error}"),
                Some(format!(
                    "without a service manager, run it in the foreground: {}",
                    self.foreground
                )),
            )),
        }
    }
}
