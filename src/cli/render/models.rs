//! `openclaw models`.

use openclaw_protocol::methods::models::{ModelChoice, ModelInput, ModelsProbeResult, ProbeStatus};

use super::Style;
use super::table::Columns;
use super::text::{Tone, plain};

/// The models as a table; `chosen` is the one that answers.
pub fn list(models: &[ModelChoice], chosen: &str, style: &Style) -> String {
    let mut table = Columns::new(style, &["model", "name", "context", "reads", ""]);
    for model in models {
        let reference = format!("{}/{}", model.provider, model.id);
        let answers = reference == chosen;
        let name = if model.name == model.id {
            ""
        } else {
            &model.name
        };
        let context = model.context_window.map(tokens).unwrap_or_default();
        let reads: Vec<&str> = model.input.iter().flatten().copied().map(input).collect();
        let state = match (answers, model.available) {
            (_, Some(false)) => ("cannot be asked", Some(Tone::Bad)),
            (true, _) => ("answers", Some(Tone::Good)),
            _ => ("", None),
        };
        table.toned(&[
            (&reference, answers.then_some(Tone::Strong)),
            (name, None),
            (&context, None),
            (&reads.join(", "), None),
            state,
        ]);
    }
    let mut out = table.keep_whole(0).render();
    if chosen == "openclaw/echo" {
        out += "no model is configured: the built-in echo answers. Configure one in the page (`openclaw dashboard`), or set\n\
                a key such as ANTHROPIC_API_KEY and run `openclaw models set anthropic/claude-sonnet-4-5`\n";
    }
    out
}

/// What came of asking a provider; empty when it did not answer, which is said as a failure.
pub fn probe(probe: &ModelsProbeResult, style: &Style) -> String {
    if probe.status != ProbeStatus::Ok {
        return String::new();
    }
    let label = probe
        .results
        .first()
        .map_or(&probe.provider, |row| &row.label);
    let after = probe
        .latency_ms
        .map(|millis| format!(" after {millis} ms"))
        .unwrap_or_default();
    format!(
        "{} {} answered{after}\n",
        style.paint(Tone::Good, "ok"),
        plain(label)
    )
}

/// `200k`, `32k`, `900`.
pub fn tokens(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", (count + 500) / 1_000),
        _ => format!("{}.{}M", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

const fn input(input: ModelInput) -> &'static str {
    match input {
        ModelInput::Text => "text",
        ModelInput::Image => "images",
        ModelInput::Audio => "audio",
        ModelInput::Video => "video",
        ModelInput::Document => "documents",
    }
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::models::ProbeTarget;

    use super::*;

    const STYLE: Style = Style {
        colour: false,
        width: None,
        now_ms: 0,
    };

    fn model(provider: &str, id: &str) -> ModelChoice {
        serde_json::from_value(serde_json::json!({
            "id": id, "name": id, "provider": provider, "contextWindow": 200_000, "input": ["text", "image"],
        }))
        .unwrap()
    }

    #[test]
    fn the_model_that_answers_is_marked() {
        let text = list(&[model("a", "x"), model("b", "y")], "b/y", &STYLE);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[1].starts_with("a/x") && !lines[1].contains("answers"),
            "{text}"
        );
        assert!(
            lines[2].contains("200k") && lines[2].ends_with("answers"),
            "{text}"
        );
        assert!(list(&[], "openclaw/echo", &STYLE).contains("openclaw models set"));
    }

    #[test]
    fn an_answer_says_how_long_it_took() {
        let mut answer = ModelsProbeResult {
            provider: "a".into(),
            status: ProbeStatus::Ok,
            latency_ms: Some(312),
            error: None,
            results: vec![ProbeTarget {
                label: "a/x".into(),
                status: ProbeStatus::Ok,
                latency_ms: Some(312),
                error: None,
            }],
        };
        assert_eq!(probe(&answer, &STYLE), "ok a/x answered after 312 ms\n");
        answer.status = ProbeStatus::Auth;
        assert_eq!(probe(&answer, &STYLE), "");
    }

    #[test]
    fn tokens_are_rounded() {
        assert_eq!([900, 32_768, 1_048_576].map(tokens), ["900", "33k", "1.0M"]);
    }
}
