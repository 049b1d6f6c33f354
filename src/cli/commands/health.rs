//! `openclaw health`.

use std::process::ExitCode;

use openclaw_protocol::Method;
use openclaw_protocol::methods::system::{EmptyParams, Health};
use serde_json::Value;

use crate::cli::args::ReadArgs;
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render;

/// Exits 0 when the gateway is well, 1 when it answers that it is not.
pub(crate) async fn run(
    args: &ReadArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.target)?;
    let wanted = Wanted {
        scopes: &[],
        limit: args.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let answer = connection
        .client()
        .request_raw(Health::NAME, &EmptyParams {})
        .await
        .map_err(|error| Failure::request(&error, &target))?;
    connection.close().await;
    let style = output.style(Environment::now_ms());
    super::show(&answer, args.form.json, output, |health| {
        render::health::render(health, &target.url, &style)
    })?;
    // An answer that does not say is fine: the gateway is there and answers.
    let well = serde_json::from_str::<Value>(answer.get())
        .is_ok_and(|answer| answer.get("ok").and_then(Value::as_bool) != Some(false));
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
