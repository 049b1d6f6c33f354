//! What else than sending Signal can do with messages.

use serde_json::{Value, json};

use super::translate::{self, Me};
use crate::channel::{Act, SendFailure, Target};

/// Their names.
pub(super) const NAMES: &[&str] = &["react", "edit", "delete"];

/// The method and params of one. `is_ours` says whether we wrote the message of this time.
pub(super) fn request(
    to: &Target,
    act: &Act,
    me: &Me,
    is_ours: impl Fn(u64) -> bool,
) -> Result<(&'static str, Value), SendFailure> {
    let unknown = |id: &str| {
        SendFailure::Refused(format!(
            "\"{id}\" is no message of Signal; it is the message's time in milliseconds, with :AUTHOR (a number, or uuid:...) where somebody else wrote it in a group"
        ))
    };
    let find = |id: &str| translate::message_of(id, to, me).ok_or_else(|| unknown(id));
    // What is edited or deleted is ours.
    let own = |id: &str| find(id).map(|(at, _)| at);
    let mut params = translate::recipient(to);
    let method = match act {
        Act::React { message, emoji } => {
            let (at, mut author) = find(message)?;
            if !message.contains(':') && is_ours(at) {
                author.clone_from(&me.number);
            }
            params["targetAuthor"] = author.strip_prefix("uuid:").unwrap_or(&author).into();
            params["targetTimestamp"] = at.into();
            // One that is taken back is named, too; Signal has one of each person at a message.
            params["emoji"] = emoji.as_deref().unwrap_or("👍").into();
            if emoji.is_none() {
                params["remove"] = true.into();
            }
            "sendReaction"
        }
        Act::Edit { message, text } => {
            let styled = crate::channel::styled::styled(text);
            params["message"] = styled.text.into();
            if !styled.styles.is_empty() {
                params["textStyle"] = styled.styles.into();
            }
            params["editTimestamp"] = own(message)?.into();
            "send"
        }
        Act::Delete { message } => {
            params["targetTimestamp"] = own(message)?.into();
            "remoteDelete"
        }
        Act::Pin { .. } | Act::Poll(_) => {
            return Err(SendFailure::Refused(
                "signal-cli cannot do that; it can react, edit and delete".into(),
            ));
        }
    };
    Ok((method, params))
}

/// That a message was read by somebody who may write.
pub(super) fn read_receipt(to: &Target, times: &[u64]) -> Value {
    let mut params = translate::recipient(to);
    // One person reads: signal-cli takes no list here.
    let person = params["recipient"][0].take();
    params = json!({ "recipient": person, "targetTimestamp": times, "type": "read" });
    params
}
