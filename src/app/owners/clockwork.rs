//! What happens by the clock: jobs, and agents that look after things by themselves.

use std::sync::Arc;

use actix::Addr;
use openclaw_actors::cron::state::State as Jobs;
use openclaw_actors::cron::{Scheduler, SchedulerDeps};
use openclaw_actors::heartbeat::state::State as Heartbeats;
use openclaw_actors::heartbeat::{Heart, HeartDeps};
use openclaw_actors::kept::Kept;

use super::talk::Talk;
use crate::app::ground::Ground;

/// The owners of what happens by the clock.
pub(super) struct Clockwork {
    pub(super) heart: Addr<Heart>,
    pub(super) scheduler: Addr<Scheduler>,
}

impl Clockwork {
    pub(super) fn start(ground: &Ground, talk: &Talk, heartbeats: Heartbeats, jobs: Jobs) -> Self {
        let heart = ground.work::<Heart>(HeartDeps {
            state: Kept::new(heartbeats),
            store: ground.store.clone(),
            gateway: ground.gateway.clone(),
            views: ground.views.clone(),
            clock: Arc::clone(&ground.clock),
            entropy: Arc::clone(&ground.entropy),
            agent: talk.dedupe.clone().recipient(),
            reset: talk.runner.clone().recipient(),
            send: talk.dedupe.clone().recipient(),
        });
        let scheduler = ground.work::<Scheduler>(SchedulerDeps {
            state: Kept::new(jobs),
            store: ground.store.clone(),
            gateway: ground.gateway.clone(),
            views: ground.views.clone(),
            clock: Arc::clone(&ground.clock),
            entropy: Arc::clone(&ground.entropy),
            zone: jiff::tz::TimeZone::system(),
            agent: talk.dedupe.clone().recipient(),
            reset: talk.runner.clone().recipient(),
            send: talk.dedupe.clone().recipient(),
            heart: heart.clone().recipient(),
        });
        Self { heart, scheduler }
    }
}
