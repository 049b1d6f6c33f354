//! Answers that are being written, as chats see them meanwhile: a message that is edited while the answer
//! grows, and becomes it.
//!
//! Which message shows a draft is stored once the platform said so, and forgotten in the commit of the
//! answer. So what a kill left behind becomes the answer of the next start, which answers the same message
//! of somebody again; one whose message is answered already is an answer, and left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccountRef, Target};
use crate::store::{Op, StoreError, StoreReader, Table, keys, rows};

/// Most answers of one account that are shown while they grow.
const MOST: usize = 20;
/// Shortest beginning that is shown, characters: short answers come at once.
const SHORTEST: usize = 40;

/// What a chat sees of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    /// Nothing yet.
    Nothing,
    /// It is on its way.
    Leaving,
    /// This message.
    Message(String),
    /// It could not be shown.
    Never,
}

/// A draft that is shown, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The delivery of the message that is being answered.
    of: String,
    /// Where.
    to: Target,
    /// The message that shows it.
    message: String,
}

fn prefix(account: &AccountRef) -> Vec<u8> {
    let mut key = account.prefix();
    key.extend(keys::text("draft"));
    key
}

fn key(account: &AccountRef, to: &Target) -> Vec<u8> {
    let mut key = prefix(account);
    key.extend(keys::text(&to.chat));
    key.extend(keys::text(to.thread.as_deref().unwrap_or_default()));
    key
}

/// That this message shows what is being written there, as an answer to the delivery `of`.
///
/// # Errors
///
/// When it cannot be JSON.
pub(crate) fn op(
    account: &AccountRef,
    of: &str,
    to: &Target,
    message: &str,
) -> Result<Op, StoreError> {
    let row = Row {
        of: of.to_owned(),
        to: to.clone(),
        message: message.to_owned(),
    };
    Op::put_json(Table::ChannelState, key(account, to), &row)
}

/// That nothing is being written there any more.
pub(crate) fn over_op(account: &AccountRef, to: &Target) -> Op {
    Op::delete(Table::ChannelState, key(account, to))
}

struct Draft {
    /// The delivery of the message that is being answered.
    of: String,
    reply_to: Option<String>,
    text: Arc<Mutex<String>>,
    shown: Shown,
    last: String,
    /// The platform wants nothing of it before then.
    hold: Duration,
    /// The answer is there; what still comes of the draft is to go.
    over: bool,
}

/// What is to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The delivery of the message that is being answered.
    pub(crate) of: String,
    /// Where.
    pub(crate) to: Target,
    /// The message that is answered, where several talk.
    pub(crate) reply_to: Option<String>,
    /// The message that changes; a new one when unset.
    pub(crate) message: Option<String>,
    /// What it says.
    pub(crate) text: String,
}

/// The drafts of one account, one for each chat: whichever of its messages is answered in the end, the
/// answer is what the draft becomes.
#[derive(Default)]
pub(crate) struct Drafts {
    written: BTreeMap<Target, Draft>,
    /// Messages that are to go.
    vanished: Vec<(Target, String)>,
    /// What an earlier process showed of answers that are given now; at most [`MOST`].
    left: BTreeMap<Target, String>,
    /// Where a draft is stored.
    stored: BTreeSet<Target>,
}

impl Drafts {
    /// Reads what an earlier process showed; `waits` tells whether a delivery is to be answered still. The
    /// changes that forget the others are given back.
    ///
    /// # Errors
    ///
    /// When the table cannot be read.
    pub(crate) fn load(
        reader: &StoreReader,
        account: &AccountRef,
        waits: impl Fn(&str) -> bool,
    ) -> Result<(Self, Vec<Op>), StoreError> {
        let (mut drafts, mut ops) = (Self::default(), Vec::new());
        let from = prefix(account);
        let mut to = from.clone();
        to.push(0xff);
        reader.scan(
            Table::ChannelState,
            from.as_slice()..to.as_slice(),
            false,
            |key, value| {
                match rows::decode::<Row>(Table::ChannelState, value) {
                    Ok(row) if waits(&row.of) && drafts.left.len() < MOST => {
                        drafts.stored.insert(row.to.clone());
                        drafts.left.insert(row.to, row.message);
                    }
                    _ => ops.push(Op::delete(Table::ChannelState, key.to_vec())),
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok((drafts, ops))
    }

    /// A draft is about to be stored.
    pub(crate) fn stores(&mut self, to: &Target) {
        self.stored.insert(to.clone());
    }

    /// Whether one is stored there.
    pub(crate) fn is_stored(&self, to: &Target) -> bool {
        self.stored.contains(to)
    }

    /// It is stored no more.
    pub(crate) fn forgotten(&mut self, to: &Target) {
        self.stored.remove(to);
    }

    /// An answer to the delivery `of` begins to be written.
    pub(crate) fn begin(
        &mut self,
        of: String,
        to: Target,
        reply_to: Option<String>,
        text: Arc<Mutex<String>>,
    ) {
        if self.written.len() >= MOST || self.written.contains_key(&to) {
            return;
        }
        let left = self.left.remove(&to);
        let draft = Draft {
            of,
            reply_to,
            text,
            shown: left.map_or(Shown::Nothing, Shown::Message),
            last: String::new(),
            hold: Duration::ZERO,
            over: false,
        };
        self.written.insert(to, draft);
    }

    /// Whether none is being written, and none is in the way.
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.vanished.is_empty()
    }

    /// Nothing is said in the end: what is shown already is to go.
    pub(crate) fn vanish(&mut self, to: &Target, message: String) {
        if self.vanished.len() < MOST {
            self.vanished.push((to.clone(), message));
        }
    }

    /// The messages that are to go.
    pub(crate) fn vanished(&mut self) -> Vec<(Target, String)> {
        std::mem::take(&mut self.vanished)
    }

    /// Whether what is due there is still to be shown; not when its answer came meanwhile, be it that
    /// the next one is being written there already: the message that was to change is an answer now.
    pub(crate) fn is_wanted(&mut self, due: &Due) -> bool {
        if self.written.get(&due.to).is_some_and(|draft| draft.over) {
            self.written.remove(&due.to);
        }
        self.written
            .get(&due.to)
            .is_some_and(|draft| match (&draft.shown, &due.message) {
                (Shown::Message(shown), Some(message)) => shown == message,
                (Shown::Leaving, None) => true,
                _ => false,
            })
    }

    /// The platform wants to be left alone in this chat.
    pub(crate) fn hold(&mut self, to: &Target, until: Duration) {
        if let Some(draft) = self.written.get_mut(to) {
            draft.hold = until;
        }
    }

    /// What changed since it was shown, cut at so many units.
    pub(crate) fn due(&mut self, limit: usize, now: Duration) -> Vec<Due> {
        let mut due = Vec::new();
        for (to, draft) in &mut self.written {
            if draft.hold > now {
                continue;
            }
            let message = match &draft.shown {
                Shown::Nothing => None,
                Shown::Message(id) => Some(id.clone()),
                Shown::Leaving | Shown::Never => continue,
            };
            let text = draft.text.lock().unwrap_or_else(PoisonError::into_inner);
            let text = beginning(&text, limit);
            let is_short = message.is_none() && text.chars().count() < SHORTEST;
            if draft.over || is_short || text == draft.last {
                continue;
            }
            draft.last.clone_from(&text);
            if message.is_none() {
                draft.shown = Shown::Leaving;
            }
            due.push(Due {
                of: draft.of.clone(),
                to: to.clone(),
                reply_to: draft.reply_to.clone(),
                message,
                text,
            });
        }
        due
    }

    /// A draft is shown, or cannot be; gives back a message that is to go, because the answer came
    /// meanwhile.
    pub(crate) fn shown(&mut self, to: &Target, message: Option<String>) -> Option<String> {
        let draft = self.written.get_mut(to)?;
        if draft.over {
            self.written.remove(to);
            return message;
        }
        draft.shown = message.map_or(Shown::Never, Shown::Message);
        None
    }

    /// The answer is there; gives back the message that becomes it.
    pub(crate) fn end(&mut self, to: &Target) -> Option<String> {
        // It may have come without having been written here.
        let Some(draft) = self.written.get_mut(to) else {
            return self.left.remove(to);
        };
        if draft.shown == Shown::Leaving {
            draft.over = true;
            return None;
        }
        match self.written.remove(to)?.shown {
            Shown::Message(id) => Some(id),
            _ => None,
        }
    }
}

/// What fits of a text that grows, with a sign that more follows.
fn beginning(text: &str, limit: usize) -> String {
    let mut units = 0;
    let room = limit.saturating_sub(8).max(32);
    let end = text.char_indices().find(|(_, c)| {
        units += c.len_utf16();
        units > room
    });
    let shown = end.map_or(text, |(end, _)| &text[..end]).trim();
    if shown.is_empty() {
        return String::new();
    }
    format!("{shown} …")
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn target() -> Target {
        Target {
            chat: "7".into(),
            thread: None,
        }
    }

    fn begun() -> (Drafts, Arc<Mutex<String>>) {
        let mut drafts = Drafts::default();
        let text: Arc<Mutex<String>> = Arc::default();
        drafts.begin("a".into(), target(), None, Arc::clone(&text));
        (drafts, text)
    }

    #[test]
    fn a_draft_grows_in_one_message_which_becomes_the_answer() {
        let (mut drafts, text) = begun();
        text.lock().unwrap().push_str("short");
        assert_eq!(drafts.due(4_000, START), []);
        text.lock().unwrap().push_str(&" and longer".repeat(4));
        let due = drafts.due(4_000, START);
        assert_eq!((due.len(), &due[0].message), (1, &None));
        assert_eq!(drafts.due(4_000, START), [], "it is on its way");
        assert_eq!(drafts.shown(&target(), Some("m1".into())), None);
        assert_eq!(drafts.due(4_000, START), [], "it did not change");
        text.lock().unwrap().push_str(" still");
        assert_eq!(drafts.due(4_000, START)[0].message.as_deref(), Some("m1"));
        assert_eq!(drafts.end(&target()).as_deref(), Some("m1"));
        assert!(drafts.is_empty());
    }

    #[test]
    fn a_draft_of_which_nothing_becomes_goes() {
        let (mut drafts, text) = begun();
        text.lock().unwrap().push_str(&"word ".repeat(20));
        drafts.due(4_000, START);
        drafts.shown(&target(), Some("m1".into()));
        let message = drafts.end(&target()).unwrap();
        drafts.vanish(&target(), message);
        assert!(!drafts.is_empty(), "somebody looks after it");
        assert_eq!(drafts.vanished(), [(target(), "m1".to_owned())]);
        assert!(drafts.is_empty());
    }

    #[test]
    fn a_draft_that_comes_behind_its_answer_goes() {
        let (mut drafts, text) = begun();
        text.lock().unwrap().push_str(&"word ".repeat(20));
        assert_eq!(drafts.due(4_000, START).len(), 1);
        assert_eq!(drafts.end(&target()), None, "it is on its way");
        assert_eq!(
            drafts.shown(&target(), Some("m1".into())).as_deref(),
            Some("m1")
        );
        assert!(drafts.is_empty());
    }

    #[test]
    fn what_was_due_is_not_shown_over_the_answer_that_came_meanwhile() {
        let (mut drafts, text) = begun();
        text.lock().unwrap().push_str(&"word ".repeat(20));
        let first = drafts.due(4_000, START).remove(0);
        assert!(drafts.is_wanted(&first));
        drafts.shown(&target(), Some("m1".into()));
        text.lock().unwrap().push_str("more");
        let due = drafts.due(4_000, START).remove(0);
        assert!(drafts.is_wanted(&due));
        assert_eq!(drafts.end(&target()).as_deref(), Some("m1"));
        assert!(!drafts.is_wanted(&due));
        // The next answer begins to be written in the same chat.
        drafts.begin("b".into(), target(), None, Arc::default());
        assert!(!drafts.is_wanted(&due), "that message is an answer");
    }

    #[test]
    fn what_a_kill_left_becomes_the_next_answer() {
        let left = || Drafts {
            left: BTreeMap::from([(target(), "m1".to_owned())]),
            ..Drafts::default()
        };
        let mut drafts = left();
        let text = Arc::new(Mutex::new("word ".repeat(20)));
        drafts.begin("a".into(), target(), None, text);
        assert_eq!(drafts.due(4_000, START)[0].message.as_deref(), Some("m1"));
        assert_eq!(drafts.end(&target()).as_deref(), Some("m1"));
        assert_eq!(drafts.end(&target()), None);
        let mut drafts = left();
        assert_eq!(drafts.end(&target()).as_deref(), Some("m1"), "at once");
    }

    #[test]
    fn a_chat_that_is_limited_is_left_alone() {
        let (mut drafts, text) = begun();
        text.lock().unwrap().push_str(&"word ".repeat(20));
        let until = Duration::from_secs(30);
        drafts.hold(&target(), until);
        assert_eq!(drafts.due(4_000, START), []);
        assert_eq!(drafts.due(4_000, until).len(), 1);
    }

    #[test]
    fn what_is_shown_fits() {
        let (mut drafts, text) = begun();
        text.lock().unwrap().push_str(&"😀".repeat(300));
        let due = drafts.due(100, START);
        assert!(crate::channel::text::units(&due[0].text) <= 100);
    }
}
