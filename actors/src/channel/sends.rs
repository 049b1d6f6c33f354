//! Messages that somebody sends without an agent: where they go, what they are refused for, and how
//! whoever asked is told of their end. Pure but for building rows.

use std::sync::{Arc, Mutex, PoisonError};

use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::messaging::{Send as SendMethod, SendParams, SendResult};
use serde_json::json;

use super::account::Account;
use super::files::{FileRef, Takes};
use super::media::{MORE, Medium};
use super::outbox::{Row, SendState, Settled, SharedWaiter, Waiter};
use super::policy::plain_id;
use super::settings::ChannelsSettings;
use super::state::Phase;
use super::text::{pieces, units};
use super::{AccountRef, Target};
use crate::call::Reply;
use crate::clock::Millis;
use crate::dedupe::KeyGuard;
use crate::dedupe::state::Stored;
use crate::methods::messaging::LOCAL;
use crate::store::Op;

/// Detail of an answer that comes before the message could be sent.
const QUEUED: &str = "OUTBOUND_DELIVERY_QUEUED";

/// Where a message goes, and as what.
#[derive(Debug)]
pub(crate) struct Order {
    /// From which account.
    pub(crate) who: AccountRef,
    /// To whom.
    pub(crate) to: Target,
    /// The pieces of its text.
    pub(crate) parts: Vec<String>,
    /// What goes with it, before it is read.
    pub(crate) media: Vec<Medium>,
    /// What the channel takes, where something goes with it.
    pub(crate) takes: Takes,
    /// The files, once they are read.
    pub(crate) files: Vec<FileRef>,
    /// The message that is answered.
    pub(crate) reply_to: Option<String>,
    /// Without a sound.
    pub(crate) silent: bool,
}

fn invalid(problem: impl std::fmt::Display) -> ErrorShape {
    ErrorShape::invalid(format!("invalid send params: {problem}"))
}

/// The account that a message leaves from: of the channel that is named, or before the recipient, or
/// of the only one that there is.
///
/// # Errors
///
/// In words, with the channels that there are.
pub(crate) fn account(
    settings: &ChannelsSettings,
    channel: Option<&str>,
    account: Option<&str>,
    to: &str,
) -> Result<AccountRef, ErrorShape> {
    let mut known: Vec<&str> = settings.accounts.keys().map(|who| &*who.channel).collect();
    known.dedup();
    let named = channel.map(|channel| channel.trim().to_lowercase());
    let named = named.filter(|channel| !channel.is_empty());
    let channel = match (named, known.as_slice()) {
        (Some(named), _) if known.contains(&&*named) => named,
        (Some(named), _) => {
            return Err(ErrorShape::invalid(format!(
                "unsupported channel: {named} (configured: {}; also: {})",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
                LOCAL.join(", "),
            )));
        }
        (None, [only]) => (*only).to_owned(),
        (None, _) => {
            let meant = known
                .iter()
                .find(|channel| plain_id(channel, to) != to.trim());
            let meant = meant.ok_or_else(|| {
                invalid(format!(
                    "channel is required, because several are configured: {}",
                    known.join(", ")
                ))
            })?;
            (*meant).to_owned()
        }
    };
    settings.find(&channel, account).map_err(invalid)
}

/// What a request comes to.
///
/// # Errors
///
/// What is wrong with it, in words.
pub(crate) fn order(settings: &ChannelsSettings, params: &SendParams) -> Result<Order, ErrorShape> {
    let who = account(
        settings,
        params.channel.as_deref(),
        params.account_id.as_deref(),
        &params.to,
    )?;
    let own = settings
        .accounts
        .get(&who)
        .ok_or_else(|| invalid(format!("{who} is not configured")))?;
    let setup = own.setup.as_ref().map_err(invalid)?;
    if !own.enabled {
        return Err(invalid(format!(
            "{who} is disabled; set enabled: true below channels.{} in openclaw.json",
            who.channel
        )));
    }
    let thread = params.thread_id.as_deref().map(str::trim);
    let to = match thread.filter(|thread| !thread.is_empty()) {
        Some(thread) => setup.target(&format!("{}:topic:{thread}", params.to.trim())),
        None => setup.target(&params.to),
    }
    .map_err(invalid)?;
    let media = Medium::of(params);
    let takes = match (setup.files(), media.len()) {
        (_, 0) => Takes::default(),
        (Some(_), MORE..) => {
            return Err(invalid(format!("at most {} files at a time", MORE - 1)));
        }
        (Some(takes), _) => takes,
        (None, _) => {
            return Err(invalid(format!(
                "{} takes no files; send a link to it in the text instead",
                who.channel
            )));
        }
    };
    if params.parse_mode.is_some() {
        return Err(invalid(
            "parseMode is not supported; write Markdown, which is rendered for each channel",
        ));
    }
    let parts = pieces(params.message.as_deref().unwrap_or_default(), own.split);
    if parts.is_empty() && media.is_empty() {
        return Err(invalid("message required"));
    }
    Ok(Order {
        who,
        to,
        parts,
        media,
        takes,
        files: Vec::new(),
        reply_to: params.reply_to_id.clone(),
        silent: params.silent == Some(true),
    })
}

/// Why an account takes nothing now; `None` when it does.
pub(crate) fn refusal(account: &Account, more: usize) -> Option<ErrorShape> {
    let who = &account.who;
    if !account.wish.borrow().run {
        let mut stopped = ErrorShape::unavailable(format!(
            "{who} is stopped; start it with: openclaw channels start {} --account {}",
            who.channel, who.account
        ));
        stopped.retryable = Some(false);
        return Some(stopped);
    }
    if *account.phase.borrow() == Phase::Parked {
        let why = account.status.load().error.clone().unwrap_or_default();
        let mut parked = ErrorShape::unavailable(format!("{who} needs you first: {why}"));
        parked.retryable = Some(false);
        return Some(parked);
    }
    let has_room = account.outbox.with(|outbox| outbox.has_room(more));
    (!has_room).then(|| {
        ErrorShape::unavailable(format!(
            "too many messages wait to be sent by {who}; see openclaw channels status"
        ))
        .retry_after(10_000)
    })
}

impl Order {
    /// How many pieces it has at most.
    pub(crate) fn size(&self) -> usize {
        self.parts.len() + self.media.len()
    }

    /// Whether its first file is a sound, and no text stands beside those.
    fn is_mute(&self) -> bool {
        let first = self.files.first();
        self.takes.mute_sounds && first.is_some_and(|file| file.mime.starts_with("audio/"))
    }

    /// What its pieces hold: the text stands beside the first file where it fits there, else before it.
    fn contents(&self) -> Vec<(String, Option<FileRef>)> {
        let mut files = self.files.iter().cloned();
        let beside = match self.parts.as_slice() {
            [text] if units(text) <= self.takes.caption && !self.is_mute() => {
                files.next().map(|file| (text, file))
            }
            _ => None,
        };
        let mut contents: Vec<_> = match beside {
            Some((text, file)) => vec![(text.clone(), Some(file))],
            None => self.parts.iter().map(|text| (text.clone(), None)).collect(),
        };
        contents.extend(files.map(|file| (String::new(), Some(file))));
        contents
    }

    /// Its rows.
    pub(crate) fn rows(
        &self,
        account: &Account,
        id: &str,
        by: &str,
        now: Millis,
    ) -> Vec<(u64, Row)> {
        let contents = self.contents();
        let seqs = account
            .outbox
            .with(|outbox| outbox.reserve(contents.len(), now));
        let numbered = seqs.zip(contents).enumerate();
        numbered
            .map(|(part, (seq, (text, file)))| {
                let row = Row {
                    id: format!("{id}#{part}"),
                    to: self.to.clone(),
                    text,
                    reply_to: self.reply_to.clone().filter(|_| part == 0),
                    silent: self.silent,
                    edits: None,
                    file,
                    at: now.get(),
                    by: by.to_owned(),
                    state: SendState::Queued,
                    why: None,
                };
                (seq, row)
            })
            .collect()
    }
}

/// The message is on the disk, and leaves later.
pub(crate) fn queued(who: &AccountRef) -> ErrorShape {
    let mut queued = ErrorShape::unavailable(format!(
        "{who} could not send it yet; the message is stored and is sent by itself, so do not send it again (openclaw channels status shows what became of it)"
    ))
    .with_details(json!({ "code": QUEUED }));
    queued.retryable = Some(false);
    queued
}

/// Whether an error means that the message leaves later, or may have arrived: sending it again would say
/// it twice.
pub(crate) fn may_have_left(error: &ErrorShape) -> bool {
    let details = error.details.as_ref();
    details.is_some_and(|details| {
        details["code"] == QUEUED || details["state"] == SendState::Unknown.as_str()
    })
}

/// Whoever asked for a message, until all of it came to its end.
pub(crate) struct Asker {
    result: SendResult,
    guard: Option<KeyGuard>,
    reply: Option<Reply<SendMethod>>,
    failed: Option<ErrorShape>,
    arrived: bool,
}

impl Asker {
    pub(crate) fn new(
        result: SendResult,
        guard: KeyGuard,
        reply: Reply<SendMethod>,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            result,
            guard: Some(guard),
            reply: Some(reply),
            failed: None,
            arrived: false,
        }))
    }

    /// It takes too long: whoever asked is told so, and the message stays in the outbox.
    pub(crate) fn release(asker: &Arc<Mutex<Self>>, who: &AccountRef) {
        let mut own = asker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reply) = own.reply.take() else {
            return;
        };
        if let Some(guard) = &mut own.guard {
            guard.answered();
        }
        reply.error(queued(who));
    }

    /// It, as pieces name whoever waits for them.
    pub(crate) fn waiter(asker: &Arc<Mutex<Self>>) -> SharedWaiter {
        let waiter: SharedWaiter = Arc::clone(asker) as SharedWaiter;
        waiter
    }
}

fn failure(state: SendState, why: &str) -> ErrorShape {
    let mut error = match state {
        SendState::Unknown => ErrorShape::unavailable(format!(
            "nobody knows whether the message arrived ({why}); it is not sent again by itself: look at the chat, then openclaw channels outbox"
        )),
        _ => ErrorShape::unavailable(format!("the message was not delivered: {why}")),
    };
    error.retryable = Some(false);
    error.with_details(json!({ "state": state.as_str() }))
}

impl Waiter for Asker {
    fn settled(&mut self, settled: &Settled, last: bool, now: Millis) -> Vec<Op> {
        match settled {
            Settled::Sent(id) if !self.arrived => {
                self.arrived = true;
                self.result.message_id.clone_from(id);
            }
            Settled::Sent(_) => {}
            Settled::Failed { state, why } => {
                self.failed.get_or_insert_with(|| failure(*state, why));
            }
        }
        if !last {
            return Vec::new();
        }
        let stored = Stored {
            ok: self.failed.is_none(),
            payload: self.failed.is_none().then(|| json!(self.result)),
            error: self.failed.clone(),
        };
        let op = self.guard.as_ref().map(|guard| guard.finish(stored, now));
        op.and_then(Result::ok).into_iter().collect()
    }

    fn committed(&mut self, last: bool) {
        if !last {
            return;
        }
        if let Some(guard) = self.guard.take() {
            guard.finished();
        }
        let Some(reply) = self.reply.take() else {
            return;
        };
        match self.failed.take() {
            Some(error) => reply.error(error),
            None => reply.ok(&self.result),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use secrecy::SecretString;

    use super::*;
    use crate::channel::ChannelSetup;
    use crate::channel::policy::Policy;
    use crate::channel::settings::AccountSettings;
    use crate::channel::telegram::TelegramSetup;
    use crate::channel::text::Split;

    fn settings(channels: &[&str]) -> ChannelsSettings {
        let account = |channel: &&str| {
            let setup =
                TelegramSetup::new(SecretString::from("42:x".to_owned()), "http://localhost");
            let account = AccountSettings {
                name: None,
                enabled: true,
                setup: Ok(Arc::new(setup) as Arc<dyn ChannelSetup>),
                policy: Policy::default(),
                split: Split { limit: 100 },
                token_source: None,
            };
            (AccountRef::new(channel, "default"), Arc::new(account))
        };
        ChannelsSettings {
            accounts: channels.iter().map(account).collect::<BTreeMap<_, _>>(),
            ..ChannelsSettings::default()
        }
    }

    fn params(more: serde_json::Value) -> SendParams {
        let mut params = json!({ "to": "7", "message": "hi", "idempotencyKey": "k" });
        let (Some(params), serde_json::Value::Object(more)) = (params.as_object_mut(), more) else {
            panic!("objects")
        };
        params.extend(more);
        serde_json::from_value(serde_json::Value::Object(params.clone())).unwrap()
    }

    #[test]
    fn the_channel_is_named_or_the_only_one_or_before_the_recipient() {
        let (one, two) = (settings(&["telegram"]), settings(&["slack", "telegram"]));
        let which =
            |settings, more| order(settings, &params(more)).map(|order| order.who.to_string());
        let telegram = Ok("telegram/default".to_owned());
        assert_eq!(which(&one, json!({})), telegram);
        assert_eq!(which(&two, json!({ "channel": "Telegram" })), telegram);
        assert_eq!(which(&two, json!({ "to": "tg:7" })), telegram);
        let refused = |settings, more| which(settings, more).unwrap_err().message.to_string();
        assert!(refused(&two, json!({})).contains("slack, telegram"));
        assert_eq!(
            refused(&one, json!({ "channel": "pigeon" })),
            "unsupported channel: pigeon (configured: telegram; also: webchat, session)"
        );
        assert!(refused(&one, json!({ "accountId": "b" })).contains("no account \"b\""));
        assert!(refused(&one, json!({ "to": "nobody" })).contains("no Telegram chat"));
        assert!(refused(&one, json!({ "message": " " })).contains("message required"));
        assert!(refused(&one, json!({ "threadId": "x" })).contains("no Telegram chat"));
    }

    #[test]
    fn what_leaves_later_or_may_have_arrived_is_not_to_be_said_again() {
        let who = AccountRef::new("telegram", "default");
        assert!(may_have_left(&queued(&who)));
        assert!(may_have_left(&failure(SendState::Unknown, "cut")));
        assert!(!may_have_left(&failure(SendState::Refused, "no such chat")));
        assert!(!may_have_left(&invalid("message required")));
    }

    #[test]
    fn a_long_text_is_cut_and_only_its_first_piece_quotes() {
        let text = "word ".repeat(60);
        let order = order(
            &settings(&["telegram"]),
            &params(json!({ "message": text, "threadId": "4", "replyToId": "9" })),
        );
        let order = order.unwrap();
        assert_eq!(order.to.to_string(), "7:topic:4");
        assert!(order.parts.len() > 2);
    }
}
