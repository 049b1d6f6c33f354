//! One life of an account: what came meanwhile, then what comes, and looking whether that is all.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::child::{Call, Told};
use super::protocol::{self, Abilities};
use super::translate::Message;
use super::{CallError, IMessage, call, cursor_row, cursor_text};
use crate::channel::{ChannelError, Inbound, Link};

/// What it says by itself and waits to be taken; what is more is asked for again.
pub(super) const MAX_TOLD: usize = 256;
/// Most pages that are read at once; a page has a hundred messages.
const MAX_PAGES: usize = 1_000;

/// Receives until that fails.
pub(super) async fn run(
    own: &IMessage,
    calls: &mpsc::Sender<Call>,
    notes: &mut mpsc::Receiver<Told>,
    link: &Link,
) -> ChannelError {
    let mut life = Life {
        own,
        calls,
        link,
        database: String::new(),
        row: 0,
        watch: 0,
        suspect: None,
    };
    match life.live(notes).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

struct Life<'a> {
    own: &'a IMessage,
    calls: &'a mpsc::Sender<Call>,
    link: &'a Link,
    database: String,
    /// Up to here everything is stored.
    row: i64,
    /// The number of the watch.
    watch: u64,
    /// A row that is there and that the watch has not told.
    suspect: Option<i64>,
}

impl Life<'_> {
    async fn live(
        &mut self,
        notes: &mut mpsc::Receiver<Told>,
    ) -> Result<std::convert::Infallible, ChannelError> {
        let timing = self.own.setup.timing;
        let asked = timeout(timing.probe, self.ask(protocol::STATUS, json!({}))).await;
        let late = |_| {
            ChannelError::Transient(
                "imsg does not answer; a question of macOS may wait on the Mac for somebody (Full Disk Access, Automation)".into(),
            )
        };
        let abilities = match asked.map_err(late)? {
            Ok(status) => Abilities::of(&status)?,
            // One from before it could say.
            Err(CallError::Fault(fault)) if fault.is_no_method() => Abilities::default(),
            Err(error) => return Err(class(&error)),
        };
        self.database.clone_from(&abilities.database);
        *self.own.abilities.borrow_mut() = abilities;
        let identity = self.find_row().await?;
        self.catch_up().await?;
        self.subscribe().await?;
        *self.own.calls.borrow_mut() = Some(self.calls.clone());
        self.link.connected(&identity);
        let mut look = Instant::now() + timing.look;
        loop {
            tokio::select! {
                biased;
                note = notes.recv() => match note {
                    Some(note) => self.note(note).await?,
                    None => return Err(ChannelError::Transient(
                        "imsg told more than could be taken at once; what followed is asked for".into(),
                    )),
                },
                () = sleep_until(look) => {
                    self.look().await?;
                    let wait = if self.suspect.is_some() { timing.grace } else { timing.look };
                    look = Instant::now() + wait;
                }
            }
        }
    }

    async fn ask(&self, method: &'static str, params: Value) -> Result<Value, CallError> {
        call(self.calls, method, params).await
    }

    /// Something that only reads.
    async fn read(&self, method: &'static str, params: Value) -> Result<Value, ChannelError> {
        let limit = self.own.setup.timing.answer;
        let asked = timeout(limit, self.ask(method, params)).await;
        let asked = asked.map_err(|_| {
            ChannelError::Transient(format!(
                "imsg did not answer {method} within {} s",
                limit.as_secs()
            ))
        })?;
        asked.map_err(|error| class(&error))
    }

    /// Where receiving goes on; gives back who we are.
    async fn find_row(&mut self) -> Result<String, ChannelError> {
        let listed = self.read(protocol::CHATS, json!({ "limit": 1 })).await?;
        let chat = &listed["chats"][0];
        let newest = match chat["id"].as_i64() {
            Some(id) => {
                let params = json!({ "chat_id": id, "limit": 1 });
                let history = self.read(protocol::HISTORY, params).await?;
                protocol::newest(&history).unwrap_or_default()
            }
            None => 0,
        };
        let stored = self.link.cursor()?;
        let known = stored
            .as_deref()
            .and_then(|text| cursor_row(text, &self.database));
        let goes_on = self.own.setup.catch_up.is_some();
        self.row = match known {
            Some(row) if row <= newest && goes_on => row,
            Some(row) if row > newest => {
                tracing::warn!(
                    row,
                    newest,
                    "the Messages database is another one than before; what came meanwhile is not known"
                );
                newest
            }
            _ => newest,
        };
        self.take(Vec::new(), self.row).await?;
        let login = chat["account_login"].as_str().unwrap_or_default();
        let login = login.split_once(':').map_or(login, |(_, login)| login);
        Ok(if login.is_empty() {
            "imsg".to_owned()
        } else {
            login.to_owned()
        })
    }

    /// Takes what came behind the row.
    async fn catch_up(&mut self) -> Result<(), ChannelError> {
        for _ in 0..MAX_PAGES {
            let page = self.read(protocol::AFTER, protocol::page(self.row)).await?;
            let next = page["next_rowid"]
                .as_i64()
                .unwrap_or(self.row)
                .max(self.row);
            let rows = page["messages"].as_array().cloned().unwrap_or_default();
            let oldest = self.own.setup.catch_up.map(|age| {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                self.link.now().get().saturating_sub(age)
            });
            let messages = rows
                .iter()
                .filter_map(|row| self.message(row, oldest).0)
                .collect();
            let more = page["has_more"] == true && next > self.row;
            self.take(messages, next).await?;
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<(), ChannelError> {
        let answer = self
            .read(protocol::SUBSCRIBE, protocol::watch(self.row))
            .await?;
        self.watch = answer["subscription"]
            .as_u64()
            .ok_or_else(|| ChannelError::Transient("imsg gave the watch no number".into()))?;
        self.suspect = None;
        Ok(())
    }

    async fn note(&mut self, note: Told) -> Result<(), ChannelError> {
        if note.params["subscription"].as_u64() != Some(self.watch) {
            return Ok(());
        }
        match note.method.as_str() {
            protocol::MESSAGE => {
                let (message, row) = self.message(&note.params["message"], None);
                let row = row.unwrap_or(self.row).max(self.row);
                self.take(message.into_iter().collect(), row).await
            }
            protocol::OVERFLOW => {
                tracing::info!("imsg had more messages than it holds; they are asked for");
                self.catch_up().await?;
                self.subscribe().await
            }
            // What else there is does not matter here.
            _ => Ok(()),
        }
    }

    /// Looks whether there are rows that the watch has not told.
    async fn look(&mut self) -> Result<(), ChannelError> {
        let params = json!({ "since_rowid": self.row, "limit": 1, "include_reactions": true });
        let page = self.read(protocol::AFTER, params).await?;
        let first = page["messages"][0]["id"].as_i64();
        match (first, self.suspect) {
            (None, _) => self.suspect = None,
            // The watch had its time with it.
            (Some(_), Some(suspect)) if self.row < suspect => {
                return Err(ChannelError::Transient(format!(
                    "the watch of imsg has stalled: it did not tell message {suspect}; imsg is started anew, and what came meanwhile is asked for"
                )));
            }
            (Some(row), _) => self.suspect = Some(row),
        }
        Ok(())
    }

    /// The message of a row, where it is one that is answered, and the row behind which a watch goes on.
    fn message(&self, value: &Value, oldest: Option<i64>) -> (Option<Inbound>, Option<i64>) {
        let message = match Message::read(value) {
            Ok(message) => message,
            Err(why) => {
                tracing::warn!(why, "a message of iMessage cannot be read; the others can");
                return (None, value["cursor"].as_i64().or(value["id"].as_i64()));
            }
        };
        let row = message.cursor.unwrap_or(message.id);
        let too_old = oldest
            .zip(message.at())
            .is_some_and(|(oldest, at)| at < oldest);
        let now = self.own.began.elapsed();
        let mut echoes = self.own.echoes.borrow_mut();
        let chats = message.chats();
        let chats: Vec<&str> = chats.iter().map(String::as_str).collect();
        // Also what is said to be ours: its words are met then, and whoever says the same is heard.
        let is_echo = echoes.is_echo(&message.key(), &chats, &message.mark(), now);
        if let Some(file) = message.file().filter(|_| is_echo) {
            // Words and their file came in one row; somebody's file of this name is heard.
            echoes.meets(&message.key(), &chats, &file, now);
        }
        if message.is_from_me || too_old {
            return (None, Some(row));
        }
        if is_echo {
            tracing::debug!(row, "a message of ours came back as somebody else's");
            return (None, Some(row));
        }
        let answers_us =
            (message.reply_to_guid.as_deref()).is_some_and(|guid| echoes.is_ours(guid));
        let setup = &self.own.setup;
        (
            message.inbound(&setup.groups, setup.files, answers_us),
            Some(row),
        )
    }

    async fn take(&mut self, messages: Vec<Inbound>, row: i64) -> Result<(), ChannelError> {
        let cursor = cursor_text(&self.database, row);
        self.link.take(messages, Some(&cursor)).await?;
        self.row = row;
        Ok(())
    }
}

fn class(error: &CallError) -> ChannelError {
    match error {
        CallError::Fault(fault) => fault.class(),
        CallError::NotSent | CallError::Lost => ChannelError::Transient("imsg ended".into()),
    }
}
