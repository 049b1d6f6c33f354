//! A conversation whose connection was lost: it comes back by itself, and says what was missed.

use std::time::{Duration, Instant};

use openclaw_client::Backoff;
use openclaw_protocol::Method as _;
use openclaw_protocol::methods::chat::{ChatHistory, ChatHistoryResult};
use openclaw_protocol::methods::message::{Message, MessageRole};
use serde_json::json;

use super::turn::View;
use super::{Chat, LIMIT};
use crate::cli::connect::{Wanted, open};
use crate::cli::failure::{Exit, Failure};
use crate::cli::render::sessions as render;

/// How long a conversation that nobody watches waits for its gateway.
const PATIENCE: Duration = Duration::from_mins(2);
/// Messages among which those of a run are looked for.
const LOOKED: u32 = 50;
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    max: Duration::from_secs(10),
    stable: Duration::ZERO,
};

/// Where a run is.
pub(super) enum Stage {
    /// It goes on.
    Running,
    /// It is over, and what it said is on the screen.
    Over,
    /// Nobody knows of it.
    Unknown,
}

impl Chat<'_> {
    /// Connects again, for as long as it takes where a person waits.
    ///
    /// # Errors
    ///
    /// When the gateway refuses, does not come back in time, or Ctrl-C says to leave.
    pub(super) async fn reconnect(&mut self) -> Result<(), Failure> {
        let lost = self.gone();
        self.faint(&format!("{}; connecting again (Ctrl-C leaves)", lost.what))?;
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            let wanted = Wanted {
                scopes: self.scopes,
                limit: LIMIT,
            };
            let opened = tokio::select! {
                opened = open(self.target, wanted) => opened,
                _ = self.interrupts.recv() => return Err(lost),
            };
            match opened {
                Ok(connection) => {
                    (self.client, self.events) = connection.into_parts();
                    return self.faint("connected again");
                }
                Err(failure) if failure.exit != Exit::Unreachable => return Err(failure),
                Err(_) if !self.is_shown() && begun.elapsed() > PATIENCE => return Err(lost),
                Err(_) => {}
            }
            failures += 1;
            tokio::select! {
                () = tokio::time::sleep(BACKOFF.delay(failures, rand::random::<f64>())) => {}
                _ = self.interrupts.recv() => return Err(lost),
            }
        }
    }

    /// What became of a run while nobody listened, shown as far as it went.
    pub(super) async fn look(&self, view: &mut View) -> Result<Stage, Failure> {
        let params = json!({ "sessionKey": self.session, "limit": LOOKED });
        let page = self.client.request_value(ChatHistory::NAME, &params).await;
        let page = page.map_err(|error| Failure::request(&error, self.target))?;
        let Ok(page) = serde_json::from_value::<ChatHistoryResult>(page) else {
            return Ok(Stage::Unknown);
        };
        if let Some(run) = page.in_flight_run.filter(|run| run.run_id == view.run) {
            let added = view.shown.update(&run.text);
            if !self.json {
                self.put(view, &added)?;
            }
            return Ok(Stage::Running);
        }
        let waits = page
            .pending_inputs
            .into_iter()
            .flat_map(|inputs| inputs.items);
        if waits
            .into_iter()
            .any(|one| one.run_id.as_deref() == Some(&view.run))
        {
            return Ok(Stage::Running);
        }
        let own = |message: &&Message| {
            let run = message
                .meta
                .as_ref()
                .and_then(|meta| meta.run_id.as_deref());
            run == Some(&view.run) && message.role != MessageRole::User
        };
        let Some(last) = page.messages.iter().rev().find(own) else {
            return Ok(Stage::Unknown);
        };
        if last.stop_reason.as_deref() == Some("toolUse") || last.role == MessageRole::ToolResult {
            return Ok(Stage::Unknown);
        }
        self.end_of(view, last)?;
        Ok(Stage::Over)
    }

    /// Shows the end of a run from its message.
    fn end_of(&self, view: &mut View, last: &Message) -> Result<(), Failure> {
        if self.json {
            let end = json!({
                "runId": view.run, "sessionKey": self.session, "state": "final", "message": last,
            });
            return self.output.line(&end.to_string());
        }
        if last.role == MessageRole::Custom {
            self.last_words(view, None)?;
            return self.bad(&render::text(last));
        }
        self.last_words(view, Some(last))?;
        self.footer(Some(last), None)
    }
}
