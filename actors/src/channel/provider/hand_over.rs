//! Hands what came in over to the agent runner, chat by chat in order.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openclaw_protocol::{ErrorShape, Scope, Scopes};
use tokio::sync::oneshot;

use super::{ProviderDeps, files};
use crate::agent::delivery::{Delivery as _, Said};
use crate::agent::offer::{Offer, TRY};
use crate::agent::tools::{Chat, Origin};
use crate::channel::account::{AGAIN, Account};
use crate::channel::delivery::Answer;
use crate::channel::inbox::{self, Item, Known, MAX_AGE, Next};
use crate::channel::outbox::{self, Entry};
use crate::channel::{ChatKind, Inbound, Transport, route};
use crate::clock::Millis;
use crate::dedupe::state::{CHANNEL, KeyId};
use crate::dedupe::{Claim, Claimed, KeyGuard};
use crate::store::StoreError;

/// Most times that a run is begun for one message; each further one follows one whose end was lost.
const MAX_ATTEMPTS: u32 = 3;
/// How long the runner may take to accept a message.
const PATIENCE: Duration = Duration::from_mins(1);
/// Most messages whose files are fetched at a time.
const FETCHING: usize = 4;
/// Where nothing is to be done at a certain time.
const FOREVER: Duration = Duration::from_hours(1);
/// Before a message is offered again where nobody said when.
const LATER: Duration = Duration::from_secs(2);

/// Why a message was not handed over.
enum Held {
    /// It may be, after this.
    Later(Duration),
    /// It will not be, and the chat is told why, if anything is to be said.
    Never(String),
    /// It was answered before; the disk says so.
    Answered,
}

pub(super) async fn hand_over(deps: Rc<ProviderDeps>, transport: Rc<dyn Transport>) {
    let account = &deps.account;
    // Messages whose files are being fetched: they hold up their own chat, and no other.
    let mut fetching = FuturesUnordered::new();
    loop {
        beside(room(account), &mut fetching).await;
        let now = account.monotonic();
        match account.inbox.with(|inbox| inbox.next(now)) {
            Next::Offer(item) => {
                let has_files = !item.message.files.is_empty();
                let handing = one(&deps, &*transport, item);
                if has_files && fetching.len() < FETCHING {
                    fetching.push(handing);
                } else {
                    beside(handing, &mut fetching).await;
                }
            }
            Next::Wait(until) => {
                let wait = until.map_or(FOREVER, |until| until.saturating_sub(now));
                tokio::select! {
                    () = account.inbox_wake.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                    // What waited behind it may go now.
                    Some(()) = fetching.next() => {}
                }
            }
        }
    }
}

/// Does something while others go on.
async fn beside(
    work: impl Future<Output = ()>,
    others: &mut FuturesUnordered<impl Future<Output = ()>>,
) {
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return,
            Some(()) = others.next() => {}
        }
    }
}

/// Waits until answers have a place: each change of an account is told, the end of a piece among them.
async fn room(account: &Account) {
    let mut told = account.phase.subscribe();
    while !account.outbox.with(|outbox| outbox.has_room(1)) {
        if told.changed().await.is_err() {
            return;
        }
    }
}

async fn one(deps: &ProviderDeps, transport: &dyn Transport, item: Item) {
    let account = &deps.account;
    let seq = item.seq;
    match offer(deps, transport, &item).await {
        Ok(()) => {
            let again = account.monotonic() + AGAIN;
            account.inbox.with(|inbox| inbox.accepted(seq, again));
            transport.typing(&item.message.chat);
            account.busy.notify_one();
        }
        Err(Held::Answered) => answered(deps, &item),
        Err(Held::Later(wait)) => later(deps, seq, wait),
        Err(Held::Never(why)) => {
            if let Err(error) = end(deps, item, &why).await {
                tracing::warn!(account = %account.who, %error, "a message that cannot be answered stays for now");
                later(deps, seq, LATER);
            }
        }
    }
}

/// The end of a message was not confirmed, and is on the disk all the same, with these pieces.
fn answered(deps: &ProviderDeps, item: &Item) {
    let (account, reader) = (&deps.account, deps.shared.store.reader());
    let stored = item.left.iter().filter(|(seq, _)| {
        // One that cannot be looked for is found by the next start.
        outbox::is_stored(reader, &account.who, *seq).unwrap_or(false)
    });
    account.enqueue(stored.map(|(seq, row)| (*seq, Entry::new(row.clone()))));
    account.answered(item.seq);
}

fn later(deps: &ProviderDeps, seq: u64, wait: Duration) {
    let account = &deps.account;
    let until = account.monotonic() + wait;
    account.inbox.with(|inbox| inbox.later(seq, until));
}

/// Ends a message without a run.
async fn end(deps: &ProviderDeps, item: Item, why: &str) -> Result<(), StoreError> {
    let account = &deps.account;
    let id = item.message.id.clone();
    let answer = Answer::new(account, item, deps.current().split);
    let said = (!why.is_empty()).then_some(Said::Failed(why));
    let ops = answer.ops(said, account.now())?;
    deps.shared.store.commit(ops).await?;
    answer.committed(true);
    tracing::warn!(account = %account.who, id, why, "a message was not answered by a run");
    Ok(())
}

async fn offer(deps: &ProviderDeps, transport: &dyn Transport, item: &Item) -> Result<(), Held> {
    let account = &deps.account;
    let claimed = claim(deps, item).await;
    // Behind the claim: a run that ended meanwhile has left its key, and its end is on the disk.
    match inbox::known(deps.shared.store.reader(), &account.who, &item.message.id) {
        Ok(Known::Over) => return Err(Held::Answered),
        Ok(Known::New | Known::Waiting(_)) => {}
        Err(_) => return Err(Held::Later(LATER)),
    }
    if account.now().since(Millis(item.at)) > MAX_AGE {
        return Err(Held::Never(String::new()));
    }
    let (guard, run_id, resumes) = claimed?;
    let settings = deps.shared.views.settings.load();
    let (files, notes) = files::kept(deps, transport, &item.message).await;
    let (told, answered) = oneshot::channel();
    let own = deps.current();
    let offer = Offer {
        guard,
        run_id: run_id.into(),
        session: route::session(&account.who, &item.message, item.trusted, &settings),
        text: words(&item.message, &notes, &settings.reset_triggers),
        files,
        origin: origin(deps, item),
        commands: commands(item),
        extra_system: match item.message.kind {
            ChatKind::Direct => None,
            ChatKind::Group => {
                let rule =
                    (own.policy).group_rule(&item.message.chat.chat, item.message.space.as_deref());
                rule.and_then(|rule| rule.system_prompt.clone())
            }
        },
        delivery: Arc::new(Answer::new(account, item.clone(), own.split)),
        resumes,
        told,
    };
    if deps.shared.runner.try_send(offer).is_err() {
        return Err(Held::Later(LATER));
    }
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(held(&error)),
        // The runner failed with it; its key says what came of it.
        Ok(Err(_)) | Err(_) => Err(Held::Later(LATER)),
    }
}

fn held(error: &ErrorShape) -> Held {
    if error.retryable == Some(true) {
        let wait = error.retry_after_ms.map_or(LATER, Duration::from_millis);
        return Held::Later(wait);
    }
    Held::Never(error.message.to_string())
}

/// The key of the message's next run, and the run that it takes up again.
async fn claim(
    deps: &ProviderDeps,
    item: &Item,
) -> Result<(KeyGuard, String, Option<String>), Held> {
    let who = &deps.account.who;
    let first = format!("{}:{}:{}", who.channel, who.account, item.message.id);
    for attempt in 1..=MAX_ATTEMPTS {
        let key = match attempt {
            1 => first.clone(),
            later => format!("{first}{TRY}{later}"),
        };
        let claim = Claim {
            id: KeyId {
                method: CHANNEL.to_owned(),
                principal: who.to_string(),
                key: key.clone(),
            },
            digest: item.message.id.clone(),
        };
        match deps.shared.dedupe.send(claim).await {
            Ok(Claimed::New(guard)) => {
                return Ok((guard, key, (attempt > 1).then_some(first)));
            }
            // Its run is under way, or on its way to the disk. That may fail still, and nobody else
            // would hand it over again.
            Ok(Claimed::InFlight) => return Err(Held::Later(AGAIN)),
            Ok(Claimed::Done(_)) => {}
            Ok(Claimed::Full) | Err(_) => return Err(Held::Later(LATER)),
        }
    }
    Err(Held::Never(
        "the answer to this was cut off each time, by a restart or a disk that took nothing; send it again if it still matters"
            .to_owned(),
    ))
}

/// What the agent reads. Where several talk it is said who; what is answered is quoted.
fn words(message: &Inbound, notes: &[String], triggers: &[String]) -> String {
    if crate::commands::parse_with(&message.text, triggers).is_some() {
        return message.text.clone();
    }
    let quote = message.quote.as_ref();
    let quote = quote.map_or_else(String::new, |quote| {
        format!("[in reply to {}: {}]\n", quote.by, quote.text)
    });
    let by = match message.kind {
        ChatKind::Direct => String::new(),
        ChatKind::Group => format!("{}: ", message.sender.label()),
    };
    let mut words = format!("{quote}{by}{}", message.text);
    for note in notes {
        words.push_str("\n[");
        words.push_str(note);
        words.push(']');
    }
    words.trim().to_owned()
}

/// What the writer may do by command.
fn commands(item: &Item) -> Scopes {
    if item.trusted {
        Scopes::of(&[Scope::Read, Scope::Write, Scope::Admin])
    } else {
        Scopes::NONE
    }
}

/// Whose tools the run has: those of a client that may read and write, or none.
fn origin(deps: &ProviderDeps, item: &Item) -> Origin {
    let scopes = if item.trusted {
        Scopes::of(&[Scope::Read, Scope::Write])
    } else {
        Scopes::NONE
    };
    Origin {
        scopes,
        principal: format!("channel:{}:{}", deps.account.who, item.message.sender.id),
        device_id: None,
        conn_id: None,
        chat: Some(Chat {
            account: deps.account.who.clone(),
            to: item.message.chat.clone(),
            message: item.message.message_id.clone(),
        }),
        chain: Vec::new(),
    }
}
