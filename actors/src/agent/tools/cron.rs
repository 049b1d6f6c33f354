//! `cron`: jobs and reminders of the calling agent.
//!
//! Only runs that an owner began may use it. What it makes may do less than they: read and write, and
//! neither decide about anything nor run programs by lasting rules, so that a text that an agent read
//! somewhere cannot give itself rights that outlive its conversation.

use std::time::Duration;

use openclaw_protocol::methods::cron::{
    CronAdd, CronGet, CronList, CronRemove, CronRun, CronRuns, CronStatus, CronUpdate,
};
use openclaw_protocol::methods::heartbeat::Wake;
use openclaw_protocol::{Method, Scope, Scopes, validate};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
};
use crate::session::line::Line;

/// Longest name that is made from a text, characters.
const NAME: usize = 48;

/// The tool.
pub(super) struct Cron;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    action: Action,
    #[serde(alias = "jobId")]
    id: Option<String>,
    job: Option<Map<String, Value>>,
    patch: Option<Map<String, Value>>,
    text: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Status,
    List,
    Add,
    Update,
    Remove,
    Run,
    Runs,
    Wake,
}

impl Tool for Cron {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "cron".into(),
            label: "Cron",
            description: "Makes and manages jobs and reminders that run by the gateway's clock. `add` takes `job`: {name, schedule, payload}. `schedule` is {kind:\"at\", at:\"2027-01-31T09:00:00Z\"}, {kind:\"every\", everyMs} or {kind:\"cron\", expr:\"0 9 * * 1-5\", tz:\"Europe/Zurich\"}. `payload` is {kind:\"systemEvent\", text} for a reminder in the main conversation, or {kind:\"agentTurn\", message} for a run of its own, whose answer is sent to the main conversation unless `delivery` says otherwise. `update` takes `id` and `patch`; `remove`, `run` and `runs` take `id`; `list` and `status` take nothing; `wake` takes `text` and tells it in the main conversation now.".into(),
            group: Group::Automation,
            parameters: json!({
                "type": "object",
                "properties": {
                    "action": {"type": "string", "enum": ["status", "list", "add", "update", "remove", "run", "runs", "wake"]},
                    "id": {"type": "string"},
                    "job": {"type": "object", "additionalProperties": true},
                    "patch": {"type": "object", "additionalProperties": true},
                    "text": {"type": "string"},
                },
                "required": ["action"],
                "additionalProperties": false,
            }),
            risk: Risk::Owner,
            limit: Duration::from_secs(30),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            let agent = &cx.agent.id;
            let mut desk = Desk::new(cx);
            let result = match asked.action {
                Action::Status => desk.ask::<CronStatus>(json!({})).await?,
                Action::List => {
                    let params = json!({ "includeDisabled": true, "agentId": agent, "limit": 100 });
                    desk.ask::<CronList>(params).await?
                }
                Action::Add => {
                    let job = asked.job.ok_or_else(|| missing("job"))?;
                    desk.ask::<CronAdd>(filled(job, cx).into()).await?
                }
                Action::Update => {
                    let id = desk.own(asked.id).await?;
                    let mut patch = asked.patch.or(asked.job).ok_or_else(|| missing("patch"))?;
                    // A job stays its agent's own.
                    patch.remove("agentId");
                    let params = json!({ "id": id, "patch": patch });
                    desk.ask::<CronUpdate>(params).await?
                }
                Action::Remove => {
                    let id = desk.own(asked.id).await?;
                    desk.ask::<CronRemove>(json!({ "id": id })).await?
                }
                Action::Run => {
                    let id = desk.own(asked.id).await?;
                    desk.ask::<CronRun>(json!({ "id": id, "mode": "force" }))
                        .await?
                }
                Action::Runs => {
                    let id = desk.own(asked.id).await?;
                    desk.ask::<CronRuns>(json!({ "id": id, "limit": 20 }))
                        .await?
                }
                Action::Wake => {
                    let text = asked.text.ok_or_else(|| missing("text"))?;
                    let params = json!({ "mode": "now", "text": text, "agentId": agent });
                    desk.ask::<Wake>(params).await?
                }
            };
            Ok(ToolOutput::text(result.to_string()).with(result))
        })
    }
}

/// Asks the scheduler as a caller that may read and write.
struct Desk<'a> {
    cx: &'a ToolContext<'a>,
    line: Line,
}

impl<'a> Desk<'a> {
    fn new(cx: &'a ToolContext<'a>) -> Self {
        let scopes = Scopes::of(&[Scope::Read, Scope::Write]);
        Self {
            cx,
            line: Line::new(scopes, cx.deps.gateway.clone()),
        }
    }

    async fn ask<M: Method<Params: DeserializeOwned>>(
        &mut self,
        params: Value,
    ) -> Result<Value, ToolError> {
        let wrong = |problem: String| ToolError::new(format!("{}: {problem}", M::NAME));
        validate::params(M::NAME, &params).map_err(wrong)?;
        let params = serde_json::from_value(params).map_err(|error| wrong(error.to_string()))?;
        self.line.route::<M>(params);
        let answer = self.line.next().await;
        answer.map_err(|error| ToolError::new(error.message))
    }

    /// The id of a job, where it is one of the calling agent's.
    async fn own(&mut self, id: Option<String>) -> Result<String, ToolError> {
        let id = id.ok_or_else(|| missing("id"))?;
        let job = self.ask::<CronGet>(json!({ "id": id })).await?;
        let of = job["agentId"].as_str();
        let of = of.unwrap_or(&self.cx.settings.default_agent);
        if of != self.cx.agent.id {
            return Err(ToolError::new(format!("the job {id} is another agent's")));
        }
        Ok(id)
    }
}

fn missing(what: &str) -> ToolError {
    ToolError::new(format!("`{what}` is missing"))
}

/// A job as models write it, with what they leave out.
fn filled(mut job: Map<String, Value>, cx: &ToolContext<'_>) -> Map<String, Value> {
    job.insert("agentId".into(), json!(cx.agent.id));
    job.entry("wakeMode").or_insert_with(|| json!("now"));
    let payload = job.get("payload").cloned().unwrap_or_default();
    let event = payload["kind"] == "systemEvent";
    let target = if event { "main" } else { "isolated" };
    job.entry("sessionTarget").or_insert_with(|| json!(target));
    if job["sessionTarget"] == "current" {
        job.entry("sessionKey").or_insert_with(|| json!(cx.session));
    }
    if !event {
        job.entry("delivery")
            .or_insert_with(|| json!({ "mode": "announce" }));
    }
    if job.get("schedule").is_some_and(|when| when["kind"] == "at") {
        job.entry("deleteAfterRun").or_insert_with(|| json!(true));
    }
    let text = payload["text"].as_str().or(payload["message"].as_str());
    let name: String = text.unwrap_or("job").chars().take(NAME).collect();
    job.entry("name").or_insert_with(|| json!(name));
    job
}
