//! `openclaw agent`: one message, one answer.

use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::{Client, Error, Event, Events, TwoStage};
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::chat::ChatAbort;
use openclaw_protocol::{Method, Scope};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::args::{AgentArgs, Stream};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::output::Output;
use crate::cli::render::agent::{Shown, final_text, text_so_far};
use crate::cli::render::text::plain_lines;
use crate::cli::target::Target;

/// Limit for the connect and for the first answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// How much longer than the run may take its answer is waited for: the gateway ends the run itself.
const GRACE: Duration = Duration::from_secs(30);
/// How long an interrupted command waits for the gateway to stop the run.
const ABORT_LIMIT: Duration = Duration::from_secs(3);
/// The longest message read from standard input, bytes; the gateway has its own limit too.
const MAX_MESSAGE: u64 = 4 << 20;

/// How a run came to its end here.
enum End {
    Answered(Result<Box<RawValue>, Error>),
    TooLong,
    Interrupted,
}

pub(crate) async fn run(
    args: &AgentArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let message = message(&args.message)?;
    let target = environment.target(&args.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Write],
        limit: CONNECT_LIMIT,
    };
    let connection = open(&target, wanted).await?;
    let (client, mut events) = connection.into_parts();
    let run_id = uuid::Uuid::new_v4().to_string();
    let started = client
        .request_two_stage(Agent::NAME, &params(args, &message, &run_id))
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    let session = session_of(started.first(), args);

    let streaming = match args.stream {
        Stream::Always => true,
        Stream::Auto => output.terminal && !args.form.json,
        Stream::Never => false,
    };
    let mut view = View {
        output,
        shown: Shown::default(),
        streaming,
    };
    let end = follow(started, &mut events, &run_id, args.timeout, &mut view).await?;
    let done = match end {
        End::Answered(answer) => finish(answer, args, &target, &mut view),
        End::TooLong => {
            abort(&client, &session, &run_id).await;
            view.break_line()?;
            Err(Failure::failed(
                format!("no answer within {} s", (args.timeout + GRACE).as_secs()),
                Some("allow a longer run with --timeout".into()),
            ))
        }
        End::Interrupted => {
            let stopped = abort(&client, &session, &run_id).await;
            view.break_line()?;
            Err(Failure::interrupted(if stopped {
                "stopped the run".into()
            } else {
                "left; the gateway did not say that the run is stopped".into()
            }))
        }
    };
    client.close().await;
    done
}

/// The message: the argument, or standard input for `-`.
fn message(argument: &str) -> Result<String, Failure> {
    let text = if argument == "-" {
        input::all("message", MAX_MESSAGE)?
    } else {
        argument.to_owned()
    };
    if text.trim().is_empty() {
        return Err(Failure::usage("the message is empty".into()));
    }
    Ok(text)
}

fn params(args: &AgentArgs, message: &str, run_id: &str) -> Value {
    let mut params = json!({
        "message": message,
        "idempotencyKey": run_id,
        "deliver": false,
        "timeout": args.timeout.as_secs().max(1),
    });
    let optional = [
        ("agentId", &args.agent),
        ("sessionKey", &args.session),
        ("thinking", &args.thinking),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            params[key] = value.as_str().into();
        }
    }
    params
}

/// The key of the session that the run is in: as the gateway says, else as asked for.
fn session_of(accepted: &Value, args: &AgentArgs) -> String {
    let told = accepted.get("sessionKey").and_then(Value::as_str);
    told.map(str::to_owned)
        .or_else(|| args.session.clone())
        .unwrap_or_else(|| "main".into())
}

async fn follow(
    started: TwoStage,
    events: &mut Events,
    run_id: &str,
    longest: Duration,
    view: &mut View<'_>,
) -> Result<End, Failure> {
    let answer = started.finish_raw();
    let limit = tokio::time::sleep(longest + GRACE);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(answer, limit, interrupt);
    let mut listening = true;
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(End::Answered(answer)),
            () = &mut limit => return Ok(End::TooLong),
            // Where no handler can be set up, Ctrl-C ends the process by itself.
            Ok(()) = &mut interrupt => return Ok(End::Interrupted),
            event = events.next(), if listening => match event {
                Some(event) => view.event(&event, run_id)?,
                None => listening = false,
            },
        }
    }
}

/// Asks the gateway to stop the run; whether it said that it did.
async fn abort(client: &Client, session: &str, run_id: &str) -> bool {
    let params = json!({ "sessionKey": session, "runId": run_id });
    let asked = client.request_value(ChatAbort::NAME, &params);
    let answer = tokio::time::timeout(ABORT_LIMIT, asked).await;
    answer.is_ok_and(|answer| {
        answer.is_ok_and(|answer| answer.get("aborted").and_then(Value::as_bool) == Some(true))
    })
}

fn finish(
    answer: Result<Box<RawValue>, Error>,
    args: &AgentArgs,
    target: &Target,
    view: &mut View<'_>,
) -> Result<ExitCode, Failure> {
    let raw = match answer {
        Ok(raw) => raw,
        Err(error) => {
            view.break_line()?;
            return Err(lost_run(&error, target));
        }
    };
    let answer: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    if args.form.json {
        view.output.raw(&raw)?;
    } else {
        view.finish(&final_text(&answer))?;
    }
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    match text("status") {
        Some("ok") | None => Ok(ExitCode::SUCCESS),
        Some("timeout") if text("stopReason").is_none_or(|reason| reason == "timeout") => {
            Err(Failure::failed(
                format!(
                    "the run took longer than {} s and was stopped",
                    args.timeout.as_secs()
                ),
                Some("allow a longer run with --timeout".into()),
            ))
        }
        Some("timeout") => Err(Failure::failed("the run was stopped".into(), None)),
        Some(status) => {
            let summary = text("summary").unwrap_or(status);
            Err(Failure::failed(format!("the run failed: {summary}"), None))
        }
    }
}

/// A run that did not come to its end here. When the connection broke, nobody knows here whether the
/// gateway goes on with it: sending the message again could make it run twice.
fn lost_run(error: &Error, target: &Target) -> Failure {
    let failure = Failure::request(error, target);
    match error {
        Error::Closed(_) | Error::Timeout { .. } => Failure {
            remedy: Some(
                "the message was taken: look into the session before you send it again".into(),
            ),
            ..failure
        },
        _ => failure,
    }
}

/// The answer on the screen.
struct View<'a> {
    output: &'a Output,
    shown: Shown,
    streaming: bool,
}

impl View<'_> {
    fn event(&mut self, event: &Event, run_id: &str) -> Result<(), Failure> {
        // A gap needs nothing: the next event and the final answer hold the whole text.
        let Event::Message(message) = event else {
            return Ok(());
        };
        if !self.streaming || message.name != "agent" {
            return Ok(());
        }
        match text_so_far(&message.payload, run_id) {
            Some(text) => {
                let added = self.shown.update(text);
                self.write(&added)
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, text: &str) -> Result<(), Failure> {
        let rest = self.shown.finish(text);
        self.write(&rest)
    }

    /// Ends a line that was begun, so that what follows stands on its own.
    fn break_line(&mut self) -> Result<(), Failure> {
        let line = self.shown.end_line();
        self.write(&line)
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        if self.output.terminal {
            self.output.write(&plain_lines(text))
        } else {
            self.output.write(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn args(line: &str) -> AgentArgs {
        match Cli::parse_from(line.split(' ')).command {
            Command::Agent(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_was_said_is_sent() {
        let args = args("openclaw agent -m hi --timeout 90 --session work");
        assert_eq!(
            params(&args, "hi", "run"),
            json!({ "message": "hi", "idempotencyKey": "run", "deliver": false, "timeout": 90, "sessionKey": "work" })
        );
    }

    #[test]
    fn the_session_to_abort_is_the_one_that_the_gateway_named() {
        let args = args("openclaw agent -m hi");
        assert_eq!(
            session_of(&json!({ "sessionKey": "agent:main:main" }), &args),
            "agent:main:main"
        );
        assert_eq!(session_of(&json!({}), &args), "main");
    }

    #[test]
    fn an_empty_message_is_a_usage_error() {
        assert!(message("  \n").is_err());
        assert_eq!(message("hi").unwrap(), "hi");
    }
}
