//! `openclaw devices setup-code`, and `openclaw qr`.

use std::process::ExitCode;

use openclaw_protocol::Method as _;
use openclaw_protocol::Scope;
use openclaw_protocol::methods::device_setup::{
    DevicePairSetupCode, DevicePairSetupCodeParams, DevicePairSetupCodeResult, SetupProfile,
};

use crate::cli::args::{AccessArg, SetupCodeArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::setup_code as render;

pub(crate) async fn run(
    args: &SetupCodeArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.read.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Admin],
        limit: args.read.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let params = DevicePairSetupCodeParams {
        public_url: args.code.public_url.clone(),
        prefer_remote_url: args.code.remote.then_some(true),
        bootstrap_profile: Some(match args.code.access {
            AccessArg::Limited => SetupProfile::Limited,
            AccessArg::Node => SetupProfile::Node,
        }),
        ..DevicePairSetupCodeParams::default()
    };
    let answer = connection
        .client()
        .request_raw(DevicePairSetupCode::NAME, &params)
        .await;
    connection.close().await;
    let answer = answer.map_err(|error| Failure::request(&error, &target))?;
    let style = output.style(Environment::now_ms());
    let only = args.code.setup_code_only;
    super::show(
        &answer,
        args.read.form.json,
        output,
        |code: &DevicePairSetupCodeResult| {
            if only {
                format!("{}\n", code.setup_code)
            } else {
                render::render(code, !args.code.no_ascii, &style)
            }
        },
    )?;
    Ok(ExitCode::SUCCESS)
}
