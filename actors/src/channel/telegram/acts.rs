//! What else than sending Telegram can do with messages.

use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, ApiError};
use super::format;
use super::translate::place;
use super::wire::Sent;
use crate::channel::{Act, Poll, SendFailure, Target};

/// Their names.
pub(super) const NAMES: &[&str] = &["react", "edit", "delete", "pin", "unpin", "poll"];
/// Longest and shortest time that a poll is open, seconds.
const OPEN: std::ops::RangeInclusive<u64> = 5..=600;
/// Most options of a poll.
const OPTIONS: usize = 12;

pub(super) async fn act(
    api: &Api,
    limit: Duration,
    to: &Target,
    act: &Act,
) -> Result<Option<String>, SendFailure> {
    let mut body = place(to);
    if let (Value::Object(body), false) = (&mut body, matches!(act, Act::Poll(_))) {
        body.remove("message_thread_id");
    }
    let method = match act {
        Act::React { message, emoji } => {
            body["message_id"] = id(message)?;
            let reaction = emoji.iter();
            body["reaction"] = reaction
                .map(|emoji| json!({ "type": "emoji", "emoji": emoji }))
                .collect();
            "setMessageReaction"
        }
        Act::Edit { message, text } => {
            body["message_id"] = id(message)?;
            body["text"] = format::html(text).into();
            body["parse_mode"] = "HTML".into();
            "editMessageText"
        }
        Act::Delete { message } => {
            body["message_id"] = id(message)?;
            "deleteMessage"
        }
        Act::Pin { message, pinned } => {
            body["message_id"] = id(message)?;
            if *pinned {
                "pinChatMessage"
            } else {
                "unpinChatMessage"
            }
        }
        Act::Poll(poll) => {
            ask(poll, &mut body)?;
            let sent = api.call::<Sent>("sendPoll", &body, limit).await;
            return sent
                .map(|sent| Some(sent.message_id.to_string()))
                .map_err(ApiError::of_send);
        }
    };
    match api.call::<Value>(method, &body, limit).await {
        Ok(_) => Ok(None),
        // It says so already.
        Err(ApiError::Answered { description, .. })
            if description.contains("message is not modified") =>
        {
            Ok(None)
        }
        Err(error) => Err(error.of_send()),
    }
}

fn id(message: &str) -> Result<Value, SendFailure> {
    let number = message.parse::<i64>();
    number.map(Value::from).map_err(|_| {
        SendFailure::Refused(format!(
            "\"{message}\" is no message id of Telegram (a number)"
        ))
    })
}

fn ask(poll: &Poll, body: &mut Value) -> Result<(), SendFailure> {
    let refused = |why: String| Err(SendFailure::Refused(why));
    if poll.options.len() > OPTIONS {
        return refused(format!("a poll of Telegram has at most {OPTIONS} options"));
    }
    if let Some(seconds) = poll.seconds {
        if !OPEN.contains(&seconds) {
            return refused(format!(
                "a poll of Telegram is open for {} to {} seconds",
                OPEN.start(),
                OPEN.end()
            ));
        }
        body["open_period"] = seconds.into();
    }
    body["question"] = poll.question.clone().into();
    let options = poll.options.iter();
    body["options"] = options.map(|text| json!({ "text": text })).collect();
    body["allows_multiple_answers"] = (poll.most > 1).into();
    body["is_anonymous"] = poll.anonymous.into();
    if poll.silent {
        body["disable_notification"] = true.into();
    }
    Ok(())
}
