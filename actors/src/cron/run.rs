//! One run of a job, from its request to its end.

use std::time::Duration;

use actix::Addr;
use openclaw_protocol::events::{CronAction, CronEvent};
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::agent::AgentParams;
use openclaw_protocol::methods::cron::{CronDelivered, CronDelivery, CronStatusName, PayloadKind};
use openclaw_protocol::methods::heartbeat::WakeMode;
use openclaw_protocol::methods::messaging::SendParams;
use openclaw_protocol::methods::session_changes::SessionsResetParams;
use openclaw_protocol::{ErrorShape, Scopes};
use serde_json::{Value, json};

use super::alert::{Notice, Route};
use super::job::{Definition, Ended, Job, Outcome, Running};
use super::{Finished, Scheduler, SchedulerDeps, webhook};
use crate::channel::sends::may_have_left;
use crate::clock::Millis;
use crate::heartbeat::Tell;
use crate::session::line::{Asked, Line};

/// Longest beginning of an answer that is kept in the history, characters.
const SUMMARY: usize = 2_000;
/// How long to wait before asking again for a run that found no room, at first and at most.
pub(crate) const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// Watches a run; the scheduler is told its end, whatever happens.
pub(super) fn spawn(
    deps: &SchedulerDeps,
    job: Job,
    running: Running,
    first: bool,
    scheduler: Addr<Scheduler>,
) {
    let watch = Watch {
        deps: deps.clone(),
        job,
        running,
    };
    let duty = Duty {
        scheduler,
        job: watch.job.id.clone(),
        run_id: watch.running.run_id.clone(),
        end: Some((
            Outcome::failed("the run failed inside the gateway; the log has the place"),
            None,
        )),
    };
    actix_rt::spawn(async move {
        // The whole of it: its end is told when it is dropped.
        let mut duty = duty;
        duty.end = watch.to_end(first).await;
    });
}

/// Tells the scheduler, also when the watching panics.
struct Duty {
    scheduler: Addr<Scheduler>,
    job: String,
    run_id: String,
    end: Option<(Outcome, Option<String>)>,
}

impl Drop for Duty {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "one per run that was begun")]
        self.scheduler.do_send(Finished {
            job: std::mem::take(&mut self.job),
            run_id: std::mem::take(&mut self.run_id),
            end: self.end.take(),
        });
    }
}

struct Watch {
    deps: SchedulerDeps,
    job: Job,
    running: Running,
}

impl Watch {
    async fn to_end(&self, first: bool) -> Option<(Outcome, Option<String>)> {
        let definition = &self.job.definition;
        if let Some(told) = self.with_heartbeat().await {
            return Some((told, None));
        }
        let mut line = Line::new(self.job.scopes, self.deps.gateway.clone());
        let session = session_of(definition, &self.job.id);
        if first && definition.session_target == "isolated" {
            self.begin_anew(&session).await;
        }
        let (mut wait, longest) = AGAIN;
        let ended = loop {
            match self.ask(&mut line, &session).await {
                Asked::Ended(ended) => break Ok(ended),
                Asked::Failed(error) => break Err(error),
                Asked::Stopping => return None,
                Asked::Later => {}
            }
            if self.deps.clock.now().plus(wait) > self.running.lease {
                break Err(ErrorShape::unavailable(
                    "no run could begin in time, because too many others wait",
                ));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
        };
        let (mut outcome, text, session) = match ended {
            Ok(ended) => outcome_of(&ended, session),
            Err(error) => (Outcome::failed(error.message), String::new(), session),
        };
        if outcome.status == CronStatusName::Ok
            && let Some(delivery) = definition.announces()
            && !text.trim().is_empty()
        {
            let delivered = self.deliver(&mut line, delivery, text).await;
            outcome.delivery = match &delivered {
                Ok(()) => CronDelivered::Delivered,
                Err(error) if may_have_left(error) => CronDelivered::Unknown,
                Err(_) => CronDelivered::NotDelivered,
            };
            outcome.delivery_error = delivered.err().map(|error| error.message.into());
        }
        self.post(&mut outcome, &session).await;
        Some((outcome, Some(session)))
    }

    /// Tells web addresses how it ended. One that goes well and says nothing is not told.
    async fn post(&self, outcome: &mut Outcome, session: &str) {
        let (primary, besides) = self.job.definition.webhooks();
        let silent = outcome.status == CronStatusName::Ok && outcome.summary.is_none();
        if silent || (primary.is_none() && besides.is_none()) {
            return;
        }
        let mut event = finished(
            &self.job,
            &self.running.run_id,
            self.running.started,
            outcome,
        );
        event.session_key = Some(session.to_owned());
        event.duration_ms = Some(
            u64::try_from(
                self.deps
                    .clock
                    .now()
                    .since(self.running.started)
                    .as_millis(),
            )
            .unwrap_or(u64::MAX),
        );
        let body = to_bytes(&event);
        let settings = self.deps.views.settings.load();
        if let Some(to) = primary {
            let key = format!("{}:webhook", self.running.run_id);
            let posted = webhook::post(to, body.clone(), &key, &settings.cron.webhook).await;
            outcome.delivery = match &posted {
                Ok(()) => CronDelivered::Delivered,
                Err(error) if error.may_have_left => CronDelivered::Unknown,
                Err(_) => CronDelivered::NotDelivered,
            };
            outcome.delivery_error = posted.err().map(|error| error.text);
        }
        if let Some(to) = besides {
            let key = format!("{}:completion", self.running.run_id);
            let posted = webhook::post(to, body.clone(), &key, &settings.cron.webhook).await;
            if let Err(error) = posted {
                outcome.delivery_error.get_or_insert(error.text);
            }
        }
    }

    /// Leaves a text to the agent's next heartbeat, where the job asks for that and there is one.
    async fn with_heartbeat(&self) -> Option<Outcome> {
        let definition = &self.job.definition;
        let plain = definition.payload.kind == PayloadKind::SystemEvent
            && definition.wake_mode == WakeMode::NextHeartbeat
            && definition.session_target == "main"
            && definition.session_key.is_none();
        if !plain {
            return None;
        }
        let tell = Tell {
            agent: definition.agent_id.clone(),
            id: self.running.run_id.clone(),
            text: definition.message().to_owned(),
            at_once: false,
        };
        match self.deps.heart.send(tell).await {
            Ok(Ok(true)) => Some(Outcome {
                status: CronStatusName::Ok,
                error: None,
                summary: Some("it is told with the next heartbeat".into()),
                delivery: CronDelivered::NotRequested,
                delivery_error: None,
            }),
            Ok(Err(error)) => Some(Outcome::failed(error)),
            // There is no heartbeat, or it is being restarted: the text is told now.
            Ok(Ok(false)) | Err(_) => None,
        }
    }

    /// An isolated run begins without what earlier ones said. Their conversation is the scheduler's own,
    /// so it may, whatever the job may.
    async fn begin_anew(&self, session: &str) {
        let mut line = Line::new(
            Scopes::of(&[openclaw_protocol::Scope::Admin]),
            self.deps.gateway.clone(),
        );
        let params = SessionsResetParams {
            key: session.to_owned(),
            agent_id: self.job.definition.agent_id.clone(),
            reason: None,
        };
        line.ask(&self.deps.reset, params);
        if let Err(error) = line.next().await {
            tracing::debug!(%error.message, session, "a conversation did not begin anew");
        }
    }

    async fn ask(&self, line: &mut Line, session: &str) -> Asked {
        let definition = &self.job.definition;
        let payload = &definition.payload;
        let params = json!({
            "message": definition.message(),
            "idempotencyKey": self.running.run_id,
            "sessionKey": session,
            "agentId": definition.agent_id,
            "deliver": false,
            "timeout": payload.timeout_seconds.map(whole_seconds),
            "model": payload.model,
            "thinking": payload.thinking,
            "extraSystemPrompt": self.told(),
        });
        let params = without_nulls(params);
        let Ok(params) = serde_json::from_value::<AgentParams>(params) else {
            return Asked::Failed(ErrorShape::invalid("the job's payload is not understood"));
        };
        line.run(&self.deps.agent, params).await
    }

    /// What the agent knows of where the message comes from.
    fn told(&self) -> String {
        let name = &self.job.definition.name;
        format!(
            "The newest message comes from the gateway's scheduler (job \"{name}\"), not from a person who waits for an answer."
        )
    }

    async fn deliver(
        &self,
        line: &mut Line,
        delivery: &CronDelivery,
        text: String,
    ) -> Result<(), ErrorShape> {
        let (channel, to) = recipient(delivery.channel.as_deref(), delivery.to.as_deref())?;
        let params = json!({
            "to": to,
            "channel": channel,
            "message": text,
            "accountId": delivery.account_id,
            "agentId": self.job.definition.agent_id,
            "idempotencyKey": format!("{}:answer", self.running.run_id),
        });
        let params: SendParams = serde_json::from_value(without_nulls(params))
            .map_err(|error| ErrorShape::invalid(format!("delivery: {error}")))?;
        line.ask(&self.deps.send, params);
        line.next().await.map(drop)
    }
}

/// Who gets it: somebody on a channel, or the main conversation, at which people look where no channel is named.
fn recipient<'a>(
    channel: Option<&'a str>,
    to: Option<&'a str>,
) -> Result<(&'a str, &'a str), ErrorShape> {
    match (channel.filter(|name| *name != "last"), to) {
        (Some(channel), Some(to)) => Ok((channel, to)),
        (Some(channel), None) if channel != "webchat" => Err(ErrorShape::invalid(format!(
            "delivery.to is missing: say who gets it on {channel}"
        ))),
        _ => Ok(("session", "main")),
    }
}

/// The end of a run, as web addresses are told.
fn finished(job: &Job, run_id: &str, started: Millis, outcome: &Outcome) -> CronEvent {
    let mut event = super::event(job, CronAction::Finished);
    event.run_id = Some(run_id.to_owned());
    event.run_at_ms = Some(started.wire());
    event.status = Some(outcome.status);
    event.error.clone_from(&outcome.error);
    event.summary.clone_from(&outcome.summary);
    event
}

/// Tells somebody that a job fails, or runs again. Once: what cannot be told is in the log and the history.
pub(super) fn notify(deps: &SchedulerDeps, job: &Job, ended: &Ended, notice: Notice) {
    let deps = deps.clone();
    let (job, ended) = (job.clone(), ended.clone());
    actix_rt::spawn(async move {
        let key = format!("{}:alert", ended.run_id);
        let text = notice.text(&job.definition.name);
        let told = match &notice.route {
            Route::Webhook(to) => {
                let event = finished(&job, &ended.run_id, ended.started, &ended.outcome);
                let mut body = serde_json::to_value(&event).unwrap_or_default();
                body["message"] = text.into();
                body["consecutiveErrors"] = notice.failures.unwrap_or(0).into();
                let settings = deps.views.settings.load();
                let posted =
                    webhook::post(to, body.to_string().into(), &key, &settings.cron.webhook).await;
                posted.map_err(|error| error.text)
            }
            Route::Chat {
                channel,
                to,
                account,
            } => {
                let mut line = Line::new(job.scopes, deps.gateway.clone());
                let params =
                    recipient(channel.as_deref(), to.as_deref()).and_then(|(channel, to)| {
                        let params = json!({
                            "to": to, "channel": channel, "message": text, "accountId": account,
                            "agentId": job.definition.agent_id, "idempotencyKey": key,
                        });
                        serde_json::from_value::<SendParams>(without_nulls(params))
                            .map_err(|error| ErrorShape::invalid(error.to_string()))
                    });
                match params {
                    Ok(params) => {
                        line.ask(&deps.send, params);
                        line.next()
                            .await
                            .map(drop)
                            .map_err(|error| error.message.into())
                    }
                    Err(error) => Err(error.message.into()),
                }
            }
        };
        if let Err(error) = told {
            tracing::warn!(job = %job.id, name = %job.definition.name, %error, "nobody could be told how a job goes");
        }
    });
}

/// The session that a job's runs are in.
fn session_of(definition: &Definition, id: &str) -> String {
    match definition.session_target.as_str() {
        "main" => definition
            .session_key
            .clone()
            .unwrap_or_else(|| "main".into()),
        "isolated" => format!("cron:{id}"),
        target => target.strip_prefix("session:").unwrap_or(target).to_owned(),
    }
}

fn outcome_of(ended: &Value, session: String) -> (Outcome, String, String) {
    let text = text_of(ended);
    let ok = ended["status"] == "ok";
    let summary = ended["summary"].as_str().unwrap_or("it gave no answer");
    let outcome = Outcome {
        status: if ok {
            CronStatusName::Ok
        } else {
            CronStatusName::Error
        },
        error: (!ok).then(|| summary.to_owned()),
        summary: (!text.is_empty()).then(|| shortened(&text)),
        delivery: CronDelivered::NotRequested,
        delivery_error: None,
    };
    (outcome, text, session)
}

/// What a run that ended answered.
pub(crate) fn text_of(ended: &Value) -> String {
    let texts = ended["result"]["payloads"].as_array().into_iter().flatten();
    let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n\n")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SUMMARY) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whole seconds, at least one where any are asked for.
fn whole_seconds(seconds: f64) -> u64 {
    let millis = Duration::try_from_secs_f64(seconds).map_or(0, |span| span.as_millis());
    u64::try_from(millis.div_ceil(1_000))
        .unwrap_or(u64::MAX)
        .min(openclaw_protocol::methods::common::MAX_INT)
}

pub(crate) fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(entries) = &mut value {
        entries.retain(|_, value| !value.is_null());
    }
    value
}
