//! Delivers the outbox, in order within a conversation, each piece written down before it leaves.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;

use super::ProviderDeps;
use crate::channel::account::Account;
use crate::channel::files;
use crate::channel::outbox::{self, Next, Outcome, Row, SendState, Settled};
use crate::channel::{SendFailure, Transport};
use crate::media::Blobs;
use crate::store::StoreHandle;

/// How long one piece may take on the platform's side.
const LIMIT: Duration = Duration::from_mins(1);
/// Before a commit that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn send(deps: Rc<ProviderDeps>, transport: Rc<dyn Transport>) {
    let account = &deps.account;
    loop {
        let (now, clock) = (account.monotonic(), account.now());
        let next = account.outbox.with(|outbox| outbox.next(now, clock));
        match next {
            Next::Expire(seq) => {
                let settled = Settled::Failed {
                    state: SendState::Expired,
                    why: "it waited for a day without a connection".into(),
                };
                settle(account, &deps.shared.store, seq, &settled).await;
            }
            // What is not connected sends nothing; connecting wakes this.
            Next::Send(_) if !account.is_connected() => account.outbox_wake.notified().await,
            Next::Send(seq) => leave(&deps, &transport, seq),
            Next::Wait(None) => account.outbox_wake.notified().await,
            Next::Wait(Some(until)) => {
                tokio::select! {
                    () = account.outbox_wake.notified() => {}
                    () = tokio::time::sleep(until.saturating_sub(now)) => {}
                }
            }
        }
    }
}

/// Lets a piece go. That is a task of its own: a provider that fails meanwhile must not cut it off,
/// and one that hangs holds its own conversation only.
fn leave(deps: &Rc<ProviderDeps>, transport: &Rc<dyn Transport>, seq: u64) {
    let account = Arc::clone(&deps.account);
    let store = deps.shared.store.clone();
    let media = deps.shared.media.clone();
    let now = account.monotonic();
    let Some(row) = account.outbox.with(|outbox| outbox.leaving(seq, now)) else {
        return;
    };
    let transport = Rc::clone(transport);
    actix_rt::spawn(async move {
        let going = AssertUnwindSafe(go(&account, &store, &media, &*transport, seq, &row));
        if going.catch_unwind().await.is_err() {
            // Whoever waits for it may be what failed.
            account.outbox.with(|outbox| outbox.forsake(seq));
            let lost = Settled::Failed {
                state: SendState::Unknown,
                why: "the gateway failed while sending it; the log has the place".into(),
            };
            settle(&account, &store, seq, &lost).await;
        }
        account.outbox_wake.notify_one();
    });
}

/// Writes down that a piece leaves, sends it, and writes down its end.
async fn go(
    account: &Account,
    store: &StoreHandle,
    media: &Blobs,
    transport: &dyn Transport,
    seq: u64,
    row: &Row,
) {
    let written = match outbox::op(&account.who, seq, row) {
        Ok(op) => store.commit(vec![op]).await,
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::warn!(account = %account.who, %error, "a message cannot leave, because that cannot be written down");
        let until = account.monotonic() + AGAIN;
        return account.outbox.with(|outbox| outbox.stayed(seq, until));
    }
    let result = if row.edits.is_some() {
        let _turn = account.drafts_turn.lock().await;
        attempt(media, transport, row).await
    } else {
        attempt(media, transport, row).await
    };
    let now = account.monotonic();
    let outcome = account.outbox.with(|outbox| outbox.judge(seq, result, now));
    match outcome {
        Outcome::End(settled) => settle(account, store, seq, &settled).await,
        Outcome::Again => put_back(account, store, seq).await,
    }
}

async fn attempt(
    media: &Blobs,
    transport: &dyn Transport,
    row: &Row,
) -> Result<String, SendFailure> {
    let mut piece = row.piece();
    if let Some(file) = &row.file {
        let loaded = files::load(media, file).await;
        let gone = |why| SendFailure::Refused(format!("its file cannot be read: {why}"));
        piece.file = Some(loaded.map_err(gone)?);
    }
    let sending = AssertUnwindSafe(transport.send(&piece)).catch_unwind();
    match tokio::time::timeout(LIMIT, sending).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SendFailure::Unknown(
            "the gateway failed while sending it; the log has the place".into(),
        )),
        Err(_) => Err(SendFailure::Unknown(format!(
            "the platform did not answer within {} s",
            LIMIT.as_secs()
        ))),
    }
}

/// Commits the end of a piece. It is not given up: until it is written down, a crash makes it unknown.
async fn settle(account: &Account, store: &StoreHandle, seq: u64, settled: &Settled) {
    if let Settled::Failed { state, why } = settled {
        tracing::warn!(account = %account.who, seq, ?state, why, "a message was not delivered");
    }
    loop {
        let now = account.now();
        let ops = account
            .outbox
            .with(|outbox| outbox.end_ops(&account.who, seq, settled, now));
        let committed = match ops {
            Ok(ops) => store.commit(ops).await,
            Err(error) => Err(error),
        };
        let Err(error) = committed else {
            break;
        };
        tracing::warn!(account = %account.who, %error, "the end of a message is not stored yet; trying again");
        tokio::time::sleep(AGAIN).await;
    }
    let waiter = account.outbox.with(|outbox| outbox.ended(seq, settled));
    let now = account.now().wire();
    account.note(|status| {
        if matches!(settled, Settled::Sent(_)) {
            status.outbound_at = Some(now);
        }
    });
    if let Some((waiter, last)) = waiter {
        let mut waiter = waiter.lock().unwrap_or_else(PoisonError::into_inner);
        waiter.committed(last);
    }
}

/// Writes down that a piece did not leave after all.
async fn put_back(account: &Account, store: &StoreHandle, seq: u64) {
    loop {
        let op = account
            .outbox
            .with(|outbox| outbox.back_op(&account.who, seq));
        let committed = match op {
            Ok(op) => store.commit(op.into_iter().collect()).await,
            Err(error) => Err(error),
        };
        if committed.is_ok() {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    account
        .outbox
        .with(|outbox| outbox.stayed(seq, Duration::ZERO));
}
