//! `openclaw status`.

use std::process::ExitCode;

use openclaw_protocol::methods::system::{EmptyParams, Status, SystemPresence};
use openclaw_protocol::{Method, Scope};

use crate::cli::args::ReadArgs;
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render;

pub(crate) async fn run(
    args: &ReadArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Read],
        limit: args.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let client = connection.client();
    let (answer, presence) = tokio::join!(
        client.request_raw(Status::NAME, &EmptyParams {}),
        client.request::<SystemPresence>(&EmptyParams {}),
    );
    let answer = answer.map_err(|error| Failure::request(&error, &target))?;
    // Who is present is an extra: the connect told it too.
    let presence = presence.unwrap_or_else(|_| connection.hello.snapshot.presence.clone());
    let hello = connection.hello.clone();
    connection.close().await;

    let style = output.style(Environment::now_ms());
    let facts = render::status::Facts {
        url: &target.url,
        hello: &hello,
        presence: &presence,
    };
    super::show(&answer, args.form.json, output, |status| {
        render::status::render(status, &facts, &style)
    })?;
    Ok(ExitCode::SUCCESS)
}
