//! The form of a line in the log file: JSON whose keys the protocol's log readers know.
//!
//! Official clients show `time`, `level`, `subsystem` and `message` of a line and nothing else, so the fields of an
//! event stand in its message as `key=value`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

/// Formats events for the log file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileLine;

#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'static str,
    subsystem: &'a str,
    message: &'a str,
}

impl<S, N> FormatEvent<S, N> for FileLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut text = Text::default();
        event.record(&mut text);
        let line = Line {
            time: &time,
            level: match *event.metadata().level() {
                Level::ERROR => "error",
                Level::WARN => "warn",
                Level::INFO => "info",
                Level::DEBUG => "debug",
                Level::TRACE => "trace",
            },
            subsystem: event.metadata().target(),
            message: &text.finish(),
        };
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// Longest text of a value in a line, characters: names and headers are the client's, of any length.
const MAX_VALUE: usize = 1_024;

/// A value as a line may show it: on one line, with nothing in it that a terminal obeys, and not long.
pub(super) fn clean(value: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let long = value.len() > MAX_VALUE && value.chars().nth(MAX_VALUE).is_some();
    if !long && !value.contains(obeyed) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len().min(MAX_VALUE) + 16);
    for c in value.chars().take(MAX_VALUE) {
        if obeyed(c) {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    if long {
        text.push('…');
    }
    Cow::Owned(text)
}

/// Writes a field of an event on the console: its message bare, the others as `key=value`.
pub(super) fn console_field(
    writer: &mut Writer<'_>,
    field: &Field,
    value: &dyn fmt::Debug,
) -> fmt::Result {
    let value = format!("{value:?}");
    match field.name() {
        "message" => write!(writer, "{}", clean(&value)),
        name => write!(writer, "{name}={}", clean(&value)),
    }
}

/// An event's message, and its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message.trim_start().to_owned()
    }

    fn field(&mut self, name: &str, value: &str) {
        let value = clean(value);
        let bare = !value.is_empty() && !value.contains([' ', '"', '=']);
        // Writing to a String cannot fail.
        let _ = if bare {
            write!(self.fields, " {name}={value}")
        } else {
            write!(self.fields, " {name}={value:?}")
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = clean(value).into_owned();
        } else {
            self.field(field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_value_stays_on_its_line_and_has_an_end() {
        assert!(matches!(clean("a plain näme"), Cow::Borrowed(_)));
        assert_eq!(clean("a\nb\u{1b}[2J\u{202e}c"), "a\\nb\\u{1b}[2J\\u{202e}c");
        assert_eq!(clean(&"ä".repeat(5_000)).chars().count(), MAX_VALUE + 1);
        assert_eq!(clean(&"ä".repeat(MAX_VALUE)), "ä".repeat(MAX_VALUE));
    }

    #[test]
    fn the_fields_of_an_event_stand_in_its_message() {
        let kept = Kept::default();
        let sink = kept.clone();
        let layer = fmt::layer()
            .event_format(FileLine)
            .with_writer(move || sink.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(target: "gateway", code = 1008, reason = "not paired", who = %"a\"b", "connection refused");
        });
        let line: serde_json::Value = serde_json::from_slice(&kept.0.lock().unwrap()).unwrap();
        assert_eq!(line["level"], "warn");
        assert_eq!(line["subsystem"], "gateway");
        assert_eq!(
            line["message"],
            r#"connection refused code=1008 reason="not paired" who="a\"b""#
        );
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
}
