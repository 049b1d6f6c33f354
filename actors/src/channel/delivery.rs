//! The end of a run on its way back to the chat that asked.
//!
//! **Invariant:** the answer's outbox rows and the end of the inbox row are in the commit of the run's
//! end, so that a message is answered once or waits still. An answer that is dropped without that
//! commit confirmed (a disk that takes nothing, a panic, lanes that were rebuilt) gives its message back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::account::Account;
use super::drafts;
use super::inbox::Item;
use super::outbox::{self, Entry, Row, SendState};
use super::text::{Split, pieces};
use super::{ChatKind, Inbound, Target};
use crate::agent::delivery::{Delivery, Said};
use crate::clock::Millis;
use crate::store::{Op, StoreError};

/// An answer that means that there is nothing to say.
const SILENT: &str = "NO_REPLY";

/// Where one message is answered.
pub(crate) struct Answer {
    account: Arc<Account>,
    item: Item,
    split: Split,
    prepared: Mutex<Option<Vec<(u64, Row)>>>,
    /// Whether nothing more is owed to the message by this process.
    is_settled: AtomicBool,
}

impl Answer {
    pub(crate) fn new(account: &Arc<Account>, item: Item, split: Split) -> Self {
        Self {
            account: Arc::clone(account),
            item,
            split,
            prepared: Mutex::default(),
            is_settled: AtomicBool::new(false),
        }
    }

    /// What is said in the chat.
    fn words(&self, said: &Said<'_>) -> String {
        match said {
            Said::Text(text) if text.trim() == SILENT => String::new(),
            // What it says of the configuration is for its owner.
            Said::Failed(why)
                if self.item.trusted && self.item.message.kind == ChatKind::Direct =>
            {
                format!("⚠️ {why}")
            }
            Said::Failed(_) => "⚠️ I could not answer; the gateway's log says why.".to_owned(),
            Said::Stopped {
                reason: "timeout",
                text,
            } => {
                format!("{text}\n\n⚠️ The time for this answer was over.")
            }
            Said::Text(text) | Said::Stopped { text, .. } => (*text).to_owned(),
        }
    }

    /// The rows of the answer; the same ones when the commit is tried again.
    fn rows(&self, text: &str, now: Millis) -> Vec<(u64, Row)> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = &*prepared {
            return rows.clone();
        }
        let mut rows = rows(&self.account, &self.item.message, self.split, text, now);
        let chat = &self.item.message.chat;
        let draft = self.account.drafts.with(|drafts| drafts.end(chat));
        match (rows.first_mut(), draft) {
            (Some((_, first)), draft) => first.edits = draft,
            (None, Some(message)) => {
                (self.account.drafts).with(|drafts| drafts.vanish(chat, message));
                self.account.drafts_wake.notify_one();
            }
            (None, None) => {}
        }
        *prepared = Some(rows.clone());
        rows
    }
}

/// The pieces of an answer, numbered.
pub(crate) fn rows(
    account: &Account,
    message: &Inbound,
    split: Split,
    text: &str,
    now: Millis,
) -> Vec<(u64, Row)> {
    let parts = pieces(text, split);
    let seqs = account
        .outbox
        .with(|outbox| outbox.reserve(parts.len(), now));
    let numbered = seqs.zip(parts).enumerate();
    let quote = message.kind == ChatKind::Group;
    numbered
        .map(|(part, (seq, text))| {
            let row = Row {
                id: format!("{}#{part}", message.id),
                to: message.chat.clone(),
                text,
                // The first part says whom it answers, where several talk.
                reply_to: message.message_id.clone().filter(|_| quote && part == 0),
                silent: false,
                edits: None,
                file: None,
                at: now.get(),
                by: format!("answer to {}", message.sender.id),
                state: SendState::Queued,
                why: None,
            };
            (seq, row)
        })
        .collect()
}

impl Delivery for Answer {
    fn place(&self) -> String {
        let Target { chat, thread } = &self.item.message.chat;
        format!("{}\0{chat}\0{thread:?}", self.account.who)
    }

    fn begun(&self, text: &Arc<Mutex<String>>) {
        let message = &self.item.message;
        let quote = message.kind == ChatKind::Group;
        let reply_to = message.message_id.clone().filter(|_| quote);
        let (to, text) = (message.chat.clone(), Arc::clone(text));
        let of = message.id.clone();
        self.account
            .drafts
            .with(|drafts| drafts.begin(of, to, reply_to, text));
        self.account.drafts_wake.notify_one();
    }

    fn channel(&self) -> &str {
        &self.account.who.channel
    }

    fn ops(&self, said: Option<Said<'_>>, now: Millis) -> Result<Vec<Op>, StoreError> {
        if let Some(Said::Stopped {
            reason: "restart", ..
        }) = said
        {
            // It stays in the inbox: the next start answers it.
            return Ok(Vec::new());
        }
        let mut ops = vec![self.item.done_op(&self.account.who)?];
        if let Some(said) = said {
            for (seq, row) in self.rows(&self.words(&said), now) {
                ops.push(outbox::op(&self.account.who, seq, &row)?);
            }
            // What showed it is it from here on, or goes.
            let chat = &self.item.message.chat;
            if self.account.drafts.with(|drafts| drafts.is_stored(chat)) {
                ops.push(drafts::over_op(&self.account.who, chat));
            }
        }
        Ok(ops)
    }

    fn committed(&self, ended: bool) {
        self.is_settled.store(true, Ordering::Release);
        if !ended {
            return;
        }
        let rows = self
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let chat = &self.item.message.chat;
        self.account.drafts.with(|drafts| drafts.forgotten(chat));
        let entries = rows.into_iter().flatten();
        self.account
            .enqueue(entries.map(|(seq, row)| (seq, Entry::new(row))));
        self.account.answered(self.item.seq);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if *self.is_settled.get_mut() {
            return;
        }
        let prepared = self.prepared.get_mut();
        let left = prepared.unwrap_or_else(PoisonError::into_inner).take();
        self.account
            .dropped(self.item.seq, left.unwrap_or_default());
    }
}
