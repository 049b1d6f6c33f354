//! The yes that a program on a node needs, asked and given on this command line.

use std::io::{BufRead as _, IsTerminal as _};

use openclaw_client::{Client, Event, Events};
use openclaw_protocol::Method as _;
use openclaw_protocol::events::EXEC_APPROVAL_REQUESTED;
use openclaw_protocol::methods::approvals::{
    ExecApprovalResolve, ExecRequest, PendingExecApproval,
};
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::text::plain;
use crate::cli::target::Target;

/// The yes that a program needs, where this command line may give it.
pub(super) struct Yes<'a> {
    pub(super) node: &'a str,
    /// The program that this command asked for.
    pub(super) program: &'a [&'a str],
    /// The folder that it asked for.
    pub(super) cwd: Option<&'a str>,
    /// Whether it gives the program variables, of which the gateway warns.
    pub(super) variables: bool,
    pub(super) said: bool,
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) output: &'a Output,
}

impl Yes<'_> {
    /// Answers what the gateway asks about the program, once; ends only when that fails.
    pub(super) async fn watch(self, mut events: Events) -> Failure {
        let mut answered = false;
        loop {
            match events.next().await {
                Some(Event::Message(event)) if event.name == EXEC_APPROVAL_REQUESTED => {
                    let asked: Option<PendingExecApproval> =
                        serde_json::from_value(event.payload).ok();
                    let own =
                        |asked: &PendingExecApproval| !answered && self.is_own(&asked.request);
                    if let Some(asked) = asked.filter(own) {
                        answered = true;
                        if let Err(failure) = self.decide(&asked).await {
                            return failure;
                        }
                    }
                }
                Some(_) => {}
                // The request learns of it too.
                None => std::future::pending::<()>().await,
            }
        }
    }

    /// Whether this command asked for it. A yes is for nothing else: agents and other clients ask for programs on
    /// the same node at the same time.
    fn is_own(&self, request: &ExecRequest) -> bool {
        let no_agent = request.agent_id.is_none() && request.session_key.is_none();
        // The node says which file the first word is.
        let base = |word: &str| word.rsplit('/').next().map(str::to_owned);
        let (first, asked) = (self.program.first(), request.command_argv.first());
        let file = first.and_then(|word| base(word)) == asked.and_then(|word| base(word));
        let words = request
            .command_argv
            .iter()
            .skip(1)
            .eq(self.program.iter().skip(1));
        let place = request.cwd.as_deref() == self.cwd;
        let warned = self.variables || request.warning_text.is_none();
        no_agent
            && file
            && words
            && place
            && warned
            && request.node_id.as_deref() == Some(self.node)
    }

    async fn decide(&self, asked: &PendingExecApproval) -> Result<(), Failure> {
        let request = &asked.request;
        let mut what = plain(&request.command);
        if let Some(cwd) = &request.cwd {
            what = format!("{what} (in {})", plain(cwd));
        }
        if let Some(warning) = &request.warning_text {
            what = format!("{what}; {}", plain(warning));
        }
        let yes = if self.said {
            true
        } else if std::io::stdin().is_terminal() {
            self.output.note(&format!("run on this node: {what} [y/N]"));
            tokio::task::spawn_blocking(typed_yes)
                .await
                .unwrap_or(false)
        } else {
            self.output.note(&format!(
                "waiting for an owner's yes: {what} (the approvals page, or run this with --yes)"
            ));
            return Ok(());
        };
        let decision = if yes { "allow-once" } else { "deny" };
        let params = json!({ "id": asked.id, "decision": decision });
        self.client
            .request_value(ExecApprovalResolve::NAME, &params)
            .await
            .map(|_| ())
            .map_err(|error| Failure::request(&error, self.target))
    }
}

fn typed_yes() -> bool {
    let mut line = String::new();
    // Without a line there is no yes.
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}
