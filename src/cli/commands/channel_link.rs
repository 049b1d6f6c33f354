//! `openclaw channels login` where a phone links the account: pictures to scan until one was, or a code to
//! type into it.

use std::process::ExitCode;
use std::time::Duration;

use openclaw_protocol::Scope;
use openclaw_protocol::methods::web_login::{
    ChannelsLink, ChannelsLinkParams, WebLoginResult, WebLoginWait, WebLoginWaitParams,
};

use super::devices::wanted;
use crate::cli::args::ChannelLoginArgs;
use crate::cli::connect::open;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::setup_code::draw;
use crate::cli::render::text::plain;

/// How long the gateway may take for each answer, below what a request may take.
const WAIT_MS: u64 = 5_000;
/// How long a person may take: longer than the platform gives them.
const LONGEST: Duration = Duration::from_mins(5);

pub(super) async fn run(
    args: &ChannelLoginArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let read = &args.account.read;
    let target = environment.target(&read.target)?;
    let connection = open(&target, wanted(read, &[Scope::Admin])).await?;
    let channel = args.account.channel();
    // As this gateway takes it: an account alone may be one of another channel.
    let account = args.account.account.as_deref().unwrap_or_default();
    let account_id = Some(format!("{channel}/{account}"));
    let logging_in = async {
        let begin = ChannelsLinkParams {
            channel: channel.to_owned(),
            account_id: args.account.account.clone(),
            force: args.force.then_some(true),
            phone: args.phone.clone(),
            timeout_ms: Some(WAIT_MS),
        };
        let begun = connection.request::<ChannelsLink>(&begin).await;
        let mut now = begun.map_err(|error| Failure::request(&error, &target))?;
        let mut said = String::new();
        loop {
            if now.connected || now.failed == Some(true) {
                return Ok(now);
            }
            let new = now.qr_text.clone().unwrap_or_else(|| now.message.clone());
            if new != said && !read.form.json {
                show(&now, output)?;
                said = new;
            }
            let wait = WebLoginWaitParams {
                timeout_ms: Some(WAIT_MS),
                account_id: account_id.clone(),
                current_qr_data_url: now.qr_data_url.clone(),
            };
            let next = connection.request::<WebLoginWait>(&wait).await;
            now = next.map_err(|error| Failure::request(&error, &target))?;
        }
    };
    let end = tokio::time::timeout(LONGEST, logging_in).await;
    let end = end.unwrap_or_else(|_| {
        Err(Failure::failed(
            "nobody scanned a code in time".to_owned(),
            Some(format!("once more: openclaw channels login {channel}")),
        ))
    })?;
    connection.close().await;
    if !end.connected {
        return Err(Failure::failed(
            plain(&end.message),
            Some("see `openclaw channels status`".into()),
        ));
    }
    if read.form.json {
        output.json(&end)?;
    } else {
        output.write(&format!("{}\n", plain(&end.message)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(now: &WebLoginResult, output: &Output) -> Result<(), Failure> {
    let style = output.style(Environment::now_ms());
    let picture = now.qr_text.as_deref().map(|text| {
        draw(text, style.width)
            .unwrap_or_else(|| "(this terminal is too narrow for the QR code)\n".to_owned())
    });
    let picture = picture.unwrap_or_default();
    output.write(&format!("{picture}{}\n", plain(&now.message)))
}
