//! `message`: what an agent says to people on channels, besides its answer.
//!
//! A run that a chat began may write to other chats of its channel, and to other channels only where
//! the configuration says so: what somebody writes in one place must not speak in another by default.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openclaw_protocol::methods::messaging::{MessageAction, MessageActionParams, Send, SendParams};
use openclaw_protocol::{Method, Scope, Scopes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Chat, Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
    workspace,
};
use crate::channel::settings::ChannelsSettings;
use crate::channel::{AccountRef, Target, sends};
use crate::session::line::Line;

/// The tool.
pub(super) struct SendMessage;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    action: Option<String>,
    channel: Option<String>,
    account_id: Option<String>,
    #[serde(alias = "to")]
    target: Option<String>,
    thread_id: Option<String>,
    #[serde(alias = "text")]
    message: Option<String>,
    media: Option<String>,
    reply_to: Option<String>,
    silent: Option<bool>,
    message_id: Option<String>,
    emoji: Option<String>,
    remove: Option<bool>,
    question: Option<String>,
    options: Option<Vec<String>>,
}

impl Tool for SendMessage {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "message".into(),
            label: "Message",
            description: "Sends a message to a person or group on a channel (Telegram, ...). Not for your answer, which is delivered by itself. `target` is a chat as the channel names it (an id, @name, #channel; with :topic:ID for a thread); left out, it is the chat that you are in. `channel` is needed when several are configured. `message` is Markdown; `media` is a file that goes with it, a path in the workspace or an http(s) address. Says whether it arrived; what is unknown or queued is not to be sent again. Other actions, where the channel has them: `react` {messageId, emoji, remove}, `edit` {messageId, message}, `delete` {messageId}, `poll` {question, options}; without `messageId` the message that you answer is meant.".into(),
            group: Group::Messaging,
            parameters: json!({
                "type": "object",
                "properties": {
                    "action": {"type": "string", "enum": ["send", "react", "edit", "delete", "poll"]},
                    "channel": {"type": "string"},
                    "accountId": {"type": "string"},
                    "target": {"type": "string"},
                    "threadId": {"type": "string"},
                    "message": {"type": "string"},
                    "media": {"type": "string"},
                    "replyTo": {"type": "string", "description": "id of the message that is answered"},
                    "silent": {"type": "boolean"},
                    "messageId": {"type": "string"},
                    "emoji": {"type": "string"},
                    "remove": {"type": "boolean"},
                    "question": {"type": "string"},
                    "options": {"type": "array", "items": {"type": "string"}},
                },
                "required": [],
                "additionalProperties": false,
            }),
            risk: Risk::Change,
            limit: Duration::from_secs(40),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let place = place(cx, &asked)?;
            let scopes = Scopes::of(&[Scope::Read, Scope::Write]);
            let mut line = Line::of_agent(&cx.agent.id, scopes, cx.deps.gateway.clone());
            match asked.action.as_deref() {
                None | Some("send") => {
                    let file = attached(cx, &asked).await?;
                    line.route::<Send>(place.send(cx, &asked, file)?);
                }
                Some(action) => line.route::<MessageAction>(place.act(cx, &asked, action)?),
            }
            let answer = line.next().await;
            let answer = answer.map_err(|error| ToolError::new(error.message))?;
            Ok(ToolOutput::text(answer.to_string()).with(answer))
        })
    }
}

/// A text with something in it.
fn given(text: Option<&String>) -> Option<&str> {
    let text = text.map(|text| text.trim());
    text.filter(|text| !text.is_empty())
}

/// A file that goes with a message.
enum File {
    /// On the public web.
    Address(String),
    /// Of the workspace: its name, and what is in it.
    Bytes(String, Vec<u8>),
}

async fn attached(cx: &ToolContext<'_>, asked: &Arguments) -> Result<Option<File>, ToolError> {
    let Some(written) = given(asked.media.as_ref()).map(str::to_owned) else {
        return Ok(None);
    };
    let lower = written.to_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(Some(File::Address(written)));
    }
    let root = cx.workspace()?;
    let reading = tokio::task::spawn_blocking(move || {
        let bytes = workspace::read(&root, &written)?;
        let name = written.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Some(File::Bytes(name, bytes)))
    });
    let read = reading
        .await
        .map_err(|error| ToolError::new(error.to_string()));
    read.and_then(|read| read)
}

/// Where something is done.
struct Place {
    who: AccountRef,
    to: String,
    /// The message that began the run, where it is in this chat.
    own: Option<String>,
}

impl Place {
    fn send(
        self,
        cx: &ToolContext<'_>,
        asked: &Arguments,
        file: Option<File>,
    ) -> Result<SendParams, ToolError> {
        let (url, bytes) = match file {
            Some(File::Address(address)) => (Some(address), None),
            Some(File::Bytes(name, bytes)) => (None, Some((name, bytes))),
            None => (None, None),
        };
        let params = json!({
            "mediaUrl": url,
            "filename": bytes.as_ref().map(|(name, _)| name),
            "buffer": bytes.as_ref().map(|(_, bytes)| STANDARD.encode(bytes)),
            "to": self.to,
            "channel": self.who.channel,
            "accountId": self.who.account,
            "message": asked.message,
            "threadId": asked.thread_id,
            "replyToId": asked.reply_to,
            "silent": asked.silent,
            "idempotencyKey": cx.deps.nodes.entropy.uuid().to_string(),
        });
        serde_json::from_value(params)
            .map_err(|error| ToolError::new(format!("{}: {error}", Send::NAME)))
    }

    fn act(
        self,
        cx: &ToolContext<'_>,
        asked: &Arguments,
        action: &str,
    ) -> Result<MessageActionParams, ToolError> {
        let params = json!({
            "channel": self.who.channel,
            "accountId": self.who.account,
            "action": action,
            "params": {
                "target": self.to,
                "threadId": asked.thread_id,
                "messageId": asked.message_id.clone().or(self.own),
                "message": asked.message,
                "emoji": asked.emoji,
                "remove": asked.remove,
                "question": asked.question,
                "options": asked.options,
                "silent": asked.silent,
            },
            "idempotencyKey": cx.deps.nodes.entropy.uuid().to_string(),
        });
        serde_json::from_value(params)
            .map_err(|error| ToolError::new(format!("{}: {error}", MessageAction::NAME)))
    }
}

/// Where it is done, and whether the run may do it there.
fn place(cx: &ToolContext<'_>, asked: &Arguments) -> Result<Place, ToolError> {
    let settings = cx.deps.views.settings.load();
    let channels = &settings.channels;
    let here = cx.origin.chat.as_ref();
    let written = match (given(asked.target.as_ref()), here) {
        (Some(to), _) => to.to_owned(),
        (None, Some(here)) => here.to.to_string(),
        (None, None) => {
            return Err(ToolError::new(
                "`target` is missing, and this run began in no chat",
            ));
        }
    };
    // Without a channel it is the one of the chat that the run began in.
    let channel = given(asked.channel.as_ref());
    let channel = channel.or_else(|| here.map(|here| &*here.account.channel));
    let account = given(asked.account_id.as_ref()).or_else(|| {
        let here = here.filter(|here| Some(&*here.account.channel) == channel);
        here.map(|here| &*here.account.account)
    });
    let who = sends::account(channels, channel, account, &written);
    let who = who.map_err(|error| ToolError::new(error.message))?;
    let mut own = None;
    if let Some(here) = here {
        let target = match channels.accounts.get(&who).map(|own| &own.setup) {
            Some(Ok(setup)) => Some(setup.target(&written).map_err(ToolError::new)?),
            // Sending says what is wrong with it.
            _ => None,
        };
        if let Some(target) = target {
            may_send(here, &who, &target, channels)?;
            own = own_message(here, &who, &target);
        }
    }
    Ok(Place {
        who,
        to: written,
        own,
    })
}

/// The message that began the run: what is done without naming one is done with it, but not in another
/// chat, where the same id is somebody else's.
fn own_message(here: &Chat, who: &AccountRef, target: &Target) -> Option<String> {
    let same = *who == here.account && target.chat == here.to.chat;
    here.message.clone().filter(|_| same)
}

/// Whether a run that began in a chat may send somewhere.
fn may_send(
    here: &Chat,
    who: &AccountRef,
    target: &Target,
    channels: &ChannelsSettings,
) -> Result<(), ToolError> {
    let same_chat = *who == here.account && target.chat == here.to.chat;
    let (may, key) = if who.channel == here.account.channel {
        (channels.reach.other_chats, "allowWithinProvider")
    } else {
        (channels.reach.other_channels, "allowAcrossProviders")
    };
    if same_chat || may {
        return Ok(());
    }
    Err(ToolError::new(format!(
        "this run began in {} {}, and may not send to {} {}; its owner allows that with tools.message.crossContext.{key} in openclaw.json",
        here.account.channel, here.to, who.channel, target
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_that_is_answered_is_meant_in_its_own_chat_only() {
        let target = |chat: &str| Target {
            chat: chat.into(),
            thread: None,
        };
        let (own, other) = (
            AccountRef::new("telegram", "default"),
            AccountRef::new("telegram", "work"),
        );
        let here = Chat {
            account: own.clone(),
            to: target("7"),
            message: Some("12".into()),
        };
        let meant = |who, chat| own_message(&here, who, &target(chat));
        assert_eq!(meant(&own, "7").as_deref(), Some("12"));
        assert_eq!(meant(&own, "8"), None);
        assert_eq!(meant(&other, "7"), None);
    }
}
