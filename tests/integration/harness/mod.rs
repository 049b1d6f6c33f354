//! What the tests stand on: the daemon in this process or as a child, a client that sees every
//! frame, a device, and a model that answers when it is told to.

pub(crate) mod accounts;
pub(crate) mod child;
pub(crate) mod crabline;
pub(crate) mod daemon;
pub(crate) mod device;
pub(crate) mod discord;
pub(crate) mod faults;
pub(crate) mod frames;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod imsg;
pub(crate) mod line_proxy;
pub(crate) mod model;
pub(crate) mod ngircd;
pub(crate) mod proxy;
pub(crate) mod signal;
pub(crate) mod slack;
pub(crate) mod socket;
pub(crate) mod telegram;
pub(crate) mod trust;
pub(crate) mod whatsapp;

use std::time::Duration;

/// Longest wait for something that must happen; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// The shared token of every gateway in these tests.
pub(crate) const TOKEN: &str = "integration-token-0123456789abcdef";

/// What begins like a picture.
pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n the rest of a picture";
