//! `message`: what an agent says to people on channels, besides its answer.
//!
//! A run that a chat began may write to other chats of its channel, and to other channels only where
//! the configuration says so: what somebody writes in one place must not speak in another by default.

use std::time::Duration;

use openclaw_protocol::methods::messaging::{MessageAction, MessageActionParams, Send, SendParams};
use openclaw_protocol::{Method, Scope, Scopes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Chat, Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
};
use crate::channel::settings::ChannelsSettings;
use crate::channel::{AccountRef, sends};
use crate::cron::line::Line;

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
            description: "Sends a message to a person or group on a channel (Telegram, ...). Not for your answer, which is delivered by itself. `target` is a chat as the channel names it (an id, @name, #channel; with :topic:ID for a thread); left out, it is the chat that you are in. `channel` is needed when several are configured. `message` is Markdown. Says whether it arrived; what is unknown or queued is not to be sent again. Other actions, where the channel has them: `react` {messageId, emoji, remove}, `edit` {messageId, message}, `delete` {messageId}, `poll` {question, options}; without `messageId` the message that you answer is meant.".into(),
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
                None | Some("send") => line.route::<Send>(place.send(cx, &asked)?),
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

/// Where something is done.
struct Place {
    who: AccountRef,
    to: String,
}

impl Place {
    fn send(self, cx: &ToolContext<'_>, asked: &Arguments) -> Result<SendParams, ToolError> {
        let params = json!({
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
        let own = cx
            .origin
            .chat
            .as_ref()
            .and_then(|chat| chat.message.clone());
        let params = json!({
            "channel": self.who.channel,
            "accountId": self.who.account,
            "action": action,
            "params": {
                "target": self.to,
                "threadId": asked.thread_id,
                "messageId": asked.message_id.clone().or(own),
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
    if let Some(here) = here {
        may_send(here, &who, &written, channels)?;
    }
    Ok(Place { who, to: written })
}

/// Whether a run that began in a chat may send somewhere.
fn may_send(
    here: &Chat,
    who: &AccountRef,
    written: &str,
    channels: &ChannelsSettings,
) -> Result<(), ToolError> {
    let target = match channels.accounts.get(who).map(|own| &own.setup) {
        Some(Ok(setup)) => setup.target(written).map_err(ToolError::new)?,
        // Sending says what is wrong with it.
        _ => return Ok(()),
    };
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
