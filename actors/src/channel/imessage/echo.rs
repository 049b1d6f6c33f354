//! Which messages are our own. Pure.
//!
//! Messages writes a row before it knows that it is ours: a message of ours may come in as somebody
//! else's first, and as ours later. So `is_from_me` is believed where it says yes, and where it says no
//! what we sent lately counts too: by its id, and by its words where the id is not known (yet).

use std::collections::VecDeque;
use std::time::Duration;

/// How long the words of a message are remembered whose id nobody told.
const WINDOW: Duration = Duration::from_mins(2);
/// Most messages that are remembered.
const MOST: usize = 500;

/// A message of ours.
#[derive(Debug)]
struct Sent {
    number: u64,
    chat: String,
    text: String,
    /// When it was begun.
    at: Duration,
    guid: Option<String>,
    /// Its echo came already.
    met: bool,
}

/// What we sent lately.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    sent: VecDeque<Sent>,
    /// Ids of rows that turned out to be echoes of words, oldest first.
    echoed: VecDeque<String>,
    next: u64,
}

/// Words as they can be compared: Messages changes blanks at the ends and between lines.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Echoes {
    /// A message leaves.
    pub(super) fn leaves(&mut self, chat: &str, text: &str, now: Duration) -> u64 {
        self.next += 1;
        if self.sent.len() >= MOST {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            number: self.next,
            chat: chat.to_owned(),
            text: plain(text),
            at: now,
            guid: None,
            met: false,
        });
        self.next
    }

    /// It left; its id, where that was told.
    pub(super) fn left(&mut self, number: u64, guid: Option<&str>, now: Duration) {
        if let Some(own) = self.sent.iter_mut().find(|own| own.number == number) {
            own.guid = guid.map(str::to_owned);
            own.at = now;
        }
    }

    /// It certainly did not.
    pub(super) fn stayed(&mut self, number: u64) {
        self.sent.retain(|own| own.number != number);
    }

    /// Whether this is the id of one of ours.
    pub(super) fn is_ours(&self, guid: &str) -> bool {
        self.echoed.iter().any(|own| own == guid)
            || self
                .sent
                .iter()
                .any(|own| own.guid.as_deref() == Some(guid))
    }

    /// Whether a message that is said to be somebody else's is ours. `chats` are all names of its chat.
    pub(super) fn is_echo(
        &mut self,
        guid: &str,
        chats: &[&str],
        text: &str,
        now: Duration,
    ) -> bool {
        self.is_ours(guid) || self.meets(guid, chats, text, now)
    }

    /// Whether these words have an echo to come; this is it.
    pub(super) fn meets(&mut self, guid: &str, chats: &[&str], text: &str, now: Duration) -> bool {
        let text = plain(text);
        // Each message of ours has one echo: somebody who says the same as we did is heard.
        let own = self.sent.iter_mut().find(|own| {
            own.guid.is_none()
                && !own.met
                && own.text == text
                && chats.contains(&own.chat.as_str())
                && now.saturating_sub(own.at) <= WINDOW
        });
        let Some(own) = own else { return false };
        own.met = true;
        if self.echoed.len() >= MOST {
            self.echoed.pop_front();
        }
        self.echoed.push_back(guid.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATS: &[&str] = &["42", "+447700900123"];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_echo_is_known_before_and_after_its_id_is() {
        let mut echoes = Echoes::default();
        let one = echoes.leaves("42", "hello\n you", at(0));
        assert!(
            echoes.is_echo("A", CHATS, "hello you", at(1)),
            "it is under way"
        );
        assert!(
            echoes.is_echo("A", CHATS, "hello you", at(2)),
            "and comes again"
        );
        echoes.left(one, Some("A"), at(2));
        assert!(echoes.is_echo("A", CHATS, "hello you", at(9_000)));
        assert!(
            !echoes.is_echo("B", CHATS, "hello you", at(3)),
            "somebody says the same"
        );
    }

    #[test]
    fn without_an_id_words_count_once_for_a_while_in_that_chat() {
        let mut echoes = Echoes::default();
        let one = echoes.leaves("+447700900123", "ok", at(0));
        echoes.left(one, None, at(1));
        assert!(!echoes.is_echo("A", &["43"], "ok", at(2)), "another chat");
        assert!(!echoes.is_echo("A", CHATS, "ok!", at(2)), "other words");
        assert!(echoes.is_echo("A", CHATS, "ok", at(2)));
        assert!(!echoes.is_echo("B", CHATS, "ok", at(3)), "that is theirs");
        let two = echoes.leaves("42", "ok", at(10));
        echoes.left(two, None, at(10));
        assert!(
            !echoes.is_echo("C", CHATS, "ok", at(200)),
            "too late for an echo"
        );
        let three = echoes.leaves("42", "no", at(300));
        echoes.stayed(three);
        assert!(!echoes.is_echo("D", CHATS, "no", at(300)), "it never left");
    }

    #[test]
    fn the_oldest_echoes_are_forgotten_first() {
        let mut echoes = Echoes::default();
        // Each id is smaller than all before it.
        for number in 0..=MOST {
            echoes.leaves("42", "ok", at(0));
            assert!(echoes.is_echo(&format!("{:04}", 9_999 - number), CHATS, "ok", at(1)));
        }
        assert!(
            echoes.is_ours(&format!("{:04}", 9_999 - MOST)),
            "the newest"
        );
        assert!(!echoes.is_ours("9999"), "the oldest");
    }
}
