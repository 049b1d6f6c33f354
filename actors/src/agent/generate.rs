//! From a conversation to an answer: choose the model, send the conversation, take the stream.

use std::time::{Duration, Instant};

use openclaw_protocol::methods::message::Usage as WireUsage;

use super::echo;
use super::model::retry::{Attempt, RetryPolicy, Verdict};
use super::model::thinking::Thinking;
use super::model::{
    self, Fault, ModelError, ModelRequest, ModelTimeouts, PromptMessage, Takes, ToolCall,
    ToolDefinition, budget, ollama,
};
use super::take::{Failed, Page, Taken, take};
use crate::clock::SharedEntropy;
use crate::settings::{ModelPlan, ResolvedModel};
use crate::usage::Price;

/// Part of a model's context that history may fill, the rest is for the answer.
const HISTORY_SHARE: u64 = 3;
/// Context of a model that names none, tokens.
pub const DEFAULT_CONTEXT_TOKENS: usize = 32_768;

/// What a run asks for.
pub struct Ask<'a> {
    /// Which model answers.
    pub plan: ModelPlan,
    /// What every run begins with.
    pub system: Option<String>,
    /// What stands for the older messages; it is never left out.
    pub summary: Option<PromptMessage>,
    /// The conversation, the new message last.
    pub conversation: Vec<PromptMessage>,
    /// The tools that the model may call.
    pub tools: Vec<ToolDefinition>,
    /// How much the model thinks; what it finds right when unset.
    pub thinking: Option<Thinking>,
    /// Most tokens of a request, where the model takes less than it says.
    pub room: Option<u64>,
    /// The HTTP client, or why there is none.
    pub http: &'a Result<reqwest::Client, String>,
    /// Where Ollama listens, when nothing is configured.
    pub ollama: Option<String>,
    /// When the run's time is over.
    pub deadline: Instant,
    /// Randomness.
    pub entropy: SharedEntropy,
}

impl Ask<'_> {
    /// An estimate of what every request holds besides the conversation, in tokens.
    fn overhead(&self) -> u64 {
        budget::estimate(self.system.as_deref().unwrap_or_default())
            + budget::estimate_tools(&self.tools)
            + self.summary.as_ref().map_or(0, budget::estimate_message)
    }

    /// An estimate of a request with all of the conversation, in tokens.
    pub(super) fn tokens(&self) -> u64 {
        let messages = self.conversation.iter().map(budget::estimate_message);
        self.overhead() + messages.sum::<u64>()
    }
}

/// An answer.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What it thought aloud.
    pub thinking: String,
    /// What it cost.
    pub usage: Option<WireUsage>,
    /// What all answers of its run cost.
    pub total: Option<WireUsage>,
    /// Whether it was cut at the model's limit.
    pub cut: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The model failed.
    Model(Box<ModelError>),
    /// It could not be asked; what to do about it.
    Setup(String),
}

/// Who answers in a run.
pub(super) struct Source {
    kind: Kind,
}

enum Kind {
    /// A model, and those to ask when it fails.
    Chain {
        current: Box<ResolvedModel>,
        rest: std::vec::IntoIter<ResolvedModel>,
    },
    Echo,
    #[cfg(any(test, feature = "testing"))]
    Scripted(fn(&str) -> model::ModelStream),
}

impl Source {
    /// Who answers this run.
    ///
    /// # Errors
    ///
    /// When nobody can, with what to do.
    pub(super) async fn of(ask: &Ask<'_>) -> Result<Self, NoAnswer> {
        let chain = match &ask.plan {
            ModelPlan::Chain(chain) => chain.clone(),
            ModelPlan::Broken(message) => return Err(NoAnswer::Setup(message.clone())),
            #[cfg(any(test, feature = "testing"))]
            ModelPlan::Scripted(script) => {
                let kind = Kind::Scripted(*script);
                return Ok(Self { kind });
            }
            ModelPlan::Unconfigured => match local_model(ask).await {
                Some(model) => vec![model],
                None => return Ok(Self { kind: Kind::Echo }),
            },
        };
        let mut rest = chain.into_iter();
        let current = rest.next().ok_or_else(|| {
            NoAnswer::Setup("no model is configured at agents.defaults.model.primary".into())
        })?;
        let current = Box::new(current);
        Ok(Self {
            kind: Kind::Chain { current, rest },
        })
    }

    /// How many tokens of a request this model takes, its answer apart; `None` where nobody knows.
    pub(super) fn room(&self) -> Option<u64> {
        match &self.kind {
            Kind::Chain { current, .. } => Some(budget_of(current)),
            Kind::Echo => None,
            #[cfg(any(test, feature = "testing"))]
            Kind::Scripted(_) => None,
        }
    }

    /// Whether nothing but the echo answers.
    pub(super) const fn is_echo(&self) -> bool {
        matches!(self.kind, Kind::Echo)
    }

    /// Gets one answer; the page's text grows while it comes. A model that took over stays.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`], with what to do. Text that came before is kept on the page.
    pub(super) async fn answer(
        &mut self,
        ask: &Ask<'_>,
        page: Page<'_>,
    ) -> Result<(Answer, Vec<ToolCall>), NoAnswer> {
        let (current, rest) = match &mut self.kind {
            Kind::Chain { current, rest } => (current, rest),
            Kind::Echo => {
                let taken = take(echo::answer(&newest(ask)), page).await;
                let taken = taken.map_err(|(error, _)| NoAnswer::Model(error))?;
                return Ok(answered(taken, echo::PROVIDER, echo::MODEL));
            }
            #[cfg(any(test, feature = "testing"))]
            Kind::Scripted(script) => {
                let taken = take(script(&newest(ask)), page).await;
                let taken = taken.map_err(|(error, _)| NoAnswer::Model(error))?;
                return Ok(answered(taken, "", ""));
            }
        };
        let http = ask
            .http
            .as_ref()
            .map_err(|problem| NoAnswer::Setup(problem.clone()))?;
        let mut number = 0;
        loop {
            number += 1;
            let failed = match ask_once(http, ask, current, page).await {
                Ok(taken) => {
                    let provider = &current.endpoint.provider;
                    let mut answered = answered(taken, provider, &current.model);
                    if let (Some(price), Some(usage)) = (current.price, &mut answered.0.usage) {
                        usage.cost = Some(price.cost(usage));
                    }
                    return Ok(answered);
                }
                Err(failed) => failed,
            };
            let attempt = Attempt {
                number,
                emitted: failed.1,
                fallback_left: !rest.as_slice().is_empty(),
                deadline: Some(ask.deadline),
            };
            match RetryPolicy::default().decide(
                &attempt,
                &failed.0,
                Instant::now(),
                ask.entropy.fraction(),
            ) {
                Verdict::Retry(wait) => {
                    tracing::warn!(error = %failed.0, wait_ms = wait.as_millis(), "model failed; asking again");
                    tokio::time::sleep(wait).await;
                }
                Verdict::Failover => {
                    let Some(next) = rest.next() else {
                        return Err(NoAnswer::Model(failed.0));
                    };
                    tracing::warn!(error = %failed.0, next = %next.model, "model failed; asking the next one");
                    **current = next;
                    number = 0;
                }
                Verdict::Fail => return Err(NoAnswer::Model(failed.0)),
            }
        }
    }
}

fn answered(taken: Taken, provider: &str, model: &str) -> (Answer, Vec<ToolCall>) {
    let answer = Answer {
        provider: provider.to_owned(),
        model: model.to_owned(),
        thinking: taken.thinking,
        total: None,
        usage: taken.usage,
        cut: taken.cut,
    };
    (answer, taken.calls)
}

/// The newest words of the conversation, for those who answer only them.
fn newest(ask: &Ask<'_>) -> String {
    ask.conversation.last().map_or_else(String::new, |last| {
        let results = last.tool_results().map(|result| result.text.clone());
        let results: Vec<String> = results.collect();
        if results.is_empty() {
            last.text()
        } else {
            results.join("\n")
        }
    })
}

async fn ask_once(
    http: &reqwest::Client,
    ask: &Ask<'_>,
    model: &ResolvedModel,
    page: Page<'_>,
) -> Result<Taken, Failed> {
    let mut request = request(ask, model);
    let mut first = model::stream(http, request.clone()).await;
    if let Err(error) = &first
        && refuses_thinking(&error.fault)
        && request.thinking.take().is_some()
    {
        tracing::warn!(model = %model.model, "this model cannot be told how much to think; asking it without that");
        first = model::stream(http, request.clone()).await;
    }
    let stream = match first {
        Err(error) if refuses_tools(&error.fault) && !request.tools.is_empty() => {
            tracing::warn!(model = %model.model, "this model takes no tools; asking it without them");
            request.tools = Vec::new();
            model::stream(http, request).await
        }
        Err(error) if refuses_files(&error.fault) && shows_any(&request.messages) => {
            tracing::warn!(model = %model.model, "this model takes no pictures or files; asking it without them");
            withhold(&mut request.messages, Takes::default());
            model::stream(http, request).await
        }
        other => other,
    };
    let stream = stream.map_err(|error| (Box::new(error), false))?;
    take(stream, page).await
}

fn request(ask: &Ask<'_>, model: &ResolvedModel) -> ModelRequest {
    let mut request = ModelRequest::new(model.endpoint.clone(), model.model.clone());
    request.system.clone_from(&ask.system);
    request.tools.clone_from(&ask.tools);
    let room = ask.room.unwrap_or(u64::MAX).min(budget_of(model));
    let share = room.saturating_sub(ask.overhead());
    let kept = budget::trim(&ask.conversation, share).kept;
    request.messages = ask.summary.iter().chain(kept).cloned().collect();
    budget::shrink(&mut request.messages, share);
    withhold(&mut request.messages, model.takes);
    request.max_output_tokens = model.max_output_tokens;
    request.thinking = ask.thinking;
    request.context_window = u32::try_from(model.context_tokens).ok();
    request.timeouts = timeouts(model, ask.deadline);
    request
}

/// Whether a model cannot be given tools at all; small local ones say so in these words.
fn refuses_tools(fault: &Fault) -> bool {
    matches!(fault, Fault::BadRequest { detail, .. } if detail.contains("does not support tools"))
}

/// Whether a model refuses to be told how much to think. Each server has its own words for it.
fn refuses_thinking(fault: &Fault) -> bool {
    let Fault::BadRequest { detail, .. } = fault else {
        return false;
    };
    let detail = detail.to_lowercase();
    ["think", "reasoning", "effort"]
        .iter()
        .any(|word| detail.contains(word))
}

/// Whether a model refuses what was shown to it. Each server has its own words for it.
fn refuses_files(fault: &Fault) -> bool {
    let Fault::BadRequest { detail, .. } = fault else {
        return false;
    };
    let detail = detail.to_lowercase();
    ["image", "vision", "multimodal", "pdf", "document", "file"]
        .iter()
        .any(|word| detail.contains(word))
}

fn shows_any(messages: &[PromptMessage]) -> bool {
    messages
        .iter()
        .any(|message| message.images().next().is_some() || message.documents().next().is_some())
}

fn withhold(messages: &mut [PromptMessage], takes: Takes) {
    if takes != Takes::ALL {
        for message in messages {
            message.withhold(takes);
        }
    }
}

/// The run's own limit bounds a request. A model that runs on hardware of one's own, or has a time
/// configured, may take all of it for its first byte: it loads its weights in that time.
fn timeouts(model: &ResolvedModel, deadline: Instant) -> ModelTimeouts {
    let left = deadline.saturating_duration_since(Instant::now());
    let total = model.timeout.map_or(left, |timeout| timeout.min(left));
    let usual = ModelTimeouts::default();
    let patient = model.timeout.is_some() || model.endpoint.api == model::ApiKind::Ollama;
    let or_total = |usual: Duration| if patient { total } else { usual.min(total) };
    ModelTimeouts {
        connect: usual.connect,
        first_byte: or_total(usual.first_byte),
        idle: or_total(usual.idle),
        total,
    }
}

fn budget_of(model: &ResolvedModel) -> u64 {
    let answer = model
        .max_output_tokens
        .map_or(model.context_tokens as u64 / (HISTORY_SHARE + 1), u64::from);
    (model.context_tokens as u64)
        .saturating_sub(answer)
        .max(model.context_tokens as u64 / 2)
}

async fn local_model(ask: &Ask<'_>) -> Option<ResolvedModel> {
    let base_url = ask.ollama.clone()?;
    let http = ask.http.as_ref().ok()?;
    let model = ollama::probe(http, &base_url).await?;
    let endpoint = model::Endpoint {
        provider: "ollama".into(),
        api: model::ApiKind::Ollama,
        base_url,
        api_key: None,
        headers: std::collections::BTreeMap::default(),
    };
    Some(ResolvedModel {
        endpoint,
        model,
        context_tokens: DEFAULT_CONTEXT_TOKENS,
        max_output_tokens: None,
        timeout: None,
        takes: Takes::usually(model::ApiKind::Ollama, ""),
        // It runs on a machine of one's own.
        price: Some(Price::default()),
    })
}
