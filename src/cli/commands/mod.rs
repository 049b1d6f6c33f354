//! One file per command.

pub(crate) mod agent;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod backup;
#[cfg(feature = "whatsapp")]
mod channel_add;
mod channel_link;
mod channel_outbox;
pub(crate) mod channels;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod cron;
pub(crate) mod dashboard;
pub(crate) mod devices;
mod discover;
pub(crate) mod doctor;
pub(crate) mod gateway;
pub(crate) mod health;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod message;
pub(crate) mod migrate;
pub(crate) mod models;
pub(crate) mod node_host;
mod node_use;
mod node_yes;
pub(crate) mod nodes;
pub(crate) mod probe;
pub(crate) mod protocol;
pub(crate) mod service;
pub(crate) mod sessions;
pub(crate) mod setup_code;
pub(crate) mod status;
mod steps;
pub(crate) mod system;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::output::Output;

/// An answer that the command goes on with.
fn decoded<T: DeserializeOwned>(answer: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(answer.get()).map_err(|error| {
        Failure::failed(
            format!("the gateway's answer has another form than this program knows: {error}"),
            Some("use the `openclaw` of the gateway's version: `openclaw --version`, `openclaw status`".into()),
        )
    })
}

/// Shows an answer: as it came with `--json`; else as text, or as it came when it is one that this
/// program does not know, as another gateway may give.
fn show<T: DeserializeOwned>(
    answer: &RawValue,
    json: bool,
    output: &Output,
    render: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    if json {
        return output.raw(answer);
    }
    match serde_json::from_str(answer.get()) {
        Ok(known) => output.write(&render(&known)),
        Err(error) => {
            output.note(&format!(
                "the gateway's answer has another form than this program knows ({error}); here it is as it came"
            ));
            output.raw(answer)
        }
    }
}
