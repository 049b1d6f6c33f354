//! The words of `imsg rpc`: every method that is used and every error that is understood is here, as the
//! page docs/rpc.md of openclaw/imsg has them. Pure.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::channel::{ChannelError, SendFailure};

/// The version of the protocol that is spoken.
const VERSION: u64 = 1;

/// What it can do, and how it is.
pub(super) const STATUS: &str = "status";
/// The newest chats.
pub(super) const CHATS: &str = "chats.list";
/// The newest messages of a chat.
pub(super) const HISTORY: &str = "messages.history";
/// Messages in their order behind a row.
pub(super) const AFTER: &str = "messages.after";
/// Messages as they come.
pub(super) const SUBSCRIBE: &str = "watch.subscribe";
/// A message.
pub(super) const SEND: &str = "send";
/// A message that answers another.
pub(super) const RICH: &str = "send.rich";
/// A file, and nothing beside it.
pub(super) const ATTACHMENT: &str = "send.attachment";
/// A reaction.
pub(super) const TAPBACK: &str = "tapback";
/// One of ours says something else.
pub(super) const EDIT: &str = "message.edit";
/// One of ours goes.
pub(super) const UNSEND: &str = "message.unsend";

/// A message that came.
pub(super) const MESSAGE: &str = "message";
/// Too many came at once; what follows is asked for.
pub(super) const OVERFLOW: &str = "watch.overflow";

/// More than it holds at a time.
const BUSY: i64 = -32_000;
/// It may have happened.
const UNCERTAIN: i64 = -32_001;
/// Its database cannot be read now.
const NO_DATABASE: i64 = -32_002;
/// What is needed in Messages itself does not run.
const NO_BRIDGE: i64 = -32_003;
/// An earlier one is not over.
const BLOCKED: i64 = -32_004;
/// No such method.
const NO_METHOD: i64 = -32_601;
/// Not so.
const PARAMS: i64 = -32_602;
/// It failed.
const INTERNAL: i64 = -32_603;

/// Every method that is used.
#[cfg(any(test, feature = "testing"))]
pub const METHODS: &[&str] = &[
    STATUS, CHATS, HISTORY, AFTER, SUBSCRIBE, SEND, RICH, ATTACHMENT, TAPBACK, EDIT, UNSEND,
];
/// Every notification that is understood.
#[cfg(any(test, feature = "testing"))]
pub const NOTIFICATIONS: &[&str] = &[MESSAGE, OVERFLOW];
/// Every error that is understood by its number.
#[cfg(any(test, feature = "testing"))]
pub const ERRORS: &[i64] = &[
    BUSY,
    UNCERTAIN,
    NO_DATABASE,
    NO_BRIDGE,
    BLOCKED,
    NO_METHOD,
    PARAMS,
    INTERNAL,
];

/// A line of its output.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// The answer to a request.
    Answer(u64, Result<Value, Fault>),
    /// Something that it says by itself.
    Notification(String, Value),
    /// Not a word of the protocol.
    Noise,
}

/// An error in an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    /// Its number.
    pub(super) code: i64,
    /// In its words.
    pub(super) why: String,
    /// It says that nothing began.
    pub(super) retry_safe: bool,
    /// It says what became of it.
    pub(super) disposition: Option<String>,
}

/// Reads a line. Only what is JSON-RPC 2.0 to the letter counts.
pub(super) fn line(text: &str) -> Line {
    let Ok(Value::Object(line)) = serde_json::from_str::<Value>(text) else {
        return Line::Noise;
    };
    if line.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Line::Noise;
    }
    if let Some(method) = line.get("method").and_then(Value::as_str) {
        let params = line.get("params").cloned().unwrap_or_default();
        return Line::Notification(method.to_owned(), params);
    }
    let Some(id) = line.get("id").and_then(Value::as_u64) else {
        return Line::Noise;
    };
    match (line.get("result"), line.get("error")) {
        (Some(result), None) => Line::Answer(id, Ok(result.clone())),
        (None, Some(error)) => Line::Answer(id, Err(fault(error))),
        _ => Line::Noise,
    }
}

fn fault(error: &Value) -> Fault {
    let data = error.get("data");
    let of_data = |key: &str| data.and_then(|data| data.get(key));
    let message = error.get("message").and_then(Value::as_str);
    let detail = of_data("detail").or(data).and_then(Value::as_str);
    let words: Vec<&str> = message.into_iter().chain(detail).collect();
    Fault {
        code: error
            .get("code")
            .and_then(Value::as_i64)
            .unwrap_or(INTERNAL),
        why: words.join(": "),
        retry_safe: of_data("retry_safe").and_then(Value::as_bool) == Some(true),
        disposition: of_data("disposition")
            .and_then(Value::as_str)
            .map(str::to_owned),
    }
}

impl Fault {
    /// Whether it has no such method: an older one.
    pub(super) const fn is_no_method(&self) -> bool {
        self.code == NO_METHOD
    }

    /// Whether nothing more can be sent until it is started anew.
    pub(super) const fn is_blocked(&self) -> bool {
        self.code == BLOCKED
    }

    /// As the end of a transport.
    pub(super) fn class(&self) -> ChannelError {
        match self.code {
            NO_DATABASE => no_database(&self.why),
            BUSY => ChannelError::RateLimited {
                delay: Duration::from_secs(2),
                why: format!("imsg is busy: {}", self.why),
            },
            _ => ChannelError::Transient(format!("imsg answered: {} ({})", self.why, self.code)),
        }
    }

    /// As the end of a send. What may have left is never tried again, whatever else it says.
    pub(super) fn of_send(&self) -> SendFailure {
        let not_started = self.retry_safe
            && (self.disposition.as_deref()).is_none_or(|what| what == "not_started");
        match self.code {
            _ if not_started => SendFailure::NotSent(self.class()),
            BUSY | NO_DATABASE => SendFailure::NotSent(self.class()),
            UNCERTAIN | BLOCKED | INTERNAL => {
                SendFailure::Unknown(format!("imsg answered: {} ({})", self.why, self.code))
            }
            NO_BRIDGE => SendFailure::Refused(format!(
                "that needs Messages itself: run `imsg launch` on the Mac ({})",
                self.why
            )),
            NO_METHOD => SendFailure::Refused(
                "this imsg cannot do that; update it: brew upgrade imsg".into(),
            ),
            PARAMS => SendFailure::Refused(format!("imsg refused it: {}", self.why)),
            _ => SendFailure::Unknown(format!("imsg answered: {} ({})", self.why, self.code)),
        }
    }
}

/// What is said where the database of Messages cannot be read.
pub(super) fn no_database(why: &str) -> ChannelError {
    ChannelError::Transient(format!(
        "imsg cannot read the Messages database ({why}); give Full Disk Access to the program that starts it, in System Settings, Privacy & Security"
    ))
}

/// What it can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Methods that work now.
    methods: Vec<String>,
    /// The database, by its path.
    pub(super) database: String,
    /// Whether any emoji can be a reaction.
    any_emoji: bool,
}

impl Abilities {
    /// Whether a method works now.
    pub(super) fn has(&self, method: &str) -> bool {
        self.methods.iter().any(|own| own == method)
    }

    /// Reads the answer to [`STATUS`].
    pub(super) fn of(status: &Value) -> Result<Self, ChannelError> {
        let version = status.get("protocol_version").and_then(Value::as_u64);
        if version.is_some_and(|version| version != VERSION) {
            return Err(ChannelError::Auth(format!(
                "this imsg speaks another protocol ({}), and 1 is needed; install another version, then: openclaw channels start imessage",
                version.unwrap_or_default()
            )));
        }
        let database = &status["database"];
        if database["ready"] == false {
            let why = database["error"].as_str().unwrap_or("it is not ready");
            return Err(no_database(why));
        }
        let methods = status["methods"].as_array().into_iter().flatten();
        let emoji = &status["capabilities"]["features"]["tapback.emoji"];
        Ok(Self {
            methods: methods
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            database: database["path"].as_str().unwrap_or_default().to_owned(),
            any_emoji: emoji.as_u64() >= Some(2),
        })
    }

    /// The params of an emoji as a reaction.
    pub(super) fn reaction(&self, emoji: &str) -> Result<(&'static str, String), String> {
        let plain: String = emoji.chars().filter(|c| *c != '\u{fe0f}').collect();
        let kind = match plain.as_str() {
            "❤" => "love",
            "👍" => "like",
            "👎" => "dislike",
            "😂" => "laugh",
            "‼" => "emphasis",
            "❓" => "question",
            _ if self.any_emoji => return Ok(("emoji", emoji.to_owned())),
            _ => {
                return Err(format!(
                    "this imsg reacts with ❤️ 👍 👎 😂 ‼️ and ❓, not with {emoji}"
                ));
            }
        };
        Ok(("reaction", kind.to_owned()))
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    id: i64,
}

/// The newest row in an answer to [`HISTORY`].
pub(super) fn newest(answer: &Value) -> Option<i64> {
    let rows = answer.get("messages")?.as_array()?.iter();
    rows.filter_map(|row| Some(Row::deserialize(row).ok()?.id))
        .max()
}

/// A page of [`AFTER`].
pub(super) fn page(from: i64) -> Value {
    json!({ "since_rowid": from, "limit": 100, "attachments": true, "include_reactions": true })
}

/// Params of [`SUBSCRIBE`].
pub(super) fn watch(from: i64) -> Value {
    json!({ "since_rowid": from, "attachments": true, "include_reactions": true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_rpc_to_the_letter_counts() {
        let answer = line(r#"{"jsonrpc":"2.0","id":3,"result":{"ok":true}}"#);
        assert_eq!(answer, Line::Answer(3, Ok(json!({ "ok": true }))));
        for noise in [
            "Welcome to this Mac",
            "[]",
            r#"{"id":3,"result":{}}"#,
            r#"{"jsonrpc":"1.0","id":3,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"3","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":3}"#,
            r#"{"jsonrpc":"2.0","id":3,"result":{},"error":{}}"#,
        ] {
            assert_eq!(line(noise), Line::Noise, "{noise}");
        }
    }

    #[test]
    fn what_may_have_left_is_never_tried_again() {
        let end = |code: i64, data: Value| {
            fault(&json!({ "code": code, "message": "no", "data": data })).of_send()
        };
        let data = |safe: bool, what: &str| json!({ "retry_safe": safe, "disposition": what, "transport": "bridge", "operation": "send", "detail": "x" });
        for (code, data) in [
            (UNCERTAIN, data(false, "may_have_completed")),
            (UNCERTAIN, data(false, "still_in_flight")),
            (UNCERTAIN, data(true, "may_have_completed")),
            (BLOCKED, data(false, "still_in_flight")),
            (INTERNAL, json!("Automation failed")),
            (-1, Value::Null),
        ] {
            let end = end(code, data);
            assert!(matches!(end, SendFailure::Unknown(_)), "{code}: {end:?}");
        }
        for (code, data) in [
            (UNCERTAIN, data(true, "not_started")),
            (BLOCKED, data(true, "not_started")),
            (BUSY, Value::Null),
            (NO_DATABASE, json!("gone")),
        ] {
            let end = end(code, data);
            assert!(matches!(end, SendFailure::NotSent(_)), "{code}: {end:?}");
        }
        for code in [NO_METHOD, PARAMS, NO_BRIDGE] {
            assert!(matches!(end(code, Value::Null), SendFailure::Refused(_)));
        }
    }

    #[test]
    fn reactions_are_those_that_this_mac_can_send() {
        let mut abilities = Abilities::default();
        assert_eq!(abilities.reaction("❤️"), Ok(("reaction", "love".into())));
        assert!(abilities.reaction("🎉").is_err());
        abilities.any_emoji = true;
        assert_eq!(abilities.reaction("🎉"), Ok(("emoji", "🎉".into())));
    }
}
