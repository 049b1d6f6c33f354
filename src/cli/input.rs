//! What a command reads from standard input.

use std::io::Read as _;

use super::failure::Failure;

/// The whole of it; `what` it is stands in errors.
///
/// # Errors
///
/// When it cannot be read, is no UTF-8, or is longer than `limit` bytes.
pub(crate) fn all(what: &str, limit: u64) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin()
        .lock()
        .take(limit + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("cannot read standard input: {error}")))?;
    if read as u64 > limit {
        return Err(Failure::usage(format!(
            "the {what} on standard input is longer than {limit} bytes"
        )));
    }
    Ok(text)
}
