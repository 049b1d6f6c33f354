//! `openclaw audit`.

use std::process::ExitCode;

use openclaw_protocol::methods::audit::{AuditList, AuditListParams};
use openclaw_protocol::{Method, Scope};

use crate::cli::args::{AuditCommand, AuditListArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::audit as render;

pub(crate) async fn run(
    command: &AuditCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let AuditCommand::List(args) = command;
    list(args, environment, output).await?;
    Ok(ExitCode::SUCCESS)
}

async fn list(
    args: &AuditListArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let target = environment.target(&args.read.target)?;
    let now_ms = Environment::now_ms();
    let params = AuditListParams {
        limit: Some(args.limit),
        before: args.before,
        device: args.device.clone(),
        kind: args.kind.clone(),
        since: args.since.map(|since| {
            let back = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            now_ms.saturating_sub(back)
        }),
    };
    let wanted = Wanted {
        scopes: &[Scope::Admin],
        limit: args.read.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let answer = connection
        .client()
        .request_raw(AuditList::NAME, &params)
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    connection.close().await;
    let style = output.style(now_ms);
    super::show(&answer, args.read.form.json, output, |list| {
        render::render(list, &style)
    })
}
