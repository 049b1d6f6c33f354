//! Shows answers while they are written, where the platform lets messages be edited.

use std::rc::Rc;
use std::time::Duration;

use super::ProviderDeps;
use crate::channel::drafts::{self, Drafts, Due};
use crate::channel::{Act, ChannelError, Piece, SendFailure, Target, Transport};

/// Between two states of a draft; platforms take about one message a second for each chat.
const EVERY: Duration = Duration::from_millis(1_200);

pub(super) async fn drafts(deps: Rc<ProviderDeps>, transport: Rc<dyn Transport>) {
    let account = &deps.account;
    loop {
        account.drafts_wake.notified().await;
        while account.drafts.with(|drafts| !drafts.is_empty()) {
            tokio::time::sleep(EVERY).await;
            if !account.is_connected() {
                continue;
            }
            for (to, message) in account.drafts.with(Drafts::vanished) {
                // One that stays is no harm that would be worth more requests.
                let _ = transport.act(&to, &Act::Delete { message }).await;
            }
            let limit = deps.current().split.limit;
            let now = account.monotonic();
            for due in account.drafts.with(|drafts| drafts.due(limit, now)) {
                let _turn = account.drafts_turn.lock().await;
                // Its answer may have come meanwhile.
                if !account.drafts.with(|drafts| drafts.is_wanted(&due)) {
                    continue;
                }
                let to = due.to.clone();
                if let Some(wait) = show(&deps, &*transport, due).await {
                    let until = account.monotonic().saturating_add(wait);
                    account.drafts.with(|drafts| drafts.hold(&to, until));
                }
            }
        }
    }
}

/// Stores which message shows a draft, so that the answer becomes it also after a kill.
async fn keep(deps: &ProviderDeps, of: &str, to: &Target, message: &str) {
    let account = &deps.account;
    account.drafts.with(|drafts| drafts.stores(to));
    let stored = match drafts::op(&account.who, of, to, message) {
        Ok(op) => deps.shared.store.commit(vec![op]).await,
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        tracing::warn!(account = %account.who, %error, "a message that shows how an answer grows is not stored; a kill would leave it behind");
    }
}

/// Shows one state of a draft; gives back how long the platform wants to be left alone.
async fn show(deps: &ProviderDeps, transport: &dyn Transport, due: Due) -> Option<Duration> {
    let account = &deps.account;
    let Due {
        of,
        to,
        reply_to,
        message,
        text,
    } = due;
    let failed = if let Some(message) = message {
        let act = Act::Edit { message, text };
        transport.act(&to, &act).await.err()
    } else {
        let piece = Piece {
            to: to.clone(),
            text,
            reply_to,
            // It becomes the answer, and whoever waits for that is told once.
            silent: false,
            edits: None,
            file: None,
        };
        let sent = transport.send(&piece).await;
        let message = sent.as_ref().ok().cloned();
        let late = account
            .drafts
            .with(|drafts| drafts.shown(&to, message.clone()));
        if let Some(message) = late {
            // The answer stands already; what is left of the draft is in the way.
            let _ = transport.act(&to, &Act::Delete { message }).await;
        } else if let Some(message) = message {
            keep(deps, &of, &to, &message).await;
        }
        sent.err()
    };
    match failed {
        Some(SendFailure::NotSent(ChannelError::RateLimited { delay, .. })) => Some(delay),
        _ => None,
    }
}
