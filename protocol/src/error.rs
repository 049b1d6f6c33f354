//! The error shape of responses.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The closed list of error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request cannot be served as it is.
    InvalidRequest,
    /// A device or its pairing is missing.
    NotPaired,
    /// The gateway cannot serve it now.
    Unavailable,
    /// A scope is missing (v4; v3 clients see `INVALID_REQUEST`).
    Forbidden,
    /// An approval is unknown or expired.
    ApprovalNotFound,
    /// Deprecated: a channel is not linked.
    NotLinked,
    /// Deprecated: the agent took too long.
    AgentTimeout,
}

impl ErrorCode {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::NotPaired => "NOT_PAIRED",
            Self::Unavailable => "UNAVAILABLE",
            Self::Forbidden => "FORBIDDEN",
            Self::ApprovalNotFound => "APPROVAL_NOT_FOUND",
            Self::NotLinked => "NOT_LINKED",
            Self::AgentTimeout => "AGENT_TIMEOUT",
        }
    }
}

/// What a failed response carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorShape {
    /// What kind of failure it is.
    pub code: ErrorCode,
    /// What happened and what to do, for a person.
    #[schemars(length(min = 1))]
    pub message: Cow<'static, str>,
    /// Facts for a program; `code` inside it is the finer code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retryable: Option<bool>,
    /// When to try again, milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
}

impl ErrorShape {
    /// An error without details.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
            retryable: None,
            retry_after_ms: None,
        }
    }

    /// `INVALID_REQUEST`.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// `UNAVAILABLE`, retryable.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retryable: Some(true),
            ..Self::new(ErrorCode::Unavailable, message)
        }
    }

    /// `FORBIDDEN` for a missing scope.
    pub fn missing_scope(scope: crate::Scope) -> Self {
        Self::new(
            ErrorCode::Forbidden,
            format!("missing scope: {}", scope.as_str()),
        )
        .with_details(json!({
            "code": "MISSING_SCOPE",
            "missingScope": scope.as_str(),
            "requiredScopes": [scope.as_str()],
        }))
    }

    /// The error with details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The error with a delay after which a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, millis: u64) -> Self {
        self.retryable = Some(true);
        self.retry_after_ms = Some(millis);
        self
    }

    /// The error as a v3 client knows it: `FORBIDDEN` did not exist then.
    #[must_use]
    pub fn for_generation(mut self, generation: crate::Generation) -> Self {
        if generation == crate::Generation::V3 && self.code == ErrorCode::Forbidden {
            self.code = ErrorCode::InvalidRequest;
            self.details = None;
        }
        self
    }
}
