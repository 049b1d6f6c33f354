//! What can go wrong between a client and a gateway.

use std::fmt;
use std::time::Duration;

use openclaw_protocol::ErrorShape;
use serde_json::Value;

use crate::Untrusted;

/// A failed connect or request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No WebSocket could be opened: wrong address, nobody listens, TLS failed, or it took too long.
    #[error("gateway not reachable at {url}: {source}")]
    Unreachable {
        /// Where it was tried.
        url: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something with another certificate than the expected one answers there.
    #[error("{url}: {untrusted}")]
    Untrusted {
        /// Where it was tried.
        url: String,
        /// Which certificate, and why it is not trusted.
        untrusted: Box<Untrusted>,
    },
    /// The gateway answered and refused the connection.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An answer did not come in time. A request may have had its effect nevertheless.
    #[error("no answer to {what} within {} s", after.as_secs_f64())]
    Timeout {
        /// The method, or `the handshake`.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection ended before the answer came. A request may have had its effect nevertheless.
    #[error("the connection was closed: {0}")]
    Closed(CloseReason),
    /// The gateway answered the request with an error.
    #[error("{}", .0.message)]
    Gateway(ErrorShape),
    /// One side does not keep to the protocol.
    #[error("protocol error: {0}")]
    Protocol(String),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason {
    /// The close code; `None` when the connection broke without one.
    pub code: Option<u16>,
    /// The peer's words, or the transport's error.
    pub reason: String,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.reason.as_str()) {
            (Some(code), "") => write!(out, "code {code}"),
            (Some(code), reason) => write!(out, "{reason} (code {code})"),
            (None, reason) => out.write_str(reason),
        }
    }
}

/// How and why a gateway refused a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The error's code, such as `NOT_PAIRED`; `HTTP_403` and the like when the upgrade was refused.
    pub code: String,
    /// What the gateway says about it.
    pub message: String,
    /// Facts for a program.
    pub details: Option<Value>,
    /// Whether the gateway says that the same connect may succeed later.
    pub retryable: bool,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// The code with which the socket was closed.
    pub close_code: Option<u16>,
}

impl Refusal {
    fn detail(&self, key: &str) -> Option<&str> {
        self.details.as_ref()?.get(key)?.as_str()
    }

    /// The finer code, such as `PAIRING_REQUIRED` or `AUTH_TOKEN_MISMATCH`.
    pub fn detail_code(&self) -> Option<&str> {
        self.detail("code")
    }

    /// What the gateway proposes, such as `update_auth_credentials`.
    pub fn recommended_next_step(&self) -> Option<&str> {
        self.detail("recommendedNextStep")
    }

    /// The pairing request that an owner has to approve.
    pub fn request_id(&self) -> Option<&str> {
        self.detail("requestId")
    }

    /// Whether the gateway would look at a device token after it refused the shared one.
    pub fn can_retry_with_device_token(&self) -> bool {
        self.details
            .as_ref()
            .and_then(|details| details.get("canRetryWithDeviceToken"))
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// Whether trying again without any change makes sense.
    pub fn is_temporary(&self) -> bool {
        self.retryable
            || matches!(self.close_code, Some(1012 | 1013))
            || self.recommended_next_step() == Some("wait_then_retry")
            || matches!(self.code.as_str(), "UNAVAILABLE" | "HTTP_408" | "HTTP_429")
            // A proxy in front of a gateway that starts again says 502, 503 or 504.
            || self.code.starts_with("HTTP_5")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the gateway refused the connection: {}", self.message)
    }
}
