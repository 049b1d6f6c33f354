//! Why a model gave no answer, in words that a person can act on.
//!
//! **Invariant:** no message contains a key. Vendors echo keys in their errors, so every text that
//! came from outside passes [`ModelError::new`]'s callers through [`Fault::scrub`].

use std::time::Duration;

use super::request::ModelRequest;

/// A request that failed, and at whose hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelError {
    /// The provider's id in the configuration.
    pub provider: String,
    /// The model that was asked.
    pub model: String,
    /// The address that was asked, without credentials.
    pub base_url: String,
    /// What went wrong.
    pub fault: Fault,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no key and the provider needs one; nothing was sent.
    MissingKey,
    /// The provider refused the key, or what the key may do.
    Auth {
        /// The provider's words.
        detail: String,
    },
    /// The account has no credit or no quota left.
    Billing {
        /// The provider's words.
        detail: String,
    },
    /// Too many requests.
    RateLimited {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// The provider's words.
        detail: String,
    },
    /// The provider is overloaded; what was asked was in order.
    Overloaded {
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// The provider's words.
        detail: String,
    },
    /// The provider failed; what was asked was in order.
    Server {
        /// The HTTP status, unless the failure came inside a stream.
        status: Option<u16>,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// The provider's words.
        detail: String,
    },
    /// A phase took too long.
    Timeout {
        /// The phase.
        phase: TimeoutPhase,
        /// How long it was allowed to take.
        limit: Duration,
    },
    /// The conversation does not fit into the model.
    ContextLength {
        /// The provider's words.
        detail: String,
    },
    /// The provider or the model declined to answer.
    Refusal {
        /// The provider's words.
        detail: String,
    },
    /// The provider does not know this model, or the account may not use it.
    UnknownModel {
        /// The provider's words.
        detail: String,
    },
    /// The provider did not accept the request.
    BadRequest {
        /// The HTTP status, unless the refusal came inside a stream.
        status: Option<u16>,
        /// The provider's words.
        detail: String,
    },
    /// The provider could not be reached, or the connection broke before an answer began.
    Network {
        /// What the network layer says.
        detail: String,
    },
    /// The answer ended, or its connection broke, before it was whole.
    Truncated,
    /// The answer is larger than this gateway takes.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer is not in the format that the endpoint is configured for.
    Protocol {
        /// What was found.
        detail: String,
    },
    /// The request could not be built from the configuration.
    Setup {
        /// What is wrong.
        detail: String,
    },
}

/// The phase of a request that took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutPhase {
    /// No connection.
    Connect,
    /// Connected, no answer.
    FirstByte,
    /// The answer began, then nothing more came.
    Idle,
    /// The answer went on for too long.
    Total,
}

/// The wire's `errorKind` of a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The provider or the model declined.
    Refusal,
    /// Something took too long.
    Timeout,
    /// Too many requests.
    RateLimit,
    /// The conversation does not fit.
    ContextLength,
    /// Anything else.
    Unknown,
}

impl ErrorKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Timeout => "timeout",
            Self::RateLimit => "rate_limit",
            Self::ContextLength => "context_length",
            Self::Unknown => "unknown",
        }
    }
}

impl ModelError {
    /// Ties a fault to the request it belongs to.
    pub fn new(request: &ModelRequest, fault: Fault) -> Self {
        Self {
            provider: request.endpoint.provider.clone(),
            model: request.model.clone(),
            base_url: super::url::shown(&request.endpoint.base_url),
            fault,
        }
    }

    /// The wire's `errorKind`.
    pub fn kind(&self) -> ErrorKind {
        match &self.fault {
            Fault::Refusal { .. } => ErrorKind::Refusal,
            Fault::Timeout { .. } => ErrorKind::Timeout,
            Fault::RateLimited { .. } => ErrorKind::RateLimit,
            Fault::ContextLength { .. } => ErrorKind::ContextLength,
            Fault::MissingKey
            | Fault::Auth { .. }
            | Fault::Billing { .. }
            | Fault::Overloaded { .. }
            | Fault::Server { .. }
            | Fault::UnknownModel { .. }
            | Fault::BadRequest { .. }
            | Fault::Network { .. }
            | Fault::Truncated
            | Fault::TooLarge { .. }
            | Fault::Protocol { .. }
            | Fault::Setup { .. } => ErrorKind::Unknown,
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn retryable(&self) -> bool {
        match &self.fault {
            Fault::RateLimited { .. }
            | Fault::Overloaded { .. }
            | Fault::Server { .. }
            | Fault::Network { .. }
            | Fault::Truncated => true,
            Fault::Timeout { phase, .. } => *phase == TimeoutPhase::Connect,
            Fault::MissingKey
            | Fault::Auth { .. }
            | Fault::Billing { .. }
            | Fault::ContextLength { .. }
            | Fault::Refusal { .. }
            | Fault::UnknownModel { .. }
            | Fault::BadRequest { .. }
            | Fault::TooLarge { .. }
            | Fault::Protocol { .. }
            | Fault::Setup { .. } => false,
        }
    }

    /// How long the provider asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.fault {
            Fault::RateLimited { retry_after, .. }
            | Fault::Overloaded { retry_after, .. }
            | Fault::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl std::error::Error for ModelError {}

impl Fault {
    /// The same fault with every occurrence of a secret replaced.
    #[must_use]
    pub fn scrub(mut self, secrets: &[&str]) -> Self {
        if let Some(detail) = self.detail_mut() {
            for secret in secrets {
                if detail.contains(secret) {
                    *detail = detail.replace(secret, "[key]");
                }
            }
        }
        self
    }

    fn detail_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Auth { detail }
            | Self::Billing { detail }
            | Self::RateLimited { detail, .. }
            | Self::Overloaded { detail, .. }
            | Self::Server { detail, .. }
            | Self::ContextLength { detail }
            | Self::Refusal { detail }
            | Self::UnknownModel { detail }
            | Self::BadRequest { detail, .. }
            | Self::Network { detail }
            | Self::Protocol { detail }
            | Self::Setup { detail } => Some(detail),
            Self::MissingKey | Self::Timeout { .. } | Self::Truncated | Self::TooLarge { .. } => {
                None
            }
        }
    }
}
