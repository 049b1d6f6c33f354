//! The form of a line in the log file: JSON whose keys the protocol's log readers know.
//!
//! Official clients show `time`, `level`, `subsystem` and `message` of a line and nothing else, so the fields of an
//! event stand in its message as `key=value`.

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
            value.clone_into(&mut self.message);
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
