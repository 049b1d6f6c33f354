//! Lines as a person types them, on a thread of their own.

use std::path::PathBuf;
use std::sync::mpsc as sync;

use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History as _};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Completer, Config, Helper, Highlighter, Hinter};
use tokio::sync::mpsc;

use crate::cli::failure::Failure;

/// Most lines that are kept of what was typed.
const KEPT: usize = 1_000;

/// What came of asking for a line.
#[derive(Debug)]
pub(super) enum Line {
    /// A message; it may have several lines.
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of standard input.
    End,
    /// The terminal cannot be read.
    Failed(String),
}

/// The thread that reads lines.
pub(super) struct Editor {
    ask: sync::Sender<()>,
    lines: mpsc::Receiver<Line>,
}

impl Editor {
    /// Starts it. `typed` is the file of what was typed before; `None` keeps nothing.
    pub(super) fn start(typed: Option<PathBuf>, prompt: String) -> Result<Self, Failure> {
        let config = Config::builder()
            .max_history_size(KEPT)
            .and_then(|config| config.history_ignore_dups(true))
            .map(|config| config.auto_add_history(false).build())
            .map_err(|error| unreadable(&error))?;
        let mut editor: rustyline::Editor<Continued, FileHistory> =
            rustyline::Editor::with_config(config).map_err(|error| unreadable(&error))?;
        editor.set_helper(Some(Continued));
        if let Some(typed) = &typed {
            // None yet, or not readable: then nothing is offered.
            editor.load_history(typed).ok();
        }
        let (ask, asked) = sync::channel();
        let (told, lines) = mpsc::channel(1);
        // A plain thread: the process may end while it waits for a key.
        std::thread::spawn(move || {
            while asked.recv().is_ok() {
                let line = match editor.readline(&prompt) {
                    Ok(text) => {
                        if let Some(typed) = &typed
                            && !text.trim().is_empty()
                        {
                            // What cannot be kept is typed again.
                            editor.history_mut().add(&text).ok();
                            editor.append_history(typed).ok();
                        }
                        Line::Text(joined(&text))
                    }
                    Err(ReadlineError::Interrupted) => Line::Interrupted,
                    Err(ReadlineError::Eof) => Line::End,
                    Err(error) => Line::Failed(format!("cannot read what is typed: {error}")),
                };
                if told.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { ask, lines })
    }

    /// Asks for a line.
    pub(super) fn ask(&self) {
        // A thread that ended says so when the line is awaited.
        self.ask.send(()).ok();
    }

    /// The line that was asked for. Cancel safe.
    pub(super) async fn line(&mut self) -> Line {
        self.lines.recv().await.unwrap_or(Line::End)
    }
}

fn unreadable(error: &ReadlineError) -> Failure {
    Failure::failed(
        format!("this terminal cannot be used for a conversation: {error}"),
        Some("`openclaw agent --message TEXT` sends one message".into()),
    )
}

/// Lines that end in a backslash go on in the next one.
fn joined(text: &str) -> String {
    text.replace("\\\n", "\n")
}

#[derive(Completer, Helper, Highlighter, Hinter)]
struct Continued;

impl Validator for Continued {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if context.input().ends_with('\\') {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_joins_lines() {
        assert_eq!(joined("one\\\ntwo"), "one\ntwo");
        assert_eq!(joined("C:\\dir"), "C:\\dir");
    }
}
