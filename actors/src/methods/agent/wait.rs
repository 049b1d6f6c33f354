//! `agent.wait`: waits for the end of a run; owner: agent runner.

use std::time::Duration;

use actix::Handler;
use openclaw_protocol::methods::agent::{AgentWait, AgentWaitResult, RunStatus};

use crate::agent::AgentRunner;
use crate::agent::run::Ended;
use crate::agent::state::Known;
use crate::call::Call;

/// Time to wait when the client names none, milliseconds.
const DEFAULT_WAIT_MS: u64 = 30_000;
/// Longest time to wait, milliseconds.
const MAX_WAIT_MS: u64 = 600_000;

impl Handler<Call<AgentWait>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<AgentWait>, _: &mut Self::Context) {
        let run_id = call.params.run_id;
        let limit = Duration::from_millis(
            call.params
                .timeout_ms
                .unwrap_or(DEFAULT_WAIT_MS)
                .min(MAX_WAIT_MS),
        );
        let (state, reply) = (self.deps.state.clone(), call.reply);
        // Bounded by the connection's own cap on requests in flight.
        actix_rt::spawn(async move {
            let ended = tokio::time::timeout(limit, async {
                loop {
                    match state.with(|state| state.ask(&run_id)) {
                        Known::Ended(ended) => return ended,
                        Known::Waiting(told) => {
                            if let Ok(ended) = told.await {
                                return ended;
                            }
                        }
                        // It may still be on its way: being stored, or not sent yet.
                        Known::Unknown(mut arrivals) => {
                            // An error is a runner that was rebuilt: it is asked again.
                            let _ = arrivals.changed().await;
                        }
                    }
                }
            });
            let ended = ended.await.ok();
            reply.ok(&result(run_id, ended));
        });
    }
}

fn result(run_id: String, ended: Option<Ended>) -> AgentWaitResult {
    let Some(ended) = ended else {
        return AgentWaitResult {
            run_id,
            status: RunStatus::Timeout,
            started_at: None,
            ended_at: None,
            error: None,
            stop_reason: None,
        };
    };
    // A stopped run is an error to those who waited for its result.
    let stopped = ended
        .stop_reason
        .as_deref()
        .is_some_and(|reason| reason != "timeout");
    AgentWaitResult {
        run_id,
        status: if stopped {
            RunStatus::Error
        } else {
            ended.status
        },
        started_at: Some(ended.started_at),
        ended_at: Some(ended.ended_at),
        error: ended
            .error
            .or_else(|| stopped.then(|| "aborted".to_owned())),
        stop_reason: ended.stop_reason,
    }
}
