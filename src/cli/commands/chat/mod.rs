//! `openclaw chat`: a conversation in the terminal.
//!
//! One message, one answer, then the next: what is typed while an answer comes is read afterwards.
//! Ctrl-C stops the answer; a second one leaves. Commands that begin with `/` are the gateway's own,
//! but for `/quit`. A lost connection comes back by itself, and nothing that was sent or answered
//! meanwhile is lost or sent twice: each message keeps its key.

mod again;
mod editor;
mod turn;

use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::{Client, Events};
use openclaw_protocol::methods::chat::{ChatHistory, ChatHistoryResult};
use openclaw_protocol::{Method as _, Scope};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::args::ChatArgs;
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::Style;
use crate::cli::render::sessions as render;
use crate::cli::render::text::Tone;
use crate::cli::render::wrap::wrapped;
use crate::cli::target::Target;
use editor::{Editor, Line};

/// Limit for the connect and for each answer of the gateway; an agent's answer has no limit here.
const LIMIT: Duration = Duration::from_secs(15);
/// The file of what was typed, in the gateway's private folder.
const TYPED: &str = "chat-history.txt";

pub(crate) async fn run(
    args: &ChatArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.target)?;
    // Commands such as /new change sessions; on this machine nobody has to be asked for that.
    let scopes: &'static [Scope] = if target.loopback {
        &[Scope::Write, Scope::Admin]
    } else {
        &[Scope::Write]
    };
    let wanted = Wanted {
        scopes,
        limit: LIMIT,
    };
    let connection = open(&target, wanted).await?;
    let (client, events) = connection.into_parts();
    // From here on Ctrl-C is ours, also between two lines.
    let interrupts = signal(SignalKind::interrupt())
        .map_err(|error| Failure::failed(format!("cannot listen to Ctrl-C: {error}"), None))?;
    let mut chat = Chat {
        session: args.session.clone().unwrap_or_else(|| {
            args.agent
                .as_ref()
                .map_or_else(|| "main".into(), |agent| format!("agent:{agent}:main"))
        }),
        json: args.form.json,
        scopes,
        client,
        events,
        interrupts,
        target: &target,
        output,
        style: output.style(Environment::now_ms()),
    };
    chat.greet(args.history).await?;
    let done = chat.talk().await;
    chat.client.close().await;
    done
}

/// A conversation.
struct Chat<'a> {
    session: String,
    json: bool,
    /// What it asks the gateway for.
    scopes: &'static [Scope],
    client: Client,
    events: Events,
    interrupts: Signal,
    target: &'a Target,
    output: &'a Output,
    style: Style,
}

impl Chat<'_> {
    /// Whether a person sees this.
    const fn is_shown(&self) -> bool {
        self.output.terminal && !self.json
    }

    /// How wide the terminal is, where somebody looks at it.
    fn width(&self) -> Option<u16> {
        self.style.width.filter(|_| self.is_shown())
    }

    /// What was said last, and how to leave.
    async fn greet(&self, messages: u32) -> Result<(), Failure> {
        if !self.is_shown() {
            return Ok(());
        }
        let mut shown = String::new();
        if messages > 0 {
            let params = json!({ "sessionKey": self.session, "limit": messages });
            let page = self.client.request_value(ChatHistory::NAME, &params).await;
            let page = page.map_err(|error| Failure::request(&error, self.target))?;
            let page: ChatHistoryResult = serde_json::from_value(page).map_err(|error| {
                Failure::failed(
                    format!(
                        "the gateway's history has another form than this program knows: {error}"
                    ),
                    Some("talk without it: --history 0".into()),
                )
            })?;
            for message in &page.messages {
                shown += &render::message(message, &self.style);
            }
        }
        let help = "Ctrl-C stops an answer, twice it leaves. /help lists commands. \\ at the end: one more line.";
        shown += &self.style.paint(Tone::Faint, &wrapped(help, self.width()));
        self.output.line(&shown)
    }

    async fn talk(&mut self) -> Result<ExitCode, Failure> {
        let typed = self.is_shown().then(|| self.target.gateway_dir.join(TYPED));
        let prompt = if self.is_shown() {
            format!("\n{} ", self.style.paint(Tone::Good, "you ›"))
        } else {
            String::new()
        };
        let mut editor = Editor::start(typed, prompt)?;
        let mut leaving = false;
        loop {
            let line = self.line(&mut editor).await?;
            let text = match line {
                Line::Text(text) => text,
                Line::Interrupted if leaving => break,
                Line::Interrupted => {
                    leaving = true;
                    self.faint("Ctrl-C again leaves")?;
                    continue;
                }
                Line::End => break,
                Line::Failed(why) => return Err(Failure::failed(why, None)),
            };
            leaving = false;
            match text.trim() {
                "" => {}
                "/quit" | "/exit" => break,
                message => self.turn(message).await?,
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The next line; what happens meanwhile belongs to others, and is let go.
    async fn line(&mut self, editor: &mut Editor) -> Result<Line, Failure> {
        editor.ask();
        loop {
            tokio::select! {
                line = editor.line() => return Ok(line),
                event = self.events.next() => if event.is_none() {
                    // What is typed meanwhile waits.
                    tokio::select! {
                        line = editor.line() => {
                            if matches!(line, Line::Text(_)) {
                                self.reconnect().await?;
                            }
                            return Ok(line);
                        }
                        again = self.reconnect() => again?,
                    }
                },
            }
        }
    }

    fn gone(&self) -> Failure {
        let why = self
            .events
            .close_reason()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        Failure {
            exit: crate::cli::failure::Exit::Unreachable,
            remedy: Some(
                "the conversation is kept: run `openclaw chat` again, it shows what was answered"
                    .into(),
            ),
            ..Failure::failed(format!("the gateway closed the connection{why}"), None)
        }
    }

    fn faint(&self, text: &str) -> Result<(), Failure> {
        if !self.is_shown() {
            return Ok(());
        }
        self.output.line(&self.style.paint(Tone::Faint, text))
    }
}
