//! One file per method. Each names exactly one owner: a published view that is read in the session,
//! or the actor that handles the call.

pub mod agent;
pub mod agents;
pub mod approvals;
pub mod artifacts;
pub mod audit;
pub(crate) mod backup;
pub mod channels;
pub mod chat;
pub mod commands;
pub mod config;
mod cron;
pub mod device;
mod heartbeat;
pub(crate) mod injected;
pub mod logs;
pub mod messaging;
pub mod models;
mod models_probe;
pub mod node;
pub mod sessions;
pub mod system;
pub mod tools;
pub mod usage;
mod web_login;

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::frame::to_bytes;
use serde::Serialize;
use serde_json::json;

use crate::store::StoreError;

/// A payload as JSON.
fn payload<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(to_bytes(value))
}

/// The error frame while the owner of the session index is being built again.
pub(crate) fn index_restarting() -> ErrorShape {
    ErrorShape::unavailable("the session index is restarting; try again").retry_after(500)
}

/// The error frame of a store that did not serve.
pub fn store_error(error: &StoreError) -> ErrorShape {
    let mut shape = ErrorShape::unavailable(error.to_string())
        .with_details(json!({ "code": error.details_code() }));
    shape.retryable = Some(error.retryable());
    shape.retry_after_ms = error.retry_after_ms();
    shape
}
