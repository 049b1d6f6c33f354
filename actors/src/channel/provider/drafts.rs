//! Shows answers while they are written, where the platform lets messages be edited.

use std::rc::Rc;
use std::time::Duration;

use super::ProviderDeps;
use crate::channel::drafts::Due;
use crate::channel::{Act, ChannelError, Piece, SendFailure, Transport};

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
            let limit = deps.current().split.limit;
            for due in account.drafts.with(|drafts| drafts.due(limit)) {
                let turn = account.drafts_turn.lock().await;
                // Its answer may have come meanwhile.
                if !account.drafts.with(|drafts| drafts.is_wanted(&due.to)) {
                    continue;
                }
                let wait = show(&deps, &*transport, due).await;
                drop(turn);
                tokio::time::sleep(wait.unwrap_or_default()).await;
            }
        }
    }
}

/// Shows one state of a draft; gives back how long the platform wants to be left alone.
async fn show(deps: &ProviderDeps, transport: &dyn Transport, due: Due) -> Option<Duration> {
    let account = &deps.account;
    let Due {
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
            silent: true,
            edits: None,
        };
        let sent = transport.send(&piece).await;
        let message = sent.as_ref().ok().cloned();
        let late = account.drafts.with(|drafts| drafts.shown(&to, message));
        if let Some(message) = late {
            // The answer stands already; what is left of the draft is in the way.
            let _ = transport.act(&to, &Act::Delete { message }).await;
        }
        sent.err()
    };
    match failed {
        Some(SendFailure::NotSent(ChannelError::RateLimited { delay, .. })) => Some(delay),
        _ => None,
    }
}
