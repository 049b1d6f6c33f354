//! `openclaw gateway`: the seam between the command line and the daemon.

use std::process::ExitCode;

use serde_json::json;

use crate::app::run::{Options, run as run_gateway};
use crate::cli::args::{GatewayArgs, LogFormat, TlsCommand};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::config::Flags;
use crate::telemetry::Wish;
use crate::tls::Files;

/// Runs the daemon until it is told to stop, in an actix system of its own.
pub(crate) fn run(args: GatewayArgs, profile: Option<String>, output: &Output) -> ExitCode {
    let options = Options {
        log: Wish {
            verbose: args.verbose,
            json: args.log_format.map(|form| form == LogFormat::Json),
            colour: output.colour,
        },
        flags: Flags {
            port: args.port,
            bind: args.bind,
            token: args.token,
            password: args.password,
            auth_mode: args.auth,
            profile,
            adopt_channels: args.adopt_channels,
        },
    };
    // The daemon runs on when nobody reads its standard output.
    let say = |text: &str| drop(output.line(text));
    match run_gateway(&options, &say) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.problem(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Shows something of the gateway without asking it.
pub(crate) fn show(
    command: &TlsCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let TlsCommand::Fingerprint(form) = command;
    let loaded = environment.config()?;
    let files = Files::of(&loaded);
    let fingerprint = files.fingerprint().map_err(|error| {
        let remedy =
            "set gateway.tls.enabled to true and start the gateway once: it makes a certificate";
        Failure::failed(error.to_string(), Some(remedy.into()))
    })?;
    let used = loaded.config.gateway.tls.enabled;
    if form.json {
        output.json(&json!({
            "fingerprint": fingerprint,
            "certificate": files.certificate,
            "enabled": used,
        }))?;
    } else {
        output.line(&fingerprint)?;
    }
    if !used {
        output.note("gateway.tls.enabled is not true: the gateway does not use this certificate");
    }
    Ok(ExitCode::SUCCESS)
}
