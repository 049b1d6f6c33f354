//! One heartbeat, from its request to its end.

use std::fmt::Write as _;

use actix::Addr;
use openclaw_protocol::methods::agent::AgentParams;
use openclaw_protocol::methods::heartbeat::{HeartbeatEvent, HeartbeatStatus};
use openclaw_protocol::methods::messaging::SendParams;
use openclaw_protocol::methods::session_changes::SessionsResetParams;
use openclaw_protocol::{ErrorShape, Scope, Scopes};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answer::{self, Answer};
use super::state::{Beat, Heard, Plan, Target};
use super::{End, Finished, Heart, HeartDeps};
use crate::agent::tools::workspace::{self, Root};
use crate::channel::sends::may_have_left;
use crate::cron::run::{AGAIN, text_of, without_nulls};
use crate::session::line::{Asked, Line};

/// The conversation that heartbeats are in.
const SESSION: &str = "heartbeat";
/// Longest beginning of an answer that is shown, characters.
const PREVIEW: usize = 200;
/// Most characters of the list that an agent is shown.
const LIST: usize = 20_000;
/// The list that an agent follows.
const FILE: &str = "HEARTBEAT.md";

/// Watches a heartbeat; its owner is told its end, whatever happens.
pub(super) fn spawn(deps: &HeartDeps, plan: Plan, beat: Beat, heart: Addr<Heart>) {
    let watch = Watch {
        deps: deps.clone(),
        plan,
        beat: beat.clone(),
    };
    let failed = watch.ended(
        HeartbeatStatus::Failed,
        "it failed inside the gateway; the log has the place",
    );
    let duty = Duty {
        heart,
        beat: Some(beat),
        end: Some(failed),
    };
    actix_rt::spawn(async move {
        // The whole of it: its end is told when it is dropped.
        let mut duty = duty;
        duty.end = watch.to_end().await;
    });
}

/// Tells the owner, also when the watching panics.
struct Duty {
    heart: Addr<Heart>,
    beat: Option<Beat>,
    end: Option<End>,
}

impl Drop for Duty {
    fn drop(&mut self) {
        if let Some(beat) = self.beat.take() {
            let end = self.end.take();
            #[expect(
                clippy::disallowed_methods,
                reason = "one per heartbeat that was begun"
            )]
            self.heart.do_send(Finished { beat, end });
        }
    }
}

struct Watch {
    deps: HeartDeps,
    plan: Plan,
    beat: Beat,
}

impl Watch {
    async fn to_end(&self) -> Option<End> {
        let list = self.list().await;
        let nothing = list.as_deref().is_some_and(answer::says_nothing);
        if nothing && self.beat.notes.is_empty() {
            return Some(self.ended(HeartbeatStatus::Skipped, "empty-heartbeat-file"));
        }
        self.begin_anew().await;
        let mut line = Line::new(
            Scopes::of(&[Scope::Read, Scope::Write]),
            self.deps.gateway.clone(),
        );
        let ended = match self.run(&mut line, list.filter(|_| !nothing)).await {
            Ok(ended) => ended,
            Err(Some(end)) => return Some(end),
            Err(None) => return None,
        };
        if ended["status"] != "ok" {
            let summary = ended["summary"].as_str().unwrap_or("it gave no answer");
            return Some(self.ended(HeartbeatStatus::Failed, summary));
        }
        Some(self.answered(&mut line, &text_of(&ended)).await)
    }

    /// The list of the agent's workspace, if there is one.
    async fn list(&self) -> Option<String> {
        let settings = self.deps.views.settings.load();
        let folder = settings.agent(&self.beat.agent)?.workspace.clone()?;
        let read = tokio::task::spawn_blocking(move || {
            let bytes = workspace::read(&Root::plain(folder), FILE).ok()?;
            let text = String::from_utf8_lossy(&bytes);
            Some(text.chars().take(LIST).collect::<String>())
        });
        // A heartbeat without it is better than none; the log of the panic has the place.
        read.await.ok().flatten()
    }

    /// A heartbeat begins without what earlier ones said. Their conversation is the gateway's own, so it
    /// may, whatever the agent may.
    async fn begin_anew(&self) {
        let mut line = Line::new(Scopes::of(&[Scope::Admin]), self.deps.gateway.clone());
        let params = SessionsResetParams {
            key: SESSION.to_owned(),
            agent_id: Some(self.beat.agent.clone()),
            reason: None,
        };
        line.ask(&self.deps.reset, params);
        if let Err(error) = line.next().await {
            tracing::debug!(%error.message, "a conversation did not begin anew");
        }
    }

    /// Runs it. Where there is no room before the next one is due, it is skipped; with neither an
    /// answer nor an end, the gateway stops.
    async fn run(&self, line: &mut Line, list: Option<String>) -> Result<Value, Option<End>> {
        let (mut wait, longest) = AGAIN;
        loop {
            let Ok(params) = serde_json::from_value::<AgentParams>(self.params(list.as_deref()))
            else {
                return Err(Some(
                    self.ended(HeartbeatStatus::Failed, "what it is asked is too long"),
                ));
            };
            match line.run(&self.deps.agent, params).await {
                Asked::Ended(ended) => return Ok(ended),
                Asked::Failed(error) => {
                    return Err(Some(self.ended(HeartbeatStatus::Failed, &error.message)));
                }
                Asked::Stopping => return Err(None),
                Asked::Later => {}
            }
            if self.deps.clock.now().plus(wait) > self.beat.started.plus(self.plan.every) {
                return Err(Some(
                    self.ended(HeartbeatStatus::Skipped, "requests-in-flight"),
                ));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
        }
    }

    fn params(&self, list: Option<&str>) -> Value {
        let mut message = self.plan.prompt.clone();
        if let Some(list) = list {
            let _ = write!(message, "\n\n## {FILE}\n\n{}", list.trim());
        }
        if !self.beat.notes.is_empty() {
            message.push_str("\n\n## What happened meanwhile\n");
            for note in &self.beat.notes {
                let _ = write!(message, "\n- {}", note.text.trim().replace('\n', "\n  "));
            }
        }
        without_nulls(json!({
            "message": message,
            "idempotencyKey": self.beat.run_id,
            "sessionKey": SESSION,
            "agentId": self.beat.agent,
            "deliver": false,
            "model": self.plan.model,
            "extraSystemPrompt": format!(
                "The newest message comes from the gateway's clock, not from a person who waits for an answer. If nothing needs anybody's attention, answer {} and nothing else; any other answer is told to the person whom you work for.",
                answer::QUIET
            ),
        }))
    }

    async fn answered(&self, line: &mut Line, text: &str) -> End {
        let quiet = |status| End {
            event: HeartbeatEvent {
                silent: Some(true),
                indicator_type: Some("ok".into()),
                ..self.event(status)
            },
            heard: Heard::Yes,
            said: None,
        };
        let text = match answer::read(text, self.plan.ack_max_chars) {
            Answer::Empty => return quiet(HeartbeatStatus::OkEmpty),
            Answer::Quiet => return quiet(HeartbeatStatus::OkToken),
            Answer::Say(text) => text,
        };
        let digest = base16(&text);
        if self.beat.said.as_ref() == Some(&digest) {
            let mut end = quiet(HeartbeatStatus::Skipped);
            end.event.reason = Some("duplicate".into());
            return end;
        }
        let preview = Some(text.chars().take(PREVIEW).collect());
        if self.plan.target == Target::Nobody {
            let mut end = quiet(HeartbeatStatus::Sent);
            (end.event.preview, end.event.reason) = (preview, Some("target-none".into()));
            (end.event.indicator_type, end.said) = (Some("alert".into()), Some(digest));
            return end;
        }
        let delivered = self.deliver(line, text).await;
        let (channel, to) = self.receiver();
        let event = HeartbeatEvent {
            channel: Some(channel.to_owned()),
            to: Some(to.to_owned()),
            preview,
            silent: Some(false),
            indicator_type: Some("alert".into()),
            ..self.event(HeartbeatStatus::Sent)
        };
        match delivered {
            Ok(()) => End {
                event,
                heard: Heard::Yes,
                said: Some(digest),
            },
            // Said again at the next heartbeat, it would be said twice.
            Err(error) if may_have_left(&error) => End {
                event: HeartbeatEvent {
                    reason: Some(error.message.into()),
                    ..event
                },
                heard: Heard::Yes,
                said: Some(digest),
            },
            Err(error) => End {
                event: HeartbeatEvent {
                    status: HeartbeatStatus::Failed,
                    reason: Some(error.message.into()),
                    indicator_type: Some("error".into()),
                    ..event
                },
                // It was heard, and what was said stands in the conversation of heartbeats.
                heard: Heard::Yes,
                said: None,
            },
        }
    }

    fn receiver(&self) -> (&str, &str) {
        match &self.plan.target {
            Target::Channel { channel, to, .. } => (channel, to),
            Target::Main | Target::Nobody => ("session", "main"),
        }
    }

    async fn deliver(&self, line: &mut Line, text: String) -> Result<(), ErrorShape> {
        let (channel, to) = self.receiver();
        let account = match &self.plan.target {
            Target::Channel { account, .. } => account.clone(),
            Target::Main | Target::Nobody => None,
        };
        let params = json!({
            "to": to,
            "channel": channel,
            "message": text,
            "accountId": account,
            "agentId": self.beat.agent,
            "idempotencyKey": format!("{}:answer", self.beat.run_id),
        });
        let params: SendParams = serde_json::from_value(without_nulls(params))
            .map_err(|error| ErrorShape::invalid(format!("heartbeat.target: {error}")))?;
        line.ask(&self.deps.send, params);
        line.next().await.map(drop)
    }

    fn event(&self, status: HeartbeatStatus) -> HeartbeatEvent {
        let now = self.deps.clock.now();
        let took = now.since(self.beat.started).as_millis();
        HeartbeatEvent {
            ts: now.wire(),
            status,
            to: None,
            preview: None,
            duration_ms: u64::try_from(took).ok(),
            reason: None,
            channel: None,
            silent: None,
            indicator_type: None,
        }
    }

    /// It ended without an answer: what waits goes on waiting.
    fn ended(&self, status: HeartbeatStatus, reason: &str) -> End {
        let failed = status == HeartbeatStatus::Failed;
        End {
            event: HeartbeatEvent {
                reason: Some(reason.to_owned()),
                indicator_type: failed.then(|| "error".into()),
                ..self.event(status)
            },
            heard: if failed { Heard::Failed } else { Heard::NotYet },
            said: None,
        }
    }
}

fn base16(text: &str) -> String {
    let mut digest = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}
