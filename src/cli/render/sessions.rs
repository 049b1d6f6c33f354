//! `openclaw sessions`, and conversations wherever they are shown.

use openclaw_protocol::methods::chat::{ChatHistoryResult, Content, ContentPart, KnownPart};
use openclaw_protocol::methods::message::{Message, MessageRole};
use openclaw_protocol::methods::sessions::{SessionRow, SessionsListResult};

use super::Style;
use super::models::tokens;
use super::table::Columns;
use super::text::{Tone, plain, plain_lines};
use super::time::{ago, ago_or};
use super::wrap::wrapped;

/// The name under which the gateway itself answers commands.
pub const COMMAND: &str = openclaw_actors::agent::COMMAND_MODEL;
/// Longest title in a list, characters.
const TITLE: usize = 48;
/// Longest line about a tool, characters.
const TOOL_LINE: usize = 100;

/// The sessions as a table, newest first.
pub fn list(list: &SessionsListResult, style: &Style) -> String {
    if list.sessions.is_empty() {
        return "no conversation yet; begin one with `openclaw chat`\n".to_owned();
    }
    let mut table = Columns::new(style, &["session", "about", "model", "tokens", "last"]);
    for row in &list.sessions {
        let model = match (&row.model_provider, &row.model) {
            (Some(provider), Some(model)) => format!("{provider}/{model}"),
            (_, model) => model.clone().unwrap_or_default(),
        };
        let used = row.total_tokens.map(tokens).unwrap_or_default();
        let last = if row.has_active_run == Some(true) {
            ("runs now".to_owned(), Some(Tone::Good))
        } else {
            let then = row.last_activity_at.or(row.updated_at.0);
            (ago_or(style.now_ms, then, "never"), None)
        };
        table.toned(&[
            (&row.key, Some(Tone::Strong)),
            (&about(row), None),
            (&model, None),
            (&used, None),
            (&last.0, last.1),
        ]);
    }
    let mut out = table.keep_whole(0).keep_whole(4).render();
    let shown = list.sessions.len() as u64;
    if let Some(total) = list.total_count.filter(|total| *total > shown) {
        out += &(total - shown).to_string();
        out += " more; show them with --limit\n";
    }
    out
}

fn about(row: &SessionRow) -> String {
    let title = row
        .label
        .as_ref()
        .or(row.display_name.as_ref())
        .or(row.derived_title.as_ref())
        .or(row.last_message_preview.as_ref());
    cut(title.map_or("", String::as_str), TITLE)
}

/// The first line of a text, at most so many characters of it.
pub fn cut(text: &str, most: usize) -> String {
    let line = plain(text.lines().next().unwrap_or_default());
    if line.chars().count() <= most {
        return line;
    }
    let mut short: String = line.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// What was said, oldest first.
pub fn history(page: &ChatHistoryResult, style: &Style) -> String {
    if page.messages.is_empty() {
        return format!(
            "nothing was said in {}; `openclaw sessions list` shows the conversations\n",
            plain(&page.session_key)
        );
    }
    let mut out = String::new();
    if page.has_more == Some(true) {
        out += &style.paint(Tone::Faint, "older messages: --limit");
        out += "\n\n";
    }
    for message in &page.messages {
        out += &self::message(message, style);
    }
    out
}

/// One message with who said it and when.
pub fn message(message: &Message, style: &Style) -> String {
    let (who, tone) = match message.role {
        MessageRole::User => ("you".to_owned(), Tone::Good),
        MessageRole::Assistant => (
            match message.model.as_deref() {
                Some(COMMAND) => "gateway".into(),
                Some(model) => model.to_owned(),
                None => "agent".into(),
            },
            Tone::Strong,
        ),
        MessageRole::ToolResult => (
            message.tool_name.clone().unwrap_or_else(|| "tool".into()),
            Tone::Faint,
        ),
        MessageRole::Custom => ("gateway".to_owned(), Tone::Warn),
    };
    let when = message
        .timestamp
        .map(|then| format!("  {}", ago(style.now_ms, then)))
        .unwrap_or_default();
    let mut out = format!(
        "{}{}\n",
        style.paint(tone, &plain(&who)),
        style.paint(Tone::Faint, &when)
    );
    let body = match message.role {
        MessageRole::ToolResult => style.paint(Tone::Faint, &cut(&text(message), TOOL_LINE)),
        _ => wrapped(&text(message), style.width),
    };
    out += &body;
    if !body.ends_with('\n') {
        out.push('\n');
    }
    if let Some(error) = &message.error_message {
        out += &style.paint(Tone::Bad, &wrapped(&plain_lines(error), style.width));
        out.push('\n');
    }
    out.push('\n');
    out
}

/// The text of a message; what is no text is named.
pub fn text(message: &Message) -> String {
    let parts = match &message.content {
        Content::Text(text) => return plain_lines(text),
        Content::Parts(parts) => parts,
    };
    let shown = parts.iter().filter_map(|part| match part {
        ContentPart::Known(KnownPart::Text(text)) => Some(plain_lines(&text.text)),
        ContentPart::Known(KnownPart::ToolCall(call)) => {
            Some(tool_line(&call.name, &call.arguments.to_string()))
        }
        ContentPart::Known(KnownPart::Image(image)) => Some(format!(
            "[picture, {}]",
            plain(image.mime_type.as_deref().unwrap_or("unknown form"))
        )),
        _ => None,
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// A call of a tool in one line.
pub fn tool_line(name: &str, arguments: &str) -> String {
    cut(&format!("* {name} {arguments}"), TOOL_LINE)
}

/// A session was begun anew.
pub fn reset(key: &str) -> String {
    format!("{} begins anew with the next message\n", plain(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STYLE: Style = Style {
        colour: false,
        width: None,
        now_ms: 100_000,
    };

    #[test]
    fn a_conversation_reads_as_it_was_had() {
        let page: ChatHistoryResult = serde_json::from_value(json!({
            "sessionKey": "main", "nextOffset": null,
            "messages": [
                { "role": "user", "content": "hi\u{1b}[2J", "timestamp": 40_000 },
                { "role": "assistant", "model": "small", "timestamp": 41_000, "content": [
                    { "type": "thinking", "thinking": "hm" }, { "type": "text", "text": "Let me look." },
                    { "type": "toolCall", "id": "1", "name": "read", "arguments": { "path": "a" } },
                ] },
                { "role": "toolResult", "toolName": "read", "content": "one\ntwo" },
                { "role": "assistant", "content": "", "errorMessage": "no key" },
            ],
        }))
        .unwrap();
        assert_eq!(
            history(&page, &STYLE),
            "you  1 min ago\nhi\u{fffd}[2J\n\nsmall  59 s ago\nLet me look.\n* read {\"path\":\"a\"}\n\nread\none\n\nagent\n\nno key\n\n"
        );
    }

    #[test]
    fn sessions_are_listed_with_what_they_are_about() {
        let rows: SessionsListResult = serde_json::from_value(json!({
            "ts": 1, "path": "", "count": 1, "defaults": {}, "nextOffset": null, "totalCount": 3,
            "sessions": [{
                "key": "agent:main:main", "kind": "direct", "updatedAt": 40_000, "derivedTitle": "A\nB",
                "model": "small", "modelProvider": "mine", "totalTokens": 1_600,
            }],
        }))
        .unwrap();
        let text = list(&rows, &STYLE);
        let row = text.lines().nth(1).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>(),
            [
                "agent:main:main",
                "A",
                "mine/small",
                "2k",
                "1",
                "min",
                "ago"
            ]
        );
        assert!(text.ends_with("2 more; show them with --limit\n"), "{text}");
        assert_eq!(cut(&"x".repeat(60), 5), "xxxx…");
    }
}
