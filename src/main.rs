//! The `openclaw` program.

use std::process::ExitCode;

use openclaw::app::run::{Options, run};

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    match run(&Options::default(), &|_| ()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.code),
    }
}
