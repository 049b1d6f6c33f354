//! `openclaw devices`.

use std::process::ExitCode;

use openclaw_client::{Connection, Error};
use openclaw_protocol::methods::device::{
    DevicePairApprove, DevicePairApproveResult, DevicePairList, DevicePairReject,
    DevicePairRejectResult, DevicePairRemove, DevicePairRemoveResult,
};
use openclaw_protocol::methods::system::EmptyParams;
use openclaw_protocol::{ErrorCode, Method, Scope};
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::args::{DecideArgs, DeviceArgs, DevicesCommand, ReadArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::{devices as render, text::short};
use crate::cli::target::Target;

pub(crate) async fn run(
    command: &DevicesCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        DevicesCommand::List(args) => list(args, environment, output).await?,
        DevicesCommand::Approve(args) => {
            let answer = decide(args, DevicePairApprove::NAME, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |done: &DevicePairApproveResult| format!("{}\n", render::approved(&done.device)),
            )?;
        }
        DevicesCommand::Reject(args) => {
            let answer = decide(args, DevicePairReject::NAME, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |done: &DevicePairRejectResult| {
                    format!("rejected the request of {}\n", short(&done.device_id))
                },
            )?;
        }
        DevicesCommand::Remove(args) => {
            let answer = remove(args, environment).await?;
            super::show(
                &answer,
                args.read.form.json,
                output,
                |done: &DevicePairRemoveResult| format!("removed {}\n", short(&done.device_id)),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Forgets a device, which takes an admin.
async fn remove(args: &DeviceArgs, environment: &Environment) -> Result<Box<RawValue>, Failure> {
    let target = environment.target(&args.read.target)?;
    let connection = open(&target, wanted(&args.read, &[Scope::Pairing, Scope::Admin])).await?;
    let list = connection
        .request::<DevicePairList>(&EmptyParams {})
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    let device = render::find_paired(&list.paired, &args.device)
        .map_err(|what| Failure::failed(what, Some("see `openclaw devices list`".into())))?;
    let params = json!({ "deviceId": device });
    let answer = connection
        .client()
        .request_raw(DevicePairRemove::NAME, &params)
        .await;
    connection.close().await;
    answer.map_err(|error| Failure::request(&error, &target))
}

async fn list(args: &ReadArgs, environment: &Environment, output: &Output) -> Result<(), Failure> {
    let target = environment.target(&args.target)?;
    let connection = open(&target, wanted(args, &[Scope::Pairing])).await?;
    let answer = connection
        .client()
        .request_raw(DevicePairList::NAME, &EmptyParams {})
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    connection.close().await;
    let style = output.style(Environment::now_ms());
    super::show(&answer, args.form.json, output, |list| {
        render::render(list, &style)
    })
}

pub(super) fn wanted<'a>(args: &ReadArgs, scopes: &'a [Scope]) -> Wanted<'a> {
    Wanted {
        scopes,
        limit: args.wait.timeout,
    }
}

/// Approves or rejects. A request that asks for more than the pairing scope can give is decided a
/// second time as admin.
async fn decide(
    args: &DecideArgs,
    method: &str,
    environment: &Environment,
) -> Result<Box<RawValue>, Failure> {
    let target = environment.target(&args.read.target)?;
    let connection = open(&target, wanted(&args.read, &[Scope::Pairing])).await?;
    let request = request_id(&connection, &target, &args.request).await?;
    let params = json!({ "requestId": request });
    let first = connection.client().request_raw(method, &params).await;
    connection.close().await;
    let error = match first {
        Ok(answer) => return Ok(answer),
        Err(error) if needs_admin(&error) => error,
        Err(error) => return Err(Failure::request(&error, &target)),
    };
    tracing::debug!(%error, "the pairing scope is not enough for this request");
    let admin = open(&target, wanted(&args.read, &[Scope::Pairing, Scope::Admin])).await?;
    let answer = admin.client().request_raw(method, &params).await;
    admin.close().await;
    answer.map_err(|error| Failure::request(&error, &target))
}

/// Whether an admin may be granted what was refused.
pub(super) fn needs_admin(error: &Error) -> bool {
    match error {
        Error::Gateway(shape) => {
            shape.code == ErrorCode::Forbidden
                || shape.message.contains("denied")
                || shape.message.contains("missing scope")
        }
        _ => false,
    }
}

async fn request_id(
    connection: &Connection,
    target: &Target,
    wanted: &str,
) -> Result<String, Failure> {
    let list = connection
        .request::<DevicePairList>(&EmptyParams {})
        .await
        .map_err(|error| Failure::request(&error, target))?;
    let found = render::find(&list.pending, wanted);
    found
        .map(|request| request.request_id.clone())
        .map_err(|what| Failure::failed(what, Some("see `openclaw devices list`".into())))
}
