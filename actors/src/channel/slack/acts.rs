//! What else than text Slack takes: files, reactions, edits, deletions, pins.

use serde_json::json;

use super::api::ApiError;
use super::{Slack, format};
use crate::channel::files::{Takes, Upload};
use crate::channel::{Act, ChannelError, Piece, SendFailure};

/// Names of what it can do.
pub(super) const NAMES: &[&str] = &["react", "edit", "delete", "pin", "unpin"];
/// What it takes; more than that belongs to where files are kept.
pub(super) const TAKES: Takes = Takes {
    max_bytes: 20 * 1024 * 1024,
    caption: 4_000,
    mute_sounds: false,
};
/// Emoji that people write as themselves, by the names that the platform has for them.
const EMOJI: &[(&str, &str)] = &[
    ("👍", "+1"),
    ("👎", "-1"),
    ("❤️", "heart"),
    ("❤", "heart"),
    ("😂", "joy"),
    ("😀", "grinning"),
    ("🙂", "slightly_smiling_face"),
    ("🎉", "tada"),
    ("👀", "eyes"),
    ("✅", "white_check_mark"),
    ("❌", "x"),
    ("🔥", "fire"),
    ("🙏", "pray"),
    ("🚀", "rocket"),
    ("👏", "clap"),
    ("🤔", "thinking_face"),
    ("⚠️", "warning"),
    ("⏳", "hourglass_flowing_sand"),
    ("💯", "100"),
    ("😢", "cry"),
];

/// The platform's name of an emoji.
pub(super) fn name(emoji: &str) -> Result<String, SendFailure> {
    let known = EMOJI.iter().find(|(own, _)| *own == emoji.trim());
    if let Some((_, name)) = known {
        return Ok((*name).to_owned());
    }
    let name = emoji.trim().trim_matches(':');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-'".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(SendFailure::Refused(format!(
            "\"{emoji}\" is no emoji that Slack knows by this name; write its name, such as thumbsup"
        )));
    }
    Ok(name.to_owned())
}

pub(super) async fn act(slack: &Slack, channel: &str, act: &Act) -> Result<(), SendFailure> {
    let (method, body) = match act {
        Act::React { message, emoji } => {
            let Some(emoji) = emoji else {
                return none_any_more(slack, channel, message).await;
            };
            let body = json!({ "channel": channel, "timestamp": message, "name": name(emoji)? });
            ("reactions.add", body)
        }
        Act::Edit { message, text } => (
            "chat.update",
            json!({ "channel": channel, "ts": message, "text": format::mrkdwn(text) }),
        ),
        Act::Delete { message } => ("chat.delete", json!({ "channel": channel, "ts": message })),
        Act::Pin { message, pinned } => (
            if *pinned { "pins.add" } else { "pins.remove" },
            json!({ "channel": channel, "timestamp": message }),
        ),
        Act::Poll(_) => {
            return Err(SendFailure::Refused(
                "Slack has no polls of its own; ask in a message, and let people react".into(),
            ));
        }
    };
    match slack.call(method, &body).await {
        Ok(_) => Ok(()),
        // It is so already.
        Err(ApiError::Refused(why))
            if matches!(why.as_str(), "already_reacted" | "already_pinned") =>
        {
            Ok(())
        }
        Err(error) => Err(error.of_send()),
    }
}

/// Takes away every emoji that we set at a message; the platform takes them away one by one.
async fn none_any_more(slack: &Slack, channel: &str, message: &str) -> Result<(), SendFailure> {
    let me = slack.call("auth.test", &json!({})).await;
    let me = me.map_err(ApiError::of_send)?;
    let me = me["user_id"].as_str().unwrap_or_default().to_owned();
    let fields = [
        ("channel", channel),
        ("timestamp", message),
        ("full", "true"),
    ];
    let found = slack.api.form(&slack.bot_token, "reactions.get", &fields);
    let found = found.await.map_err(ApiError::of_send)?;
    let all = found["message"]["reactions"].as_array();
    for own in all.into_iter().flatten() {
        let users = own["users"].as_array();
        if !users.is_some_and(|users| users.iter().any(|user| *user == *me)) {
            continue;
        }
        let body = json!({ "channel": channel, "timestamp": message, "name": own["name"] });
        match slack.call("reactions.remove", &body).await {
            Ok(_) => {}
            Err(ApiError::Refused(why)) if why == "no_reaction" => {}
            Err(error) => return Err(error.of_send()),
        }
    }
    Ok(())
}

/// Whether a message of ours says this now; not where it is gone.
pub(super) async fn edited(
    slack: &Slack,
    channel: &str,
    message: &str,
    text: &str,
) -> Result<bool, SendFailure> {
    let edit = Act::Edit {
        message: message.to_owned(),
        text: text.to_owned(),
    };
    match act(slack, channel, &edit).await {
        Ok(()) => Ok(true),
        Err(SendFailure::Refused(_)) => Ok(false),
        // To say the same again changes nothing, so it may be tried again.
        Err(SendFailure::Unknown(why)) => Err(SendFailure::NotSent(ChannelError::Transient(why))),
        Err(SendFailure::NotSent(error)) => Err(SendFailure::NotSent(error)),
    }
}

/// Sends a file. Nobody sees anything of it before the last of the three steps.
pub(super) async fn upload(
    slack: &Slack,
    channel: &str,
    piece: &Piece,
    file: &Upload,
) -> Result<String, SendFailure> {
    let unseen = |error: ApiError| match error.of_send() {
        SendFailure::Unknown(why) => SendFailure::NotSent(ChannelError::Transient(why)),
        other => other,
    };
    let length = file.bytes.len().to_string();
    let fields = [("filename", file.name.as_str()), ("length", &length)];
    let place = slack
        .api
        .form(&slack.bot_token, "files.getUploadURLExternal", &fields)
        .await
        .map_err(unseen)?;
    let text = |key: &str| place[key].as_str().unwrap_or_default();
    let handed = slack.api.upload(text("upload_url"), file.bytes.clone());
    handed.await.map_err(unseen)?;
    let mut body = json!({
        "files": [{ "id": text("file_id"), "title": file.name }],
        "channel_id": channel,
    });
    if !piece.text.is_empty() {
        body["initial_comment"] = format::mrkdwn(&piece.text).into();
    }
    if let Some(thread) = &piece.to.thread {
        body["thread_ts"] = thread.as_str().into();
    }
    let done = slack.call("files.completeUploadExternal", &body).await;
    let done = done.map_err(ApiError::of_send)?;
    // The message that shows it, where the platform names it.
    let shares = &done["files"][0]["shares"];
    let shared = ["public", "private"].iter().find_map(|kind| {
        let shown = &shares[*kind][channel][0]["ts"];
        shown.as_str().map(str::to_owned)
    });
    Ok(shared.unwrap_or_else(|| text("file_id").to_owned()))
}
