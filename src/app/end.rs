//! The end: each step has its own limit, and what hangs does not keep a half-alive gateway up.

use std::time::Duration;

use openclaw_actors::agent::Drain;
use openclaw_actors::channel::supervisor::Close as CloseChannels;
use openclaw_actors::event::{Audience, EventOut, Plain};
use openclaw_actors::gateway::CloseAll;
use openclaw_actors::store::Close;
use openclaw_protocol::events::{SHUTDOWN, ShutdownEvent};

use super::Running;

impl Running {
    /// Tells clients, lets runs end for at most `drain`, closes every connection, and stops.
    pub async fn stop(self, reason: &str, drain: Duration) {
        let event = ShutdownEvent {
            reason: reason.to_owned(),
            restart_expected_ms: None,
        };
        self.gateway
            .emit(EventOut::new(SHUTDOWN, Audience::Everyone, Plain(event)));
        // Each step has its own limit: what hangs must not keep a half-alive gateway up.
        let drained = self.owners.runner.send(Drain { limit: drain });
        within("draining runs", drain + Duration::from_secs(10), drained).await;
        let flush = Duration::from_secs(5).min(drain);
        let closed = self.owners.channels.send(CloseChannels { flush });
        within("closing channels", flush + Duration::from_secs(12), closed).await;
        let close = CloseAll {
            code: 1012,
            reason: "service restart",
        };
        let closed = self.gateway.addr().send(close);
        within("closing connections", Duration::from_secs(2), closed).await;
        within(
            "the HTTP server",
            Duration::from_secs(5),
            self.serving.server.stop(true),
        )
        .await;
        within(
            "the HTTP threads",
            Duration::from_secs(2),
            self.serving.done,
        )
        .await;
        within(
            "closing the store",
            Duration::from_secs(10),
            self.store.send(Close),
        )
        .await;
        let threads = self.threads.clone();
        drop(self.owners);
        // Joining blocks, and may block for ever on a thread that hangs: on a plain thread, because
        // the runtime would wait for one of its own.
        let (joined, joining) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            threads.stop();
            // Nobody listens when it took too long.
            let _ = joined.send(());
        });
        within("stopping threads", Duration::from_secs(5), joining).await;
    }
}

/// Waits for a step of the shutdown, but not for ever.
async fn within(step: &str, limit: Duration, work: impl Future) {
    if tokio::time::timeout(limit, work).await.is_err() {
        tracing::warn!(
            step,
            seconds = limit.as_secs(),
            "the shutdown goes on without waiting any longer"
        );
    }
}
