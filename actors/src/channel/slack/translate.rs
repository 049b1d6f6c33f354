//! Slack's events as our messages, and ours as Slack's. Pure.

use serde::Deserialize;
use serde_json::{Value, json};

use super::format;
use crate::channel::{Attached, ChatKind, Inbound, Piece, Sender, Target};

/// We, as the platform says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Me {
    /// Our user.
    pub(super) user: String,
    /// Its name.
    pub(super) name: String,
    /// The bot of that user.
    pub(super) bot: String,
    /// The workspace.
    pub(super) team: String,
}

impl Me {
    /// From the answer of `auth.test`.
    pub(super) fn of(answer: &Value) -> Self {
        let text = |key| {
            answer
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            user: text("user_id"),
            name: text("user"),
            bot: text("bot_id"),
            team: text("team_id"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct File {
    name: Option<String>,
    mimetype: Option<String>,
    url_private: Option<String>,
    url_private_download: Option<String>,
    size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    subtype: Option<String>,
    channel: Option<String>,
    channel_type: Option<String>,
    user: Option<String>,
    username: Option<String>,
    bot_id: Option<String>,
    #[serde(default)]
    text: String,
    ts: Option<String>,
    thread_ts: Option<String>,
    parent_user_id: Option<String>,
    #[serde(default)]
    files: Vec<File>,
}

/// The workspaces that a callback is for, as far as it says: one that several share is for each of
/// those that the app is installed in.
pub(super) fn teams(callback: &Value) -> Vec<&str> {
    let authorizations = callback.get("authorizations").and_then(Value::as_array);
    let installed = authorizations.into_iter().flatten();
    installed
        .chain([callback])
        .filter_map(|one| one.get("team_id")?.as_str())
        .chain(callback.get("context_team_id").and_then(Value::as_str))
        .collect()
}

/// Whether a callback is for our workspace, or does not say for which: accounts of one app share what
/// Slack sends it with.
pub(super) fn is_ours(callback: &Value, me: &Me) -> bool {
    let teams = teams(callback);
    let everywhere = callback["authorizations"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["is_enterprise_install"] == true));
    me.team.is_empty() || teams.is_empty() || everywhere || teams.contains(&&*me.team)
}

/// The message of an event's callback; `None` where it is none for us.
pub(super) fn inbound(callback: &Value, me: &Me) -> Option<Inbound> {
    let event = callback.get("event")?.clone();
    let event: Event = match serde_json::from_value(event) {
        Ok(event) => event,
        // One that nobody understands must not hold up those behind it.
        Err(error) => {
            tracing::warn!(%error, "an event of Slack cannot be read");
            return None;
        }
    };
    let is_talk = match event.kind.as_str() {
        "app_mention" => true,
        // Joins, edits, deletions and the like are no messages.
        "message" => matches!(
            event.subtype.as_deref(),
            None | Some("file_share" | "thread_broadcast" | "me_message")
        ),
        _ => false,
    };
    let (channel, ts, user) = (
        event.channel.clone()?,
        event.ts.clone()?,
        event.user.clone()?,
    );
    // Bots do not talk with each other for ever.
    if !is_talk || event.bot_id.is_some() || user == me.user || user == "USLACKBOT" {
        return None;
    }
    let is_direct = event.channel_type.as_deref() == Some("im") || channel.starts_with('D');
    let mark = format!("<@{}", me.user);
    let named = event.kind == "app_mention"
        || event.text.contains(&mark)
        || event.parent_user_id.as_ref() == Some(&me.user);
    let files = files(&event);
    let text = plain(&event.text, me).trim().to_owned();
    if text.is_empty() && files.is_empty() {
        return None;
    }
    let team = callback.get("team_id").and_then(Value::as_str);
    let thread = event.thread_ts.filter(|thread| *thread != ts);
    Some(Inbound {
        // The same message comes as `message` and as `app_mention`.
        id: format!("{channel}:{ts}"),
        message_id: Some(ts.clone()),
        chat: Target {
            chat: channel,
            thread,
        },
        kind: if is_direct {
            ChatKind::Direct
        } else {
            ChatKind::Group
        },
        title: None,
        space: (!is_direct).then(|| team.unwrap_or(&me.team).to_owned()),
        sender: Sender {
            id: user,
            name: event.username,
            username: None,
        },
        roles: Vec::new(),
        mentioned: is_direct || named,
        text,
        quote: None,
        files,
        at: millis(&ts),
    })
}

/// Milliseconds of `1355517523.000005`.
fn millis(ts: &str) -> i64 {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, ""));
    let part: String = rest.chars().chain("000".chars()).take(3).collect();
    let seconds: i64 = seconds.parse().unwrap_or_default();
    seconds
        .saturating_mul(1_000)
        .saturating_add(part.parse().unwrap_or_default())
}

/// What came with it.
fn files(event: &Event) -> Vec<Attached> {
    let files = event.files.iter().map(|file| {
        let url = file.url_private_download.as_ref();
        Attached {
            id: url
                .or(file.url_private.as_ref())
                .cloned()
                .unwrap_or_default(),
            what: match file.mimetype.as_deref() {
                Some(mime) if mime.starts_with("image/") => "picture".to_owned(),
                Some(mime) if mime.starts_with("audio/") => "audio file".to_owned(),
                Some(mime) if mime.starts_with("video/") => "video".to_owned(),
                _ => "document".to_owned(),
            },
            name: file.name.clone(),
            mime: file.mimetype.clone(),
            bytes: file.size,
        }
    });
    files.collect()
}

/// Text as people see it: what stands in `<...>` are people, channels and links; we are left out.
fn plain(text: &str, me: &Me) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 1..];
        let Some(end) = inner.find('>') else {
            rest = &rest[at..];
            break;
        };
        let (what, label) = match inner[..end].split_once('|') {
            Some((what, label)) => (what, Some(label)),
            None => (&inner[..end], None),
        };
        match what.chars().next() {
            Some('@') if what[1..] == me.user => {}
            Some('@') => {
                out.push('@');
                out.push_str(label.unwrap_or(&what[1..]));
            }
            Some('#') => {
                out.push('#');
                out.push_str(label.unwrap_or(&what[1..]));
            }
            Some('!') => {
                out.push('@');
                out.push_str(label.unwrap_or(&what[1..]).trim_start_matches('@'));
            }
            _ => {
                out.push_str(what);
                if let Some(label) = label.filter(|label| !what.ends_with(label)) {
                    out.push_str(" (");
                    out.push_str(label);
                    out.push(')');
                }
            }
        }
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// The body of a message.
pub(super) fn outbound(piece: &Piece, channel: &str) -> Value {
    let mut body = json!({
        "channel": channel,
        "text": format::mrkdwn(&piece.text),
        "mrkdwn": true,
        "unfurl_links": false,
    });
    if let Some(thread) = &piece.to.thread {
        body["thread_ts"] = thread.as_str().into();
    }
    body
}
