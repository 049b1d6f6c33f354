//! What lies in the state directory of an OpenClaw gateway for Node.js: JSON files (its releases of 2026.1 and
//! around), databases (2026.9), or both. Only read.
//!
//! Facts: the layout as its own documentation names it, and directories that both releases wrote.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use openclaw_actors::sessions::import::{Events, transcript_of};
use ruzstd::decoding::StreamingDecoder;
use serde_json::{Value, json};

use super::MigrateError;
use super::sqlite::{Row, Sqlite};

/// Largest file of JSON, bytes.
const MAX_JSON: u64 = 256 * 1024 * 1024;
/// Longest line of a transcript, bytes.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// Longest entry that the other gateway compresses, bytes.
const MAX_UNPACKED: u64 = 4 * 1024 * 1024;
/// The database of all agents.
const SHARED: &str = "state/openclaw.sqlite";
/// The database of one agent, in its folder.
const OF_AGENT: &str = "agent/openclaw-agent.sqlite";

/// The state directory of another gateway.
pub(super) struct Source {
    root: PathBuf,
    shared: Option<Sqlite>,
    agents: Vec<Agent>,
}

/// An agent's folder.
pub(super) struct Agent {
    pub(super) id: String,
    folder: PathBuf,
    database: Option<Sqlite>,
    /// The rows of each transcript in the database, in their order.
    rows: BTreeMap<String, Vec<(i64, i64)>>,
    /// Where rows that are packed stand in their transcript, by their own ids.
    packed: BTreeMap<i64, Value>,
}

/// A conversation as its store has it.
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) entry: Value,
}

/// The entries of one transcript.
pub(super) enum Transcript<'a> {
    File(PathBuf),
    Rows {
        database: &'a Sqlite,
        rows: &'a [(i64, i64)],
        packed: &'a BTreeMap<i64, Value>,
    },
}

/// Reads a file of JSON; `None` where there is none.
pub(super) fn json_file(path: &Path) -> Result<Option<Value>, MigrateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(MigrateError::io("open", path)(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_JSON)
        .read_to_end(&mut text)
        .map_err(MigrateError::io("read", path))?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let what = format!("line {}, column {}", error.line(), error.column());
        MigrateError::Wrong {
            path: path.to_owned(),
            reason: format!("it is no JSON ({what})"),
        }
    })
}

/// The names in a folder, sorted; none where it is not there.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, MigrateError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(MigrateError::io("read", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(MigrateError::io("read", folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn database(path: &Path) -> Result<Option<Sqlite>, MigrateError> {
    if !path.is_file() {
        return Ok(None);
    }
    Sqlite::open(path)
        .map(Some)
        .map_err(MigrateError::io("read", path))
}

impl Source {
    /// Looks into a directory.
    pub(super) fn open(root: &Path) -> Result<Self, MigrateError> {
        let mut agents = Vec::new();
        for id in names(&root.join("agents"))? {
            let folder = root.join("agents").join(&id);
            if folder.is_dir() {
                agents.push(Agent::open(id, folder)?);
            }
        }
        Ok(Self {
            root: root.to_owned(),
            shared: database(&root.join(SHARED))?,
            agents,
        })
    }

    /// Its agents.
    pub(super) fn agents(&self) -> &[Agent] {
        &self.agents
    }

    fn rows(&self, table: &str, take: &mut dyn FnMut(Row)) -> Result<(), MigrateError> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        shared
            .rows(table, &mut |_, row| {
                take(row);
                true
            })
            .map_err(MigrateError::io("read", &self.root.join(SHARED)))
    }

    /// Its devices by their ids. What the database has wins over what an older release left in a file.
    pub(super) fn devices(&self) -> Result<BTreeMap<String, Value>, MigrateError> {
        let mut devices = BTreeMap::new();
        if let Some(Value::Object(rows)) = json_file(&self.root.join("devices/paired.json"))? {
            devices.extend(rows);
        }
        self.rows("device_pairing_paired", &mut |row| {
            let mut device = serde_json::Map::new();
            for (column, value) in row {
                let (name, value) = match column.strip_suffix("_json") {
                    Some(name) => (camel(name), parsed(&value)),
                    None => (camel(&column), value),
                };
                device.insert(name, value);
            }
            if let Some(id) = device.get("deviceId").and_then(Value::as_str) {
                devices.insert(id.to_owned(), Value::Object(device));
            }
        })?;
        Ok(devices)
    }

    /// Its jobs.
    pub(super) fn jobs(&self) -> Result<Vec<Value>, MigrateError> {
        let mut jobs = Vec::new();
        self.rows("cron_jobs", &mut |row| jobs.push(parsed(&row["job_json"])))?;
        let known = |jobs: &[Value], id: &Value| jobs.iter().any(|job| job["id"] == *id);
        if let Some(file) = json_file(&self.root.join("cron/jobs.json"))? {
            let older = file["jobs"].as_array().or_else(|| file.as_array());
            for job in older.into_iter().flatten() {
                if !known(&jobs, &job["id"]) {
                    jobs.push(job.clone());
                }
            }
        }
        Ok(jobs)
    }

    /// Who may write: channel, account and sender.
    pub(super) fn people(&self) -> Result<Vec<(String, String, String)>, MigrateError> {
        let mut people = Vec::new();
        for name in names(&self.root.join("credentials"))? {
            let Some(whose) = name.strip_suffix("-allowFrom.json") else {
                continue;
            };
            // A channel's, or one account's of it.
            let (channel, account) = whose.split_once('-').unwrap_or((whose, "default"));
            let file = json_file(&self.root.join("credentials").join(&name))?.unwrap_or_default();
            for sender in file["allowFrom"].as_array().into_iter().flatten() {
                let sender = sender
                    .as_str()
                    .map_or_else(|| sender.to_string(), str::to_owned);
                people.push((channel.to_owned(), account.to_owned(), sender));
            }
        }
        self.rows("channel_pairing_allow_entries", &mut |row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            people.push((text("channel_key"), text("account_id"), text("entry")));
        })?;
        people.sort();
        people.dedup();
        Ok(people)
    }

    /// Its lasting rules about programs.
    pub(super) fn rules(&self) -> Result<Option<Value>, MigrateError> {
        let mut rules = None;
        self.rows("exec_approvals_config", &mut |row| {
            let text = row
                .values()
                .find(|value| value.as_str().is_some_and(|text| text.starts_with('{')));
            rules = text.map(parsed);
        })?;
        match rules {
            Some(rules) => Ok(Some(rules)),
            None => json_file(&self.root.join("exec-approvals.json")),
        }
    }

    /// Tables of its database that hold something which is taken over nowhere.
    pub(super) fn other_tables(&self) -> Result<Vec<String>, MigrateError> {
        let mut other = Vec::new();
        for (table, what) in [
            ("secret_store_entries", "secrets"),
            ("mcp_oauth_stores", "logins of MCP servers"),
            ("web_push_subscriptions", "subscriptions of browsers"),
            ("apns_registrations", "registrations of phones for pushes"),
            ("delivery_queue_entries", "messages that waited to be sent"),
            (
                "channel_ingress_events",
                "messages that waited for their answer",
            ),
        ] {
            let mut count = 0_u64;
            self.rows(table, &mut |_| count += 1)?;
            if count > 0 {
                other.push(format!("{count} {what} ({SHARED}, table {table})"));
            }
        }
        Ok(other)
    }
}

impl Agent {
    fn open(id: String, folder: PathBuf) -> Result<Self, MigrateError> {
        let path = folder.join(OF_AGENT);
        let database = database(&path)?;
        let mut rows: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        let mut packed: BTreeMap<i64, Value> = BTreeMap::new();
        if let Some(database) = &database {
            // Long entries are packed; the place of one that cannot be unpacked is known all the same.
            let mut places: BTreeMap<(String, i64), i64> = BTreeMap::new();
            database
                .rows("transcript_events", &mut |rowid, row| {
                    if let (Some(id), Some(seq)) = (row["session_id"].as_str(), row["seq"].as_i64())
                    {
                        rows.entry(id.to_owned()).or_default().push((seq, rowid));
                        if row["event_json"].is_null() {
                            places.insert((id.to_owned(), seq), rowid);
                        }
                    }
                    true
                })
                .map_err(MigrateError::io("read", &path))?;
            let mut place = |_, row: Row| {
                let id = row["session_id"].as_str().unwrap_or_default().to_owned();
                let seq = row["seq"].as_i64().unwrap_or(-1);
                if let Some(rowid) = places.get(&(id, seq)) {
                    let event = json!({ "type": "packed message", "id": row["event_id"], "parentId": row["parent_id"] });
                    packed.insert(*rowid, event);
                }
                true
            };
            if !places.is_empty() {
                database
                    .rows("transcript_event_identities", &mut place)
                    .map_err(MigrateError::io("read", &path))?;
            }
        }
        for rows in rows.values_mut() {
            rows.sort_unstable();
        }
        Ok(Self {
            id,
            folder,
            database,
            rows,
            packed,
        })
    }

    /// Its conversations. What the database has wins.
    pub(super) fn conversations(&self) -> Result<Vec<Stored>, MigrateError> {
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        if let Some(Value::Object(rows)) = json_file(&self.folder.join("sessions/sessions.json"))? {
            found.extend(rows);
        }
        if let Some(database) = &self.database {
            database
                .rows("session_nodes", &mut |_, row| {
                    let mut entry = parsed(&row["entry_json"]);
                    if let Value::Object(entry) = &mut entry {
                        for (column, name) in [
                            ("current_session_id", "sessionId"),
                            ("label", "label"),
                            ("pinned_at", "pinnedAt"),
                            ("archived_at", "archivedAt"),
                        ] {
                            if !row[column].is_null() {
                                entry.insert(name.to_owned(), row[column].clone());
                            }
                        }
                    }
                    if let Some(key) = row["session_key"].as_str() {
                        found.insert(key.to_owned(), entry);
                    }
                    true
                })
                .map_err(MigrateError::io("read", &self.folder.join(OF_AGENT)))?;
        }
        let stored = |(key, entry)| Stored { key, entry };
        Ok(found.into_iter().map(stored).collect())
    }

    /// The transcript of a conversation.
    pub(super) fn transcript(&self, entry: &Value) -> Option<Transcript<'_>> {
        let id = transcript_of(entry)?;
        if let (Some(database), Some(rows)) = (&self.database, self.rows.get(id)) {
            return Some(Transcript::Rows {
                database,
                rows,
                packed: &self.packed,
            });
        }
        let usual = self.folder.join("sessions").join(format!("{id}.jsonl"));
        usual.is_file().then_some(Transcript::File(usual))
    }

    /// Transcripts that belong to no conversation any more, as resets leave them.
    pub(super) fn orphans(&self, conversations: &[Stored]) -> Result<u64, MigrateError> {
        let ids: Vec<&str> = conversations
            .iter()
            .filter_map(|stored| transcript_of(&stored.entry))
            .collect();
        let files = names(&self.folder.join("sessions"))?;
        let files = files.iter().filter(|name| {
            let id = name.strip_suffix(".jsonl").unwrap_or(name);
            name.contains(".jsonl") && !ids.contains(&id)
        });
        let rows = self.rows.keys().filter(|id| !ids.contains(&id.as_str()));
        Ok((files.count() + rows.count()) as u64)
    }

    /// Keys of models that lie in the database.
    pub(super) fn credentials(&self) -> Result<Option<Value>, MigrateError> {
        let mut found = None;
        if let Some(database) = &self.database {
            database
                .rows("auth_profile_store", &mut |_, row| {
                    found = Some(parsed(&row["store_json"]));
                    true
                })
                .map_err(MigrateError::io("read", &self.folder.join(OF_AGENT)))?;
        }
        Ok(found.filter(|store| {
            store["profiles"]
                .as_object()
                .is_some_and(|all| !all.is_empty())
        }))
    }
}

impl Events for Transcript<'_> {
    fn each(&self, take: &mut dyn FnMut(&Value)) -> Result<(), String> {
        match self {
            Self::File(path) => {
                lines(path, take).map_err(|error| format!("{}: {error}", path.display()))
            }
            Self::Rows {
                database,
                rows,
                packed,
            } => {
                for (_, rowid) in *rows {
                    let row = database
                        .row("transcript_events", *rowid)
                        .map_err(|error| error.to_string())?;
                    let row = row.unwrap_or_default();
                    let text = row.get("event_json").filter(|text| !text.is_null());
                    let event = match text {
                        Some(text) => Some(parsed(text)),
                        None => {
                            unpacked(database, *rowid, &row).map_err(|error| error.to_string())?
                        }
                    };
                    // What cannot be unpacked is counted, as a kind of its own.
                    take(
                        event
                            .as_ref()
                            .or_else(|| packed.get(rowid))
                            .unwrap_or(&Value::Null),
                    );
                }
                Ok(())
            }
        }
    }
}

fn lines(path: &Path, take: &mut dyn FnMut(&Value)) -> std::io::Result<()> {
    let mut file = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        // The last line of a program that was killed is torn.
        let event = serde_json::from_slice(&line);
        take(&event.unwrap_or_else(|_| json!({ "type": "torn line" })));
    }
}

/// An entry of a kilobyte or more, which the other gateway compresses (zstd) with its length beside; `None` where
/// that is damaged.
fn unpacked(database: &Sqlite, rowid: i64, row: &Row) -> std::io::Result<Option<Value>> {
    let length = row.get("event_utf8_bytes").and_then(Value::as_u64);
    let length = length.filter(|length| (1..=MAX_UNPACKED).contains(length));
    let bytes = database.blob("transcript_events", rowid, "event_zstd")?;
    let (Some(length), Some(bytes)) = (length, bytes) else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let read = StreamingDecoder::new(bytes.as_slice())
        .map_err(|error| error.to_string())
        .and_then(|decoder| {
            let mut decoder = decoder.take(length + 1);
            decoder
                .read_to_end(&mut text)
                .map_err(|error| error.to_string())
        });
    let whole = read.is_ok_and(|read| read as u64 == length);
    Ok(whole.then(|| serde_json::from_slice(&text).ok()).flatten())
}

/// JSON within a column.
fn parsed(value: &Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// `approved_at_ms` as `approvedAtMs`.
fn camel(column: &str) -> String {
    let mut name = String::with_capacity(column.len());
    let mut upper = false;
    for c in column.chars() {
        if c == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            name.extend(c.to_uppercase());
        } else {
            name.push(c);
        }
    }
    name
}
