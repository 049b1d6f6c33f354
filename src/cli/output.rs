//! The only place that prints.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::render::Style;
use super::render::json::pretty;
use super::render::text::plain;

/// Where answers go, and how they may look there.
#[derive(Debug, Clone)]
pub struct Output {
    /// Whether standard output is a terminal.
    pub terminal: bool,
    /// Whether colours help: a terminal, and `NO_COLOR` is not set.
    pub colour: bool,
}

impl Output {
    /// Looks at this process's standard output.
    pub fn of_this_process() -> Self {
        let terminal = io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            terminal,
            colour: terminal && !unwanted,
        }
    }

    /// How an answer may look here.
    pub fn style(&self, now_ms: u64) -> Style {
        Style {
            colour: self.colour,
            // The table library asks the terminal; it finds none behind a pipe.
            width: comfy_table::Table::new().width(),
            now_ms,
        }
    }

    /// Writes text as it is, and shows it at once.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when standard output cannot be written; one without words when its reader left.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.write(&format!("{text}\n"))
    }

    /// Writes an answer as the gateway gave it, laid out.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn raw(&self, answer: &RawValue) -> Result<(), Failure> {
        self.line(&pretty(answer.get()))
    }

    /// Writes a value of ours as JSON.
    ///
    /// # Errors
    ///
    /// As [`Output::write`].
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::failed(format!("cannot write the answer: {error}"), None))?;
        self.line(&text)
    }

    /// Says something beside the answer, on standard error.
    pub fn note(&self, text: &str) {
        // Nobody can be told when standard error is gone.
        writeln!(io::stderr().lock(), "{}", plain(text)).ok();
    }

    /// Shows how far something is on one line of standard error, in place of what stood there; nothing where
    /// nobody looks.
    pub fn progress(&self, text: &str) {
        let mut err = io::stderr().lock();
        if err.is_terminal() {
            // As above.
            let shown = write!(err, "\r\u{1b}[K{}", plain(text));
            shown.and_then(|()| err.flush()).ok();
        }
    }

    /// Says why a command failed, on standard error.
    pub fn failure(&self, failure: &Failure) {
        for line in failure.lines() {
            self.note_lines(&line);
        }
    }

    /// Says what went wrong, on standard error; further lines say where and what to do.
    pub fn problem(&self, text: &str) {
        self.note_lines(&format!("openclaw: {text}"));
    }

    fn note_lines(&self, text: &str) {
        for line in text.lines() {
            self.note(line);
        }
    }
}

/// Asks a person in the terminal for a yes. Without a terminal nobody is there, and the answer is no.
pub(crate) async fn ask(question: String) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let asked = tokio::task::spawn_blocking(move || {
        let mut err = io::stderr().lock();
        write!(err, "{question} [y/N] ")
            .and_then(|()| err.flush())
            .ok()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    });
    asked.await.ok().flatten().unwrap_or_default()
}
