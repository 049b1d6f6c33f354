//! Asks tailscaled through the `tailscale` command, where its socket is not where it usually is.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::process::Command;

use super::ask::{AskError, Asked, Identity, Status, Subject, Tailscale, read_status, read_whois};

/// The command of the macOS app, which is on nobody's path.
const MACOS_APP: &str = "/Applications/Tailscale.app/Contents/MacOS/Tailscale";

/// The `tailscale` command.
#[derive(Debug, Clone)]
pub struct TailscaleCommand {
    places: Arc<Vec<PathBuf>>,
}

impl TailscaleCommand {
    /// The first program that exists in one of these places.
    pub fn new(places: Vec<PathBuf>) -> Self {
        Self {
            places: Arc::new(places),
        }
    }

    /// The program, where there is one.
    pub fn program(&self) -> Option<PathBuf> {
        self.places.iter().find(|place| place.is_file()).cloned()
    }

    /// The program of a search path such as `PATH`.
    pub fn on_path(path: Option<&std::ffi::OsStr>) -> Self {
        let folders = path.map(std::env::split_paths).into_iter().flatten();
        let found = folders
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join("tailscale"));
        Self::new(found.chain([PathBuf::from(MACOS_APP)]).collect())
    }
}

/// Runs it; it ends with the question.
async fn run(places: &[PathBuf], args: &[&str]) -> Result<Output, AskError> {
    let program = places
        .iter()
        .find(|place| place.is_file())
        .ok_or(AskError::Absent)?;
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| AskError::Failed(format!("{}: {error}", program.display())))
}

/// What it says when it fails: that there is no daemon, or what is wrong.
fn failure(output: &Output) -> AskError {
    let text = String::from_utf8_lossy(&output.stderr);
    let lower = text.to_ascii_lowercase();
    if lower.contains("failed to connect to local tailscale") || lower.contains("not running") {
        return AskError::Absent;
    }
    let line = text.lines().next().unwrap_or_default();
    AskError::Failed(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

impl Tailscale for TailscaleCommand {
    /// Finding out takes as long as asking.
    fn seems_up(&self) -> bool {
        false
    }

    fn status(&self) -> Asked<Status> {
        let places = Arc::clone(&self.places);
        async move {
            let output = run(&places, &["status", "--json", "--peers=false"]).await?;
            if !output.status.success() {
                return Err(failure(&output));
            }
            read_status(&output.stdout)
        }
        .boxed()
    }

    fn whois(&self, subject: Subject) -> Asked<Option<Identity>> {
        let places = Arc::clone(&self.places);
        async move {
            let output = run(&places, &["whois", "--json", &subject.to_string()]).await?;
            if output.status.success() {
                return read_whois(&output.stdout).map(Some);
            }
            let text = String::from_utf8_lossy(&output.stderr).to_ascii_lowercase();
            if text.contains("no match for") || text.contains("peer not found") {
                return Ok(None);
            }
            Err(failure(&output))
        }
        .boxed()
    }
}
