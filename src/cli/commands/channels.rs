//! `openclaw channels` and `openclaw pairing`.

use std::process::ExitCode;

use openclaw_protocol::methods::channels::{
    ChannelAccount, ChannelParams, ChannelsLogout, ChannelsLogoutResult, ChannelsPairingApprove,
    ChannelsPairingApproveResult, ChannelsPairingDismiss, ChannelsPairingDismissResult,
    ChannelsPairingList, ChannelsPairingListParams, ChannelsPairingListResult,
    ChannelsPairingRemove, ChannelsPairingRemoveParams, ChannelsPairingRemoveResult, ChannelsStart,
    ChannelsStartResult, ChannelsStatus, ChannelsStatusParams, ChannelsStatusResult, ChannelsStop,
    ChannelsStopResult, PairingNotification, PairingRequest,
};
use openclaw_protocol::{Method, Scope};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

#[cfg(feature = "whatsapp")]
use super::channel_add as add;
use super::channel_link as link;
use super::channel_outbox as outbox;
use super::devices::wanted;
use super::logs::{self, About};
use crate::cli::args::{
    AccountArgs, ChannelsCommand, ChannelsStatusArgs, PairingCommand, PairingDecideArgs,
    PairingListArgs, ReadArgs,
};
use crate::cli::connect::open;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::channels as render;
use crate::cli::render::text::plain;

/// Channels that a phone links.
const LINKED: [&str; 2] = ["whatsapp", "signal"];
/// How long a login is watched.
const LOGIN: std::time::Duration = std::time::Duration::from_secs(20);
/// Between two looks at it.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

pub(crate) async fn run(
    command: &ChannelsCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        ChannelsCommand::Status(args) => status(args, environment, output).await?,
        ChannelsCommand::Start(args) => {
            let answer = change(args, ChannelsStart::NAME, environment).await?;
            let said = |done: &ChannelsStartResult| {
                let (channel, account) = (plain(&done.channel), plain(&done.account_id));
                format!(
                    "{channel}/{account}: {}; see `openclaw channels status`\n",
                    plain(&done.outcome)
                )
            };
            super::show(&answer, args.read.form.json, output, said)?;
        }
        ChannelsCommand::Stop(args) => {
            let answer = change(args, ChannelsStop::NAME, environment).await?;
            let said = |done: &ChannelsStopResult| {
                let (channel, account) = (plain(&done.channel), plain(&done.account_id));
                let how = if done.stopped {
                    "stopped"
                } else {
                    "did not stop in time; see `openclaw logs`"
                };
                format!("{channel}/{account} {how}\n")
            };
            super::show(&answer, args.read.form.json, output, said)?;
        }
        #[cfg(feature = "whatsapp")]
        ChannelsCommand::Add(args) => return add::run(&args.channel, environment, output).await,
        #[cfg(not(feature = "whatsapp"))]
        ChannelsCommand::Add(_) => {
            let why =
                "this program was built without whatsapp, and no other channel needs anything";
            return Err(Failure::failed(why.to_owned(), None));
        }
        ChannelsCommand::Login(args) if LINKED.contains(&args.account.channel()) => {
            return link::run(args, environment, output).await;
        }
        ChannelsCommand::Login(args) if args.phone.is_some() => {
            return Err(Failure::usage(
                "only whatsapp is linked by a code: openclaw channels login whatsapp --phone NUMBER".to_owned(),
            ));
        }
        ChannelsCommand::Login(args) => return login(&args.account, environment, output).await,
        ChannelsCommand::Logs(args) => {
            let only = About {
                channel: args.channel.clone(),
                account: args.account.clone(),
            };
            return logs::show(&args.logs, Some(only), environment, output).await;
        }
        ChannelsCommand::Outbox(args) => outbox::list(args, environment, output).await?,
        ChannelsCommand::Resend(args) => outbox::resend(args, environment, output).await?,
        ChannelsCommand::Discard(args) => outbox::discard(args, environment, output).await?,
        ChannelsCommand::Logout(args) => {
            let answer = change(args, ChannelsLogout::NAME, environment).await?;
            let said = |done: &ChannelsLogoutResult| {
                let note = done
                    .note
                    .as_deref()
                    .map_or_else(String::new, |note| format!("; {}", plain(note)));
                format!(
                    "{}/{} is stopped and forgotten{note}\n",
                    plain(&done.channel),
                    plain(&done.account_id)
                )
            };
            super::show(&answer, args.read.form.json, output, said)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn request<P: Serialize + ?Sized>(
    read: &ReadArgs,
    scope: Scope,
    method: &str,
    params: &P,
    environment: &Environment,
) -> Result<Box<RawValue>, Failure> {
    let target = environment.target(&read.target)?;
    let connection = open(&target, wanted(read, &[scope])).await?;
    let answer = connection.client().request_raw(method, params).await;
    connection.close().await;
    answer.map_err(|error| Failure::request(&error, &target))
}

async fn status(
    args: &ChannelsStatusArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let params = ChannelsStatusParams {
        probe: Some(args.probe),
        timeout_ms: None,
        channel: args.channel.clone(),
    };
    let name = ChannelsStatus::NAME;
    let answer = request(&args.read, Scope::Read, name, &params, environment).await?;
    let style = output.style(Environment::now_ms());
    super::show(
        &answer,
        args.read.form.json,
        output,
        |status: &ChannelsStatusResult| render::status(status, &style),
    )
}

fn params(args: &AccountArgs) -> ChannelParams {
    ChannelParams {
        channel: args.channel().to_owned(),
        account_id: args.account.clone(),
    }
}

async fn change(
    args: &AccountArgs,
    method: &str,
    environment: &Environment,
) -> Result<Box<RawValue>, Failure> {
    request(&args.read, Scope::Admin, method, &params(args), environment).await
}

/// Starts the account and watches what its platform says.
async fn login(
    args: &AccountArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let answer = change(args, ChannelsStart::NAME, environment).await?;
    let started: ChannelsStartResult = serde_json::from_str(answer.get()).map_err(|error| {
        Failure::failed(
            format!("the gateway's answer cannot be read: {error}"),
            None,
        )
    })?;
    let target = environment.target(&args.read.target)?;
    let connection = open(&target, wanted(&args.read, &[Scope::Read])).await?;
    let params = ChannelsStatusParams {
        channel: Some(started.channel.clone()),
        ..ChannelsStatusParams::default()
    };
    let watch = async {
        loop {
            let status = connection.request::<ChannelsStatus>(&params).await;
            let status = status.map_err(|error| Failure::request(&error, &target))?;
            let rows = status.channel_accounts.get(&started.channel);
            let row = rows
                .into_iter()
                .flatten()
                .find(|row| row.account_id == started.account_id);
            match row {
                Some(row) if is_decided(row) => return Ok(row.clone()),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    };
    let row = tokio::time::timeout(LOGIN, watch).await;
    let row = row.unwrap_or_else(|_| {
        Err(Failure::failed(
            "the platform did not answer in time".to_owned(),
            Some("see `openclaw channels status`".into()),
        ))
    })?;
    connection.close().await;
    if row.connected != Some(true) {
        let why = row.last_error.unwrap_or_default();
        return Err(Failure::failed(
            plain(&why),
            Some("see `openclaw channels status`".into()),
        ));
    }
    if args.read.form.json {
        output.json(&row)?;
    } else {
        output.write(&render::connected(&started.channel, &row))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_decided(row: &ChannelAccount) -> bool {
    row.connected == Some(true) || matches!(row.state.as_deref(), Some("parked" | "backoff"))
}

pub(crate) async fn pairing(
    command: &PairingCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        PairingCommand::List(args) => pairing_list(args, environment, output).await?,
        PairingCommand::Approve(args) => {
            let answer = decide(args, ChannelsPairingApprove::NAME, environment).await?;
            let said = |done: &ChannelsPairingApproveResult| {
                let told = match done.notification {
                    PairingNotification::Sent => "; they will be told",
                    PairingNotification::Failed => {
                        "; they are not told, because the account is not connected (openclaw channels status)"
                    }
                    PairingNotification::Unsupported => "; this channel cannot tell them",
                    PairingNotification::NotRequested => "",
                };
                format!("{} may write from now on{told}\n", plain(&done.sender_id))
            };
            super::show(&answer, args.read.form.json, output, said)?;
        }
        PairingCommand::Dismiss(args) => {
            let answer = decide(args, ChannelsPairingDismiss::NAME, environment).await?;
            let said = |done: &ChannelsPairingDismissResult| {
                format!("the request of {} is forgotten\n", plain(&done.sender_id))
            };
            super::show(&answer, args.read.form.json, output, said)?;
        }
        PairingCommand::Remove(args) => {
            let params = ChannelsPairingRemoveParams {
                channel: args.channel.clone(),
                account_id: args.account.clone(),
                sender_id: args.sender.clone(),
            };
            let name = ChannelsPairingRemove::NAME;
            let answer = request(&args.read, Scope::Pairing, name, &params, environment).await?;
            let said = |done: &ChannelsPairingRemoveResult| {
                let (channel, account) = (plain(&done.channel), plain(&done.account_id));
                format!(
                    "{} may no longer write to {channel}/{account}\n",
                    plain(&done.sender_id)
                )
            };
            super::show(&answer, args.read.form.json, output, said)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn pairing_list(
    args: &PairingListArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let params = ChannelsPairingListParams {
        channel: args.channel.clone(),
        account_id: args.account.clone(),
    };
    let name = ChannelsPairingList::NAME;
    let answer = request(&args.read, Scope::Pairing, name, &params, environment).await?;
    let style = output.style(Environment::now_ms());
    super::show(
        &answer,
        args.read.form.json,
        output,
        |list: &ChannelsPairingListResult| render::pairing(list, &style),
    )
}

async fn decide(
    args: &PairingDecideArgs,
    method: &str,
    environment: &Environment,
) -> Result<Box<RawValue>, Failure> {
    let (channel, code) = match args.request.as_slice() {
        [channel, code] => (Some(channel.to_lowercase()), code),
        [code, ..] => (None, code),
        [] => return Err(Failure::failed("no code was given".into(), None)),
    };
    let params = ChannelsPairingListParams {
        channel,
        account_id: args.account.clone(),
    };
    let name = ChannelsPairingList::NAME;
    let list = request(&args.read, Scope::Pairing, name, &params, environment).await?;
    let list: ChannelsPairingListResult = serde_json::from_str(list.get()).map_err(|error| {
        Failure::failed(
            format!("the gateway's answer cannot be read: {error}"),
            None,
        )
    })?;
    let found = list.requests.iter().find(|request| is(request, code));
    let found = found.ok_or_else(|| {
        Failure::failed(
            format!("nobody waits with the code {}", plain(code)),
            Some("see `openclaw pairing list`; a code is good for an hour, then the person writes again".into()),
        )
    })?;
    let mut params = json!({
        "channel": found.channel, "accountId": found.account_id, "requestId": found.request_id,
    });
    if args.notify && method == ChannelsPairingApprove::NAME {
        params["notify"] = true.into();
    }
    request(&args.read, Scope::Pairing, method, &params, environment).await
}

fn is(request: &PairingRequest, wanted: &str) -> bool {
    let code = request
        .metadata
        .as_ref()
        .and_then(|facts| facts.get("code"));
    request.request_id == wanted
        || code.is_some_and(|code| code.eq_ignore_ascii_case(wanted.trim()))
}
