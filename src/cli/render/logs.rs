//! Lines of the gateway's log.

use serde_json::{Map, Value};

use super::Style;
use super::text::{Tone, plain};

/// A line for people: JSON lines become `time LEVEL message key=value`, others stay as they are.
pub fn render(line: &str, style: &Style) -> String {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => object(&fields, style),
        _ => plain(line),
    }
}

fn object(fields: &Map<String, Value>, style: &Style) -> String {
    let mut fields = fields.clone();
    let mut take = |names: &[&str]| {
        let name = names.iter().find(|name| fields.contains_key(**name))?;
        Some(text(&fields.remove(*name)?))
    };
    let time = take(&["timestamp", "time", "ts"]);
    let level = take(&["level"]);
    let target = take(&["target", "subsystem"]).filter(|_| wants_target(level.as_deref()));
    let mut message = take(&["message", "msg"]);
    // tracing's own JSON keeps the fields one level down.
    if let Some(Value::Object(inner)) = fields.remove("fields") {
        fields.extend(inner);
        message = message.or_else(|| fields.remove("message").map(|value| text(&value)));
    }
    let mut parts = Vec::new();
    if let Some(time) = time {
        parts.push(style.paint(Tone::Faint, &plain(&clock(&time))));
    }
    if let Some(level) = level {
        let level = level.to_uppercase();
        let padded = plain(&format!("{level:5}"));
        let tone = match level.as_str() {
            "ERROR" | "FATAL" => Some(Tone::Bad),
            "WARN" => Some(Tone::Warn),
            "DEBUG" | "TRACE" => Some(Tone::Faint),
            _ => None,
        };
        parts.push(tone.map_or(padded.clone(), |tone| style.paint(tone, &padded)));
    }
    parts.extend(message.map(|message| plain(&message)));
    for (key, value) in &fields {
        parts.push(style.paint(Tone::Faint, &plain(&format!("{key}={}", text(value)))));
    }
    parts.extend(target.map(|target| style.paint(Tone::Faint, &plain(&format!("[{target}]")))));
    parts.join(" ")
}

/// Where in the program a line comes from helps who asked for details.
fn wants_target(level: Option<&str>) -> bool {
    level.is_some_and(|level| matches!(level.to_uppercase().as_str(), "DEBUG" | "TRACE"))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `2026-11-22T15:04:05.123456Z` without the fraction below a millisecond; others as they are.
fn clock(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) if time.contains('T') => {
            let digits: String = fraction
                .chars()
                .take_while(char::is_ascii_digit)
                .take(3)
                .collect();
            let zone: String = fraction.chars().skip_while(char::is_ascii_digit).collect();
            format!("{seconds}.{digits}{zone}")
        }
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let style = Style {
            colour: false,
            width: None,
            now_ms: 0,
        };
        render(line, &style)
    }

    #[test]
    fn json_lines_are_told_to_people_and_others_stay() {
        assert_eq!(
            shown(
                r#"{"timestamp":"2026-11-22T15:04:05.123456Z","level":"DEBUG","fields":{"message":"slow","ms":12},"target":"openclaw::ws"}"#
            ),
            "2026-11-22T15:04:05.123Z DEBUG slow ms=12 [openclaw::ws]"
        );
        assert_eq!(
            shown(r#"{"time":"15:04","level":"info","msg":"up","port":1}"#),
            "15:04 INFO  up port=1"
        );
        assert_eq!(
            shown(r#"{"level":"INFO","message":"up","target":"openclaw"}"#),
            "INFO  up"
        );
        assert_eq!(shown("plain \u{1b}[31mline"), "plain \u{fffd}[31mline");
        assert_eq!(shown("[1,2]"), "[1,2]");
    }
}
