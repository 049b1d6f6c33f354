//! One call of a tool: bounded in time and size, and alone in its failure.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Tool, ToolContext, ToolOutput};
use crate::agent::model::{PromptImage, ToolCall};

/// Most bytes of text that one call may give to the model.
const MAX_RESULT_BYTES: usize = 64 * 1024;
/// Most pictures of one call.
const MAX_IMAGES: usize = 4;
/// Most bytes of one picture.
const MAX_IMAGE_BYTES: usize = 5 * 1024 * 1024;
/// Most bytes of the details that clients are shown of a call.
const MAX_DETAILS_BYTES: usize = 64 * 1024;

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the model reads.
    pub text: String,
    /// What it sees.
    pub images: Vec<PromptImage>,
    /// What clients show beside it.
    pub details: Option<Value>,
    /// Whether it failed.
    pub is_error: bool,
}

impl Outcome {
    /// A failure, in words for the model.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            images: Vec::new(),
            details: None,
            is_error: true,
        }
    }

    /// It as events and `tools.invoke` show it.
    pub fn shown(&self) -> Value {
        let mut content = vec![json!({"type": "text", "text": self.text})];
        for image in &self.images {
            content.push(json!({"type": "image", "mimeType": image.mime, "data": image.base64()}));
        }
        let mut shown = json!({ "content": content });
        if let Some(details) = &self.details {
            shown["details"] = details.clone();
        }
        shown
    }
}

impl From<ToolOutput> for Outcome {
    fn from(output: ToolOutput) -> Self {
        let mut text = output.text;
        cut(&mut text, MAX_RESULT_BYTES);
        let mut images = output.images;
        images.retain(|image| image.data.len() <= MAX_IMAGE_BYTES);
        images.truncate(MAX_IMAGES);
        Self {
            text,
            images,
            details: output.details.filter(is_small),
            is_error: false,
        }
    }
}

/// Details are for clients that show a call: they go with events and into the transcript, and what is too
/// large for that is in the text as far as it can be read.
fn is_small(details: &Value) -> bool {
    details.to_string().len() <= MAX_DETAILS_BYTES
}

/// Cuts a text to at most `longest` bytes and says that something went.
fn cut(text: &mut String, longest: usize) {
    if text.len() <= longest {
        return;
    }
    let whole = text.len();
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "\n[cut: {end} of {whole} bytes are shown; ask for less at a time]"
    );
}

/// Runs a call to its end, whatever happens in it. `tool` is the one that is called, if the caller
/// may use it; `names` are those that it may use.
pub async fn run(
    tool: Option<&dyn Tool>,
    cx: &ToolContext<'_>,
    call: &ToolCall,
    names: &[String],
) -> Outcome {
    let Some(tool) = tool else {
        return Outcome::failed(format!(
            "there is no tool \"{}\" here; the tools are: {}",
            call.name,
            names.join(", ")
        ));
    };
    if !call.arguments.is_object() {
        return Outcome::failed(
            "the arguments are not a JSON object; call the tool again with one",
        );
    }
    let limit = tool.descriptor().limit;
    // Made inside, so that a tool that panics before its first await is caught too.
    let work =
        AssertUnwindSafe(async { tool.run(cx, call.arguments.clone()).await }).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(Ok(output))) => output.into(),
        Ok(Ok(Err(error))) => {
            let mut text = error.to_string();
            cut(&mut text, MAX_RESULT_BYTES);
            Outcome::failed(text)
        }
        Ok(Err(_)) => {
            tracing::error!(tool = %call.name, session = %cx.session, "a tool panicked; the call failed and its run goes on");
            Outcome::failed(
                "the tool failed inside the gateway; it will not work with these arguments",
            )
        }
        Err(_) => Outcome::failed(format!(
            "the tool did not end within {} s and was stopped",
            limit.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_results_are_cut_between_characters_and_say_so() {
        let long = ToolOutput::text("ä".repeat(MAX_RESULT_BYTES));
        let outcome = Outcome::from(long);
        assert!(outcome.text.len() < MAX_RESULT_BYTES + 100);
        assert!(
            outcome.text.contains("[cut: "),
            "{:?}",
            &outcome.text[MAX_RESULT_BYTES - 10..]
        );
        let short = Outcome::from(ToolOutput::text("short"));
        assert_eq!(
            short.shown(),
            json!({"content": [{"type": "text", "text": "short"}]})
        );
    }

    #[test]
    fn details_that_are_too_large_for_the_transcript_are_left_out() {
        let given = |length: usize| ToolOutput::text("a file").with(json!("x".repeat(length)));
        assert!(Outcome::from(given(1_000)).details.is_some());
        assert_eq!(Outcome::from(given(MAX_DETAILS_BYTES)).details, None);
    }
}
