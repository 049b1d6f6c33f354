//! `openclaw gateway`: the seam between the command line and the daemon.

use std::process::ExitCode;

use crate::cli::args::GatewayArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Runs the daemon until it is told to stop, in an actix system of its own.
pub(crate) fn run(args: &GatewayArgs, profile: Option<&str>, output: &Output) -> ExitCode {
    // The composition root takes over here: `crate::app::run(args, profile)`.
    let _ = (args, profile);
    let failure = Failure::failed("this build holds no gateway yet".into(), None);
    output.failure(&failure);
    failure.code()
}
