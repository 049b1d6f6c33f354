//! `openclaw logs`.

use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::{Backoff, Connection};
use openclaw_protocol::methods::logs::{LogsTail, LogsTailParams, LogsTailResult};
use openclaw_protocol::{Method, Scope};
use serde_json::Value;

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
    show(args, None, environment, output).await
}

/// Shows the log, or what of it is about an account of these channels.
pub(super) async fn show(
    args: &LogsArgs,
    only: Option<About>,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.read.target)?;
    let mut tail = Tail {
        args,
        only,
        target,
        output,
        cursor: None,
    };
    let connection = tail.connect().await?;
    if args.read.form.json && !args.follow && tail.only.is_none() {
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

/// Which accounts of channels lines are about.
#[derive(Debug, Default)]
pub(super) struct About {
    /// The channel; any if absent.
    pub(super) channel: Option<String>,
    /// The account; any if absent.
    pub(super) account: Option<String>,
}

impl About {
    fn holds(&self, line: &str) -> bool {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            return false;
        };
        let places = [&line["account"], &line["fields"]["account"]];
        let named = places.into_iter().find_map(Value::as_str);
        // Other things have accounts, too; those of channels are `channel/account`.
        let Some((channel, account)) = named.and_then(|named| named.split_once('/')) else {
            return false;
        };
        let is = |wanted: &Option<String>, own: &str| {
            (wanted.as_ref()).is_none_or(|wanted| wanted.trim().eq_ignore_ascii_case(own))
        };
        is(&self.channel, channel) && is(&self.account, account)
    }
}

/// Where the reader stands in the log.
struct Tail<'a> {
    args: &'a LogsArgs,
    only: Option<About>,
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
            None if self.only.is_none() => self.args.limit,
            _ => FOLLOWED,
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
        let about = |line: &&String| self.only.as_ref().is_none_or(|only| only.holds(line));
        let lines: Vec<&String> = answer.lines.iter().filter(about).collect();
        let most = usize::try_from(self.args.limit).unwrap_or(usize::MAX);
        let from = match self.cursor {
            None => lines.len().saturating_sub(most),
            Some(_) => 0,
        };
        let text: String = lines[from..]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_by_the_account_that_they_name() {
        let line = r#"{"level":"WARN","fields":{"message":"m","account":"telegram/default"}}"#;
        let about = |channel: Option<&str>, account: Option<&str>| {
            let (channel, account) = (channel.map(str::to_owned), account.map(str::to_owned));
            About { channel, account }.holds(line)
        };
        assert!(about(None, None) && about(Some("Telegram"), Some("default")));
        assert!(!about(Some("slack"), None) && !about(Some("telegram"), Some("other")));
        assert!(!About::default().holds(r#"{"message":"m","account":"mail"}"#));
        assert!(!About::default().holds("no JSON"));
    }
}
