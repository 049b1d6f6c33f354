//! `openclaw models`.

use openclaw_protocol::methods::models::{ModelChoice, ModelInput, ModelsProbeResult, ProbeStatus};

use super::Style;
use super::table::Columns;
use super::text::{Tone, plain};

/// What answers where nothing is configured at all.
const ECHO: &str = "openclaw/echo";

/// The models as a table; `chosen` is the one that answers.
pub fn list(models: &[ModelChoice], chosen: &str, style: &Style) -> String {
    let rows: Vec<[String; 3]> = models.iter().map(facts).collect();
    // Of what nobody has told there is no column.
    let told = [0, 1, 2].map(|column| rows.iter().any(|row| !row[column].is_empty()));
    let only = |cells: [&'static str; 3]| cells.into_iter().zip(told).filter(|(_, told)| *told);
    let headings: Vec<&str> = ["model", ""]
        .into_iter()
        .chain(only(["name", "context", "reads"]).map(|(heading, _)| heading))
        .collect();
    let mut table = Columns::new(style, &headings);
    let mut broken = false;
    for (model, facts) in models.iter().zip(&rows) {
        let reference = format!("{}/{}", model.provider, model.id);
        let answers = reference == chosen;
        broken |= answers && model.available == Some(false);
        let state = match (answers, model.available) {
            (_, Some(false)) => ("cannot be asked", Some(Tone::Bad)),
            (true, _) => ("answers", Some(Tone::Good)),
            _ => ("", None),
        };
        let mut cells = vec![(&*reference, answers.then_some(Tone::Strong)), state];
        let facts = facts.iter().zip(told).filter(|(_, told)| *told);
        cells.extend(facts.map(|(fact, _)| (&**fact, None)));
        table.toned(&cells);
    }
    let is_echo = |model: &ModelChoice| model.provider == "openclaw" && model.id == "echo";
    let echoes = models
        .iter()
        .any(|model| is_echo(model) && model.available != Some(false));
    let chosen_none = chosen == ECHO && !echoes;
    let mut out = if chosen_none && models.iter().all(is_echo) {
        String::new()
    } else {
        table.keep_whole(0).render()
    };
    if chosen_none {
        out += "no model is chosen: `openclaw models set PROVIDER/MODEL` chooses one\n";
        return out;
    }
    if broken {
        out += chosen;
        out += " is chosen, and cannot be asked: `openclaw models test` says what is missing\n";
    }
    if chosen == ECHO {
        out += "no model is configured: the built-in echo answers. Configure one in the page (`openclaw dashboard`), or set\n\
                a key such as ANTHROPIC_API_KEY and run `openclaw models set anthropic/claude-sonnet-4-5`\n";
    }
    out
}

/// Its name, its context and what it reads; empty where that is not known, or is no news.
fn facts(model: &ModelChoice) -> [String; 3] {
    let name = if model.name == model.id {
        String::new()
    } else {
        model.name.clone()
    };
    let context = model.context_window.map(tokens).unwrap_or_default();
    let reads: Vec<&str> = model.input.iter().flatten().copied().map(input).collect();
    [name, context, reads.join(", ")]
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
            lines[2].contains("200k") && lines[2].contains("answers"),
            "{text}"
        );
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["MODEL", "CONTEXT", "READS"]
        );
        let mut broken = model("b", "y");
        broken.available = Some(false);
        assert!(list(&[broken], "b/y", &STYLE).contains("`openclaw models test` says"));
        let echo = model("openclaw", "echo");
        let text = list(std::slice::from_ref(&echo), ECHO, &STYLE);
        assert!(text.contains("the built-in echo answers"), "{text}");
        let broken = ModelChoice {
            available: Some(false),
            ..echo
        };
        let text = list(&[broken], ECHO, &STYLE);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("no model is chosen"), "{text}");
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
