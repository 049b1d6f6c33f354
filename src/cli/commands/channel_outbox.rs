//! `openclaw channels outbox`, `resend` and `discard`.

use openclaw_protocol::methods::channel_outbox::{
    ChannelsOutboxDiscard, ChannelsOutboxList, ChannelsOutboxListParams, ChannelsOutboxListResult,
    ChannelsOutboxParams, ChannelsOutboxResend, ChannelsOutboxResult,
};
use openclaw_protocol::{Method, Scope};

use super::channels::request;
use crate::cli::args::{OutboxArgs, OutboxDecideArgs};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::channels as render;
use crate::cli::render::text::plain;

pub(super) async fn list(
    args: &OutboxArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let params = ChannelsOutboxListParams {
        channel: args.channel.clone(),
        account_id: args.account.clone(),
    };
    let name = ChannelsOutboxList::NAME;
    let answer = request(&args.read, Scope::Read, name, &params, environment).await?;
    let style = output.style(Environment::now_ms());
    super::show(
        &answer,
        args.read.form.json,
        output,
        |list: &ChannelsOutboxListResult| render::outbox(list, &style),
    )
}

pub(super) async fn resend(
    args: &OutboxDecideArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    decide(args, ChannelsOutboxResend::NAME, environment, output).await
}

pub(super) async fn discard(
    args: &OutboxDecideArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    decide(args, ChannelsOutboxDiscard::NAME, environment, output).await
}

async fn decide(
    args: &OutboxDecideArgs,
    method: &str,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let params = ChannelsOutboxParams {
        id: args.id.clone(),
        channel: args.channel.clone(),
        account_id: args.account.clone(),
    };
    let answer = request(&args.read, Scope::Write, method, &params, environment).await?;
    super::show(
        &answer,
        args.read.form.json,
        output,
        |done: &ChannelsOutboxResult| {
            let how = match done.outcome.as_str() {
                "queued" => "is sent again",
                _ => "is forgotten",
            };
            format!(
                "the message to {} on {}/{} {how}\n",
                plain(&done.to),
                plain(&done.channel),
                plain(&done.account_id)
            )
        },
    )
}
