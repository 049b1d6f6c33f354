//! Gate one: the gateway's own auth, for all connections, local or remote.

use std::time::Duration;

use openclaw_protocol::connect::AuthClaim;
use openclaw_protocol::{ClientId, ErrorShape};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::limiter::Guesses;
use crate::limiter::failures::{AuthScope, RateLimit};
use crate::session::peer::{Peer, Proxies, ProxyFailure, ProxyRules, TailscaleFailure};

/// How clients prove that they may talk to this gateway at all.
#[derive(Debug, Clone)]
pub enum AuthMode {
    /// A shared token.
    Token(SecretString),
    /// A shared password.
    Password(SecretString),
    /// Nothing.
    None,
    /// A trusted proxy says who its user is.
    TrustedProxy {
        /// How it says so.
        rules: ProxyRules,
        /// What clients on this machine give in place of a proxy's word.
        password: Option<SecretString>,
    },
}

impl AuthMode {
    /// Whether the other one asks for the same: the same mode with the same secret and rules.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(a), Self::Token(b)) | (Self::Password(a), Self::Password(b)) => {
                same_secret(Some(a), Some(b))
            }
            (Self::None, Self::None) => true,
            (
                Self::TrustedProxy { rules, password },
                Self::TrustedProxy {
                    rules: other_rules,
                    password: other,
                },
            ) => rules == other_rules && same_secret(password.as_ref(), other.as_ref()),
            _ => false,
        }
    }

    /// The wire name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Password(_) => "password",
            Self::None => "none",
            Self::TrustedProxy { .. } => "trusted-proxy",
        }
    }
}

/// To whom tailscale serves this gateway, where the gateway itself told it to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Served {
    /// To nobody.
    #[default]
    No,
    /// To the tailnet.
    Tailnet,
    /// To the internet, and to the tailnet with it.
    Internet,
}

/// What handshakes are judged by; published by the config's owner.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// The mode and its secret.
    pub mode: AuthMode,
    /// In the modes without a secret of their own: the one in the gateway's private folder. It
    /// counts for direct clients of this machine, and proves that they run as the gateway's user.
    pub owner: Option<SecretString>,
    /// Whether a login that tailscaled proves opens the gate for the page.
    pub allow_tailscale: bool,
    /// Whether tailscale serves this gateway by its own configuration: then who comes through it is who
    /// its headers name.
    pub served: Served,
    /// Origins that may open sockets, besides our own page.
    pub allowed_origins: Vec<String>,
    /// Admits a page whose origin equals the `Host` header, on any host.
    pub host_origin_fallback: bool,
    /// Whether a device on this machine is approved without asking.
    pub auto_approve_local: bool,
    /// How many wrong guesses are too many.
    pub rate_limit: RateLimit,
    /// Whose forwarding headers are believed.
    pub proxies: Proxies,
}

fn same_secret(a: Option<&SecretString>, b: Option<&SecretString>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => bool::from(
            a.expose_secret()
                .as_bytes()
                .ct_eq(b.expose_secret().as_bytes()),
        ),
        (None, None) => true,
        _ => false,
    }
}

impl GateSettings {
    /// Whether everything that could open this gate opens the other one: then what came in by it
    /// may stay.
    pub fn opens_like(&self, other: &Self) -> bool {
        self.mode.same_as(&other.mode)
            && same_secret(self.owner.as_ref(), other.owner.as_ref())
            && self.allow_tailscale == other.allow_tailscale
            && self.served == other.served
            && self.proxies == other.proxies
    }
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
    /// The one-time token of a setup code.
    SetupCode,
}

/// Why gate one did not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthFailure {
    /// The credential was not sent.
    Missing(Credential),
    /// It was sent, and is wrong.
    Mismatch(Credential),
    /// It was sent and not looked at: too many before it were wrong. The rest of the lock.
    Locked(Duration),
    /// This gateway has none that it could be compared with.
    NotConfigured(Credential),
    /// A proxy's word is not enough.
    Proxy(ProxyFailure),
    /// Tailscaled's word is not enough.
    Tailscale(TailscaleFailure),
}

impl Credential {
    /// This credential was sent, and is wrong.
    pub const fn mismatch(self) -> AuthFailure {
        AuthFailure::Mismatch(self)
    }

    /// This credential was sent, and is not looked at: too many before it were wrong.
    pub const fn locked(self, left: Duration) -> AuthFailure {
        AuthFailure::Locked(left)
    }
}

/// Outcome of the shared secret's check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedAuth {
    /// It matches; the wire name of the method.
    Ok(&'static str),
    /// It does not.
    Failed(AuthFailure),
}

impl SharedAuth {
    /// The guess that it was, if it was one.
    pub fn guesses(&self) -> Guesses {
        match self {
            Self::Failed(reason) if reason.was_wrong() => {
                Guesses::default().and(AuthScope::SharedSecret)
            }
            Self::Ok(_) | Self::Failed(_) => Guesses::default(),
        }
    }
}

impl GateSettings {
    /// A mode, with everything else as where nothing is configured.
    pub fn new(mode: AuthMode) -> Self {
        Self {
            mode,
            owner: None,
            allow_tailscale: false,
            served: Served::No,
            allowed_origins: Vec::new(),
            host_origin_fallback: false,
            auto_approve_local: true,
            rate_limit: RateLimit::default(),
            proxies: Proxies::default(),
        }
    }

    /// Judges what a client sent and what is known of it. Clients put tokens into `password` and
    /// the other way round; the mode decides which secret is meant, not the field. `page` tells the
    /// chat page and the control UI from every other client. While the client is `locked`, no secret
    /// is compared, so that not even the right one shows.
    pub fn check_shared(
        &self,
        auth: Option<&AuthClaim>,
        peer: &Peer,
        page: bool,
        locked: Option<Duration>,
    ) -> SharedAuth {
        let claims = Claims { peer, page, locked };
        let sent = |first: Option<&String>, second: Option<&String>| {
            first
                .or(second)
                .filter(|presented| !presented.is_empty())
                .cloned()
        };
        let token = auth.and_then(|auth| auth.token.as_ref());
        let password = auth.and_then(|auth| auth.password.as_ref());
        match &self.mode {
            AuthMode::None => {
                let presented = sent(token, password);
                let owner = locked.is_none() && self.is_owner(presented.as_deref(), peer);
                SharedAuth::Ok(if owner { "token" } else { "none" })
            }
            AuthMode::TrustedProxy {
                rules,
                password: secret,
            } => {
                let presented = sent(password, token);
                self.check_proxy(rules, secret.as_ref(), presented.as_deref(), claims)
            }
            AuthMode::Token(secret) => {
                let presented = sent(token, password);
                self.check_secret(Credential::Token, secret, presented.as_deref(), claims)
            }
            AuthMode::Password(secret) => {
                let presented = sent(password, token);
                self.check_secret(Credential::Password, secret, presented.as_deref(), claims)
            }
        }
    }

    fn check_secret(
        &self,
        credential: Credential,
        secret: &SecretString,
        presented: Option<&str>,
        claims: Claims<'_>,
    ) -> SharedAuth {
        let Some(presented) = presented else {
            // Only where no secret was sent: a wrong one is never made good by somebody's network.
            let heard = self.allow_tailscale && claims.page;
            return match &claims.peer.tailscale {
                Some(Ok(_)) if heard => SharedAuth::Ok("tailscale"),
                Some(Err(failure)) if heard => SharedAuth::Failed(AuthFailure::Tailscale(*failure)),
                _ => SharedAuth::Failed(AuthFailure::Missing(credential)),
            };
        };
        if let Some(left) = claims.locked {
            return SharedAuth::Failed(credential.locked(left));
        }
        if equal(presented, secret) {
            SharedAuth::Ok(self.mode.as_str())
        } else {
            SharedAuth::Failed(credential.mismatch())
        }
    }

    /// The proxy's word for its clients; for direct clients of this machine, which no proxy can
    /// speak for, a secret.
    fn check_proxy(
        &self,
        rules: &ProxyRules,
        secret: Option<&SecretString>,
        presented: Option<&str>,
        claims: Claims<'_>,
    ) -> SharedAuth {
        let peer = claims.peer;
        let failed = |failure| SharedAuth::Failed(AuthFailure::Proxy(failure));
        if let Some(proxy) = peer.proxy {
            // What was found at the upgrade is judged again by what is configured now.
            return match &peer.proxy_user {
                _ if !self.proxies.trusts(proxy) => failed(ProxyFailure::UntrustedSource),
                None => failed(ProxyFailure::UntrustedSource),
                Some(Err(failure)) => failed(failure.clone()),
                Some(Ok(user)) if !rules.admits(user) => failed(ProxyFailure::UserNotAllowed),
                Some(Ok(_)) => SharedAuth::Ok("trusted-proxy"),
            };
        }
        if !peer.local {
            return failed(ProxyFailure::UntrustedSource);
        }
        let credential = Credential::Password;
        let Some(presented) = presented else {
            return SharedAuth::Failed(match secret {
                None => AuthFailure::NotConfigured(credential),
                Some(_) => AuthFailure::Missing(credential),
            });
        };
        if let Some(left) = claims.locked {
            return SharedAuth::Failed(credential.locked(left));
        }
        if self.is_owner(Some(presented), peer) {
            return SharedAuth::Ok("token");
        }
        match secret {
            Some(secret) if equal(presented, secret) => SharedAuth::Ok("password"),
            Some(_) => SharedAuth::Failed(credential.mismatch()),
            None => SharedAuth::Failed(AuthFailure::NotConfigured(credential)),
        }
    }

    /// Whether a direct client of this machine, no page, knows what only the gateway's user can
    /// read.
    fn is_owner(&self, presented: Option<&str>, peer: &Peer) -> bool {
        let known = self.owner.as_ref().zip(presented);
        peer.local
            && peer.origin.is_none()
            && known.is_some_and(|(owner, presented)| equal(presented, owner))
    }
}

/// What is known of a client beside what it sent.
#[derive(Clone, Copy)]
struct Claims<'a> {
    peer: &'a Peer,
    page: bool,
    locked: Option<Duration>,
}

/// Whether what was sent is a secret, compared in constant time.
pub fn is_secret(presented: &str, secret: &SecretString) -> bool {
    !presented.is_empty() && equal(presented, secret)
}

/// Compares in constant time.
fn equal(presented: &str, secret: &SecretString) -> bool {
    bool::from(
        presented
            .as_bytes()
            .ct_eq(secret.expose_secret().as_bytes()),
    )
}

impl AuthFailure {
    /// Whether somebody claimed something that does not hold, as opposed to claiming nothing.
    pub const fn was_presented(&self) -> bool {
        match self {
            Self::Mismatch(_) | Self::Locked(_) | Self::Proxy(_) => true,
            Self::Missing(_) | Self::NotConfigured(_) => false,
            Self::Tailscale(failure) => matches!(failure, TailscaleFailure::UserMismatch),
        }
    }

    /// Whether it was compared and found wrong: a guess that counts.
    pub const fn was_wrong(&self) -> bool {
        matches!(self, Self::Mismatch(_))
    }

    /// Whether it was not looked at because of a lock.
    pub const fn is_locked(&self) -> bool {
        matches!(self, Self::Locked(_))
    }

    /// The error frame, with a hint for the kind of client.
    pub fn to_error(&self, client: ClientId, local: bool, has_device: bool) -> ErrorShape {
        let retry_with_device_token = has_device && *self == Self::Mismatch(Credential::Token);
        let next = match self {
            Self::Missing(_) | Self::NotConfigured(_) => "update_auth_configuration",
            Self::Mismatch(_) if retry_with_device_token => "retry_with_device_token",
            Self::Proxy(_) | Self::Tailscale(_) | Self::Mismatch(Credential::SetupCode) => {
                "review_auth_configuration"
            }
            Self::Mismatch(_) => "update_auth_credentials",
            Self::Locked(_) => "wait_then_retry",
        };
        let message = match self {
            Self::Missing(credential)
            | Self::Mismatch(credential)
            | Self::NotConfigured(credential) => {
                let hint = self.hint(*credential, client, local);
                format!("{} {} ({hint})", credential.text(), self.state())
            }
            Self::Locked(left) => format!(
                "too many failed authentication attempts (retry later): locked out for another {} s",
                whole_millis(*left).div_ceil(1_000)
            ),
            Self::Proxy(failure) => failure.message(),
            Self::Tailscale(failure) => failure.message().into(),
        };
        let error = ErrorShape::invalid(format!("unauthorized: {message}")).with_details(json!({
            "code": self.code(),
            "authReason": self.reason(),
            "canRetryWithDeviceToken": retry_with_device_token,
            "recommendedNextStep": next,
        }));
        match self {
            Self::Locked(left) => error.retry_after(whole_millis(*left)),
            _ => error,
        }
    }

    /// `details.code` on the wire.
    pub const fn code(&self) -> &'static str {
        use Credential::{DeviceToken, Password, SetupCode, Token};
        match self {
            Self::Missing(Token) => "AUTH_TOKEN_MISSING",
            Self::Mismatch(Token) => "AUTH_TOKEN_MISMATCH",
            Self::NotConfigured(Token) => "AUTH_TOKEN_NOT_CONFIGURED",
            Self::Missing(Password) => "AUTH_PASSWORD_MISSING",
            Self::Mismatch(Password) => "AUTH_PASSWORD_MISMATCH",
            Self::NotConfigured(Password) => "AUTH_PASSWORD_NOT_CONFIGURED",
            Self::Missing(DeviceToken)
            | Self::Mismatch(DeviceToken)
            | Self::NotConfigured(DeviceToken) => "AUTH_DEVICE_TOKEN_MISMATCH",
            Self::Missing(SetupCode)
            | Self::Mismatch(SetupCode)
            | Self::NotConfigured(SetupCode) => "AUTH_BOOTSTRAP_TOKEN_INVALID",
            Self::Locked(_) => "AUTH_RATE_LIMITED",
            Self::Proxy(failure) => failure.code(),
            Self::Tailscale(failure) => failure.code(),
        }
    }

    /// `details.authReason` on the wire.
    pub fn reason(&self) -> String {
        use Credential::{DeviceToken, Password, SetupCode, Token};
        match self {
            Self::Missing(Token) => "token_missing".into(),
            Self::Mismatch(Token) => "token_mismatch".into(),
            Self::NotConfigured(Token) => "token_missing_config".into(),
            Self::Missing(Password) => "password_missing".into(),
            Self::Mismatch(Password) => "password_mismatch".into(),
            Self::NotConfigured(Password) => "password_missing_config".into(),
            Self::Missing(DeviceToken)
            | Self::Mismatch(DeviceToken)
            | Self::NotConfigured(DeviceToken) => "device_token_mismatch".into(),
            Self::Missing(SetupCode)
            | Self::Mismatch(SetupCode)
            | Self::NotConfigured(SetupCode) => "bootstrap_token_invalid".into(),
            Self::Locked(_) => "rate_limited".into(),
            Self::Proxy(failure) => failure.reason(),
            Self::Tailscale(failure) => failure.reason().into(),
        }
    }

    const fn state(&self) -> &'static str {
        match self {
            Self::Mismatch(Credential::SetupCode) => "invalid, expired, revoked, or already used",
            Self::Missing(_) => "missing",
            Self::NotConfigured(_) => "not configured on gateway",
            _ => "mismatch",
        }
    }

    const fn hint(&self, credential: Credential, client: ClientId, local: bool) -> &'static str {
        match (self, credential, client) {
            (_, Credential::DeviceToken, _) => {
                "rotate/reissue device token, or connect with the gateway token again"
            }
            (_, Credential::SetupCode, _) => "make a new one on the gateway host: openclaw qr",
            (Self::NotConfigured(_), _, _) => {
                "set gateway.auth.password for clients of the gateway's own host, or come through the proxy"
            }
            (_, _, ClientId::Cli) if local => {
                "use this gateway's gateway.auth.token or pair the device"
            }
            (_, _, ClientId::Cli) => "set gateway.remote.token to match gateway.auth.token",
            (_, _, ClientId::WebchatUi | ClientId::ControlUi | ClientId::Webchat) => {
                "open the address that `openclaw dashboard` prints, or paste its token"
            }
            _ => "provide gateway auth token",
        }
    }
}

/// The rest of a lock, rounded up.
fn whole_millis(left: Duration) -> u64 {
    u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Credential {
    const fn text(self) -> &'static str {
        match self {
            Self::Token => "gateway token",
            Self::Password => "gateway password",
            Self::DeviceToken => "device token",
            Self::SetupCode => "setup code",
        }
    }
}
