//! `openclaw migrate`: takes over what lies in the state directory of an OpenClaw gateway for Node.js.
//!
//! Nothing there is changed. Configuration, credentials and workspace are used as they are: where the directory is
//! not this gateway's own, they are copied to it, and never over what is there. Devices, conversations, jobs and
//! people become rows of the database, each with its own commit, so that an import that is cut off is simply done
//! again: what is here already is left as it is.

mod files;
pub mod report;
mod running;
mod source;
pub mod sqlite;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use openclaw_actors::approvals;
use openclaw_actors::channel::{AccountRef, pairing as channel_pairing};
use openclaw_actors::clock::{Millis, SystemClock};
use openclaw_actors::cron;
use openclaw_actors::pairing;
use openclaw_actors::sessions::import as conversations;
use openclaw_actors::sessions::import::{Events, NotImported, Session};
use openclaw_actors::sessions::record::Record;
use openclaw_actors::store::{Op, StoreConfig, StoreDeps, StoreError, Table, look, rows};
use serde_json::Value;

use crate::config::{self, Flags, LoadRequest};
use crate::state_dir::{EnvLookup, StatePaths};
use report::{Report, What};
use source::{Agent, Source};

/// Why nothing, or not all of it, was taken over.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}` cannot be read: {reason}", path.display())]
    Wrong {
        /// Where.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It is no state directory.
    #[error("`{}` is no state directory of OpenClaw: it has neither openclaw.json nor agents", .0.display())]
    Nothing(PathBuf),
    /// The other gateway runs.
    #[error("the gateway of `{}` runs (pid {pid})", root.display())]
    Running {
        /// Its state directory.
        root: PathBuf,
        /// Its process.
        pid: u32,
    },
    /// This gateway's database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MigrateError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// What to take over, and where to.
pub struct Task<'a> {
    /// The other gateway's state directory.
    pub from: &'a Path,
    /// This gateway's places. Unless it is a dry run, the caller holds the lock of its state directory.
    pub to: &'a StatePaths,
    /// The variables of this process.
    pub env: EnvLookup<'a>,
    /// Where programs leave files for a moment; the other gateway has a lock there.
    pub temp: &'a Path,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
    /// Nothing is written.
    pub dry_run: bool,
    /// Told how far it is.
    pub progress: &'a dyn Fn(&str),
}

/// Takes over everything that is understood, and says what became of all the rest.
///
/// # Errors
///
/// [`MigrateError`]; what was written until then is whole, and is passed over by another try.
pub fn migrate(task: &Task<'_>) -> Result<Report, MigrateError> {
    let root = task.from;
    if !root.join("openclaw.json").is_file() && !root.join("agents").is_dir() {
        return Err(MigrateError::Nothing(root.to_owned()));
    }
    let mut report = Report::new(task.dry_run, root.to_owned(), task.to.state_dir.clone());
    match running::pid(root, task.temp) {
        Some(pid) if !task.dry_run => {
            return Err(MigrateError::Running {
                root: root.to_owned(),
                pid,
            });
        }
        Some(pid) => report.notes.push(format!(
            "the other gateway runs (pid {pid}): stop it before the import; what it writes until then comes along"
        )),
        None => {}
    }
    let source = Source::open(root)?;
    let there = There::look(&task.to.store_file())?;
    let included = configuration(task, &mut report);
    files::take(task, &source, &included, &mut report)?;
    let store = if task.dry_run {
        None
    } else {
        let config = StoreConfig::file(task.to.store_file());
        Some(StoreDeps::open(&config, SystemClock::shared())?)
    };
    let mut import = Import {
        task,
        source: &source,
        there: &there,
        store: store.as_ref(),
        report,
        now: Millis(i64::try_from(task.now_ms).unwrap_or(0)),
    };
    import.devices()?;
    for agent in source.agents() {
        import.conversations(agent)?;
    }
    import.jobs()?;
    import.people()?;
    import.rules()?;
    let mut report = import.report;
    report.unknown.extend(source.other_tables()?);
    Ok(report)
}

/// Loads the configuration as a start would, and says what would be said of it; the files that it includes.
fn configuration(task: &Task<'_>, report: &mut Report) -> Vec<PathBuf> {
    let file = task.from.join("openclaw.json");
    if !file.is_file() {
        return Vec::new();
    }
    let folder = task.from.display().to_string();
    let config = file.display().to_string();
    let env = |name: &str| match name {
        "OPENCLAW_STATE_DIR" => Some(folder.clone()),
        "OPENCLAW_CONFIG_PATH" => Some(config.clone()),
        "OPENCLAW_PROFILE" => None,
        other => (task.env)(other),
    };
    let loaded = config::load(&LoadRequest {
        flags: &Flags::default(),
        env: &env,
        home: Some(&task.to.home),
    });
    match loaded {
        Ok(loaded) => {
            report.notes.extend(loaded.warnings);
            loaded.included
        }
        Err(error) => {
            report.notes.push(format!(
                "the configuration cannot be used as it is: {error}"
            ));
            Vec::new()
        }
    }
}

/// What is here already.
#[derive(Default)]
struct There {
    devices: BTreeSet<String>,
    sessions: BTreeMap<String, Record>,
    jobs: BTreeSet<String>,
    people: BTreeSet<Vec<u8>>,
    rules: bool,
}

impl There {
    fn look(store: &Path) -> Result<Self, StoreError> {
        let mut there = Self::default();
        let tables = [
            Table::Devices,
            Table::Sessions,
            Table::Cron,
            Table::ChannelPairing,
            Table::ExecApprovals,
        ];
        look(store, &tables, |table, key, value| {
            let name = || String::from_utf8_lossy(key).into_owned();
            match table {
                Table::Devices => {
                    there.devices.insert(name());
                }
                Table::Cron => {
                    there.jobs.insert(name());
                }
                Table::Sessions => {
                    if let Ok(record) = rows::decode::<Record>(table, value) {
                        there.sessions.insert(record.key.to_string(), record);
                    }
                }
                Table::ChannelPairing => {
                    there.people.insert(key.to_vec());
                }
                _ => there.rules = true,
            }
        })?;
        Ok(there)
    }
}

struct Import<'a> {
    task: &'a Task<'a>,
    source: &'a Source,
    there: &'a There,
    /// None in a dry run.
    store: Option<&'a StoreDeps>,
    report: Report,
    now: Millis,
}

impl Import<'_> {
    fn write(&self, ops: &[Op]) -> Result<(), StoreError> {
        self.store.map_or(Ok(()), |store| store.write_now(ops))
    }

    fn devices(&mut self) -> Result<(), MigrateError> {
        let mut ops = Vec::new();
        for (id, row) in self.source.devices()? {
            let name = row["displayName"]
                .as_str()
                .or_else(|| row["clientId"].as_str());
            let shown = format!(
                "{} ({})",
                id.chars().take(12).collect::<String>(),
                name.unwrap_or("unnamed")
            );
            if self.there.devices.contains(&id) {
                self.report.there(What::Devices);
                continue;
            }
            let room =
                pairing::state::MAX_DEVICES.saturating_sub(self.there.devices.len() + ops.len());
            match pairing::import::device(&id, &row, self.now) {
                Ok(_) if room == 0 => {
                    let why = "there are too many already";
                    self.report.leave(What::Devices, &shown, why);
                }
                Ok(device) => {
                    self.report.take(What::Devices, 1);
                    self.report.take(What::Tokens, device.tokens);
                    for left in device.left {
                        self.report.remark(What::Devices, &shown, left);
                    }
                    ops.push(device.op);
                }
                Err(why) => self.report.leave(What::Devices, &shown, why),
            }
        }
        // 10,000 rows of a few hundred bytes.
        Ok(self.write(&ops)?)
    }

    fn conversations(&mut self, agent: &Agent) -> Result<(), MigrateError> {
        let stored = agent.conversations()?;
        let orphans = agent.orphans(&stored)?;
        if orphans > 0 {
            let name = format!("agent {}", agent.id);
            let reason = format!("{orphans} transcripts that belong to no conversation any more");
            self.report.remark(What::Conversations, &name, reason);
        }
        for conversation in stored {
            let Some(key) = conversations::key_of(&conversation.key, &agent.id) else {
                let reason = "it belongs to no conversation";
                self.report
                    .leave(What::Conversations, &conversation.key, reason);
                continue;
            };
            (self.task.progress)(&format!("reading {key}"));
            let transcript = agent.transcript(&conversation.entry);
            let from = Session {
                key: &key,
                agent: &agent.id,
                entry: &conversation.entry,
                transcript: transcript
                    .as_ref()
                    .map(|transcript| transcript as &dyn Events),
                there: self.there.sessions.get(&key),
            };
            let imported = conversations::session(from, self.now, &mut |ops| self.write(&ops));
            match imported {
                Ok(imported) => {
                    self.report.take(What::Conversations, 1);
                    self.report.take(What::Messages, imported.messages);
                    for (what, count) in imported.left {
                        self.report
                            .remark(What::Messages, &key, format!("{count} {what}"));
                    }
                    if transcript.is_none() {
                        self.report
                            .remark(What::Messages, &key, "its transcript is not there");
                    }
                }
                Err(NotImported::There) => self.report.there(What::Conversations),
                Err(NotImported::Wrong(why)) => self.report.leave(What::Conversations, &key, why),
                Err(NotImported::Store(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn jobs(&mut self) -> Result<(), MigrateError> {
        let zone = TimeZone::system();
        let mut count = self.there.jobs.len();
        for row in self.source.jobs()? {
            let id = cron::import::id_of(&row).unwrap_or("without an id");
            let shown = format!("{} ({id})", row["name"].as_str().unwrap_or("unnamed"));
            if self.there.jobs.contains(id) {
                self.report.there(What::Jobs);
                continue;
            }
            match cron::import::job(&row, self.now, &zone) {
                Ok(_) if count >= cron::state::MAX_JOBS => {
                    self.report
                        .leave(What::Jobs, &shown, "there are too many already");
                }
                Ok(job) => {
                    count += 1;
                    self.write(&job.ops)?;
                    self.report.take(What::Jobs, 1);
                    for left in job.left {
                        self.report.remark(What::Jobs, &shown, left);
                    }
                }
                Err(why) => self.report.leave(What::Jobs, &shown, why),
            }
        }
        Ok(())
    }

    fn people(&mut self) -> Result<(), MigrateError> {
        for (channel, account, written) in self.source.people()? {
            let account = if account.is_empty() {
                "default"
            } else {
                &account
            };
            let who = AccountRef::new(&channel, account);
            let shown = format!("{written} on {who}");
            let id = written.trim();
            let id = id.strip_prefix(&format!("{channel}:")).unwrap_or(id);
            let id = id.strip_prefix("tg:").unwrap_or(id);
            if id == "*" || id.is_empty() || id.starts_with('@') {
                let reason = "names that anybody can have are no people; say who in the configuration (allowFrom)";
                self.report.leave(What::People, &shown, reason);
                continue;
            }
            let op = channel_pairing::import(&who, id, self.now)?;
            if let Op::Put { key, .. } = &op
                && self.there.people.contains(key)
            {
                self.report.there(What::People);
                continue;
            }
            self.write(&[op])?;
            self.report.take(What::People, 1);
        }
        Ok(())
    }

    fn rules(&mut self) -> Result<(), MigrateError> {
        let Some(rules) = self.source.rules()?.filter(Value::is_object) else {
            return Ok(());
        };
        let name = "exec-approvals.json";
        if self.there.rules {
            self.report.there(What::Rules);
            return Ok(());
        }
        match approvals::import(&rules) {
            Ok(op) => {
                self.write(&[op])?;
                self.report.take(What::Rules, 1);
            }
            Err(why) => self.report.leave(What::Rules, name, why),
        }
        Ok(())
    }
}
