//! `openclaw completions`.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::cli::args::{Cli, CompletionsArgs};
use crate::cli::failure::Failure;
use crate::cli::output::Output;

pub(crate) fn run(args: &CompletionsArgs, output: &Output) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "openclaw", &mut script);
    output.write(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
