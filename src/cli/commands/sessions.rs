//! `openclaw sessions`.

use std::process::ExitCode;

use openclaw_protocol::methods::chat::{ChatHistory, ChatHistoryAnswer};
use openclaw_protocol::methods::session_changes::{SessionsReset, SessionsResetResult};
use openclaw_protocol::methods::sessions::{
    SessionsDescribe, SessionsDescribeResult, SessionsList, SessionsListResult,
};
use openclaw_protocol::methods::usage::{SessionsUsage, SessionsUsageResult};
use openclaw_protocol::{Method, Scope};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::args::{ReadArgs, SessionsCommand};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::{sessions as render, usage as render_usage};

pub(crate) async fn run(
    command: &SessionsCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let style = output.style(Environment::now_ms());
    match command {
        SessionsCommand::List(args) => {
            let mut params = json!({
                "limit": args.limit, "includeDerivedTitles": true, "includeLastMessage": true,
            });
            if let Some(search) = &args.search {
                params["search"] = search.as_str().into();
            }
            let ask = Ask::<SessionsList>::new(Scope::Read, params);
            let answer = ask.of(&args.read, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |list: &SessionsListResult| render::list(list, &style),
            )?;
        }
        SessionsCommand::Show(args) => {
            let params = json!({ "sessionKey": args.session, "limit": args.limit });
            let ask = Ask::<ChatHistory>::new(Scope::Read, params);
            let answer = ask.of(&args.read, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |answer: &ChatHistoryAnswer| match answer {
                    ChatHistoryAnswer::Page(page) => render::history(page, &style),
                    // Answers to a cursor, which was not sent.
                    ChatHistoryAnswer::Delta(_) | ChatHistoryAnswer::Reset(_) => String::new(),
                },
            )?;
        }
        SessionsCommand::Reset(args) => {
            known(&args.session, &args.read, environment).await?;
            let ask = Ask::<SessionsReset>::new(Scope::Admin, json!({ "key": args.session }));
            let answer = ask.of(&args.read, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |reset: &SessionsResetResult| render::reset(&reset.key),
            )?;
        }
        SessionsCommand::Usage(args) => {
            let params = json!({
                "range": args.range, "agentScope": "all", "groupBy": "family", "mode": "gateway", "limit": 10,
            });
            let ask = Ask::<SessionsUsage>::new(Scope::Read, params);
            let answer = ask.of(&args.read, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |usage: &SessionsUsageResult| render_usage::text(usage, &style),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a conversation that is not there: a word that was mistyped would make one.
async fn known(key: &str, args: &ReadArgs, environment: &Environment) -> Result<(), Failure> {
    let ask = Ask::<SessionsDescribe>::new(Scope::Read, json!({ "key": key }));
    let answer = ask.of(args, environment).await?;
    let described: SessionsDescribeResult = super::decoded(&answer)?;
    if described.session.0.is_some() {
        return Ok(());
    }
    Err(Failure::failed(
        format!("there is no conversation {key}"),
        Some("`openclaw sessions list` shows the conversations".into()),
    ))
}

/// One request on a connection of its own.
struct Ask<M> {
    scope: Scope,
    params: Value,
    method: std::marker::PhantomData<M>,
}

impl<M: Method> Ask<M> {
    const fn new(scope: Scope, params: Value) -> Self {
        Self {
            scope,
            params,
            method: std::marker::PhantomData,
        }
    }

    async fn of(
        &self,
        args: &ReadArgs,
        environment: &Environment,
    ) -> Result<Box<RawValue>, Failure> {
        let target = environment.target(&args.target)?;
        let wanted = Wanted {
            scopes: &[self.scope],
            limit: args.wait.timeout,
        };
        let connection = open(&target, wanted).await?;
        let answer = connection
            .client()
            .request_raw(M::NAME, &self.params)
            .await
            .map_err(|error| Failure::request(&error, &target))?;
        connection.close().await;
        Ok(answer)
    }
}
