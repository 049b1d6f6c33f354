//! Answers that are being written, as chats see them meanwhile: a message that is edited while the answer
//! grows, and becomes it. Nothing of it is stored: a draft that a crash leaves behind stays as it is,
//! and the answer comes as a message of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Target;

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

struct Draft {
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
pub(crate) struct Drafts(BTreeMap<Target, Draft>, Vec<(Target, String)>);

impl Drafts {
    /// An answer begins to be written.
    pub(crate) fn begin(&mut self, to: Target, reply_to: Option<String>, text: Arc<Mutex<String>>) {
        if self.0.len() >= MOST || self.0.contains_key(&to) {
            return;
        }
        let draft = Draft {
            reply_to,
            text,
            shown: Shown::Nothing,
            last: String::new(),
            hold: Duration::ZERO,
            over: false,
        };
        self.0.insert(to, draft);
    }

    /// Whether none is being written, and none is in the way.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }

    /// Nothing is said in the end: what is shown already is to go.
    pub(crate) fn vanish(&mut self, to: &Target, message: String) {
        if self.1.len() < MOST {
            self.1.push((to.clone(), message));
        }
    }

    /// The messages that are to go.
    pub(crate) fn vanished(&mut self) -> Vec<(Target, String)> {
        std::mem::take(&mut self.1)
    }

    /// Whether what is due there is still to be shown; not when its answer came meanwhile, be it that
    /// the next one is being written there already: the message that was to change is an answer now.
    pub(crate) fn is_wanted(&mut self, due: &Due) -> bool {
        if self.0.get(&due.to).is_some_and(|draft| draft.over) {
            self.0.remove(&due.to);
        }
        self.0
            .get(&due.to)
            .is_some_and(|draft| match (&draft.shown, &due.message) {
                (Shown::Message(shown), Some(message)) => shown == message,
                (Shown::Leaving, None) => true,
                _ => false,
            })
    }

    /// The platform wants to be left alone in this chat.
    pub(crate) fn hold(&mut self, to: &Target, until: Duration) {
        if let Some(draft) = self.0.get_mut(to) {
            draft.hold = until;
        }
    }

    /// What changed since it was shown, cut at so many units.
    pub(crate) fn due(&mut self, limit: usize, now: Duration) -> Vec<Due> {
        let mut due = Vec::new();
        for (to, draft) in &mut self.0 {
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
        let draft = self.0.get_mut(to)?;
        if draft.over {
            self.0.remove(to);
            return message;
        }
        draft.shown = message.map_or(Shown::Never, Shown::Message);
        None
    }

    /// The answer is there; gives back the message that becomes it.
    pub(crate) fn end(&mut self, to: &Target) -> Option<String> {
        let draft = self.0.get_mut(to)?;
        if draft.shown == Shown::Leaving {
            draft.over = true;
            return None;
        }
        match self.0.remove(to)?.shown {
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
        drafts.begin(target(), None, Arc::clone(&text));
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
        drafts.begin(target(), None, Arc::default());
        assert!(!drafts.is_wanted(&due), "that message is an answer");
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
