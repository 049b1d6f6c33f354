//! The small runtime of every command but the gateway.

use std::process::ExitCode;

use super::failure::Failure;

/// Runs one command on this thread.
pub(crate) fn block_on(
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}"), None))?;
    let done = runtime.block_on(command);
    // A resolver or a terminal read on the blocking pool must not hold the exit back.
    runtime.shutdown_background();
    done
}
