//! `models.probe`: whether a provider answers; owner: agent runner, which has the way to models.

use std::time::{Duration, Instant};

use actix::Handler;
use futures_util::StreamExt as _;
use openclaw_protocol::methods::models::{
    ModelsProbe, ModelsProbeResult, ProbeStatus, ProbeTarget,
};

use crate::agent::AgentRunner;
use crate::agent::model::{self, Fault, ModelError, ModelRequest, ModelTimeouts, PromptMessage};
use crate::call::Call;
use crate::settings::{ModelPlan, ResolvedModel, Settings};

/// Time that a provider has when the client names none, milliseconds.
const DEFAULT_MS: u64 = 15_000;
/// Longest time, milliseconds.
const MAX_MS: u64 = 60_000;
/// Shortest time, milliseconds.
const MIN_MS: u64 = 1_000;
/// Most tokens of the answer; some models refuse less than 16.
const MAX_TOKENS: u32 = 16;

impl Handler<Call<ModelsProbe>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ModelsProbe>, _: &mut Self::Context) {
        let provider = call.params.provider.trim().to_owned();
        let wait = call.params.timeout_ms.unwrap_or(DEFAULT_MS);
        let limit = Duration::from_millis(wait.clamp(MIN_MS, MAX_MS));
        let target = target(&self.deps.views.settings.load(), &provider);
        let (http, reply) = (self.deps.http.clone(), call.reply);
        // Bounded by the connection's own cap on requests in flight.
        actix_rt::spawn(async move {
            let row = match (target, &**http) {
                (Err(row), _) => row,
                (Ok(target), Ok(http)) => ask(http, &target, limit).await,
                (Ok(target), Err(error)) => failed(label(&target), ProbeStatus::Unknown, error),
            };
            reply.ok(&ModelsProbeResult {
                provider,
                status: row.status,
                latency_ms: row.latency_ms,
                error: row.error.clone(),
                results: vec![row],
            });
        });
    }
}

fn label(model: &ResolvedModel) -> String {
    format!("{}/{}", model.endpoint.provider, model.model)
}

fn failed(label: String, status: ProbeStatus, error: &str) -> ProbeTarget {
    ProbeTarget {
        label,
        status,
        latency_ms: None,
        error: Some(error.to_owned()),
    }
}

/// The model of a provider that is asked: one that an agent uses, else the first that is configured.
fn target(settings: &Settings, provider: &str) -> Result<ResolvedModel, ProbeTarget> {
    let chains = settings
        .agents
        .iter()
        .filter_map(|agent| match &agent.model {
            ModelPlan::Chain(chain) => Some(chain),
            _ => None,
        });
    let used = chains
        .flatten()
        .find(|model| model.endpoint.provider.eq_ignore_ascii_case(provider));
    if let Some(model) = used {
        return Ok(model.clone());
    }
    let prefix = format!("{provider}/");
    let own = |reference: &&String| {
        reference
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
    };
    let mut configured = settings
        .catalogue
        .iter()
        .filter(|(reference, _)| own(reference));
    match configured.next() {
        Some((_, Ok(model))) => Ok(model.clone()),
        Some((reference, Err(problem))) => {
            Err(failed(reference.clone(), ProbeStatus::Auth, problem))
        }
        None => Err(failed(
            provider.to_owned(),
            ProbeStatus::NoModel,
            &format!(
                "no model of {provider} is configured; list one in models.providers.{provider}.models, or set agents.defaults.model to \"{provider}/MODEL\""
            ),
        )),
    }
}

async fn ask(http: &reqwest::Client, target: &ResolvedModel, limit: Duration) -> ProbeTarget {
    let mut request = ModelRequest::new(target.endpoint.clone(), target.model.clone());
    request.messages = vec![PromptMessage::user("Reply with the word OK.")];
    request.max_output_tokens = Some(MAX_TOKENS);
    request.timeouts = ModelTimeouts {
        connect: ModelTimeouts::default().connect.min(limit),
        first_byte: limit,
        idle: limit,
        total: limit,
    };
    let began = Instant::now();
    let outcome = async {
        let mut answer = model::stream(http, request).await?;
        // A model that thinks may spend all its tokens on that: any sign of life counts.
        answer.next().await.transpose()
    };
    let outcome: Result<Option<_>, ModelError> = outcome.await;
    let latency_ms = u64::try_from(began.elapsed().as_millis()).ok();
    match outcome {
        Ok(_) => ProbeTarget {
            label: label(target),
            status: ProbeStatus::Ok,
            latency_ms,
            error: None,
        },
        Err(error) => ProbeTarget {
            latency_ms,
            ..failed(label(target), status(&error.fault), &error.to_string())
        },
    }
}

const fn status(fault: &Fault) -> ProbeStatus {
    match fault {
        Fault::MissingKey | Fault::Auth { .. } => ProbeStatus::Auth,
        Fault::RateLimited { .. } => ProbeStatus::RateLimit,
        Fault::Billing { .. } => ProbeStatus::Billing,
        Fault::Timeout { .. } => ProbeStatus::Timeout,
        Fault::UnknownModel { .. } => ProbeStatus::NoModel,
        Fault::Protocol { .. } => ProbeStatus::Format,
        _ => ProbeStatus::Unknown,
    }
}
