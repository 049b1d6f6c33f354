//! `openclaw message send`: a message without an agent.

use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// A file's name and content.
fn read(path: &str) -> Result<(String, Vec<u8>), Failure> {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::failed(format!("{} cannot be read: {error}", plain(path)), None)
    })?;
    let name = Path::new(path).file_name().unwrap_or_default();
    Ok((name.to_string_lossy().into_owned(), bytes))
}

async fn send(
    args: &MessageSendArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let key = args.idempotency_key.clone();
    let is_address =
        |media: &&String| media.starts_with("http://") || media.starts_with("https://");
    let address = args.media.as_ref().filter(is_address);
    let file = args.media.as_ref().filter(|media| !is_address(media));
    let file = file.map(|path| read(path)).transpose()?;
    let params = json!({
        "mediaUrl": address,
        "filename": file.as_ref().map(|(name, _)| name),
        "buffer": file.as_ref().map(|(_, bytes)| STANDARD.encode(bytes)),
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
