//! From the rows of a transcript to the conversation that a model is sent. Pure.

use std::collections::HashMap;

use base64::Engine as _;
use bytes::Bytes;
use openclaw_protocol::methods::message::{Content, ContentPart, KnownPart, Message, MessageRole};
use serde_json::Value;

use super::attached::{self, Files};
use super::model::{PromptImage, PromptMessage, PromptPart, PromptRole, ToolCall, ToolResult};
use super::steer;
use crate::media::Reference;

/// Key of a stored call under which its provider's signature is kept.
pub const SIGNATURE: &str = "thoughtSignature";
/// What a call without a result is answered with: the run ended while it was under way.
const NO_RESULT: &str = "no result is known: the run was stopped or the gateway restarted while the tool ran; it may have had its effect";

/// The rows as the run of message number `asked` has to see them, each with the number of its turn:
/// each answer behind its own question, that message last, and nothing that waits behind it.
///
/// `from` is the first turn that models see as it is. What belongs to an earlier one may stand behind
/// it in the transcript, and is left out with it.
pub fn turns(rows: Vec<Message>, asked: u64, from: u64) -> Vec<(u64, Message)> {
    let place = |row: &Message| {
        let meta = row.meta.as_ref()?;
        Some((meta.seq?, meta.run_id.clone()))
    };
    let questions: HashMap<String, u64> = rows
        .iter()
        .filter(|row| row.role == MessageRole::User)
        .filter_map(|row| place(row).and_then(|(seq, run)| Some((run?, seq))))
        .collect();
    let turn_of = |run: Option<&String>, seq| match run.map(|run| questions.get(run).copied()) {
        Some(Some(turn)) => Some(turn),
        Some(None) if from > 1 => None,
        _ => Some(seq),
    };
    // What a model heard in the middle of a run stands there, before the row that it wrote next.
    let mut heard: HashMap<u64, (Option<u64>, u64)> = HashMap::new();
    for row in &rows {
        if let Some((at, run)) = place(row) {
            let turn = turn_of(run.as_ref(), at);
            heard.extend(steer::heard(row).map(|seq| (seq, (turn, at))));
        }
    }
    let mut turns: Vec<((u64, u64, bool, u64), Message)> = rows
        .into_iter()
        .filter_map(|row| {
            let (seq, run) = place(&row)?;
            if row.meta.as_ref()?.command == Some(true) {
                return None;
            }
            let (turn, at) = match heard.get(&seq) {
                Some((turn, at)) => ((*turn)?, *at),
                None if row.role == MessageRole::User => (seq, seq),
                None => (turn_of(run.as_ref(), seq)?, seq),
            };
            let seen = turn >= from && (turn < asked || seq == asked);
            seen.then_some(((turn, at, at == seq, seq), row))
        })
        .collect();
    turns.sort_by_key(|(place, _)| *place);
    let numbered = turns.into_iter().map(|((turn, ..), row)| (turn, row));
    numbered.collect()
}

/// The conversation of a transcript: what people and models said, what tools were called and what they
/// gave back. Every call has exactly one result behind it, because providers insist on that; one that
/// is missing says so. `files` are the bytes of what came with messages.
pub fn conversation<'a>(
    rows: impl IntoIterator<Item = &'a Message>,
    files: &Files,
) -> Vec<PromptMessage> {
    let mut said: Vec<PromptMessage> = Vec::new();
    let mut open: Vec<ToolCall> = Vec::new();
    for row in rows {
        match row.role {
            MessageRole::ToolResult => {
                let id = row.tool_call_id.as_deref().unwrap_or_default();
                // A result whose call is not here belongs to what was cut off.
                if let Some(at) = open.iter().position(|call| call.id == id) {
                    said.push(PromptMessage::results([result(
                        row,
                        open.remove(at),
                        files,
                    )]));
                }
            }
            MessageRole::User | MessageRole::Assistant => {
                close(&mut said, &mut open);
                let role = if row.role == MessageRole::User {
                    PromptRole::User
                } else {
                    PromptRole::Assistant
                };
                let message = PromptMessage::of(role, parts(row, files));
                open.extend(message.calls().cloned());
                if !message.is_blank() {
                    said.push(message);
                }
            }
            MessageRole::Custom => {}
        }
    }
    close(&mut said, &mut open);
    said
}

/// Answers the calls that nothing answered.
fn close(said: &mut Vec<PromptMessage>, open: &mut Vec<ToolCall>) {
    for call in open.drain(..) {
        said.push(PromptMessage::results([ToolResult {
            call_id: call.id,
            name: call.name,
            text: NO_RESULT.to_owned(),
            images: Vec::new(),
            is_error: true,
        }]));
    }
}

fn result(row: &Message, call: ToolCall, files: &Files) -> ToolResult {
    let images = parts(row, files).into_iter().filter_map(|part| match part {
        PromptPart::Image(image) => Some(image),
        _ => None,
    });
    ToolResult {
        call_id: call.id,
        name: call.name,
        text: row.plain_text(),
        images: images.collect(),
        is_error: row.is_error == Some(true),
    }
}

fn parts(row: &Message, files: &Files) -> Vec<PromptPart> {
    match &row.content {
        Content::Text(text) => vec![PromptPart::Text(text.clone())],
        Content::Parts(parts) => parts.iter().filter_map(|part| one(part, files)).collect(),
    }
}

fn one(part: &ContentPart, files: &Files) -> Option<PromptPart> {
    if let Some(file) = Reference::of_part(part) {
        return Some(attached::part(&file, files));
    }
    let ContentPart::Known(part) = part else {
        return None;
    };
    match part {
        KnownPart::Text(text) => Some(PromptPart::Text(text.text.clone())),
        KnownPart::Thinking(_) => None,
        KnownPart::Image(image) => {
            let data = base64::engine::general_purpose::STANDARD.decode(image.data.as_deref()?);
            Some(PromptPart::Image(PromptImage {
                mime: image.mime_type.clone()?,
                data: Bytes::from(data.ok()?),
            }))
        }
        KnownPart::ToolCall(call) => Some(PromptPart::ToolCall(ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            signature: call
                .other
                .get(SIGNATURE)
                .and_then(Value::as_str)
                .map(str::to_owned),
        })),
    }
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::message::ToolCallPart;

    use super::*;

    fn row(seq: u64, role: MessageRole, text: &str, run: Option<&str>) -> Message {
        let mut row = Message::text(role, text, 0);
        let meta = row.meta.get_or_insert_default();
        meta.seq = Some(seq);
        meta.run_id = run.map(str::to_owned);
        row
    }

    #[test]
    fn a_message_that_waited_sees_the_answers_to_those_before_it() {
        use MessageRole::{Assistant, User};
        let rows = || {
            vec![
                row(1, User, "first", Some("a")),
                row(2, User, "second", Some("b")),
                row(3, User, "third", Some("c")),
                row(4, Assistant, "one", Some("a")),
                row(5, Assistant, "two", Some("b")),
            ]
        };
        let seen = |asked| {
            let rows = turns(rows(), asked, 1);
            let texts = rows.iter().map(|(_, row)| row.plain_text());
            texts.collect::<Vec<_>>()
        };
        assert_eq!(seen(1), ["first"]);
        assert_eq!(seen(2), ["first", "one", "second"]);
        assert_eq!(seen(3), ["first", "one", "second", "two", "third"]);
        // What was summarised is gone with its answers, wherever they stand.
        let tail: Vec<Message> = rows().into_iter().skip(1).collect();
        let kept = turns(tail, 3, 2);
        let kept: Vec<(u64, String)> = kept
            .into_iter()
            .map(|(turn, row)| (turn, row.plain_text()))
            .collect();
        let expected = [(2, "second"), (2, "two"), (3, "third")];
        assert_eq!(kept, expected.map(|(turn, text)| (turn, text.to_owned())));
    }

    #[test]
    fn what_steered_a_run_stands_where_its_model_heard_it() {
        let mut heard = row(6, MessageRole::Assistant, "as you say", Some("a"));
        let meta = heard.meta.get_or_insert_default();
        meta.other
            .insert("steered".into(), serde_json::json!([3, 5]));
        let rows = || {
            vec![
                row(1, MessageRole::User, "go", Some("a")),
                calls(2, &["x"]),
                row(3, MessageRole::User, "not there", Some("b")),
                answer_to(4, "x"),
                row(5, MessageRole::User, "here", Some("c")),
                heard.clone(),
                row(7, MessageRole::User, "next", Some("d")),
            ]
        };
        let places = |from| -> Vec<(u64, u64)> {
            let rows = turns(rows(), 7, from);
            let seq = |row: &Message| row.meta.as_ref().and_then(|meta| meta.seq).unwrap();
            rows.iter().map(|(turn, row)| (*turn, seq(row))).collect()
        };
        assert_eq!(
            places(1),
            [(1, 1), (1, 2), (1, 4), (1, 3), (1, 5), (1, 6), (7, 7)]
        );
        assert_eq!(places(7), [(7, 7)], "it goes with its run");
    }

    fn calls(seq: u64, ids: &[&str]) -> Message {
        let mut row = row(seq, MessageRole::Assistant, "", Some("a"));
        let call = |id: &&str| {
            ContentPart::Known(KnownPart::ToolCall(ToolCallPart {
                id: (*id).to_owned(),
                name: "read".into(),
                arguments: serde_json::json!({}),
                other: serde_json::Map::new(),
            }))
        };
        row.content = Content::Parts(ids.iter().map(call).collect());
        row
    }

    fn answer_to(seq: u64, id: &str) -> Message {
        let mut row = row(seq, MessageRole::ToolResult, "done", Some("a"));
        row.tool_call_id = Some(id.into());
        row
    }

    #[test]
    fn every_call_has_one_result_also_after_a_crash() {
        let rows = [
            answer_to(1, "cut off"),
            row(2, MessageRole::User, "go", Some("a")),
            calls(3, &["x", "y", "z"]),
            answer_to(4, "y"),
            answer_to(5, "y"),
            answer_to(6, "x"),
            row(7, MessageRole::User, "and now?", Some("b")),
            calls(8, &["w"]),
        ];
        let said = conversation(&rows, &Files::new());
        let results: Vec<(&str, bool)> = said
            .iter()
            .flat_map(PromptMessage::tool_results)
            .map(|result| (result.call_id.as_str(), result.is_error))
            .collect();
        assert_eq!(
            results,
            [("y", false), ("x", false), ("z", true), ("w", true)]
        );
        let roles: Vec<PromptRole> = said.iter().map(|message| message.role).collect();
        assert_eq!(
            roles,
            [
                PromptRole::User,
                PromptRole::Assistant,
                PromptRole::Tool,
                PromptRole::Tool,
                PromptRole::Tool,
                PromptRole::User,
                PromptRole::Assistant,
                PromptRole::Tool
            ]
        );
    }
}
