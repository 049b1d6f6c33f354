//! From a turn to an answer: choose the model, send the conversation, take the stream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use openclaw_protocol::methods::message::{Message, MessageRole, Usage as WireUsage};

use super::echo;
use super::emit::Emitter;
use super::model::retry::{Attempt, RetryPolicy, Verdict};
use super::model::{
    self, ModelError, ModelEvent, ModelRequest, ModelStream, ModelTimeouts, PromptMessage,
    StopReason, budget, ollama,
};
use crate::clock::SharedEntropy;
use crate::settings::{ModelPlan, ResolvedModel};

/// Shortest time between two pieces of an answer on the wire.
const PACE: Duration = Duration::from_millis(75);
/// Every piece carries the whole text so far: long texts go out less often, so that a client gets at
/// most about this many bytes of text in a second.
const PACE_BYTES_PER_SECOND: u64 = 256 * 1024;
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
    /// The conversation, the new message last.
    pub conversation: Vec<PromptMessage>,
    /// The HTTP client, or why there is none.
    pub http: &'a Result<reqwest::Client, String>,
    /// Where Ollama listens, when nothing is configured.
    pub ollama: Option<String>,
    /// When the run's time is over.
    pub deadline: Instant,
    /// Randomness.
    pub entropy: SharedEntropy,
}

/// An answer.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What it cost.
    pub usage: Option<WireUsage>,
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

/// The rows as the run of message number `asked` has to see them: each answer behind its own
/// question, that message last, and nothing that waits behind it.
pub fn in_turns(rows: Vec<Message>, asked: u64) -> Vec<Message> {
    let place = |row: &Message| {
        let meta = row.meta.as_ref()?;
        Some((meta.seq?, meta.run_id.clone()))
    };
    let questions: HashMap<String, u64> = rows
        .iter()
        .filter(|row| row.role == MessageRole::User)
        .filter_map(|row| place(row).and_then(|(seq, run)| Some((run?, seq))))
        .collect();
    let mut turns: Vec<((u64, u64), Message)> = rows
        .into_iter()
        .filter_map(|row| {
            let (seq, run) = place(&row)?;
            if row.meta.as_ref()?.command == Some(true) {
                return None;
            }
            let turn = run.and_then(|run| questions.get(&run).copied());
            let turn = turn.unwrap_or(seq);
            (turn < asked || seq == asked).then_some(((turn, seq), row))
        })
        .collect();
    turns.sort_by_key(|(place, _)| *place);
    turns.into_iter().map(|(_, row)| row).collect()
}

/// The conversation of a transcript: what people and models said, nothing else.
pub fn conversation(rows: &[Message]) -> Vec<PromptMessage> {
    rows.iter()
        .filter_map(|row| match row.role {
            MessageRole::User => Some(PromptMessage::user(row.plain_text())),
            MessageRole::Assistant => Some(PromptMessage::assistant(row.plain_text())),
            MessageRole::ToolResult | MessageRole::Custom => None,
        })
        .filter(|message| !message.is_blank())
        .collect()
}

/// Gets an answer; `text` grows while it comes, and its pieces are emitted at a steady pace.
///
/// # Errors
///
/// [`NoAnswer`], with what to do. Text that came before is kept in `text`.
pub async fn answer(
    ask: Ask<'_>,
    emitter: &Emitter,
    text: &Arc<Mutex<String>>,
) -> Result<Answer, NoAnswer> {
    let chain = match &ask.plan {
        ModelPlan::Chain(chain) => chain.clone(),
        ModelPlan::Broken(message) => return Err(NoAnswer::Setup(message.clone())),
        #[cfg(any(test, feature = "testing"))]
        ModelPlan::Scripted(script) => {
            let last = ask
                .conversation
                .last()
                .map_or_else(String::new, PromptMessage::text);
            return take(script(&last), Answer::default(), emitter, text)
                .await
                .map_err(|(error, _)| NoAnswer::Model(error));
        }
        ModelPlan::Unconfigured => {
            if let Some(model) = local_model(&ask).await {
                vec![model]
            } else {
                let last = ask
                    .conversation
                    .last()
                    .map_or_else(String::new, PromptMessage::text);
                let named = Answer {
                    provider: echo::PROVIDER.into(),
                    model: echo::MODEL.into(),
                    ..Answer::default()
                };
                return take(echo::answer(&last), named, emitter, text)
                    .await
                    .map_err(|(error, _)| NoAnswer::Model(error));
            }
        }
    };
    let http = ask
        .http
        .as_ref()
        .map_err(|problem| NoAnswer::Setup(problem.clone()))?;
    let mut models = chain.into_iter().peekable();
    let mut number = 0;
    let Some(mut current) = models.next() else {
        return Err(NoAnswer::Setup(
            "no model is configured at agents.defaults.model.primary".into(),
        ));
    };
    loop {
        number += 1;
        let failed = match ask_once(http, &ask, &current, emitter, text).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let attempt = Attempt {
            number,
            emitted: failed.1,
            fallback_left: models.peek().is_some(),
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
                let Some(next) = models.next() else {
                    return Err(NoAnswer::Model(failed.0));
                };
                tracing::warn!(error = %failed.0, next = %next.model, "model failed; asking the next one");
                current = next;
                number = 0;
            }
            Verdict::Fail => return Err(NoAnswer::Model(failed.0)),
        }
    }
}

type Failed = (Box<ModelError>, bool);

async fn ask_once(
    http: &reqwest::Client,
    ask: &Ask<'_>,
    model: &ResolvedModel,
    emitter: &Emitter,
    text: &Arc<Mutex<String>>,
) -> Result<Answer, Failed> {
    let share = budget_of(model);
    let mut request = ModelRequest::new(model.endpoint.clone(), model.model.clone());
    request.system.clone_from(&ask.system);
    request.messages = budget::trim(&ask.conversation, share).kept.to_vec();
    request.max_output_tokens = model.max_output_tokens;
    request.context_window = u32::try_from(model.context_tokens).ok();
    request.timeouts = timeouts(model, ask.deadline);
    let named = Answer {
        provider: model.endpoint.provider.clone(),
        model: model.model.clone(),
        ..Answer::default()
    };
    let stream = model::stream(http, request)
        .await
        .map_err(|error| (Box::new(error), false))?;
    take(stream, named, emitter, text).await
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
    })
}

/// Takes a stream to its end. Pieces go out at most once per pace; what waits goes out with the
/// next one, or when the stream pauses.
async fn take(
    mut stream: ModelStream,
    mut answer: Answer,
    emitter: &Emitter,
    text: &Arc<Mutex<String>>,
) -> Result<Answer, Failed> {
    let mut pacer = Pacer::new(emitter, text);
    loop {
        let event = tokio::select! {
            event = stream.next() => event,
            () = pacer.due() => {
                pacer.flush();
                continue;
            }
        };
        match event {
            Some(Ok(ModelEvent::Text(piece))) => pacer.add(&piece),
            Some(Ok(ModelEvent::Usage(usage))) => answer.usage = Some(wire_usage(usage)),
            Some(Ok(ModelEvent::Stop(reason))) => answer.cut = reason == StopReason::MaxTokens,
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                pacer.flush();
                return Err((Box::new(error), pacer.emitted));
            }
            None => {
                pacer.flush();
                return Ok(answer);
            }
        }
    }
}

/// Collects pieces of an answer and emits them at a steady pace.
struct Pacer<'a> {
    emitter: &'a Emitter,
    text: &'a Arc<Mutex<String>>,
    pending: String,
    last: Option<tokio::time::Instant>,
    pace: Duration,
    emitted: bool,
}

impl<'a> Pacer<'a> {
    fn new(emitter: &'a Emitter, text: &'a Arc<Mutex<String>>) -> Self {
        Self {
            emitter,
            text,
            pending: String::new(),
            last: None,
            pace: PACE,
            emitted: false,
        }
    }

    fn add(&mut self, piece: &str) {
        if piece.is_empty() {
            return;
        }
        self.text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(piece);
        self.pending.push_str(piece);
        if self.last.is_none_or(|last| last.elapsed() >= self.pace) {
            self.flush();
        }
    }

    /// Waits until what is pending may go out; for ever while nothing is.
    async fn due(&self) {
        match self.last {
            Some(last) if !self.pending.is_empty() => {
                tokio::time::sleep_until(last + self.pace).await;
            }
            _ => std::future::pending().await,
        }
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let whole = self
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.emitter.delta(&whole, &self.pending, !self.emitted);
        self.pending.clear();
        self.emitted = true;
        self.pace = pace(whole.len());
        self.last = Some(tokio::time::Instant::now());
    }
}

fn pace(bytes: usize) -> Duration {
    let millis = (bytes as u64).saturating_mul(1_000) / PACE_BYTES_PER_SECOND;
    PACE.max(Duration::from_millis(millis))
}

fn wire_usage(usage: model::Usage) -> WireUsage {
    WireUsage {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        total_tokens: usage.input + usage.output + usage.cache_read + usage.cache_write,
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64, role: MessageRole, text: &str, run: Option<&str>) -> Message {
        let mut row = Message::text(role, text, 0);
        let meta = row.meta.get_or_insert_default();
        meta.seq = Some(seq);
        meta.run_id = run.map(str::to_owned);
        row
    }

    #[test]
    fn a_message_that_waited_sees_the_answers_to_those_before_it() {
        use MessageRole::{Assistant, User};
        let rows = || {
            vec![
                row(1, User, "first", Some("a")),
                row(2, User, "second", Some("b")),
                row(3, User, "third", Some("c")),
                row(4, Assistant, "one", Some("a")),
                row(5, Assistant, "two", Some("b")),
            ]
        };
        let seen = |asked| {
            let rows = in_turns(rows(), asked);
            rows.iter().map(Message::plain_text).collect::<Vec<_>>()
        };
        assert_eq!(seen(1), ["first"]);
        assert_eq!(seen(2), ["first", "one", "second"]);
        assert_eq!(seen(3), ["first", "one", "second", "two", "third"]);
    }
}
