//! One message and its answer.

use openclaw_client::Event;
use openclaw_protocol::Method as _;
use openclaw_protocol::events::{CHAT, ChatEvent, ChatState};
use openclaw_protocol::methods::chat::{ChatAbort, ChatSend};
use openclaw_protocol::methods::message::{Message, Usage};
use serde_json::{Value, json};

use super::Chat;
use super::again::Stage;
use crate::cli::failure::Failure;
use crate::cli::render::agent::Shown;
use crate::cli::render::models::tokens;
use crate::cli::render::sessions as render;
use crate::cli::render::text::{Tone, plain, plain_lines};
use crate::cli::render::wrap::{Wrap, wrapped};

/// Whether an answer is to be waited for.
enum Sent {
    /// It is.
    Running,
    /// It came, or none will.
    Over,
}

/// An answer on the screen.
pub(super) struct View {
    pub(super) run: String,
    pub(super) shown: Shown,
    /// A line stands there that says only that nothing came yet.
    waiting: bool,
    stopping: bool,
    wrap: Wrap,
}

impl Chat<'_> {
    /// Sends a message and shows its answer until its end.
    pub(super) async fn turn(&mut self, message: &str) -> Result<(), Failure> {
        let mut view = View {
            run: uuid::Uuid::new_v4().to_string(),
            shown: Shown::default(),
            waiting: false,
            stopping: false,
            wrap: Wrap::new(self.width()),
        };
        let params = json!({
            "sessionKey": self.session, "message": message, "idempotencyKey": view.run, "deliver": false,
        });
        match self.send(&mut view, &params).await? {
            Sent::Over => return Ok(()),
            Sent::Running => self.wait_sign(&mut view)?,
        }
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    None => {
                        self.reconnect().await?;
                        // The same key again: it is sent if it never arrived, and else says where it is.
                        if matches!(self.send(&mut view, &params).await?, Sent::Over) {
                            return Ok(());
                        }
                    }
                    Some(Event::Gap { .. }) => if matches!(self.look(&mut view).await?, Stage::Over) {
                        return Ok(());
                    },
                    Some(Event::Message(event)) => {
                        if self.show(&mut view, &event.name, event.payload)? {
                            return Ok(());
                        }
                    }
                },
                _ = self.interrupts.recv() => {
                    if view.stopping {
                        self.put(&mut view, "\n")?;
                        return Err(Failure::interrupted("left; the answer goes on without you".into()));
                    }
                    view.stopping = true;
                    self.stop(&view).await;
                }
            }
        }
    }

    /// Sends the message, as often as the connection is lost over it, and says whether its answer is to
    /// be waited for.
    async fn send(&mut self, view: &mut View, params: &Value) -> Result<Sent, Failure> {
        let ack = loop {
            match self.client.request_value(ChatSend::NAME, params).await {
                Ok(ack) => break ack,
                Err(openclaw_client::Error::Closed(_)) => self.reconnect().await?,
                Err(error) => {
                    let failure = Failure::request(&error, self.target);
                    if matches!(error, openclaw_client::Error::Gateway(_)) {
                        // What is wrong with one message ends no conversation.
                        self.put(view, "")?;
                        self.output.failure(&failure);
                        return Ok(Sent::Over);
                    }
                    return Err(failure);
                }
            }
        };
        if ack.get("aborted").is_some() {
            let stopped = ack["runIds"].as_array().map_or(0, Vec::len);
            self.faint(&format!("stopped: {stopped}"))?;
            return Ok(Sent::Over);
        }
        if ack["status"] == "started" {
            return Ok(Sent::Running);
        }
        // It was sent before: it is under way, or over.
        match (self.look(view).await?, ack["status"].as_str()) {
            (Stage::Over, _) => Ok(Sent::Over),
            (Stage::Running, _) | (Stage::Unknown, Some("in_flight")) => Ok(Sent::Running),
            (Stage::Unknown, _) => {
                self.last_words(view, None)?;
                Ok(Sent::Over)
            }
        }
    }

    async fn stop(&self, view: &View) {
        let params = json!({ "sessionKey": self.session, "runId": view.run });
        // Its end is told by an event; when it cannot be stopped, a second Ctrl-C leaves.
        let _ = self.client.request_value(ChatAbort::NAME, &params).await;
    }

    /// Shows an event of the run; whether it was its last.
    fn show(&self, view: &mut View, name: &str, payload: Value) -> Result<bool, Failure> {
        if payload["runId"] != *view.run {
            return Ok(false);
        }
        if name == "agent" {
            self.tool(view, &payload)?;
            return Ok(false);
        }
        if name != CHAT {
            return Ok(false);
        }
        let raw = if self.json {
            payload.clone()
        } else {
            Value::Null
        };
        let Ok(event) = serde_json::from_value::<ChatEvent>(payload) else {
            return Ok(false);
        };
        match event.state {
            ChatState::Status(_) => return Ok(false),
            ChatState::Delta(delta) => {
                let added = view.shown.update(&render::text(&delta.message));
                if !self.json {
                    self.say(view, &added)?;
                }
                return Ok(false);
            }
            _ if self.json => self.output.line(&raw.to_string())?,
            ChatState::Final(end) => {
                self.last_words(view, end.message.as_ref())?;
                self.footer(end.message.as_ref(), end.usage.as_ref())?;
            }
            ChatState::Aborted(end) => {
                self.last_words(view, end.message.as_ref())?;
                self.faint(&end.error_message.unwrap_or_else(|| "stopped".into()))?;
            }
            ChatState::Error(end) => {
                self.last_words(view, end.message.as_ref())?;
                let why = end.error_message.unwrap_or_else(|| "the run failed".into());
                self.bad(&why)?;
            }
        }
        Ok(true)
    }

    /// A tool that the agent uses, in one line.
    fn tool(&self, view: &mut View, payload: &Value) -> Result<(), Failure> {
        let data = &payload["data"];
        if payload["stream"] != "tool" || data["phase"] != "start" || !self.is_shown() {
            return Ok(());
        }
        let name = data["name"].as_str().unwrap_or("tool");
        let line = render::tool_line(name, &data["args"].to_string());
        let end = view.shown.end_line();
        let line = self.style.paint(Tone::Faint, &line);
        self.say(view, &end)?;
        self.put(view, &format!("{line}\n"))
    }

    pub(super) fn last_words(
        &self,
        view: &mut View,
        message: Option<&Message>,
    ) -> Result<(), Failure> {
        let text = message.map(render::text).unwrap_or_default();
        let rest = if text.is_empty() {
            view.shown.end_line()
        } else {
            view.shown.finish(&text)
        };
        self.say(view, &rest)?;
        let last = view.wrap.end();
        self.put(view, &last)
    }

    /// Which model answered, and how much it read and wrote.
    pub(super) fn footer(
        &self,
        message: Option<&Message>,
        usage: Option<&Usage>,
    ) -> Result<(), Failure> {
        let model = message
            .and_then(|message| message.model.as_deref())
            .filter(|model| *model != render::COMMAND);
        let usage = usage.or(message.and_then(|message| message.usage.as_ref()));
        let mut parts: Vec<String> = model.map(plain).into_iter().collect();
        if let Some(usage) = usage.filter(|usage| usage.input + usage.output > 0) {
            let read = usage.input + usage.cache_read + usage.cache_write;
            parts.push(format!("{} in, {} out", tokens(read), tokens(usage.output)));
        }
        if parts.is_empty() {
            return Ok(());
        }
        self.faint(&parts.join(" · "))
    }

    fn wait_sign(&self, view: &mut View) -> Result<(), Failure> {
        if self.is_shown() {
            view.waiting = true;
            self.output.write(&self.style.paint(Tone::Faint, "…"))?;
        }
        Ok(())
    }

    /// Writes a piece of the answer, broken between its words.
    fn say(&self, view: &mut View, text: &str) -> Result<(), Failure> {
        let text = view.wrap.push(text);
        self.put(view, &text)
    }

    /// Writes a text, in the place of the sign that nothing came yet.
    pub(super) fn put(&self, view: &mut View, text: &str) -> Result<(), Failure> {
        let clear = if std::mem::take(&mut view.waiting) {
            "\r\u{1b}[K"
        } else {
            ""
        };
        if text.is_empty() && clear.is_empty() {
            return Ok(());
        }
        self.output.write(&format!("{clear}{text}"))
    }

    pub(super) fn bad(&self, why: &str) -> Result<(), Failure> {
        if self.is_shown() {
            self.output.line(
                &self
                    .style
                    .paint(Tone::Bad, &wrapped(&plain_lines(why), self.width())),
            )
        } else {
            self.output.problem(why);
            Ok(())
        }
    }
}
