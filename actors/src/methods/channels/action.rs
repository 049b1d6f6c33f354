//! `poll` and `message.action`: what is done with messages of a channel; owner: channels. What only
//! sends goes through the outbox; the rest is done at once, and once for its key.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::messaging::{
    MessageAction, MessageActionParams, MessageActionResult, Poll as PollMethod, PollParams, Send,
    SendParams, SendResult,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::channel::provider::Perform;
use crate::channel::supervisor::{Channels, ChannelsDeps};
use crate::channel::{AccountRef, Act, Poll, SendFailure, Target, sends};
use crate::dedupe::state::Stored;
use crate::dedupe::{Admitted, KeyGuard};
use crate::methods::store_error;

/// Something that is done at once.
struct Deed {
    who: AccountRef,
    to: Target,
    act: Act,
}

fn invalid(problem: impl std::fmt::Display) -> ErrorShape {
    ErrorShape::invalid(format!("invalid message.action params: {problem}"))
}

impl Handler<Admitted<PollMethod>> for Channels {
    type Result = ();

    fn handle(&mut self, msg: Admitted<PollMethod>, _: &mut Self::Context) {
        let Admitted { call, guard } = msg;
        let Call { params, reply, .. } = call;
        let deed = match self.deps.poll(&params) {
            Ok(deed) => deed,
            Err(error) => return guard.refuse(reply, error),
        };
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let run_id = params.idempotency_key;
            let chat = deed.to.chat.clone();
            let result = |channel: String, message: Option<String>| SendResult {
                run_id,
                message_id: message.unwrap_or_default(),
                channel,
                chat_id: Some(chat),
                channel_id: None,
                conversation_id: None,
                to_jid: None,
            };
            reply.settle(deps.perform(deed, guard, result).await);
        });
    }
}

impl Handler<Admitted<MessageAction>> for Channels {
    type Result = ();

    fn handle(&mut self, msg: Admitted<MessageAction>, ctx: &mut Self::Context) {
        let Admitted { call, guard } = msg;
        let action = call.params.action.trim().to_lowercase();
        if action == "send" {
            let params = match send_params(&call.params) {
                Ok(params) => params,
                Err(error) => return guard.refuse(call.reply, error),
            };
            let call: Call<Send> = Call {
                params,
                caller: call.caller,
                reply: call.reply.cast(),
            };
            return Handler::<Admitted<Send>>::handle(self, Admitted { call, guard }, ctx);
        }
        let Call { params, reply, .. } = call;
        let deed = match self.deps.deed(&params, &action) {
            Ok(deed) => deed,
            Err(error) => return guard.refuse(reply, error),
        };
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let run_id = params.idempotency_key;
            let (chat, own) = (deed.to.chat.clone(), text(&params.params, &["messageId"]));
            let result = |channel: String, message: Option<String>| MessageActionResult {
                run_id,
                ok: true,
                channel,
                action,
                message_id: message.or(own),
                chat_id: Some(chat),
            };
            reply.settle(deps.perform(deed, guard, result).await);
        });
    }
}

/// The first of these that is there, as text.
fn text(params: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match params.get(*name)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn recipient(params: &Map<String, Value>) -> Result<String, ErrorShape> {
    text(params, &["target", "to", "chatId", "channelId"])
        .ok_or_else(|| invalid("target is missing"))
}

fn send_params(params: &MessageActionParams) -> Result<SendParams, ErrorShape> {
    let own = &params.params;
    let reply = params.reply.as_ref().map(|reply| reply.reply_to_id.clone());
    let send = json!({
        "to": recipient(own)?,
        "message": text(own, &["message", "text", "content"]),
        "mediaUrl": text(own, &["media", "mediaUrl"]),
        "buffer": own.get("buffer"),
        "filename": text(own, &["filename", "fileName"]),
        "contentType": text(own, &["contentType", "mimeType"]),
        "asVoice": own.get("asVoice").and_then(Value::as_bool),
        "forceDocument": own.get("forceDocument").and_then(Value::as_bool),
        "channel": params.channel,
        "accountId": params.account_id.clone().or_else(|| text(own, &["accountId"])),
        "agentId": params.agent_id,
        "replyToId": reply.or_else(|| text(own, &["replyTo", "replyToId"])),
        "threadId": text(own, &["threadId"]),
        "silent": own.get("silent").and_then(Value::as_bool),
        "sessionKey": params.session_key,
        "idempotencyKey": params.idempotency_key,
    });
    serde_json::from_value(send).map_err(invalid)
}

fn act(action: &str, params: &Map<String, Value>) -> Result<Act, ErrorShape> {
    let message = || {
        text(params, &["messageId", "message_id"]).ok_or_else(|| invalid("messageId is missing"))
    };
    Ok(match action {
        "react" => Act::React {
            message: message()?,
            emoji: text(params, &["emoji"])
                .filter(|_| params.get("remove") != Some(&Value::Bool(true))),
        },
        "edit" => Act::Edit {
            message: message()?,
            text: text(params, &["message", "text", "content"])
                .ok_or_else(|| invalid("message is missing"))?,
        },
        "delete" | "unsend" => Act::Delete {
            message: message()?,
        },
        "pin" | "unpin" => Act::Pin {
            message: message()?,
            pinned: action == "pin",
        },
        _ => {
            let options = params.get("pollOption").or_else(|| params.get("options"));
            let options = options.and_then(Value::as_array).into_iter().flatten();
            let options: Vec<String> = options
                .filter_map(|option| option.as_str().map(str::to_owned))
                .collect();
            if options.len() < 2 {
                return Err(invalid("pollOption is missing: at least two options"));
            }
            let multiple = params.get("pollMulti") == Some(&Value::Bool(true));
            Act::Poll(Poll {
                question: text(params, &["pollQuestion", "question"])
                    .ok_or_else(|| invalid("pollQuestion is missing"))?,
                most: if multiple {
                    u32::try_from(options.len()).unwrap_or(1)
                } else {
                    1
                },
                options,
                seconds: None,
                anonymous: params.get("pollPublic") != Some(&Value::Bool(true)),
                silent: params.get("silent") == Some(&Value::Bool(true)),
            })
        }
    })
}

impl ChannelsDeps {
    /// Where something is done, by an account that can do it.
    fn place(
        &self,
        channel: Option<&str>,
        account: Option<&str>,
        to: &str,
        action: &str,
    ) -> Result<(AccountRef, Target), ErrorShape> {
        let settings = self.shared.views.settings.load();
        let who = sends::account(&settings.channels, channel, account, to)?;
        let own = settings.channels.accounts.get(&who);
        let own = own.ok_or_else(|| invalid(format!("{who} is not configured")))?;
        let setup = own.setup.as_ref().map_err(invalid)?;
        if !setup.actions().contains(&action) {
            let known = [&["send"][..], setup.actions()].concat().join(", ");
            return Err(ErrorShape::invalid(format!(
                "Channel {} does not support action {action} (it has: {known})",
                who.channel
            )));
        }
        let to = setup.target(to).map_err(invalid)?;
        Ok((who, to))
    }

    fn poll(&self, params: &PollParams) -> Result<Deed, ErrorShape> {
        let written = match &params.thread_id {
            Some(thread) => format!("{}:topic:{thread}", params.to.trim()),
            None => params.to.clone(),
        };
        let (channel, account) = (params.channel.as_deref(), params.account_id.as_deref());
        let (who, to) = self.place(channel, account, &written, "poll")?;
        let hours = params
            .duration_hours
            .map(|hours| hours.saturating_mul(3_600));
        Ok(Deed {
            who,
            to,
            act: Act::Poll(Poll {
                question: params.question.clone(),
                options: params.options.clone(),
                most: params.max_selections.unwrap_or(1),
                seconds: params.duration_seconds.or(hours),
                anonymous: params.is_anonymous != Some(false),
                silent: params.silent == Some(true),
            }),
        })
    }

    fn deed(&self, params: &MessageActionParams, action: &str) -> Result<Deed, ErrorShape> {
        let own = &params.params;
        let name = if action == "unsend" { "delete" } else { action };
        let account = params
            .account_id
            .clone()
            .or_else(|| text(own, &["accountId"]));
        let written = match text(own, &["threadId"]) {
            Some(thread) => format!("{}:topic:{thread}", recipient(own)?),
            None => recipient(own)?,
        };
        let (who, to) = self.place(Some(&params.channel), account.as_deref(), &written, name)?;
        let act = act(action, own)?;
        Ok(Deed { who, to, act })
    }

    /// Does it, once: its key is on the disk before, its result after.
    async fn perform<R: Serialize>(
        &self,
        deed: Deed,
        mut guard: KeyGuard,
        result: impl FnOnce(String, Option<String>) -> R,
    ) -> Result<R, ErrorShape> {
        let Deed { who, to, act } = deed;
        let provider = self.accounts.with(|accounts| accounts.provider(&who));
        let provider = provider.ok_or_else(|| {
            let mut stopped = ErrorShape::unavailable(format!(
                "{who} does not run; see openclaw channels status"
            ));
            stopped.retryable = Some(false);
            stopped
        })?;
        let now = self.shared.clock.now();
        let accepting = guard
            .accept(None, now)
            .map_err(|error| store_error(&error))?;
        let committed = self.shared.store.commit(vec![accepting]).await;
        committed.map_err(|error| store_error(&error))?;
        guard.accepted();
        let name = act.name();
        let done = provider.send(Perform { to, act }).await;
        let done = done.unwrap_or_else(|_| {
            Err(SendFailure::Unknown(
                "the channel's part was restarted meanwhile".into(),
            ))
        });
        let answer = match done {
            Ok(message) => Ok(result(who.channel.to_string(), message)),
            Err(failure) => Err(failed(name, failure)),
        };
        let stored = Stored {
            ok: answer.is_ok(),
            payload: answer
                .as_ref()
                .ok()
                .and_then(|done| serde_json::to_value(done).ok()),
            error: answer.as_ref().err().cloned(),
        };
        if let Ok(op) = guard.finish(stored, self.shared.clock.now()) {
            // Not on the disk: the same key is answered as interrupted, and never carried out again.
            let _ = self.shared.store.commit(vec![op]).await;
        }
        guard.finished();
        answer
    }
}

fn failed(action: &str, failure: SendFailure) -> ErrorShape {
    let mut error = match failure {
        SendFailure::NotSent(error) => ErrorShape::unavailable(error.to_string()),
        SendFailure::Refused(why) => {
            ErrorShape::unavailable(format!("{action} was refused: {why}"))
        }
        SendFailure::Unknown(why) => ErrorShape::unavailable(format!(
            "nobody knows whether {action} took effect ({why}); it is not tried again by itself"
        ))
        .with_details(json!({ "state": "unknown" })),
    };
    error.retryable = Some(false);
    error
}
