//! `openclaw gateway`: the seam between the command line and the daemon.

use std::process::ExitCode;

use crate::app::run::{Options, run as run_gateway};
use crate::cli::args::{GatewayArgs, LogFormat};
use crate::cli::output::Output;
use crate::config::Flags;
use crate::telemetry::Wish;

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
