//! `openclaw devices`.

use std::process::ExitCode;

use openclaw_client::{Connection, Error};
use openclaw_protocol::methods::device::{
    DevicePairApprove, DevicePairApproveResult, DevicePairList, DevicePairListResult,
    DevicePairReject, DevicePairRejectResult, DevicePairRemove, DevicePairRemoveResult,
    DevicePairRename, DevicePairRenameResult, DeviceTokenRevoke, DeviceTokenRevokeResult,
    DeviceTokenRotate, DeviceTokenRotateResult,
};
use openclaw_protocol::methods::node::NodePairList;
use openclaw_protocol::methods::system::EmptyParams;
use openclaw_protocol::{ErrorCode, Method, Scope};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::setup_code;
use crate::cli::args::{ApproveArgs, DecideArgs, DevicesCommand, ReadArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::node_choice;
use crate::cli::output::Output;
use crate::cli::render::{devices as render, text::plain, text::short};
use crate::cli::target::Target;

pub(crate) async fn run(
    command: &DevicesCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        DevicesCommand::List(args) => list(args, environment, output).await?,
        DevicesCommand::Approve(args) => approve(args, environment, output).await?,
        DevicesCommand::Reject(args) => reject(args, environment, output).await?,
        DevicesCommand::Remove(args) => {
            let of = Of::new(&args.device, &args.read);
            let show = |done: &DevicePairRemoveResult| {
                format!(
                    "removed {}; it has to be approved again before it can connect\n",
                    short(&done.device_id)
                )
            };
            change::<DevicePairRemove, _>(&of, json!({}), environment, output, show).await?;
        }
        DevicesCommand::Rename(args) => {
            let of = Of::new(&args.device, &args.read);
            let show = |done: &DevicePairRenameResult| render::renamed(done);
            let label = json!({ "label": args.name });
            change::<DevicePairRename, _>(&of, label, environment, output, show).await?;
        }
        DevicesCommand::Rotate(args) => {
            let of = Of::new(&args.role.device, &args.read);
            let mut params = json!({ "role": args.role.role });
            if !args.scope.is_empty() {
                params["scopes"] = json!(args.scope);
            }
            let show = |done: &DeviceTokenRotateResult| render::rotated(done);
            change::<DeviceTokenRotate, _>(&of, params, environment, output, show).await?;
        }
        DevicesCommand::Revoke(args) => {
            let of = Of::new(&args.role.device, &args.read);
            let role = json!({ "role": args.role.role });
            let show = |done: &DeviceTokenRevokeResult| render::revoked(done);
            change::<DeviceTokenRevoke, _>(&of, role, environment, output, show).await?;
        }
        DevicesCommand::SetupCode(args) => {
            return setup_code::run(args, environment, output).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A paired device that a command changes.
struct Of<'a> {
    device: &'a str,
    read: &'a ReadArgs,
}

impl<'a> Of<'a> {
    const fn new(device: &'a str, read: &'a ReadArgs) -> Self {
        Self { device, read }
    }
}

/// Changes a paired device, which takes an admin.
async fn change<M: Method, T: DeserializeOwned>(
    of: &Of<'_>,
    mut params: Value,
    environment: &Environment,
    output: &Output,
    show: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let target = environment.target(&of.read.target)?;
    let connection = open(&target, wanted(of.read, &[Scope::Pairing, Scope::Admin])).await?;
    let list = devices(&connection, &target).await?;
    let device = render::find_paired(&list.paired, of.device).map_err(see_list)?;
    params["deviceId"] = json!(device.device_id);
    let answer = connection.client().request_raw(M::NAME, &params).await;
    connection.close().await;
    let answer = answer.map_err(|error| match render::explain(M::NAME, &params, device) {
        Some((what, remedy)) if is_denied(&error) => Failure::failed(what, Some(remedy)),
        _ => Failure::request(&error, &target),
    })?;
    super::show(&answer, of.read.form.json, output, show)
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

async fn approve(
    args: &ApproveArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let which = match (&args.request, args.latest) {
        (Some(request), _) => Which::Named(request),
        (None, true) => Which::Latest,
        (None, false) => Which::Unsaid,
    };
    let answer = decide(&which, &args.read, DevicePairApprove::NAME, environment).await?;
    super::show(
        &answer,
        args.read.form.json,
        output,
        |done: &DevicePairApproveResult| render::approved(&done.device),
    )
}

async fn reject(
    args: &DecideArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let which = Which::Named(&args.request);
    let answer = decide(&which, &args.read, DevicePairReject::NAME, environment).await?;
    super::show(
        &answer,
        args.read.form.json,
        output,
        |done: &DevicePairRejectResult| {
            format!("rejected the request of {}\n", short(&done.device_id))
        },
    )
}

pub(super) fn wanted<'a>(args: &ReadArgs, scopes: &'a [Scope]) -> Wanted<'a> {
    Wanted {
        scopes,
        limit: args.wait.timeout,
    }
}

/// The request that is meant.
enum Which<'a> {
    Named(&'a str),
    Latest,
    Unsaid,
}

/// Approves or rejects. A request that asks for more than the pairing scope can give is decided a
/// second time as admin.
async fn decide(
    which: &Which<'_>,
    read: &ReadArgs,
    method: &str,
    environment: &Environment,
) -> Result<Box<RawValue>, Failure> {
    let target = environment.target(&read.target)?;
    let connection = open(&target, wanted(read, &[Scope::Pairing])).await?;
    let list = devices(&connection, &target).await?;
    let request = match which {
        Which::Named(wanted) => render::find(&list.pending, wanted),
        Which::Latest => render::latest(&list.pending),
        Which::Unsaid => Err(render::which_one(&list.pending)),
    };
    let request = match request {
        Ok(request) => request.request_id.clone(),
        Err(what) => {
            let failure = about_a_node(which, &connection).await;
            connection.close().await;
            return Err(failure.unwrap_or_else(|| see_list(what)));
        }
    };
    let params = json!({ "requestId": request });
    let first = connection.client().request_raw(method, &params).await;
    connection.close().await;
    let error = match first {
        Ok(answer) => return Ok(answer),
        Err(error) if needs_admin(&error) => error,
        Err(error) => return Err(Failure::request(&error, &target)),
    };
    tracing::debug!(%error, "the pairing scope is not enough for this request");
    let admin = open(&target, wanted(read, &[Scope::Pairing, Scope::Admin])).await?;
    let answer = admin.client().request_raw(method, &params).await;
    admin.close().await;
    answer.map_err(|error| Failure::request(&error, &target))
}

/// The failure to say when the request that is meant is not a device's, but about what a node offers.
async fn about_a_node(which: &Which<'_>, connection: &Connection) -> Option<Failure> {
    let Which::Named(wanted) = which else {
        return None;
    };
    // A gateway that does not say has no such request.
    let list = connection.request::<NodePairList>(&EmptyParams {}).await;
    let list = list.ok()?;
    let request = node_choice::find(&list.pending, wanted).ok()?;
    let id = plain(&request.request_id);
    Some(Failure::failed(
        format!(
            "`{wanted}` is no device that waits, but what the paired node {} offers",
            short(&request.node_id)
        ),
        Some(format!(
            "see `openclaw nodes pending`, then `openclaw nodes approve {id}` (or reject)"
        )),
    ))
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

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Gateway(shape) if shape.message.contains("denied"))
}

async fn devices(
    connection: &Connection,
    target: &Target,
) -> Result<DevicePairListResult, Failure> {
    connection
        .request::<DevicePairList>(&EmptyParams {})
        .await
        .map_err(|error| Failure::request(&error, target))
}

fn see_list(what: String) -> Failure {
    Failure::failed(what, Some("see `openclaw devices list`".into()))
}
