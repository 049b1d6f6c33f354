//! What else than sending Discord can do with messages.

use serde_json::Value;

use super::api::{Api, ApiError, Method};
use super::translate;
use crate::channel::{Act, SendFailure};

/// Their names.
pub(super) const NAMES: &[&str] = &["react", "edit", "delete", "pin", "unpin"];

pub(super) async fn act(api: &Api, channel: &str, act: &Act) -> Result<(), SendFailure> {
    let place = |message: &str| Ok(format!("/channels/{channel}/messages/{}", id(message)?));
    let (method, path, body) = match act {
        Act::React { message, emoji } => {
            let path = format!("{}/reactions", place(message)?);
            match emoji {
                Some(emoji) => (
                    Method::Put,
                    format!("{path}/{}/@me", in_path(emoji.trim_matches(':'))),
                    None,
                ),
                None => return none_any_more(api, &place(message)?).await,
            }
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
        Act::Poll(_) => {
            return Err(SendFailure::Refused(
                "polls on Discord are not supported".into(),
            ));
        }
    };
    let done = api.call(method, &path, body.as_ref()).await;
    done.map(|_| ()).map_err(ApiError::of_send)
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
