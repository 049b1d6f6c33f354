//! How much of a conversation goes to the model.
//!
//! Tokens are estimated, not counted: every vendor cuts text differently, and being a fifth off is good
//! enough to decide how much history to send. Four ASCII characters count as one token, which is the
//! vendors' own rule of thumb for English and code; every other character counts as one, which fits
//! Chinese, Japanese and emoji and is on the safe side for the rest.

use super::request::{PromptMessage, PromptPart, PromptRole, ToolDefinition};

/// What a message costs besides its text: role markers and separators, in tokens.
const MESSAGE_OVERHEAD: u64 = 4;
/// What a picture costs, in tokens: about what the vendors count for one of a thousand pixels a side.
const IMAGE: u64 = 1_200;

/// What a page of a PDF costs, in tokens, where vendors count its text and its picture.
const DOCUMENT_PAGE: u64 = 2_000;
/// About what a page has, bytes.
const PAGE_BYTES: u64 = 50_000;

/// What stands in the place of a tool's result that no longer fits.
const LEFT_OUT: &str = "[left out: the conversation has become too long]";

/// Estimates the tokens of a text, rounded up.
pub fn estimate(text: &str) -> u64 {
    let (ascii, other) = text.chars().fold((0_u64, 0_u64), |(ascii, other), c| {
        if c.is_ascii() {
            (ascii + 1, other)
        } else {
            (ascii, other + 1)
        }
    });
    ascii.div_ceil(4) + other
}

/// Estimates the tokens of a message in a prompt.
pub fn estimate_message(message: &PromptMessage) -> u64 {
    let part = |part: &PromptPart| match part {
        PromptPart::Text(text) => estimate(text),
        PromptPart::Image(_) => IMAGE,
        PromptPart::Document(document) => {
            DOCUMENT_PAGE * (document.data.len() as u64).div_ceil(PAGE_BYTES).max(1)
        }
        PromptPart::ToolCall(call) => {
            estimate(&call.name) + estimate(&call.arguments.to_string()) + MESSAGE_OVERHEAD
        }
        PromptPart::ToolResult(result) => {
            estimate(&result.text) + IMAGE * result.images.len() as u64 + MESSAGE_OVERHEAD
        }
    };
    message.parts.iter().map(part).sum::<u64>() + MESSAGE_OVERHEAD
}

/// Estimates what the description of tools costs in every request, in tokens.
pub fn estimate_tools(tools: &[ToolDefinition]) -> u64 {
    let tool = |tool: &ToolDefinition| {
        estimate(&tool.name)
            + estimate(&tool.description)
            + estimate(&tool.parameters.to_string())
            + MESSAGE_OVERHEAD
    };
    tools.iter().map(tool).sum()
}

/// Leaves out results of tools, the oldest first, until the messages fit into `budget` tokens. Those
/// behind the model's newest message stay: it has not read them yet.
pub fn shrink(messages: &mut [PromptMessage], budget: u64) {
    let mut tokens: u64 = messages.iter().map(estimate_message).sum();
    let unread = messages
        .iter()
        .rposition(|message| message.role == PromptRole::Assistant)
        .unwrap_or(0);
    for message in &mut messages[..unread] {
        if tokens <= budget {
            return;
        }
        let before = estimate_message(message);
        for part in &mut message.parts {
            if let PromptPart::ToolResult(result) = part
                && (result.text.len() > LEFT_OUT.len() || !result.images.is_empty())
            {
                LEFT_OUT.clone_into(&mut result.text);
                result.images.clear();
            }
        }
        tokens = tokens.saturating_sub(before - estimate_message(message).min(before));
    }
}

/// The part of a conversation that is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trimmed<'a> {
    /// The newest messages, oldest first.
    pub kept: &'a [PromptMessage],
    /// How many older messages are left out.
    pub dropped: usize,
    /// The estimate for what is kept.
    pub tokens: u64,
}

/// Takes as many of the newest messages as fit into `budget` tokens.
///
/// What is kept begins with a user message, because several providers insist on it. The last user
/// message and what follows it are always kept, even when they alone exceed the budget: the provider's
/// own answer says better than a guess whether they fit. A conversation without a user message has
/// nothing to answer and gives an empty part.
pub fn trim(messages: &[PromptMessage], budget: u64) -> Trimmed<'_> {
    let mut start = messages.len();
    let mut tokens = 0;
    let mut running = 0;
    for (index, message) in messages.iter().enumerate().rev() {
        running += estimate_message(message);
        let nothing_kept = start == messages.len();
        if running > budget && !nothing_kept {
            break;
        }
        if message.role == PromptRole::User {
            start = index;
            tokens = running;
        }
    }
    Trimmed {
        kept: &messages[start..],
        dropped: start,
        tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn estimates_round_up_and_count_wide_characters_whole() {
        assert_eq!(estimate(""), 0);
        assert_eq!(estimate("abcd"), 1);
        assert_eq!(estimate("abcde"), 2);
        assert_eq!(estimate("日本語"), 3);
    }

    #[test]
    fn the_newest_turns_that_fit_are_kept() {
        let turns = [
            PromptMessage::user("a".repeat(400)),
            PromptMessage::assistant("b".repeat(400)),
            PromptMessage::user("c".repeat(40)),
            PromptMessage::assistant("d".repeat(40)),
            PromptMessage::user("e".repeat(40)),
        ];
        let trimmed = trim(&turns, 60);
        assert_eq!(trimmed.kept, &turns[2..]);
        assert_eq!((trimmed.dropped, trimmed.tokens), (2, 42));
        assert_eq!(trim(&turns, 0).kept, &turns[4..]);
        assert_eq!(trim(&turns, 10_000).dropped, 0);
    }

    #[test]
    fn old_results_make_room_for_new_ones() {
        let result = |id: &str| {
            PromptMessage::results([crate::agent::model::ToolResult {
                call_id: id.into(),
                name: "read".into(),
                text: "x".repeat(4_000),
                images: Vec::new(),
                is_error: false,
            }])
        };
        let mut messages = vec![
            PromptMessage::user("go"),
            PromptMessage::assistant("one"),
            result("1"),
            PromptMessage::assistant("two"),
            result("2"),
            PromptMessage::assistant("three"),
            result("3"),
        ];
        let texts = |messages: &[PromptMessage]| {
            let results = messages.iter().flat_map(PromptMessage::tool_results);
            results.map(|result| result.text.len()).collect::<Vec<_>>()
        };
        shrink(&mut messages, 10_000);
        assert_eq!(texts(&messages), [4_000; 3]);
        shrink(&mut messages, 2_100);
        assert_eq!(texts(&messages), [LEFT_OUT.len(), 4_000, 4_000]);
        shrink(&mut messages, 1);
        assert_eq!(texts(&messages), [LEFT_OUT.len(), LEFT_OUT.len(), 4_000]);
    }

    #[test]
    fn a_conversation_without_a_user_is_empty() {
        assert!(trim(&[PromptMessage::assistant("hi")], 100).kept.is_empty());
        assert!(trim(&[], 100).kept.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_a_suffix_that_starts_with_a_user_and_holds_the_last_one(
            lengths in proptest::collection::vec((any::<bool>(), 0_usize..200), 0..20), budget in 0_u64..300,
        ) {
            let messages: Vec<_> = lengths
                .iter()
                .map(|(user, length)| {
                    let text = "x".repeat(*length);
                    if *user { PromptMessage::user(text) } else { PromptMessage::assistant(text) }
                })
                .collect();
            let last_user = messages.iter().rposition(|m| m.role == PromptRole::User);
            let trimmed = trim(&messages, budget);
            prop_assert_eq!(trimmed.kept, &messages[trimmed.dropped..]);
            prop_assert_eq!(trimmed.tokens, trimmed.kept.iter().map(estimate_message).sum::<u64>());
            match last_user {
                None => prop_assert!(trimmed.kept.is_empty()),
                Some(last) => {
                    prop_assert!(trimmed.dropped <= last);
                    prop_assert_eq!(trimmed.kept[0].role, PromptRole::User);
                    prop_assert!(trimmed.tokens <= budget || trimmed.dropped == last);
                }
            }
        }
    }
}
