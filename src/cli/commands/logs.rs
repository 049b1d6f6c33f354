//! `openclaw logs`.

use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::{Backoff, Connection};
use openclaw_protocol::methods::logs::{LogsTail, LogsTailParams, LogsTailResult};
use openclaw_protocol::{Method, Scope};

use crate::cli::args::LogsArgs;
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::Output;
use crate::cli::render;
use crate::cli::target::Target;

/// How often new lines are asked for.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most bytes of one answer.
const MAX_BYTES: u32 = 1_000_000;
/// Most lines of one answer while following.
const FOLLOWED: u32 = 5000;

pub(crate) async fn run(
    args: &LogsArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.read.target)?;
    let mut tail = Tail {
        args,
        target,
        output,
        cursor: None,
    };
    let connection = tail.connect().await?;
    if args.read.form.json && !args.follow {
        let answer = connection
            .client()
            .request_raw(LogsTail::NAME, &tail.params())
            .await
            .map_err(|error| Failure::request(&error, &tail.target))?;
        connection.close().await;
        output.raw(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    tail.poll(&connection).await?;
    if !args.follow {
        connection.close().await;
        return Ok(ExitCode::SUCCESS);
    }
    tail.follow(connection).await
}

/// Where the reader stands in the log.
struct Tail<'a> {
    args: &'a LogsArgs,
    target: Target,
    output: &'a Output,
    cursor: Option<u64>,
}

impl Tail<'_> {
    async fn connect(&self) -> Result<Connection, Failure> {
        let wanted = Wanted {
            scopes: &[Scope::Read],
            limit: self.args.read.wait.timeout,
        };
        open(&self.target, wanted).await
    }

    fn params(&self) -> LogsTailParams {
        let limit = match self.cursor {
            None => self.args.limit,
            Some(_) => FOLLOWED,
        };
        LogsTailParams {
            cursor: self.cursor,
            limit: Some(limit),
            max_bytes: Some(MAX_BYTES),
        }
    }

    /// Shows what came since the last time.
    async fn poll(&mut self, connection: &Connection) -> Result<(), Failure> {
        let answer = connection
            .request::<LogsTail>(&self.params())
            .await
            .map_err(|error| Failure::request(&error, &self.target))?;
        self.show(&answer)?;
        self.cursor = Some(answer.cursor);
        Ok(())
    }

    fn show(&self, answer: &LogsTailResult) -> Result<(), Failure> {
        if self.cursor.is_some() {
            if answer.reset == Some(true) {
                self.output.note("the log began anew");
            }
            if answer.truncated == Some(true) {
                self.output
                    .note("some lines were left out: they came faster than they could be shown");
            }
        }
        let style = self.output.style(0);
        let raw = self.args.read.form.json;
        let text: String = answer
            .lines
            .iter()
            .map(|line| {
                if raw {
                    format!("{line}\n")
                } else {
                    format!("{}\n", render::logs::render(line, &style))
                }
            })
            .collect();
        if text.is_empty() {
            return Ok(());
        }
        self.output.write(&text)
    }

    /// Shows new lines until the command is interrupted or the gateway refuses it.
    async fn follow(&mut self, mut connection: Connection) -> Result<ExitCode, Failure> {
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.poll(&connection).await {
                Ok(()) => {}
                Err(failure) if failure.exit == Exit::Unreachable => {
                    self.output
                        .note(&format!("{}; waiting for it", failure.what));
                    connection = self.reconnect().await?;
                    self.output.note("the gateway is back");
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn reconnect(&self) -> Result<Connection, Failure> {
        let backoff = Backoff::default();
        let mut failures = 0;
        loop {
            failures += 1;
            tokio::time::sleep(backoff.delay(failures, rand::random())).await;
            match self.connect().await {
                Err(failure) if failure.exit == Exit::Unreachable => {}
                other => return other,
            }
        }
    }
}
