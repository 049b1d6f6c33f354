//! Keeps one transport of the account alive, and says how it is.

use std::rc::Rc;
use std::time::Duration;

use super::ProviderDeps;
use super::link::Link;
use crate::channel::state::{Machine, Next, Phase};
use crate::channel::{ChannelError, Transport};

/// Receives for as long as that is wanted. There is one transport at a time, because there is one
/// future of it, in this loop.
pub(super) async fn receive(deps: Rc<ProviderDeps>, transport: Rc<dyn Transport>) {
    let account = &deps.account;
    let mut wish = account.wish.subscribe();
    loop {
        if !wish.borrow_and_update().run {
            stopped(&deps);
            if wish.changed().await.is_err() {
                return;
            }
            continue;
        }
        let generation = account.machine.with(Machine::begin);
        let now = account.now().wire();
        account.note(|status| {
            status.started_at = Some(now);
            status.retry_at = None;
        });
        let link = Link::new(Rc::clone(&deps), generation);
        let receiving = one(&link, &*transport);
        tokio::pin!(receiving);
        let error = tokio::select! {
            biased;
            () = link.stopping() => {
                if let Some(limit) = transport.parting()
                    && tokio::time::timeout(limit, receiving).await.is_err()
                {
                    tracing::warn!(account = %account.who, "a channel's connection did not hand over in time what came last");
                }
                continue;
            }
            error = &mut receiving => error,
        };
        // From here on nothing of that transport lives.
        wish.borrow_and_update();
        let who = &account.who;
        let Some(wait) = ended(&deps, &error) else {
            tracing::error!(account = %who, generation, %error, "a channel account is parked until somebody helps");
            if wish.changed().await.is_err() {
                return;
            }
            continue;
        };
        tracing::warn!(account = %who, generation, %error, wait_ms = wait.as_millis(), "a channel's connection ended");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = wish.changed() => if changed.is_err() { return },
        }
    }
}

/// One transport, from its start to its end.
async fn one(link: &Link, transport: &dyn Transport) -> ChannelError {
    match link.recall().await {
        Ok(()) => transport.receive(link).await,
        Err(error) => error,
    }
}

fn stopped(deps: &ProviderDeps) {
    let account = &deps.account;
    let ran = account.machine.with(|machine| {
        let ran = machine.phase() != Phase::Stopped;
        machine.stopped();
        ran
    });
    let now = account.now().wire();
    account.note(|status| {
        status.retry_at = None;
        if ran {
            status.stopped_at = Some(now);
        }
    });
}

/// Notes the end of a transport; gives back how long until the next one, if one is to come.
fn ended(deps: &ProviderDeps, error: &ChannelError) -> Option<Duration> {
    let account = &deps.account;
    let (now, chance) = (account.monotonic(), deps.shared.entropy.fraction());
    let next = account
        .machine
        .with(|machine| machine.ended(error, now, chance));
    let wait = match next {
        Next::Retry(wait) => Some(wait),
        Next::Park => None,
    };
    let retry_at = wait.map(|wait| account.now().plus(wait).wire());
    account.note(|status| {
        status.error = Some(error.to_string());
        status.retry_at = retry_at;
    });
    wait
}
