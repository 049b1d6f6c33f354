//! A job and its runs as they are stored, and how they look on the wire.

use jiff::Timestamp;
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::cron::{
    AlertMode, CronAddParams, CronAlert, CronDelivered, CronDelivery, CronFailureAlert, CronJob,
    CronJobState, CronPatch, CronPayload, CronRunEntry, CronSchedule, CronStatusName, DeliveryMode,
    PayloadKind, ScheduleKind,
};
use openclaw_protocol::methods::heartbeat::WakeMode;
use openclaw_protocol::{Generation, Scopes};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::alert::Alerted;
use crate::clock::Millis;

/// What a job does, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Its name for people.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its name in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// Whether it goes after a run that went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// The agent that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The session that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// When it is due.
    pub schedule: CronSchedule,
    /// `main`, `isolated`, or `session:` and a key.
    pub session_target: String,
    /// When a text for the main session is told.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: CronPayload,
    /// Where the answer goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<CronDelivery>,
    /// Who is told that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<CronAlert>,
}

/// A job as it is stored; the key is its id.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it does.
    pub definition: Definition,
    /// When it was made.
    pub made: Millis,
    /// When it was changed.
    pub changed: Millis,
    /// What its runs may do: what whoever made it might.
    pub scopes: Scopes,
    /// The slot that is due next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Millis>,
    /// The run under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The number of its next run.
    #[serde(default)]
    pub runs: u64,
    /// How its last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Ended>,
    /// Failures since it last went well.
    #[serde(default)]
    pub errors: u64,
    /// The failures that somebody was told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerted: Option<Alerted>,
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its number.
    pub number: u64,
    /// Its name, which is also its idempotency key.
    pub run_id: String,
    /// The slot that it is for; none where a person asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Millis>,
    /// When it began.
    pub started: Millis,
    /// When nobody waits for its end any more.
    pub lease: Millis,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The run.
    pub run_id: String,
    /// The slot that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Millis>,
    /// When it began.
    pub started: Millis,
    /// When it ended.
    pub ended: Millis,
    /// How.
    pub outcome: Outcome,
    /// The session that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When the job was due next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Millis>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// In a word.
    pub status: CronStatusName,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What became of the answer.
    pub delivery: CronDelivered,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_error: Option<String>,
}

impl Outcome {
    /// It failed.
    pub fn failed(error: impl Into<String>) -> Self {
        Self {
            status: CronStatusName::Error,
            error: Some(error.into()),
            summary: None,
            delivery: CronDelivered::NotRequested,
            delivery_error: None,
        }
    }
}

impl Definition {
    /// What `cron.add` asks for.
    ///
    /// # Errors
    ///
    /// What this gateway does not do, beginning with its place.
    pub fn of(params: CronAddParams) -> Result<Self, String> {
        let refused = |place: &str| Err(format!("at /{place}: is not supported by this gateway"));
        if params.declaration_key.is_some() {
            return refused("declarationKey");
        }
        if params.pacing.is_some() {
            return refused("pacing");
        }
        if params.trigger.is_some() {
            return refused("trigger");
        }
        let definition = Self {
            name: params.name,
            description: params.description,
            display_name: params.display_name,
            enabled: params.enabled.unwrap_or(true),
            delete_after_run: params.delete_after_run,
            agent_id: params.agent_id.and_then(|id| id.0),
            session_key: params.session_key.and_then(|key| key.0),
            schedule: params.schedule,
            session_target: params.session_target,
            wake_mode: params.wake_mode,
            payload: params.payload,
            delivery: params.delivery,
            failure_alert: params.failure_alert,
        };
        definition.checked()
    }

    /// The same after a change.
    ///
    /// # Errors
    ///
    /// As [`Self::of`], and where a part of the change is not of its type.
    pub fn patched(&self, patch: CronPatch) -> Result<Self, String> {
        for (place, value) in [("pacing", &patch.pacing), ("trigger", &patch.trigger)] {
            let keeps = |value: &Value| value.is_null() || *value == Value::Bool(false);
            if value.as_ref().is_some_and(|value| !keeps(value)) {
                return Err(format!(
                    "at /patch/{place}: is not supported by this gateway"
                ));
            }
        }
        let mut new = self.clone();
        new.name = patch.name.unwrap_or(new.name);
        new.description = patch.description.or(new.description);
        if let Some(name) = patch.display_name {
            new.display_name = name.0;
        }
        new.enabled = patch.enabled.unwrap_or(new.enabled);
        new.delete_after_run = patch.delete_after_run.or(new.delete_after_run);
        if let Some(agent) = patch.agent_id {
            new.agent_id = agent.0;
        }
        if let Some(key) = patch.session_key {
            new.session_key = key.0;
        }
        new.schedule = patch.schedule.unwrap_or(new.schedule);
        new.session_target = patch.session_target.unwrap_or(new.session_target);
        new.wake_mode = patch.wake_mode.unwrap_or(new.wake_mode);
        if let Some(payload) = patch.payload {
            let kind = serde_json::to_value(new.payload.kind).unwrap_or_default();
            let same = payload["kind"] == kind || payload.get("kind").is_none();
            let base = if same {
                merged("payload", &new.payload, payload)?
            } else {
                merged("payload", &Value::Null, payload)?
            };
            new.payload = base;
        }
        if let Some(delivery) = patch.delivery {
            let old = new.delivery.clone().unwrap_or_default();
            new.delivery = Some(merged("delivery", &old, delivery)?);
        }
        if let Some(alert) = patch.failure_alert {
            let old = match &new.failure_alert {
                Some(CronAlert::On(old)) => old.clone(),
                _ => CronFailureAlert::default(),
            };
            new.failure_alert = match alert {
                Value::Null => None,
                Value::Bool(on) => Some(CronAlert::Off(on)),
                change => Some(CronAlert::On(merged("failureAlert", &old, change)?)),
            };
        }
        new.checked()
    }

    fn checked(mut self) -> Result<Self, String> {
        let payload = &self.payload;
        let text = match payload.kind {
            PayloadKind::SystemEvent => ("text", &payload.text),
            PayloadKind::AgentTurn => ("message", &payload.message),
            PayloadKind::Command | PayloadKind::Script => {
                return Err(
                    "at /payload/kind: this gateway runs no commands or scripts by the clock; use agentTurn, and let the agent run it"
                        .into(),
                );
            }
        };
        if text.1.as_deref().is_none_or(|text| text.trim().is_empty()) {
            return Err(format!(
                "at /payload/{}: say what the agent is told",
                text.0
            ));
        }
        let all = |tools: &Vec<String>| tools.iter().any(|tool| tool == "*");
        if payload
            .tools_allow
            .as_ref()
            .is_some_and(|tools| !all(tools))
            && payload.tools_allow_is_default != Some(true)
        {
            return Err(
                "at /payload/toolsAllow: tools of a single job cannot be narrowed yet; use an agent of its own (agents.list, tools.allow)"
                    .into(),
            );
        }
        // As older clients say it.
        if payload.deliver == Some(true) && self.delivery.is_none() {
            self.delivery = Some(CronDelivery {
                mode: DeliveryMode::Announce,
                channel: payload.channel.clone(),
                to: payload.to.clone(),
                best_effort: payload.best_effort_deliver,
                ..CronDelivery::default()
            });
        }
        let payload = &mut self.payload;
        (payload.deliver, payload.channel, payload.to) = (None, None, None);
        payload.best_effort_deliver = None;
        self.check_destinations()?;
        match self.session_target.as_str() {
            "main" | "isolated" => {}
            "current" => {
                let key = self.session_key.as_deref().ok_or(
                    "at /sessionTarget: \"current\" needs sessionKey, or write session:KEY",
                )?;
                self.session_target = format!("session:{key}");
            }
            other
                if other
                    .strip_prefix("session:")
                    .is_some_and(|key| !key.is_empty()) => {}
            _ => {
                return Err(
                    "at /sessionTarget: use main, isolated, current, or session: and a key".into(),
                );
            }
        }
        Ok(self)
    }

    /// Whether everything that names a web address names one.
    fn check_destinations(&self) -> Result<(), String> {
        let web = |place: &str, to: Option<&str>| {
            let to = to.unwrap_or_default().trim();
            if to.starts_with("https://") || to.starts_with("http://") {
                return Ok(());
            }
            Err(format!(
                "at /{place}: say which web address is called, e.g. https://example.org/hook"
            ))
        };
        if let Some(delivery) = &self.delivery {
            if delivery.mode == DeliveryMode::Webhook {
                web("delivery/to", delivery.to.as_deref())?;
            }
            if let Some(completion) = &delivery.completion_destination {
                web("delivery/completionDestination/to", Some(&completion.to))?;
            }
            if let Some(failure) = &delivery.failure_destination
                && failure.mode == Some(AlertMode::Webhook)
            {
                web("delivery/failureDestination/to", failure.to.as_deref())?;
            }
        }
        match &self.failure_alert {
            Some(CronAlert::Off(true)) => {
                Err("at /failureAlert: is false, or says when and where".into())
            }
            Some(CronAlert::On(alert)) if alert.mode == Some(AlertMode::Webhook) => {
                web("failureAlert/to", alert.to.as_deref())
            }
            _ => Ok(()),
        }
    }

    /// The web addresses that are told how a run ended: instead of a chat, or besides.
    pub fn webhooks(&self) -> (Option<&str>, Option<&str>) {
        let delivery = self.delivery.as_ref();
        let primary = delivery
            .filter(|delivery| delivery.mode == DeliveryMode::Webhook)
            .and_then(|delivery| delivery.to.as_deref());
        let besides = delivery.and_then(|delivery| delivery.completion_destination.as_ref());
        (primary, besides.map(|besides| besides.to.as_str()))
    }

    /// What the agent is told.
    pub fn message(&self) -> &str {
        let payload = &self.payload;
        let text = payload.message.as_ref().or(payload.text.as_ref());
        text.map_or("", String::as_str)
    }

    /// Whether its answer is sent somewhere.
    pub fn announces(&self) -> Option<&CronDelivery> {
        self.delivery
            .as_ref()
            .filter(|delivery| delivery.mode == DeliveryMode::Announce)
    }

    /// Changes with what it does.
    pub fn revision(&self) -> String {
        let digest = Sha256::digest(to_bytes(self));
        crate::approvals::plan::hex(&digest[..16])
    }
}

/// `old` with what `change` says: null removes.
fn merged<T, U>(place: &str, old: &T, change: Value) -> Result<U, String>
where
    T: Serialize,
    U: serde::de::DeserializeOwned,
{
    let mut value = serde_json::to_value(old).unwrap_or_default();
    if value.is_null() {
        value = Value::Object(serde_json::Map::new());
    }
    let (Value::Object(into), Value::Object(change)) = (&mut value, change) else {
        return Err(format!("at /patch/{place}: must be object"));
    };
    for (key, change) in change {
        if change.is_null() {
            into.remove(&key);
        } else {
            into.insert(key, change);
        }
    }
    serde_json::from_value(value).map_err(|error| format!("at /patch/{place}: {error}"))
}

impl Job {
    /// As clients see it.
    pub fn to_wire(&self, generation: Generation) -> CronJob {
        let definition = self.definition.clone();
        let last = self.last.as_ref();
        let outcome = last.map(|last| &last.outcome);
        let status = outcome.map(|outcome| outcome.status);
        let error = outcome.and_then(|outcome| outcome.error.clone());
        let next = self.next.filter(|_| definition.enabled).map(Millis::wire);
        let delivered = outcome.and_then(|outcome| was_delivered(outcome.delivery));
        let delivery_error = outcome.and_then(|outcome| outcome.delivery_error.clone());
        let state = CronJobState {
            next_run_at_ms: next,
            running_at_ms: self.running.as_ref().map(|running| running.started.wire()),
            last_run_at_ms: last.map(|last| last.started.wire()),
            last_run_status: status,
            last_status: status,
            last_error: error.clone(),
            last_duration_ms: last.map(Ended::took),
            consecutive_errors: (self.errors > 0).then_some(self.errors),
            last_delivered: delivered,
            last_delivery_status: outcome.map(|outcome| outcome.delivery),
            last_delivery_error: delivery_error.clone(),
            last_failure_alert_at_ms: self.alerted.as_ref().map(|alerted| alerted.at.wire()),
        };
        CronJob {
            id: self.id.clone(),
            effective_agent_id: None,
            config_revision: Some(self.definition.revision()),
            name: definition.name,
            description: definition.description,
            display_name: definition.display_name,
            agent_id: definition.agent_id,
            session_key: definition.session_key,
            enabled: definition.enabled,
            delete_after_run: definition.delete_after_run,
            created_at_ms: self.made.wire(),
            updated_at_ms: self.changed.wire(),
            schedule: shown(definition.schedule, generation),
            session_target: definition.session_target,
            wake_mode: definition.wake_mode,
            payload: definition.payload,
            delivery: definition.delivery,
            failure_alert: definition.failure_alert,
            next_run_at_ms: next,
            last_run_at_ms: state.last_run_at_ms,
            last_run_status: status,
            last_run_error: error,
            last_delivered: delivered,
            last_delivery_status: state.last_delivery_status,
            last_delivery_error: delivery_error,
            state,
        }
    }
}

/// Each generation writes a single time in its own way.
fn shown(mut schedule: CronSchedule, generation: Generation) -> CronSchedule {
    if schedule.kind != ScheduleKind::At {
        return schedule;
    }
    if generation == Generation::V3 {
        let at = schedule
            .at
            .take()
            .and_then(|at| at.parse::<Timestamp>().ok());
        let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
        schedule.at_ms = schedule.at_ms.or(at);
    } else if let Some(ms) = schedule.at_ms.take() {
        let at = i64::try_from(ms).ok();
        let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        schedule.at = schedule.at.or_else(|| at.map(|at| at.to_string()));
    }
    schedule
}

const fn was_delivered(delivery: CronDelivered) -> Option<bool> {
    match delivery {
        CronDelivered::Delivered => Some(true),
        CronDelivered::NotDelivered => Some(false),
        CronDelivered::Unknown | CronDelivered::NotRequested => None,
    }
}

impl Ended {
    fn took(&self) -> u64 {
        u64::try_from(self.ended.since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// As clients see it.
    pub fn to_wire(&self, job: &str, name: Option<&str>) -> CronRunEntry {
        let outcome = &self.outcome;
        CronRunEntry {
            ts: self.ended.wire(),
            job_id: job.to_owned(),
            action: "finished".into(),
            status: Some(outcome.status),
            error: outcome.error.clone(),
            summary: outcome.summary.clone(),
            delivered: was_delivered(outcome.delivery),
            delivery_status: Some(outcome.delivery),
            delivery_error: outcome.delivery_error.clone(),
            session_key: self.session.clone(),
            run_id: Some(self.run_id.clone()),
            run_at_ms: Some(self.started.wire()),
            duration_ms: Some(self.took()),
            next_run_at_ms: self.next.map(Millis::wire),
            job_name: name.map(str::to_owned),
        }
    }
}
