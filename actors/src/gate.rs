//! Gate one: the gateway's own auth, for all connections, local or remote.

use openclaw_protocol::connect::AuthClaim;
use openclaw_protocol::{ClientId, ErrorShape};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq;

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
    missing: bool,
}

impl Credential {
    /// This credential was sent, and is wrong.
    pub const fn mismatch(self) -> AuthFailure {
        AuthFailure {
            credential: self,
            missing: false,
        }
    }

    const fn missing(self) -> AuthFailure {
        AuthFailure {
            credential: self,
            missing: true,
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

impl GateSettings {
    /// Compares the shared secret in constant time. Clients put tokens into `password` and the
    /// other way round; the mode decides which secret is meant, not the field.
    pub fn check_shared(&self, auth: Option<&AuthClaim>) -> SharedAuth {
        let token = auth.and_then(|auth| auth.token.as_deref());
        let password = auth.and_then(|auth| auth.password.as_deref());
        let (secret, presented, credential) = match &self.mode {
            AuthMode::None => return SharedAuth::Ok("none"),
            AuthMode::Token(secret) => (secret, token.or(password), Credential::Token),
            AuthMode::Password(secret) => (secret, password.or(token), Credential::Password),
        };
        match presented.filter(|presented| !presented.is_empty()) {
            None => SharedAuth::Failed(credential.missing()),
            Some(presented)
                if bool::from(
                    presented
                        .as_bytes()
                        .ct_eq(secret.expose_secret().as_bytes()),
                ) =>
            {
                SharedAuth::Ok(self.mode.as_str())
            }
            Some(_) => SharedAuth::Failed(credential.mismatch()),
        }
    }
}

impl AuthFailure {
    /// Whether a credential was sent at all.
    pub const fn was_presented(self) -> bool {
        !self.missing
    }

    /// The error frame, with a hint for the kind of client.
    pub fn to_error(self, client: ClientId, local: bool, has_device: bool) -> ErrorShape {
        let (code, reason, what) = match (self.credential, self.missing) {
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
            has_device && self.credential == Credential::Token && !self.missing;
        let next = match (self.missing, retry_with_device_token) {
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
