//! The answer of an agent, while it is written and when it is done.

use serde_json::Value;

/// What was shown of an answer so far; decides what to show next.
///
/// A terminal cannot take back what it showed: when the text changes under it, the new text is shown
/// whole on a new line.
#[derive(Debug, Default)]
pub struct Shown {
    text: String,
}

impl Shown {
    /// The whole text so far is now `text`; returns what to write.
    pub fn update(&mut self, text: &str) -> String {
        if let Some(added) = text.strip_prefix(self.text.as_str()) {
            let added = added.to_owned();
            text.clone_into(&mut self.text);
            return added;
        }
        // A shorter text is an older one that came late.
        if self.text.starts_with(text) {
            return String::new();
        }
        text.clone_into(&mut self.text);
        format!("\n{text}")
    }

    /// The answer is done and reads `text`; returns what to write, the end of the line included.
    pub fn finish(&mut self, text: &str) -> String {
        self.update(text) + &self.end_line()
    }

    /// What ends the line that was begun, if one was.
    pub fn end_line(&mut self) -> String {
        if self.text.is_empty() || self.text.ends_with('\n') {
            return String::new();
        }
        self.text.push('\n');
        "\n".into()
    }
}

/// The whole text so far that an `agent` event of `run` tells, if it is one that grew the answer.
pub fn text_so_far<'a>(payload: &'a Value, run: &str) -> Option<&'a str> {
    let is = |key: &str, value: &str| payload.get(key).and_then(Value::as_str) == Some(value);
    if !is("runId", run) || !is("stream", "assistant") {
        return None;
    }
    payload.pointer("/data/text")?.as_str()
}

/// The text of a finished run: its parts, each on lines of its own.
pub fn final_text(answer: &Value) -> String {
    let parts = answer.pointer("/result/payloads").and_then(Value::as_array);
    let text = |part: &Value| {
        let part = |key: &str| {
            part.get(key)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        match (part("text"), part("mediaUrl")) {
            (Some(text), Some(media)) => Some(format!("{text}\n{media}")),
            (Some(only), None) | (None, Some(only)) => Some(only.to_owned()),
            (None, None) => None,
        }
    };
    let parts: Vec<String> = parts.into_iter().flatten().filter_map(text).collect();
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_written_as_it_grows() {
        let mut shown = Shown::default();
        let written: String = ["He", "Hello", "Hello", "Hell", "Hello you"]
            .iter()
            .map(|text| shown.update(text))
            .collect();
        assert_eq!(written, "Hello you");
        assert_eq!(shown.finish("Hello you!"), "!\n");
    }

    #[test]
    fn a_text_that_changed_is_shown_anew() {
        let mut shown = Shown::default();
        shown.update("Let me see");
        assert_eq!(shown.update("The answer"), "\nThe answer");
        assert_eq!(shown.finish("The answer\n"), "\n");
    }

    #[test]
    fn missed_events_are_made_up_for_at_the_end() {
        let mut shown = Shown::default();
        assert_eq!(shown.finish("All of it"), "All of it\n");
        assert_eq!(Shown::default().finish(""), "");
    }

    #[test]
    fn only_the_answer_of_this_run_counts() {
        let event =
            json!({ "runId": "r", "stream": "assistant", "data": { "text": "Hi", "delta": "i" } });
        assert_eq!(text_so_far(&event, "r"), Some("Hi"));
        assert_eq!(text_so_far(&event, "other"), None);
        let tool = json!({ "runId": "r", "stream": "tool", "data": { "text": "x" } });
        assert_eq!(text_so_far(&tool, "r"), None);
    }

    #[test]
    fn the_parts_of_an_answer_are_kept_apart() {
        let answer = json!({ "result": { "payloads": [
            { "text": "one", "mediaUrl": null }, { "text": "", "mediaUrl": "file:///p.png" }, { "text": "" } ] } });
        assert_eq!(final_text(&answer), "one\n\nfile:///p.png");
        assert_eq!(final_text(&json!({})), "");
    }
}
