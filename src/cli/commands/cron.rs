//! `openclaw cron`.

use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::Connection;
use openclaw_protocol::methods::cron::{
    CronAdd, CronJob, CronList, CronListParams, CronListResult, CronRemove, CronRemoveResult,
    CronRun, CronRunResult, CronRuns, CronRunsResult, CronStatus, CronStatusResult, CronUpdate,
    MAX_CRON_PAGE,
};
use openclaw_protocol::methods::system::EmptyParams;
use openclaw_protocol::{Method, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::cli::args::{
    CronAddArgs, CronCommand, CronEditArgs, CronJobArgs, CronListArgs, CronRunArgs, CronRunsArgs,
    DoArgs, ReadArgs, WakeWhen, WhenArgs, parse_back,
};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::cron as render;
use crate::cli::target::Target;

/// Scopes of commands that only read, and of those that change jobs.
const READ: &[Scope] = &[Scope::Read];
const CHANGE: &[Scope] = &[Scope::Read, Scope::Admin];

pub(crate) async fn run(
    command: &CronCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let cx = Cx {
        environment,
        output,
    };
    match command {
        CronCommand::List(args) => cx.list(args).await?,
        CronCommand::Status(args) => cx.status(args).await?,
        CronCommand::Add(args) => cx.add(args).await?,
        CronCommand::Edit(args) => cx.edit(args).await?,
        CronCommand::Run(args) => return cx.run(args).await,
        CronCommand::Runs(args) => cx.runs(args).await?,
        CronCommand::Enable(args) => cx.switch(args, true).await?,
        CronCommand::Disable(args) => cx.switch(args, false).await?,
        CronCommand::Rm(args) => cx.remove(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Cx<'a> {
    environment: &'a Environment,
    output: &'a Output,
}

impl Cx<'_> {
    async fn connect(
        &self,
        read: &ReadArgs,
        scopes: &[Scope],
    ) -> Result<(Connection, Target), Failure> {
        let target = self.environment.target(&read.target)?;
        let wanted = Wanted {
            scopes,
            limit: read.wait.timeout,
        };
        let connection = open(&target, wanted).await?;
        Ok((connection, target))
    }

    /// Asks, closes, and shows what came.
    async fn ask<M: Method, T: DeserializeOwned>(
        &self,
        (connection, target): (Connection, Target),
        params: &impl Serialize,
        read: &ReadArgs,
        render: impl FnOnce(&T) -> String,
    ) -> Result<Box<RawValue>, Failure> {
        let answer = connection.client().request_raw(M::NAME, params).await;
        connection.close().await;
        let answer = answer.map_err(|error| Failure::request(&error, &target))?;
        super::show(&answer, read.form.json, self.output, render)?;
        Ok(answer)
    }

    async fn list(&self, args: &CronListArgs) -> Result<(), Failure> {
        let params = CronListParams {
            include_disabled: Some(args.all),
            limit: Some(MAX_CRON_PAGE),
            ..CronListParams::default()
        };
        let style = self.output.style(Environment::now_ms());
        let at = self.connect(&args.read, READ).await?;
        let show = |list: &CronListResult| render::list(list, &style);
        self.ask::<CronList, _>(at, &params, &args.read, show)
            .await
            .map(drop)
    }

    async fn status(&self, read: &ReadArgs) -> Result<(), Failure> {
        let style = self.output.style(Environment::now_ms());
        let at = self.connect(read, READ).await?;
        let show = |status: &CronStatusResult| render::status(status, &style);
        self.ask::<CronStatus, _>(at, &EmptyParams {}, read, show)
            .await
            .map(drop)
    }

    async fn add(&self, args: &CronAddArgs) -> Result<(), Failure> {
        let mut params = common(&args.what);
        params.insert("name".into(), json!(args.name));
        params.insert("schedule".into(), schedule(&args.when).unwrap_or_default());
        params.entry("wakeMode").or_insert_with(|| json!("now"));
        if args.disabled {
            params.insert("enabled".into(), json!(false));
        }
        let mut payload = payload(&args.what);
        let event = args.what.system_event.is_some();
        payload.insert(
            "kind".into(),
            json!(if event { "systemEvent" } else { "agentTurn" }),
        );
        params.insert("payload".into(), payload.into());
        let session = if event { "main" } else { "isolated" };
        params
            .entry("sessionTarget")
            .or_insert_with(|| json!(session));
        let style = self.output.style(Environment::now_ms());
        let at = self.connect(&args.read, CHANGE).await?;
        let show = |job: &CronJob| render::changed("added", job, &style);
        self.ask::<CronAdd, _>(at, &params, &args.read, show)
            .await
            .map(drop)
    }

    async fn edit(&self, args: &CronEditArgs) -> Result<(), Failure> {
        let mut patch = common(&args.what);
        if let Some(name) = &args.name {
            patch.insert("name".into(), json!(name));
        }
        if args.enable || args.disable {
            patch.insert("enabled".into(), json!(args.enable));
        }
        if let Some(schedule) = schedule(&args.when) {
            patch.insert("schedule".into(), schedule);
        }
        let mut payload = payload(&args.what);
        if args.what.message.is_some() {
            payload.insert("kind".into(), json!("agentTurn"));
        } else if args.what.system_event.is_some() {
            payload.insert("kind".into(), json!("systemEvent"));
        }
        if !payload.is_empty() {
            patch.insert("payload".into(), payload.into());
        }
        if patch.is_empty() {
            return Err(Failure::usage("say what becomes of the job".into()));
        }
        self.update(&args.job, &patch.into(), "changed").await
    }

    async fn switch(&self, args: &CronJobArgs, on: bool) -> Result<(), Failure> {
        let what = if on { "enabled" } else { "disabled" };
        self.update(args, &json!({ "enabled": on }), what).await
    }

    async fn update(&self, args: &CronJobArgs, patch: &Value, what: &str) -> Result<(), Failure> {
        let style = self.output.style(Environment::now_ms());
        let at = self.connect(&args.read, CHANGE).await?;
        let id = find(&at, &args.job).await?;
        let params = json!({ "id": id, "patch": patch });
        let show = |job: &CronJob| render::changed(what, job, &style);
        self.ask::<CronUpdate, _>(at, &params, &args.read, show)
            .await
            .map(drop)
    }

    async fn run(&self, args: &CronRunArgs) -> Result<ExitCode, Failure> {
        let read = &args.job.read;
        let at = self.connect(read, CHANGE).await?;
        let id = find(&at, &args.job.job).await?;
        let mode = if args.due { "due" } else { "force" };
        let params = json!({ "id": id, "mode": mode });
        let show = |done: &CronRunResult| render::ran(done, &id);
        let answer = self.ask::<CronRun, _>(at, &params, read, show).await?;
        let done: Option<CronRunResult> = serde_json::from_str(answer.get()).ok();
        let began = done.is_none_or(|done| done.enqueued == Some(true));
        Ok(if began {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn runs(&self, args: &CronRunsArgs) -> Result<(), Failure> {
        let style = self.output.style(Environment::now_ms());
        let at = self.connect(&args.read, READ).await?;
        let mut params = json!({ "limit": args.limit });
        if let Some(job) = args.job.as_ref().or(args.named.as_ref()) {
            params["id"] = find(&at, job).await?.into();
        }
        let show = |runs: &CronRunsResult| render::runs(runs, &style);
        self.ask::<CronRuns, _>(at, &params, &args.read, show)
            .await
            .map(drop)
    }

    async fn remove(&self, args: &CronJobArgs) -> Result<(), Failure> {
        let at = self.connect(&args.read, CHANGE).await?;
        let id = find(&at, &args.job).await?;
        let params = json!({ "id": id });
        let show = |_: &CronRemoveResult| format!("ended the job {id}\n");
        self.ask::<CronRemove, _>(at, &params, &args.read, show)
            .await
            .map(drop)
    }
}

/// The id of the job that a person means.
async fn find(
    (connection, target): &(Connection, Target),
    wanted: &str,
) -> Result<String, Failure> {
    let params = CronListParams {
        include_disabled: Some(true),
        limit: Some(MAX_CRON_PAGE),
        ..CronListParams::default()
    };
    let mut found = Vec::new();
    let mut offset = Some(0);
    while let Some(from) = offset {
        let params = CronListParams {
            offset: Some(from),
            ..params.clone()
        };
        let page = connection
            .request::<CronList>(&params)
            .await
            .map_err(|error| Failure::request(&error, target))?;
        found.extend(page.jobs);
        offset = page.next_offset.0;
    }
    render::find(&found, wanted)
        .map_err(|what| Failure::failed(what, Some("see `openclaw cron list --all`".into())))
}

/// What `add` and `edit` say alike.
fn common(what: &DoArgs) -> Map<String, Value> {
    let mut params = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            params.insert(key.to_owned(), value);
        }
    };
    put(
        "description",
        what.description.as_ref().map(|text| json!(text)),
    );
    put(
        "sessionTarget",
        what.session.as_ref().map(|text| json!(text)),
    );
    put("agentId", what.agent.as_ref().map(|text| json!(text)));
    put(
        "deleteAfterRun",
        what.delete_after_run.then_some(json!(true)),
    );
    put(
        "wakeMode",
        what.wake.map(|wake| match wake {
            WakeWhen::Now => json!("now"),
            WakeWhen::NextHeartbeat => json!("next-heartbeat"),
        }),
    );
    let mut delivery = Map::new();
    if what.announce || what.channel.is_some() || what.to.is_some() {
        delivery.insert("mode".into(), json!("announce"));
    } else if what.no_deliver {
        delivery.insert("mode".into(), json!("none"));
    } else if let Some(webhook) = &what.webhook {
        delivery.insert("mode".into(), json!("webhook"));
        delivery.insert("to".into(), json!(webhook));
    }
    for (key, value) in [("channel", &what.channel), ("to", &what.to)] {
        if let Some(value) = value {
            delivery.insert(key.into(), json!(value));
        }
    }
    put("delivery", (!delivery.is_empty()).then(|| delivery.into()));
    params
}

fn payload(what: &DoArgs) -> Map<String, Value> {
    let mut payload = Map::new();
    for (key, value) in [
        ("message", &what.message),
        ("text", &what.system_event),
        ("model", &what.model),
        ("thinking", &what.thinking),
    ] {
        if let Some(value) = value {
            payload.insert(key.into(), json!(value));
        }
    }
    if let Some(limit) = what.timeout_seconds {
        payload.insert("timeoutSeconds".into(), json!(limit.as_secs()));
    }
    payload
}

fn schedule(when: &WhenArgs) -> Option<Value> {
    if let Some(at) = &when.at {
        let soon = parse_back(at.trim_start_matches('+')).ok();
        let at = soon.map_or_else(|| at.clone(), in_so_long);
        return Some(json!({ "kind": "at", "at": at }));
    }
    if let Some(every) = when.every {
        let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        return Some(json!({ "kind": "every", "everyMs": millis }));
    }
    let expr = when.cron.as_ref()?;
    let mut schedule = json!({ "kind": "cron", "expr": expr });
    if let Some(zone) = &when.tz {
        schedule["tz"] = json!(zone);
    }
    Some(schedule)
}

fn in_so_long(wait: Duration) -> String {
    let at = u128::from(Environment::now_ms()) + wait.as_millis();
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |at| at.to_string())
}
