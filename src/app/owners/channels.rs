//! The accounts on channels.

use std::sync::{Arc, LazyLock};

use actix::Addr;
use openclaw_actors::channel::World;
use openclaw_actors::channel::hooks::Hooks as ChannelHooks;
use openclaw_actors::channel::pairing::Desk;
use openclaw_actors::channel::provider::Shared;
use openclaw_actors::channel::supervisor::{Channels, ChannelsDeps};
use openclaw_actors::dedupe::Platforms;
use openclaw_actors::kept::Kept;

use super::talk::Talk;
use crate::app::ground::Ground;

/// Starts the owner of the accounts, and tells the gate of idempotency keys of it.
pub(super) fn start(ground: &Ground, talk: &Talk) -> (Addr<Channels>, Arc<ChannelHooks>) {
    let hooks = Arc::default();
    let threads = ground.threads.clone();
    let channels = ground.work::<Channels>(ChannelsDeps {
        shared: Shared {
            desk: Desk::new(Arc::clone(&ground.clock), Arc::clone(&ground.entropy)),
            store: ground.store.clone(),
            views: ground.views.clone(),
            sessions: talk.sessions.clone(),
            gateway: ground.gateway.clone(),
            runner: talk.runner.clone().recipient(),
            dedupe: talk.dedupe.clone().recipient(),
            media: ground.media.clone(),
            world: World {
                http: Arc::clone(&ground.http),
                hooks: Arc::clone(&hooks),
                logins: Arc::default(),
                started_at: ground.clock.now(),
            },
            clock: Arc::clone(&ground.clock),
            entropy: Arc::clone(&ground.entropy),
        },
        accounts: Kept::default(),
        turn: Arc::default(),
        watch: ground.watch.clone(),
        // A thread of their own, begun with the first account.
        place: Arc::new(LazyLock::new(Box::new(move || {
            let thread = threads.extra("channels");
            thread.map_err(|error| error.to_string())
        }))),
    });
    // The one and only time.
    let _ = talk.platforms.set(Platforms {
        send: channels.clone().recipient(),
        poll: channels.clone().recipient(),
        action: channels.clone().recipient(),
    });
    (channels, hooks)
}
