//! The streaming model client: one request, one answer in pieces.
//!
//! Plain async on reqwest; no actors, no tasks of its own. Each API has a module that builds its call and
//! decodes its events; both are pure, so that recorded streams test them. [`stream`] ties them to the
//! network. Dropping a [`ModelStream`] closes its connection, which is how a run is cancelled.
//!
//! **Bounds:** an event over [`MAX_EVENT_BYTES`] or an answer over [`MAX_ANSWER_BYTES`] fails; every phase
//! has a timeout. A stream that ends before its API says that the answer is complete fails as truncated.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream as streams};
use secrecy::ExposeSecret;

mod anthropic;
pub mod budget;
pub mod catalog;
mod decode;
mod error;
mod explain;
mod google;
mod http;
pub mod ollama;
mod openai;
mod request;
pub mod retry;
mod sse;
#[cfg(test)]
mod tests;
pub mod thinking;
#[cfg(test)]
mod tool_tests;
mod transport;
mod url;
mod vendor;

pub use error::{ErrorKind, Fault, ModelError, TimeoutPhase};
pub use http::{HttpSetupError, http_client};
pub use request::{
    ApiKind, Endpoint, ModelEvent, ModelRequest, ModelTimeouts, PromptDocument, PromptImage,
    PromptMessage, PromptPart, PromptRole, StopReason, Takes, ToolCall, ToolDefinition, ToolResult,
    UnknownApiKind, Usage,
};
/// What [`http_client`] gives.
pub use reqwest::Client as HttpClient;

use decode::{Decode, Progress};
use transport::{Call, Deadlines};

/// The largest single event of a stream, in bytes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// The largest answer, text and reasoning together, in bytes.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// An answer as it is being written. Ends after [`ModelEvent::Stop`] or after the first error.
pub struct ModelStream {
    events: BoxStream<'static, Result<ModelEvent, ModelError>>,
}

impl ModelStream {
    /// An answer that comes from somewhere else than a provider.
    pub fn from_stream(
        events: impl Stream<Item = Result<ModelEvent, ModelError>> + Send + 'static,
    ) -> Self {
        Self {
            events: events.boxed(),
        }
    }
}

impl Stream for ModelStream {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(cx)
    }
}

impl fmt::Debug for ModelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelStream").finish_non_exhaustive()
    }
}

/// Sends a request and returns once the provider has begun to answer.
///
/// # Errors
///
/// Whatever the provider said instead of answering, already told apart; see [`Fault`]. What goes wrong
/// later comes out of the stream.
pub async fn stream(
    http: &reqwest::Client,
    mut request: ModelRequest,
) -> Result<ModelStream, ModelError> {
    match open(http, &request).await {
        Ok(events) => {
            // The conversation is sent; only what errors need stays for the length of the answer.
            request.messages = Vec::new();
            request.tools = Vec::new();
            request.system = None;
            Ok(ModelStream::from_stream(events.map(move |event| {
                event.map_err(|fault| failed(&request, fault))
            })))
        }
        Err(fault) => Err(failed(&request, fault)),
    }
}

fn failed(request: &ModelRequest, fault: Fault) -> ModelError {
    let key = request
        .endpoint
        .api_key
        .iter()
        .map(ExposeSecret::expose_secret);
    let headers = request.endpoint.headers.values().map(String::as_str);
    // A short header value is a word, not a secret; replacing it would garble the message.
    let secrets: Vec<&str> = key
        .filter(|key| !key.is_empty())
        .chain(headers.filter(|value| value.len() >= 8))
        .collect();
    ModelError::new(request, fault.scrub(&secrets))
}

async fn open(
    http: &reqwest::Client,
    request: &ModelRequest,
) -> Result<impl Stream<Item = Result<ModelEvent, Fault>> + use<>, Fault> {
    require_key(request)?;
    let (call, decoder): (Call, Box<dyn Decode>) = match request.endpoint.api {
        ApiKind::OpenaiCompletions => (openai::call(request)?, Box::<openai::Decoder>::default()),
        ApiKind::AnthropicMessages => (
            anthropic::call(request)?,
            Box::<anthropic::Decoder>::default(),
        ),
        ApiKind::Ollama => (ollama::call(request)?, Box::<ollama::Decoder>::default()),
        ApiKind::GoogleGenerativeAi => (google::call(request)?, Box::<google::Decoder>::default()),
    };
    let deadlines = Deadlines::start(request.timeouts);
    let body = transport::send(http, call, deadlines).await?;
    let events = match request.endpoint.api {
        ApiKind::Ollama => sse::lines(body).boxed(),
        ApiKind::OpenaiCompletions | ApiKind::AnthropicMessages | ApiKind::GoogleGenerativeAi => {
            sse::events(body).boxed()
        }
    };
    Ok(answer(events, decoder))
}

/// A provider's own endpoint would answer 401 to a request without a key; the person is told sooner and
/// better. Elsewhere (a proxy, a local server) a key may not be needed.
fn require_key(request: &ModelRequest) -> Result<(), Fault> {
    let endpoint = &request.endpoint;
    let has_key = endpoint
        .api_key
        .as_ref()
        .is_some_and(|key| !key.expose_secret().trim().is_empty());
    let known_host = |known: &catalog::Known| {
        let own = url::parse(known.base_url).ok();
        let asked = url::parse(&endpoint.base_url).ok();
        known.needs_key
            && own
                .zip(asked)
                .is_some_and(|(own, asked)| own.host() == asked.host())
    };
    if has_key || !endpoint.headers.is_empty() || !catalog::KNOWN.iter().any(known_host) {
        return Ok(());
    }
    Err(Fault::MissingKey)
}

/// Everything between two events of an answer.
struct Answer {
    events: BoxStream<'static, Result<String, Fault>>,
    decoder: Box<dyn Decode>,
    ready: VecDeque<ModelEvent>,
    bytes: usize,
    over: bool,
}

fn answer(
    events: BoxStream<'static, Result<String, Fault>>,
    decoder: Box<dyn Decode>,
) -> impl Stream<Item = Result<ModelEvent, Fault>> {
    let start = Answer {
        events,
        decoder,
        ready: VecDeque::new(),
        bytes: 0,
        over: false,
    };
    streams::unfold(start, |mut answer| async move {
        let next = answer.next().await?;
        if next.is_err() {
            answer.over = true;
            answer.ready.clear();
        }
        Some((next, answer))
    })
}

impl Answer {
    async fn next(&mut self) -> Option<Result<ModelEvent, Fault>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(self.count(event));
            }
            if self.over {
                return None;
            }
            let step = match self.events.next().await {
                Some(Ok(data)) => self.decoder.event(&data, &mut self.ready),
                // Some servers keep the connection open, or break it, after the last word.
                Some(Err(_)) if self.decoder.tail().stop.is_some() => Ok(Progress::Done),
                Some(Err(fault)) => Err(fault),
                None => Ok(Progress::Done),
            };
            match step {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => {
                    self.over = true;
                    self.events = streams::empty().boxed();
                    match self.decoder.tail().finish() {
                        Ok(events) => self.ready.extend(events),
                        Err(fault) => return Some(Err(fault)),
                    }
                }
                Err(fault) => return Some(Err(fault)),
            }
        }
    }

    fn count(&mut self, event: ModelEvent) -> Result<ModelEvent, Fault> {
        if let ModelEvent::Text(text) | ModelEvent::Thinking(text) = &event {
            self.bytes += text.len();
        }
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(Fault::TooLarge {
                what: "the answer",
                limit: MAX_ANSWER_BYTES,
            });
        }
        Ok(event)
    }
}
