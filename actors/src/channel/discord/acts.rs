//! What else than sending Discord can do with messages.

use serde_json::{Value, json};

use super::api::{Api, ApiError, Method};
use super::translate;
use crate::channel::{Act, Poll, SendFailure};

/// Their names.
pub(super) const NAMES: &[&str] = &["react", "edit", "delete", "pin", "unpin", "poll"];
/// Longest question and option of a poll, characters.
const QUESTION: usize = 300;
const OPTION: usize = 55;
/// Most options of a poll.
const OPTIONS: usize = 10;
/// Longest time that a poll is open, hours; and how long it is where nothing is said.
const OPEN: u64 = 768;
const USUAL: u64 = 24;

/// The body of a message that asks people to choose.
pub(super) fn poll(poll: &Poll) -> Result<Value, SendFailure> {
    let refused = |why: String| Err(SendFailure::Refused(why));
    if poll.question.chars().count() > QUESTION {
        return refused(format!(
            "a question on Discord has at most {QUESTION} characters"
        ));
    }
    if poll.options.len() > OPTIONS {
        return refused(format!("a poll on Discord has at most {OPTIONS} options"));
    }
    if poll
        .options
        .iter()
        .any(|text| text.chars().count() > OPTION)
    {
        return refused(format!(
            "an option on Discord has at most {OPTION} characters"
        ));
    }
    let hours = poll
        .seconds
        .map_or(USUAL, |seconds| seconds.div_ceil(3_600));
    if !(1..=OPEN).contains(&hours) {
        return refused(format!("a poll on Discord is open for 1 to {OPEN} hours"));
    }
    let answers = poll.options.iter();
    let answers: Vec<Value> = answers
        .map(|text| json!({ "poll_media": { "text": text } }))
        .collect();
    let mut body = json!({ "poll": {
        "question": { "text": poll.question },
        "answers": answers,
        "duration": hours,
        "allow_multiselect": poll.most > 1,
    } });
    if poll.silent {
        body["flags"] = translate::SILENT.into();
    }
    Ok(body)
}

/// Gives back the id of a message that arose.
pub(super) async fn act(
    api: &Api,
    channel: &str,
    act: &Act,
) -> Result<Option<String>, SendFailure> {
    let place = |message: &str| Ok(format!("/channels/{channel}/messages/{}", id(message)?));
    let (method, path, body) = match act {
        Act::React { message, emoji } => {
            let path = format!("{}/reactions", place(message)?);
            let Some(emoji) = emoji else {
                none_any_more(api, &place(message)?).await?;
                return Ok(None);
            };
            let emoji = in_path(emoji.trim_matches(':'));
            (Method::Put, format!("{path}/{emoji}/@me"), None)
        }
        Act::Edit { message, text } => {
            (Method::Patch, place(message)?, Some(translate::words(text)))
        }
        Act::Delete { message } => (Method::Delete, place(message)?, None),
        Act::Pin { message, pinned } => {
            let method = if *pinned { Method::Put } else { Method::Delete };
            let path = format!("/channels/{channel}/pins/{}", id(message)?);
            (method, path, None)
        }
        Act::Poll(asked) => {
            let path = format!("/channels/{channel}/messages");
            (Method::Post, path, Some(poll(asked)?))
        }
    };
    let done = api.call(method, &path, body.as_ref()).await;
    let done = done.map_err(ApiError::of_send)?;
    let is_new = matches!(act, Act::Poll(_));
    Ok(done["id"].as_str().filter(|_| is_new).map(str::to_owned))
}

/// Takes away every emoji that we set at a message; the platform takes them away one by one.
async fn none_any_more(api: &Api, message: &str) -> Result<(), SendFailure> {
    let found = api.call(Method::Get, message, None).await;
    let found = found.map_err(ApiError::of_send)?;
    let all = found.get("reactions").and_then(Value::as_array);
    let ours = all.into_iter().flatten().filter(|one| one["me"] == true);
    for own in ours {
        let emoji = &own["emoji"];
        let name = emoji["name"].as_str().unwrap_or_default();
        let emoji = match emoji["id"].as_str() {
            Some(id) => format!("{name}:{id}"),
            None => name.to_owned(),
        };
        let path = format!("{message}/reactions/{}/@me", in_path(&emoji));
        let gone = api.call(Method::Delete, &path, None).await;
        gone.map_err(ApiError::of_send)?;
    }
    Ok(())
}

/// A message's id; it becomes part of an address.
fn id(message: &str) -> Result<&str, SendFailure> {
    let is_id = !message.is_empty() && message.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then_some(message).ok_or_else(|| {
        SendFailure::Refused(format!(
            "\"{message}\" is no message id of Discord (a number)"
        ))
    })
}

/// Text as one part of an address.
pub(super) fn in_path(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
