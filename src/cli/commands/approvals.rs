//! `openclaw approvals`: programs that wait for a yes; and `openclaw gateway call`, any method.

use std::fmt::Write as _;
use std::process::ExitCode;

use openclaw_client::Connection;
use openclaw_protocol::methods::approvals::{
    ExecApprovalList, ExecApprovalResolve, ExecApprovalsGet, PendingExecApproval,
};
use openclaw_protocol::methods::{ALL, system::EmptyParams};
use openclaw_protocol::{Access, Method, Scope};
use serde_json::{Value, json};

use crate::cli::args::{ApprovalArgs, ApprovalsCommand, CallArgs, ReadArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::text::{plain, short};
use crate::cli::target::Target;

pub(crate) async fn run(
    command: &ApprovalsCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let cx = Cx {
        environment,
        output,
    };
    match command {
        ApprovalsCommand::List(read) => cx.list(read).await?,
        ApprovalsCommand::Allow(args) => cx.decide(args, "allow-once").await?,
        ApprovalsCommand::AllowAlways(args) => cx.decide(args, "allow-always").await?,
        ApprovalsCommand::Deny(args) => cx.decide(args, "deny").await?,
        ApprovalsCommand::Rules(read) => {
            let (connection, target) = cx.open(read, &[Scope::Admin]).await?;
            let answer = connection
                .client()
                .request_raw(ExecApprovalsGet::NAME, &EmptyParams {})
                .await;
            connection.close().await;
            output.raw(&answer.map_err(|error| Failure::request(&error, &target))?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calls a method and prints its answer.
pub(crate) async fn call(
    args: &CallArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let params: Value = json5::from_str(&args.params)
        .map_err(|error| Failure::usage(format!("--params is no JSON5 object: {error}")))?;
    let access = ALL
        .iter()
        .find(|spec| spec.name == args.method)
        .map(|spec| spec.access);
    let scope = match access {
        Some(Access::Operator(scope)) => scope,
        // What every operator may, and what this program does not know.
        Some(Access::Open | Access::AnyOperator) => Scope::Read,
        _ => Scope::Admin,
    };
    let cx = Cx {
        environment,
        output,
    };
    let (connection, target) = cx.open(&args.read, &[scope]).await?;
    let answer = connection.client().request_raw(&args.method, &params).await;
    connection.close().await;
    output.raw(&answer.map_err(|error| Failure::request(&error, &target))?)?;
    Ok(ExitCode::SUCCESS)
}

struct Cx<'a> {
    environment: &'a Environment,
    output: &'a Output,
}

impl Cx<'_> {
    async fn open(
        &self,
        read: &ReadArgs,
        scopes: &[Scope],
    ) -> Result<(Connection, Target), Failure> {
        let target = self.environment.target(&read.target)?;
        let wanted = Wanted {
            scopes,
            limit: read.wait.timeout,
        };
        let connection = open(&target, wanted).await?;
        Ok((connection, target))
    }

    async fn list(&self, read: &ReadArgs) -> Result<(), Failure> {
        let (connection, target) = self.open(read, &[Scope::Approvals]).await?;
        let answer = connection
            .client()
            .request_raw(ExecApprovalList::NAME, &EmptyParams {})
            .await;
        connection.close().await;
        let answer = answer.map_err(|error| Failure::request(&error, &target))?;
        let now = Environment::now_ms();
        super::show(
            &answer,
            read.form.json,
            self.output,
            |waiting: &Vec<PendingExecApproval>| listed(waiting, now),
        )
    }

    async fn decide(&self, args: &ApprovalArgs, decision: &str) -> Result<(), Failure> {
        let (connection, target) = self.open(&args.read, &[Scope::Approvals]).await?;
        let client = connection.client();
        let waiting = client.request::<ExecApprovalList>(&EmptyParams {}).await;
        let waiting = waiting.map_err(|error| Failure::request(&error, &target))?;
        let fits: Vec<&str> = waiting
            .iter()
            .map(|one| one.id.as_str())
            .filter(|id| id.starts_with(&args.id))
            .collect();
        let [id] = fits.as_slice() else {
            let what = match fits.len() {
                0 => format!("nothing that waits is called {}", args.id),
                number => format!("{number} that wait begin with {}", args.id),
            };
            let remedy = "`openclaw approvals list` shows them";
            return Err(Failure::failed(what, Some(remedy.into())));
        };
        let params = json!({ "id": id, "decision": decision });
        let answer = client.request_raw(ExecApprovalResolve::NAME, &params).await;
        connection.close().await;
        let answer = answer.map_err(|error| Failure::request(&error, &target))?;
        if args.read.form.json {
            return self.output.raw(&answer);
        }
        self.output.line(&format!("{}: {decision}", short(id)))
    }
}

fn listed(waiting: &[PendingExecApproval], now_ms: u64) -> String {
    if waiting.is_empty() {
        return "nothing waits for a yes\n".to_owned();
    }
    let mut out = String::new();
    for one in waiting {
        let left = one.expires_at_ms.saturating_sub(now_ms) / 1_000;
        let place = one.request.cwd.as_deref().unwrap_or("-");
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{}  {}", short(&one.id), plain(&one.request.command));
        let _ = writeln!(out, "              in {}, {left} s left", plain(place));
    }
    out.push_str("openclaw approvals allow ID, allow-always ID or deny ID\n");
    out
}
