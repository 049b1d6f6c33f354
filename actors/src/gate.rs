//! Gate one: the gateway's own auth, for all connections, local or remote.

use std::time::Duration;

use openclaw_protocol::connect::AuthClaim;
use openclaw_protocol::{ClientId, ErrorShape};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::limiter::Guesses;
use crate::limiter::failures::{AuthScope, RateLimit};

/// How clients prove that they may talk to this gateway at all.
#[derive(Debug, Clone)]
pub enum AuthMode {
    /// A shared token.
    Token(SecretString),
    /// A shared password.
    Password(SecretString),
    /// Nothing.
    None,
}

impl AuthMode {
    /// The wire name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Password(_) => "password",
            Self::None => "none",
        }
    }
}

/// What handshakes are judged by; published by the config's owner.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// The mode and its secret.
    pub mode: AuthMode,
    /// Origins that may open sockets, besides our own page.
    pub allowed_origins: Vec<String>,
    /// Whether a device on this machine is approved without asking.
    pub auto_approve_local: bool,
    /// How many wrong guesses are too many.
    pub rate_limit: RateLimit,
}

/// Which credential failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// The shared token.
    Token,
    /// The shared password.
    Password,
    /// A device token.
    DeviceToken,
}

/// Why gate one did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthFailure {
    credential: Credential,
    cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// None was sent.
    Missing,
    /// What was sent is wrong.
    Mismatch,
    /// It was not looked at: too many before it were wrong. The rest of the lock.
    Locked(Duration),
}

impl Credential {
    /// This credential was sent, and is wrong.
    pub const fn mismatch(self) -> AuthFailure {
        AuthFailure {
            credential: self,
            cause: Cause::Mismatch,
        }
    }

    /// This credential was sent, and is not looked at: too many before it were wrong.
    pub const fn locked(self, left: Duration) -> AuthFailure {
        AuthFailure {
            credential: self,
            cause: Cause::Locked(left),
        }
    }

    const fn missing(self) -> AuthFailure {
        AuthFailure {
            credential: self,
            cause: Cause::Missing,
        }
    }
}

/// Outcome of the shared secret's check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedAuth {
    /// It matches; the wire name of the method.
    Ok(&'static str),
    /// It does not.
    Failed(AuthFailure),
}

impl SharedAuth {
    /// The guess that it was, if it was one.
    pub fn guesses(self) -> Guesses {
        match self {
            Self::Failed(reason) if reason.was_wrong() => {
                Guesses::default().and(AuthScope::SharedSecret)
            }
            Self::Ok(_) | Self::Failed(_) => Guesses::default(),
        }
    }
}

impl GateSettings {
    /// Compares the shared secret in constant time. Clients put tokens into `password` and the
    /// other way round; the mode decides which secret is meant, not the field. While the client is
    /// `locked`, nothing is compared, so that not even the right secret shows.
    pub fn check_shared(&self, auth: Option<&AuthClaim>, locked: Option<Duration>) -> SharedAuth {
        let token = auth.and_then(|auth| auth.token.as_deref());
        let password = auth.and_then(|auth| auth.password.as_deref());
        let (secret, presented, credential) = match &self.mode {
            AuthMode::None => return SharedAuth::Ok("none"),
            AuthMode::Token(secret) => (secret, token.or(password), Credential::Token),
            AuthMode::Password(secret) => (secret, password.or(token), Credential::Password),
        };
        match (presented.filter(|presented| !presented.is_empty()), locked) {
            (None, _) => SharedAuth::Failed(credential.missing()),
            (Some(_), Some(left)) => SharedAuth::Failed(credential.locked(left)),
            (Some(presented), None)
                if bool::from(
                    presented
                        .as_bytes()
                        .ct_eq(secret.expose_secret().as_bytes()),
                ) =>
            {
                SharedAuth::Ok(self.mode.as_str())
            }
            (Some(_), None) => SharedAuth::Failed(credential.mismatch()),
        }
    }
}

impl AuthFailure {
    /// Whether a credential was sent at all.
    pub const fn was_presented(self) -> bool {
        !matches!(self.cause, Cause::Missing)
    }

    /// Whether it was compared and found wrong: a guess that counts.
    pub const fn was_wrong(self) -> bool {
        matches!(self.cause, Cause::Mismatch)
    }

    /// Whether it was not looked at because of a lock.
    pub const fn is_locked(self) -> bool {
        matches!(self.cause, Cause::Locked(_))
    }

    /// The error frame, with a hint for the kind of client.
    pub fn to_error(self, client: ClientId, local: bool, has_device: bool) -> ErrorShape {
        if let Cause::Locked(left) = self.cause {
            return rate_limited(left);
        }
        let missing = self.cause == Cause::Missing;
        let (code, reason, what) = match (self.credential, missing) {
            (Credential::Token, true) => (
                "AUTH_TOKEN_MISSING",
                "token_missing",
                "gateway token missing",
            ),
            (Credential::Token, false) => (
                "AUTH_TOKEN_MISMATCH",
                "token_mismatch",
                "gateway token mismatch",
            ),
            (Credential::Password, true) => (
                "AUTH_PASSWORD_MISSING",
                "password_missing",
                "gateway password missing",
            ),
            (Credential::Password, false) => (
                "AUTH_PASSWORD_MISMATCH",
                "password_mismatch",
                "gateway password mismatch",
            ),
            (Credential::DeviceToken, _) => (
                "AUTH_DEVICE_TOKEN_MISMATCH",
                "device_token_mismatch",
                "device token mismatch",
            ),
        };
        let retry_with_device_token =
            has_device && self.credential == Credential::Token && !missing;
        let next = match (missing, retry_with_device_token) {
            (true, _) => "update_auth_configuration",
            (false, true) => "retry_with_device_token",
            (false, false) => "update_auth_credentials",
        };
        let hint = match (self.credential, client) {
            (Credential::DeviceToken, _) => {
                "rotate/reissue device token, or connect with the gateway token again"
            }
            (_, ClientId::Cli) if local => {
                "use this gateway's gateway.auth.token or pair the device"
            }
            (_, ClientId::Cli) => "set gateway.remote.token to match gateway.auth.token",
            (_, ClientId::WebchatUi | ClientId::ControlUi | ClientId::Webchat) => {
                "open the address that `openclaw dashboard` prints, or paste its token"
            }
            _ => "provide gateway auth token",
        };
        ErrorShape::invalid(format!("unauthorized: {what} ({hint})")).with_details(json!({
            "code": code,
            "authReason": reason,
            "canRetryWithDeviceToken": retry_with_device_token,
            "recommendedNextStep": next,
        }))
    }
}

/// The refusal of a client that is locked out.
fn rate_limited(left: Duration) -> ErrorShape {
    let millis = u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    ErrorShape::invalid(format!(
        "unauthorized: too many failed authentication attempts (retry later): locked out for another {} s",
        millis.div_ceil(1_000)
    ))
    .with_details(json!({
        "code": "AUTH_RATE_LIMITED",
        "authReason": "rate_limited",
        "canRetryWithDeviceToken": false,
        "recommendedNextStep": "wait_then_retry",
    }))
    .retry_after(millis)
}
