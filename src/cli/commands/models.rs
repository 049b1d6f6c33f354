//! `openclaw models`.

use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::Client;
use openclaw_protocol::methods::agents::{AgentsList, AgentsListResult};
use openclaw_protocol::methods::common::EmptyParams;
use openclaw_protocol::methods::config::{ConfigGet, ConfigPatch, ConfigSnapshot};
use openclaw_protocol::methods::models::{
    ModelChoice, ModelsList, ModelsListResult, ModelsProbe, ModelsProbeResult, ProbeStatus,
};
use openclaw_protocol::{Method, Scope};
use serde_json::json;

use crate::cli::args::{ModelsCommand, ModelsSetArgs, ModelsTestArgs, ReadArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::models as render;
use crate::cli::target::Target;

/// How much longer than the provider the gateway has to answer.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn run(
    command: &ModelsCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        ModelsCommand::List(args) => list(args, environment, output).await?,
        ModelsCommand::Set(args) => set(args, environment, output).await?,
        ModelsCommand::Test(args) => test(args, environment, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The model that answers when no agent and no session names another.
async fn chosen(client: &Client, target: &Target) -> Result<String, Failure> {
    let agents: AgentsListResult = client
        .request::<AgentsList>(&EmptyParams::default())
        .await
        .map_err(|error| Failure::request(&error, target))?;
    let own = agents
        .agents
        .iter()
        .find(|agent| agent.id == agents.default_id);
    Ok(own
        .map(|agent| agent.model.primary.clone())
        .unwrap_or_default())
}

async fn list(args: &ReadArgs, environment: &Environment, output: &Output) -> Result<(), Failure> {
    let target = environment.target(&args.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Read],
        limit: args.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let client = connection.client();
    let answer = client
        .request_raw(ModelsList::NAME, &json!({}))
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    let chosen = chosen(client, &target).await?;
    connection.close().await;
    let style = output.style(Environment::now_ms());
    super::show(
        &answer,
        args.form.json,
        output,
        |models: &ModelsListResult| render::list(&models.models, &chosen, &style),
    )
}

async fn set(
    args: &ModelsSetArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let model = args.model.trim();
    if !model
        .split_once('/')
        .is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty())
    {
        return Err(Failure {
            remedy: Some("`openclaw models list` shows the ones that are configured".into()),
            ..Failure::usage(format!("\"{model}\" is no PROVIDER/MODEL"))
        });
    }
    let target = environment.target(&args.read.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Read, Scope::Admin],
        limit: args.read.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let client = connection.client();
    let snapshot: ConfigSnapshot = client
        .request::<ConfigGet>(&EmptyParams::default())
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    // A text stays a text, and what stands beside a primary stays.
    let text = snapshot.parsed["agents"]["defaults"]["model"].is_string();
    let value = if text {
        json!(model)
    } else {
        json!({ "primary": model })
    };
    let patch = json!({ "agents": { "defaults": { "model": value } } });
    let mut params = json!({ "raw": patch.to_string() });
    if let Some(hash) = &snapshot.hash {
        params["baseHash"] = hash.as_str().into();
    }
    let answer = client
        .request_raw(ConfigPatch::NAME, &params)
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    let chosen = chosen(client, &target).await?;
    let listed: ModelsListResult = client
        .request_raw(ModelsList::NAME, &json!({}))
        .await
        .map_err(|error| Failure::request(&error, &target))
        .and_then(|listed| super::decoded(&listed))?;
    connection.close().await;
    if args.read.form.json {
        return output.raw(&answer);
    }
    if chosen != model {
        output.note(&format!(
            "the default agent has a model of its own and goes on with {chosen}: change agents.list in the configuration"
        ));
    }
    let provider = model.split('/').next().unwrap_or_default();
    let row = |row: &&ModelChoice| format!("{}/{}", row.provider, row.id) == model;
    if listed.models.iter().find(row).and_then(|row| row.available) == Some(false) {
        return output.line(&format!(
            "{model} is chosen, and cannot answer yet: `openclaw models test {provider}` says what is missing"
        ));
    }
    output.line(&format!(
        "{model} answers from the next message on; try it with `openclaw models test {provider}`"
    ))
}

async fn test(
    args: &ModelsTestArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let target = environment.target(&args.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Read, Scope::Admin],
        limit: args.timeout + GRACE,
    };
    let connection = open(&target, wanted).await?;
    let client = connection.client();
    let named = match &args.provider {
        Some(named) => named.clone(),
        None => chosen(client, &target).await?,
    };
    // `PROVIDER/MODEL` is what people have at hand.
    let provider = named.split('/').next().unwrap_or_default();
    if provider == "openclaw" {
        return Err(Failure::failed(
            "no model is chosen, so there is nobody to ask".into(),
            Some(
                "choose one on the page's Set up (`openclaw dashboard`), or with `openclaw models set PROVIDER/MODEL`"
                    .into(),
            ),
        ));
    }
    let wait = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
    let answer = client
        .request_raw(
            ModelsProbe::NAME,
            &json!({ "provider": provider, "timeoutMs": wait.max(1) }),
        )
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    connection.close().await;
    let style = output.style(Environment::now_ms());
    super::show(
        &answer,
        args.form.json,
        output,
        |probe: &ModelsProbeResult| render::probe(probe, &style),
    )?;
    match serde_json::from_str::<ModelsProbeResult>(answer.get()) {
        Ok(probe) if probe.status != ProbeStatus::Ok => Err(Failure::failed(
            probe
                .error
                .unwrap_or_else(|| format!("{provider} does not answer")),
            None,
        )),
        _ => Ok(()),
    }
}
