//! `openclaw message send`: a message without an agent.

use std::process::ExitCode;

use openclaw_protocol::methods::messaging::{Send, SendParams, SendResult};
use openclaw_protocol::{Method, Scope};
use serde_json::json;

use super::channels::request;
use crate::cli::args::{MessageCommand, MessageSendArgs};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::text::plain;

pub(crate) async fn run(
    command: &MessageCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        MessageCommand::Send(args) => send(args, environment, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn send(
    args: &MessageSendArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let key = args.idempotency_key.clone();
    let params = json!({
        "to": args.target,
        "message": args.message,
        "channel": args.channel,
        "accountId": args.account,
        "replyToId": args.reply_to,
        "threadId": args.thread_id,
        "silent": args.silent.then_some(true),
        "idempotencyKey": key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
    });
    let params: SendParams = serde_json::from_value(params)
        .map_err(|error| Failure::failed(format!("the message cannot be sent: {error}"), None))?;
    let answer = request(&args.read, Scope::Write, Send::NAME, &params, environment).await?;
    super::show(&answer, args.read.form.json, output, |sent: &SendResult| {
        let place = sent.chat_id.as_ref().or(sent.conversation_id.as_ref());
        let place = place.map_or_else(String::new, |place| format!(" to {}", plain(place)));
        format!(
            "sent{place} on {} (message {})\n",
            plain(&sent.channel),
            plain(&sent.message_id)
        )
    })
}
