//! Which shared secret guards the gateway, and whether it is good enough for where it listens.

use std::fmt;
use std::net::IpAddr;

use secrecy::{ExposeSecret, SecretString};

use super::gateway::{AuthMode, Bind, Gateway, TailscaleMode};
use super::secrets::{SecretFault, SecretInput};
use super::{Config, Loaded};

/// Fewest characters of a secret that others can try.
const MIN_LENGTH: usize = 16;
/// Fewest different characters of such a secret.
const MIN_DISTINCT: usize = 6;

/// What a script writes when a variable was not set; never meant as a secret, refused everywhere.
const ACCIDENTS: &[&str] = &[
    "undefined",
    "null",
    "nan",
    "none",
    "[object object]",
    "__openclaw_redacted__",
];
/// What examples and templates hold.
const PLACEHOLDERS: &[&str] = &[
    "admin",
    "change-me",
    "changeme",
    "clawdbot",
    "default",
    "dummy",
    "example",
    "gateway-password",
    "gateway-token",
    "insert-token-here",
    "letmein",
    "long-random-token",
    "my-token",
    "mytoken",
    "openclaw",
    "openclaw-gateway-token",
    "password",
    "placeholder",
    "redacted",
    "remote-token",
    "replace-me",
    "replaceme",
    "replace-with-a-random-token",
    "secret",
    "shared-secret",
    "test",
    "test-token",
    "todo",
    "token",
    "your-gateway-token",
    "your-long-random-token",
];

/// What connections are asked for.
#[derive(Debug, Clone)]
pub struct ResolvedAuth {
    /// The way of proving.
    pub mode: AuthMode,
    /// The shared token; there in mode `token`.
    pub token: Option<SecretString>,
    /// The shared password; there in mode `password`, and a local fallback in `trusted-proxy`.
    pub password: Option<SecretString>,
    /// Whether Tailscale's identity headers satisfy auth.
    pub allow_tailscale: bool,
    /// What is worth saying at the start.
    pub warnings: Vec<String>,
    /// In the modes without a shared secret: the one in our private folder, which proves that a
    /// client of this host runs as the gateway's user.
    pub owner: Option<SecretString>,
}

/// Why the gateway must not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthConfigError {
    /// Two secrets and no mode.
    #[error(
        "gateway.auth: a token and a password are configured and no mode; set gateway.auth.mode to \"token\" or \"password\""
    )]
    Ambiguous,
    /// The mode's secret is not configured.
    #[error("{path} is not configured; set it, or {variable}, or pass {flag}")]
    Missing {
        /// Where it belongs.
        path: &'static str,
        /// The variable that sets it.
        variable: &'static str,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// The secret is a reference that leads nowhere.
    #[error("{path}: {fault}")]
    Unresolved {
        /// Where it stands.
        path: &'static str,
        /// Why.
        fault: SecretFault,
    },
    /// The secret is one that a script or a template left behind.
    #[error("{path}: {weakness}; make one with: openssl rand -base64 32")]
    NotASecret {
        /// Where it stands.
        path: &'static str,
        /// What is wrong with it.
        weakness: Weakness,
    },
    /// Others can reach the gateway, and its secret can be guessed.
    #[error(
        "{} lets others reach this gateway, and {path}: {weakness}; make one with: openssl rand -base64 32, or set {}", .exposure.what, .exposure.instead
    )]
    Weak {
        /// What exposes it.
        exposure: Exposure,
        /// Where the secret stands.
        path: &'static str,
        /// What is wrong with it.
        weakness: Weakness,
    },
    /// Others can reach the gateway, and nothing guards it.
    #[error(
        "{} lets others reach this gateway, and {reason}; set gateway.auth.token (openssl rand -base64 32), or {}", .exposure.what, .exposure.instead
    )]
    Open {
        /// What exposes it.
        exposure: Exposure,
        /// Why nothing guards it.
        reason: &'static str,
    },
    /// Funnel is the internet; upstream asks for a password there, and so do we.
    #[error(
        "gateway.tailscale.mode \"funnel\" needs gateway.auth.mode \"password\" and a strong gateway.auth.password"
    )]
    Funnel,
}

/// What lets others than this host connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The setting.
    what: String,
    /// The setting and the value that would keep them out.
    instead: &'static str,
}

/// Why a secret can be guessed. Never shows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// A word that an unset variable turns into.
    Accident,
    /// A word of examples and templates.
    Placeholder,
    /// Too short.
    Short(usize),
    /// Too few different characters.
    Monotonous,
}

impl fmt::Display for Weakness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accident => {
                out.write_str("it is a word that an unset variable turns into, not a secret")
            }
            Self::Placeholder => out.write_str("it is a placeholder from an example, not a secret"),
            Self::Short(length) => write!(
                out,
                "it has {length} characters and needs at least {MIN_LENGTH}"
            ),
            Self::Monotonous => {
                write!(out, "it has fewer than {MIN_DISTINCT} different characters")
            }
        }
    }
}

/// What makes a secret guessable, if anything does.
pub fn weakness(secret: &str) -> Option<Weakness> {
    let word = secret.trim().to_ascii_lowercase().replace('_', "-");
    let bare = word.trim_matches(|c: char| matches!(c, '<' | '>' | '"' | '\''));
    if ACCIDENTS
        .iter()
        .any(|accident| accident.replace('_', "-") == word)
    {
        return Some(Weakness::Accident);
    }
    let template =
        bare.starts_with("your-") || bare.starts_with("change-me") || bare.ends_with("-here");
    if template || PLACEHOLDERS.contains(&bare) {
        return Some(Weakness::Placeholder);
    }
    let length = secret.trim().chars().count();
    if length < MIN_LENGTH {
        return Some(Weakness::Short(length));
    }
    let distinct: std::collections::BTreeSet<char> = secret.chars().collect();
    (distinct.len() < MIN_DISTINCT).then_some(Weakness::Monotonous)
}

/// Decides the mode and its secret, and refuses what is not safe where the gateway listens.
///
/// The mode is `gateway.auth.mode`; else `password` when one is configured; else `token`. The layers
/// already put flags over environment over file. A token that we made ourselves counts when the
/// configuration has none.
///
/// # Errors
///
/// [`AuthConfigError`], with the remedy.
pub fn resolve(loaded: &Loaded) -> Result<ResolvedAuth, AuthConfigError> {
    let gateway = &loaded.config.gateway;
    let mode = mode(gateway)?;
    let mut auth = ResolvedAuth {
        mode,
        token: None,
        password: None,
        allow_tailscale: allow_tailscale(gateway),
        warnings: Vec::new(),
        owner: None,
    };
    match mode {
        AuthMode::Token => {
            let own = loaded.own_token.clone();
            let token = secret("gateway.auth.token", gateway.auth.token.as_ref())?.or(own);
            auth.token = Some(token.ok_or(AuthConfigError::Missing {
                path: "gateway.auth.token",
                variable: "OPENCLAW_GATEWAY_TOKEN",
                flag: "--token",
            })?);
        }
        AuthMode::Password => {
            let password = secret("gateway.auth.password", gateway.auth.password.as_ref())?;
            auth.password = Some(password.ok_or(AuthConfigError::Missing {
                path: "gateway.auth.password",
                variable: "OPENCLAW_GATEWAY_PASSWORD",
                flag: "--password",
            })?);
        }
        AuthMode::TrustedProxy => {
            auth.password = secret("gateway.auth.password", gateway.auth.password.as_ref())?;
            auth.owner.clone_from(&loaded.own_token);
        }
        AuthMode::None => auth.owner.clone_from(&loaded.own_token),
    }
    check(gateway, &mut auth)?;
    auth.warnings.extend(who_can_connect(gateway, &auth));
    Ok(auth)
}

/// What a secret that the first start makes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnSecret {
    /// The gateway's token: token mode, none configured, and only this host can connect.
    Token,
    /// The proof that a client of this host runs as the gateway's user, in the modes where nothing
    /// else could prove it: without it nobody could approve a first device.
    Owner,
}

/// Which secret the first start should make.
pub(crate) fn wants_own_secret(config: &Config) -> Option<OwnSecret> {
    let gateway = &config.gateway;
    let unset = |input| matches!(secret("", input), Ok(None));
    match mode(gateway).ok()? {
        // What is made here is strong: tailscale may serve it to the tailnet.
        AuthMode::Token => (unset(gateway.auth.token.as_ref())
            && gateway.tailscale.mode != TailscaleMode::Funnel
            && listens_beyond_loopback(gateway).is_none())
        .then_some(OwnSecret::Token),
        AuthMode::Password => None,
        AuthMode::None | AuthMode::TrustedProxy => Some(OwnSecret::Owner),
    }
}

/// Says plainly who can connect in the modes without a shared secret, and how a first device gets
/// in.
fn who_can_connect(gateway: &Gateway, auth: &ResolvedAuth) -> Option<String> {
    const APPROVE: &str = "each new device waits until it is approved with `openclaw devices list` and `openclaw devices approve <id>`, run on this host as the gateway's user";
    match auth.mode {
        AuthMode::Token | AuthMode::Password => None,
        AuthMode::None => Some(format!(
            "gateway.auth.mode is \"none\": every program and every user on this host may ask to connect; {APPROVE}"
        )),
        AuthMode::TrustedProxy => {
            let header = gateway.auth.trusted_proxy.as_ref();
            let header = header.map_or("", |proxy| proxy.user_header.as_str());
            let local = if auth.password.is_some() {
                "gateway.auth.password, or the gateway's user"
            } else {
                "the gateway's user"
            };
            Some(format!(
                "gateway.auth.mode is \"trusted-proxy\": whoever {} names in `{header}` may ask to connect, and on this host {local}; {APPROVE}",
                gateway.trusted_proxies.join(", ")
            ))
        }
    }
}

fn mode(gateway: &Gateway) -> Result<AuthMode, AuthConfigError> {
    // A reference counts as configured even when it leads nowhere: falling back to another secret
    // would hide the mistake.
    let configured = |input: Option<&SecretInput>| {
        input.is_some_and(|input| !matches!(input.secret(), Ok(None)))
    };
    let auth = &gateway.auth;
    match (
        auth.mode,
        configured(auth.token.as_ref()),
        configured(auth.password.as_ref()),
    ) {
        (Some(mode), ..) => Ok(mode),
        (None, true, true) => Err(AuthConfigError::Ambiguous),
        (None, _, true) => Ok(AuthMode::Password),
        (None, _, false) => Ok(AuthMode::Token),
    }
}

fn secret(
    path: &'static str,
    input: Option<&SecretInput>,
) -> Result<Option<SecretString>, AuthConfigError> {
    let Some(input) = input else { return Ok(None) };
    let secret = input
        .secret()
        .map_err(|fault| AuthConfigError::Unresolved {
            path,
            fault: fault.clone(),
        })?;
    Ok(secret.cloned())
}

fn allow_tailscale(gateway: &Gateway) -> bool {
    let served = gateway.tailscale.mode == TailscaleMode::Serve
        && gateway.auth.mode != Some(AuthMode::Password);
    gateway.auth.allow_tailscale.unwrap_or(served)
}

/// What lets others than this host connect, if anything does.
fn exposure(gateway: &Gateway) -> Option<Exposure> {
    let by_tailscale = |what: &str| Exposure {
        what: what.to_owned(),
        instead: "gateway.tailscale.mode to \"off\"",
    };
    match gateway.tailscale.mode {
        TailscaleMode::Funnel => Some(by_tailscale("gateway.tailscale.mode \"funnel\"")),
        // Every peer of the tailnet comes in over loopback then, whatever the gateway binds to.
        TailscaleMode::Serve => Some(by_tailscale("gateway.tailscale.mode \"serve\"")),
        TailscaleMode::Off => listens_beyond_loopback(gateway).map(|what| Exposure {
            what,
            instead: "gateway.bind to \"loopback\"",
        }),
    }
}

/// The setting by which the gateway's own sockets are for others than this host, if one is.
fn listens_beyond_loopback(gateway: &Gateway) -> Option<String> {
    match gateway.bind {
        Bind::Loopback => None,
        Bind::Lan => Some("gateway.bind \"lan\"".to_owned()),
        Bind::Tailnet => Some("gateway.bind \"tailnet\"".to_owned()),
        Bind::Auto => Some("gateway.bind \"auto\"".to_owned()),
        Bind::Custom => {
            let host = gateway.custom_bind_host.as_deref().unwrap_or("0.0.0.0");
            let local = host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
            (!local).then(|| format!("gateway.bind \"custom\" with {host}"))
        }
    }
}

fn check(gateway: &Gateway, auth: &mut ResolvedAuth) -> Result<(), AuthConfigError> {
    let exposure = exposure(gateway);
    let secrets = [
        ("gateway.auth.token", &auth.token),
        ("gateway.auth.password", &auth.password),
    ];
    for (path, secret) in secrets
        .into_iter()
        .filter_map(|(path, secret)| Some((path, secret.as_ref()?)))
    {
        let Some(weakness) = weakness(secret.expose_secret()) else {
            continue;
        };
        if weakness == Weakness::Accident {
            return Err(AuthConfigError::NotASecret { path, weakness });
        }
        if let Some(exposure) = exposure {
            return Err(AuthConfigError::Weak {
                exposure,
                path,
                weakness,
            });
        }
        auth.warnings.push(format!(
            "{path}: {weakness}; it is accepted on loopback only (make one with: openssl rand -base64 32)"
        ));
    }
    match (exposure, auth.mode) {
        (Some(exposure), AuthMode::None) => Err(AuthConfigError::Open {
            exposure,
            reason: "gateway.auth.mode is \"none\"",
        }),
        (Some(exposure), AuthMode::TrustedProxy) if gateway.trusted_proxies.is_empty() => {
            Err(AuthConfigError::Open {
                exposure,
                reason: "gateway.trustedProxies is empty",
            })
        }
        (Some(_), mode)
            if gateway.tailscale.mode == TailscaleMode::Funnel && mode != AuthMode::Password =>
        {
            Err(AuthConfigError::Funnel)
        }
        _ => Ok(()),
    }
}
