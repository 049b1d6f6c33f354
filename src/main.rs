//! The `openclaw` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: a TLS client that is built before panics. A second install changes nothing.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    openclaw::cli::main()
}
