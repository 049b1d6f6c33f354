//! Files that this gateway uses as they are, and what is known of all the others.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::report::{Report, What};
use super::source::{Source, names};
use super::{MigrateError, Task};
use crate::state_dir::ensure_private_dir;

/// Deepest folder that is copied.
const MAX_DEPTH: usize = 32;

/// What becomes of an entry of the directory.
enum Fate {
    /// It is used as it is.
    Used,
    /// Its content becomes rows, or is looked at elsewhere.
    Read,
    /// It is of no use here, and nobody misses it.
    Useless,
    /// It is not used here, for this reason.
    Left(&'static str),
    /// Nothing is known of it.
    Unknown,
}

fn fate(name: &str) -> Fate {
    match name {
        "openclaw.json" | ".env" | "credentials" | "canvas" => Fate::Used,
        _ if name == "workspace" || name.starts_with("workspace-") => Fate::Used,
        "agents" | "devices" | "cron" | "state" | "exec-approvals.json" => Fate::Read,
        "gateway"
        | "logs"
        | "tmp"
        | "cache"
        | "completions"
        | "plugin-skills"
        | "gateway.lock"
        | "update-check.json"
        | "config-journal-fingerprint.key" => Fate::Useless,
        "identity" => {
            Fate::Left("the key of that gateway's own command line; this one makes its own")
        }
        "nodes" => {
            Fate::Left("nodes of the older pairing: each asks again, see openclaw nodes pending")
        }
        "telegram" => Fate::Left("where Telegram was read to; Telegram knows it itself"),
        "memory" => Fate::Left(
            "an index of memories; the files of the workspace are what is remembered here",
        ),
        "media" => Fate::Left(
            "files that came with messages; the conversations name them, and show them no more",
        ),
        "sandbox" | "sandboxes" => Fate::Left("containers of agents; there are none here"),
        "skills" | "extensions" | "plugins" | "hooks" => Fate::Left(
            "programs of that gateway's agents; this one runs no plugins, skills and hooks of it",
        ),
        "settings" => Fate::Left("wake words and the like; set them again from an app"),
        _ if name.contains(".bak") => Fate::Useless,
        _ => Fate::Unknown,
    }
}

/// Copies what is used as it is, and says what is left; `included` are files that the configuration names.
pub(super) fn take(
    task: &Task<'_>,
    source: &Source,
    included: &[PathBuf],
    report: &mut Report,
) -> Result<(), MigrateError> {
    let (from, to) = (task.from, task.to.state_dir.as_path());
    let same = match (from.canonicalize(), to.canonicalize()) {
        (Ok(from), Ok(to)) => from == to,
        _ => false,
    };
    let mut copy = Copy { task, report };
    for name in names(from)? {
        match fate(&name) {
            Fate::Used if same => {}
            Fate::Used => copy.entry(Path::new(&name), MAX_DEPTH)?,
            Fate::Read | Fate::Useless => {}
            Fate::Left(why) => copy.report.leave(What::Files, &name, why),
            Fate::Unknown
                if included
                    .iter()
                    .any(|path| path.starts_with(from.join(&name))) => {}
            Fate::Unknown => copy.report.unknown.push(name),
        }
    }
    for agent in source.agents() {
        let place = Path::new("agents")
            .join(&agent.id)
            .join("agent/auth-profiles.json");
        if !same && from.join(&place).is_file() {
            copy.entry(&place, 1)?;
        }
        if let Some(store) = agent.credentials()? {
            copy.credentials(&place, &store, same)?;
        }
    }
    if same {
        let note = "configuration, credentials and workspaces are used where they lie: both gateways have one state directory";
        report.notes.push(note.to_owned());
        return Ok(());
    }
    for path in included {
        match path.strip_prefix(from) {
            Ok(place) => copy.entry(place, 1)?,
            Err(_) => copy.report.notes.push(format!(
                "the configuration includes `{}`, which lies elsewhere and stays there",
                path.display()
            )),
        }
    }
    let here = from.display().to_string();
    let config = fs::read_to_string(from.join("openclaw.json")).unwrap_or_default();
    if config.contains(&here) {
        report.notes.push(format!(
            "the configuration names {here}, which is the other gateway's folder"
        ));
    }
    Ok(())
}

struct Copy<'a, 'b> {
    task: &'a Task<'a>,
    report: &'b mut Report,
}

impl Copy<'_, '_> {
    fn entry(&mut self, place: &Path, depth: usize) -> Result<(), MigrateError> {
        let from = self.task.from.join(place);
        let shown = place.display().to_string();
        let kind = fs::symlink_metadata(&from).map_err(MigrateError::io("look at", &from))?;
        if kind.is_dir() {
            if depth == 0 {
                self.report.leave(What::Files, &shown, "it lies too deep");
                return Ok(());
            }
            for name in names(&from)? {
                self.entry(&place.join(name), depth - 1)?;
            }
            return Ok(());
        }
        if !kind.is_file() {
            self.report
                .leave(What::Files, &shown, "it is no plain file");
            return Ok(());
        }
        let to = self.task.to.state_dir.join(place);
        if to.symlink_metadata().is_ok() {
            if equal(&from, &to) {
                self.report.there(What::Files);
            } else {
                let why = "there is another one here already, which stays: compare them by hand";
                self.report.leave(What::Files, &shown, why);
            }
            return Ok(());
        }
        if !self.task.dry_run {
            let mode = kind.permissions().mode() & 0o700;
            let content = |draft: &mut File| io::copy(&mut File::open(&from)?, draft).map(drop);
            Self::write(&to, mode, content)?;
        }
        self.report.take(What::Files, 1);
        Ok(())
    }

    /// Keys of models that lie in the other gateway's database.
    fn credentials(
        &mut self,
        place: &Path,
        store: &serde_json::Value,
        same: bool,
    ) -> Result<(), MigrateError> {
        let to = self.task.to.state_dir.join(place);
        let shown = place.display().to_string();
        if same || to.exists() {
            let why = "keys of models lie in that gateway's database; give them to this one as models.providers.NAME.apiKey";
            self.report.leave(What::Files, &shown, why);
            return Ok(());
        }
        if !self.task.dry_run {
            let text = store.to_string();
            Self::write(&to, 0o600, |draft| {
                io::Write::write_all(draft, text.as_bytes())
            })?;
        }
        self.report.take(What::Files, 1);
        Ok(())
    }

    /// Puts a file in its place whole; one that came there meanwhile stays.
    fn write(
        to: &Path,
        mode: u32,
        content: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), MigrateError> {
        let folder = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(MigrateError::io("make", folder))?;
        if let Err(error) = ensure_private_dir(folder) {
            let source = io::Error::other(error.to_string());
            return Err(MigrateError::io("close", folder)(source));
        }
        let draft = folder.join(format!(".openclaw-{}.tmp", uuid::Uuid::new_v4().simple()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                content(&mut file)?;
                file.set_permissions(Permissions::from_mode(mode | 0o600))?;
                file.sync_all()
            })
            .and_then(|()| fs::hard_link(&draft, to));
        // A leftover is harmless and named as ours.
        fs::remove_file(&draft).ok();
        written.map_err(MigrateError::io("write", to))
    }
}

fn equal(one: &Path, other: &Path) -> bool {
    match (fs::read(one), fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
