//! The built-in echo agent: what answers while no model is configured.

use std::time::Duration;

use futures_util::stream;

use super::model::{ModelEvent, ModelStream, StopReason, Usage, budget};

/// Provider and model names of the echo agent.
pub const PROVIDER: &str = "openclaw";
/// See [`PROVIDER`].
pub const MODEL: &str = "echo";

/// Time between two words, so that an answer can be seen streaming.
const PACE: Duration = Duration::from_millis(30);

/// Answers with what it was told, word by word, and says how to get a real model.
pub fn answer(message: &str) -> ModelStream {
    let text = format!(
        "You said: {message}\n\nThis is only an echo: no model is configured yet. Choose one on the Set-up page, with \
         `openclaw models set anthropic/claude-sonnet-4-5`, or in `openclaw.json`:\n\n\
         ```json5\n{{ agents: {{ defaults: {{ model: {{ primary: \"anthropic/claude-sonnet-4-5\" }} }} }} }}\n```\n\n\
         Its key goes to `models.providers.anthropic.apiKey`. The next message is answered by it."
    );
    let usage = Usage {
        input: budget::estimate(message),
        output: budget::estimate(&text),
        ..Usage::default()
    };
    let mut events: Vec<ModelEvent> = text
        .split_inclusive(' ')
        .map(|word| ModelEvent::Text(word.to_owned()))
        .collect();
    events.push(ModelEvent::Usage(usage));
    events.push(ModelEvent::Stop(StopReason::EndTurn));
    ModelStream::from_stream(stream::unfold(
        events.into_iter(),
        |mut events| async move {
            let event = events.next()?;
            if matches!(event, ModelEvent::Text(_)) {
                tokio::time::sleep(PACE).await;
            }
            Some((Ok(event), events))
        },
    ))
}
