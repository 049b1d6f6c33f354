//! Which gateway is meant, and what opens it. Pure: flags, variables and configuration in, one
//! [`Target`] out.

mod address;

use std::fmt;
use std::path::PathBuf;

use openclaw_client::Fingerprint;
use secrecy::ExposeSecret;

use address::{host_of, is_loopback, may_be_plain, normalise, port_of, same};

use super::args::TargetArgs;
use super::failure::Failure;
use crate::config::Loaded;
use crate::config::gateway::{AuthMode, GatewayMode, Remote, RemoteTransport};
use crate::config::secrets::SecretInput;
use crate::state_dir::{EnvLookup, StatePaths};
use crate::tls::Files;

/// Where a gateway usually listens, seen from its own host.
const BEHIND_SSH: &str = "ws://127.0.0.1:18789";
/// The same of one whose certificate is pinned.
const BEHIND_SSH_TLS: &str = "wss://127.0.0.1:18789";
/// Switches off the rule that credentials do not cross a network in the clear.
const ALLOW_PLAIN: &str = "OPENCLAW_ALLOW_INSECURE_PRIVATE_WS";

/// The shared secret of a gateway.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A token.
    Token(String),
    /// A password.
    Password(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Token(_) => "Token",
            Self::Password(_) => "Password",
        })
    }
}

/// Where something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// On the command line.
    Flag,
    /// In an environment variable.
    Variable,
    /// In the configuration, or a file of ours beside it.
    Config,
}

/// A gateway and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `ws://` or `wss://` address.
    pub url: String,
    /// Where the address was said.
    pub url_source: Source,
    /// The shared secret, if one is known.
    pub secret: Option<Secret>,
    /// Where the secret was said.
    pub secret_source: Option<Source>,
    /// Whether the address is this host's loopback.
    pub loopback: bool,
    /// The only certificate that is taken there, if one is known.
    pub tls_fingerprint: Option<Fingerprint>,
    /// The host through which the address is reached, if not from here.
    pub ssh: Option<Ssh>,
    /// Where this command line keeps its device and its tokens.
    pub gateway_dir: PathBuf,
}

/// A host through which a gateway is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// `user@host`, or a name of ssh's own configuration.
    pub host: String,
    /// File of the key, where ssh does not find it by itself.
    pub identity: Option<String>,
}

impl Target {
    /// What tokens are kept under: 127.0.0.1 of another host is another gateway.
    pub fn place(&self) -> String {
        match &self.ssh {
            Some(ssh) => format!("ssh://{}:{}", ssh.host, host_and_port(&self.url).1),
            None => self.url.clone(),
        }
    }
}

/// What the configuration says about gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// Whether the configuration means a remote gateway.
    pub remote: bool,
    /// `gateway.remote.url`.
    pub remote_url: Option<String>,
    /// `gateway.remote.token` or `.password`.
    pub remote_secret: Option<Secret>,
    /// Address of this host's gateway.
    pub local_url: Option<String>,
    /// Its secret: configured, or made by its first start.
    pub local_secret: Option<Secret>,
    /// Whether that only proves to be the gateway's user, and opens nothing for a page.
    pub owner_only: bool,
    /// A secret that is configured and cannot be used, with the reason.
    pub fault: Option<String>,
    /// The certificate of this host's gateway, if it speaks TLS.
    pub local_fingerprint: Option<Fingerprint>,
    /// `gateway.remote.tlsFingerprint`.
    pub remote_fingerprint: Option<String>,
    /// `gateway.remote.sshTarget`, where `gateway.remote.transport` is `ssh`.
    pub remote_ssh: Option<Ssh>,
    /// Folder of ours in the state directory.
    pub gateway_dir: PathBuf,
}

impl Configured {
    /// Takes it from a loaded configuration.
    pub fn of(loaded: &Loaded) -> Self {
        let gateway = &loaded.config.gateway;
        let mut fault = None;
        let mut read = |path: &str, input: Option<&SecretInput>| match input?.secret() {
            Ok(secret) => secret.map(|secret| secret.expose_secret().to_owned()),
            Err(error) => {
                fault.get_or_insert_with(|| format!("{path}: {error}"));
                None
            }
        };
        let token = read("gateway.auth.token", gateway.auth.token.as_ref());
        let password = read("gateway.auth.password", gateway.auth.password.as_ref());
        let remote_token = read("gateway.remote.token", gateway.remote.token.as_ref());
        let remote_password = read("gateway.remote.password", gateway.remote.password.as_ref());
        let own = loaded
            .own_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned());
        let (local_secret, owner_only) = match gateway.auth.mode {
            Some(AuthMode::None) => (own.map(Secret::Token), true),
            Some(AuthMode::TrustedProxy) => {
                (either(None, password).or(own.map(Secret::Token)), true)
            }
            Some(AuthMode::Token | AuthMode::Password) | None => {
                (either(token, password).or(own.map(Secret::Token)), false)
            }
        };
        let scheme = if gateway.tls.enabled { "wss" } else { "ws" };
        Self {
            remote: gateway.mode == Some(GatewayMode::Remote),
            remote_url: gateway.remote.url.clone(),
            remote_secret: either(remote_token, remote_password),
            local_url: Some(format!("{scheme}://127.0.0.1:{}", gateway.port)),
            local_secret,
            owner_only,
            fault,
            local_fingerprint: local_fingerprint(loaded),
            remote_fingerprint: gateway.remote.tls_fingerprint.clone(),
            remote_ssh: remote_ssh(&gateway.remote),
            gateway_dir: loaded.paths.gateway_dir.clone(),
        }
    }

    /// No configuration, only its places.
    pub fn nothing(paths: &StatePaths) -> Self {
        Self {
            gateway_dir: paths.gateway_dir.clone(),
            ..Self::default()
        }
    }

    /// The gateway that is meant when nothing else is said, and its secret.
    pub fn default_gateway(&self) -> (Option<&String>, Option<&Secret>) {
        if self.remote {
            (self.remote_url.as_ref(), self.remote_secret.as_ref())
        } else {
            (self.local_url.as_ref(), self.local_secret.as_ref())
        }
    }

    /// The configured secret of the gateway at `url`. Another address never gets one: a mistyped or
    /// foreign address must not learn the secret of this host's gateway.
    fn secret_for(&self, url: &str) -> Option<&Secret> {
        let same = |known: &Option<String>| known.as_deref().is_some_and(|known| same(known, url));
        if same(&self.local_url) {
            self.local_secret.as_ref()
        } else if same(&self.remote_url) {
            self.remote_secret.as_ref()
        } else {
            None
        }
    }
}

fn either(token: Option<String>, password: Option<String>) -> Option<Secret> {
    token
        .map(Secret::Token)
        .or_else(|| password.map(Secret::Password))
}

/// The host and the port of an address.
pub(crate) fn host_and_port(url: &str) -> (String, u16) {
    (host_of(url), port_of(url).unwrap_or_default())
}

/// Decides which gateway is meant.
///
/// # Errors
///
/// A [`Failure`] when the address is none, when mode `remote` names no address, or when credentials
/// would cross a network in the clear.
pub fn resolve(
    args: &TargetArgs,
    env: EnvLookup<'_>,
    configured: &Configured,
) -> Result<Target, Failure> {
    let ssh = find_ssh(args, env, configured)?;
    let configured = &of_target(configured, ssh.as_ref());
    let (url, url_source) = if let Some(url) = &args.url {
        (normalise(url).map_err(Failure::usage)?, Source::Flag)
    } else if let Some(url) = env("OPENCLAW_GATEWAY_URL") {
        let url = normalise(&url).map_err(|error| {
            Failure::configuration(format!("OPENCLAW_GATEWAY_URL: {error}"), None)
        })?;
        (url, Source::Variable)
    } else if args.ssh.is_some() || (ssh.is_some() && configured.remote_url.is_none()) {
        let pinned = args.tls_fingerprint.is_some() || configured.remote_fingerprint.is_some();
        let url = if pinned { BEHIND_SSH_TLS } else { BEHIND_SSH };
        (url.to_owned(), Source::Config)
    } else {
        let (url, _) = configured.default_gateway();
        let url = url.ok_or_else(|| {
            Failure::configuration(
                "gateway.mode is \"remote\" and gateway.remote.url is not set".into(),
                Some("set it, or name the gateway with --url".into()),
            )
        })?;
        let url = normalise(url).map_err(|error| {
            Failure::configuration(format!("gateway.remote.url: {error}"), None)
        })?;
        (url, Source::Config)
    };
    // Behind ssh, whatever address it is of, it is the gateway that the rest of the remote's settings are for.
    let configured = &match &ssh {
        Some(_) => Configured {
            remote_url: Some(url.clone()),
            ..configured.clone()
        },
        None => configured.clone(),
    };
    let (secret, secret_source) = find_secret(args, env, configured, &url, url_source)?;
    let host = host_of(&url);
    if url.starts_with("ws:") && !may_be_plain(&host) && env(ALLOW_PLAIN).as_deref() != Some("1") {
        return Err(Failure::configuration(
            format!("{url} would carry credentials over the network unencrypted"),
            Some(format!(
                "use wss://, an SSH tunnel (ssh -N -L 18789:127.0.0.1:18789 {host}) or a tailnet \
                 address; {ALLOW_PLAIN}=1 allows it"
            )),
        ));
    }
    Ok(Target {
        loopback: is_loopback(&host),
        tls_fingerprint: find_fingerprint(args, configured, &url)?,
        ssh,
        url,
        url_source,
        secret,
        secret_source,
        gateway_dir: configured.gateway_dir.clone(),
    })
}

fn remote_ssh(remote: &Remote) -> Option<Ssh> {
    if remote.transport != Some(RemoteTransport::Ssh) {
        return None;
    }
    remote.ssh_target.clone().map(|host| Ssh {
        host,
        identity: remote.ssh_identity.clone(),
    })
}

/// The settings that can be for the gateway that is meant. The secret and the certificate of this host's gateway
/// are not for one behind ssh, and those of one behind ssh not for an address of this host.
fn of_target(configured: &Configured, ssh: Option<&Ssh>) -> Configured {
    let mut fitting = configured.clone();
    if ssh.is_some() {
        fitting.local_url = None;
        fitting.local_secret = None;
        fitting.local_fingerprint = None;
    }
    if ssh != configured.remote_ssh.as_ref() {
        fitting.remote_secret = None;
        fitting.remote_fingerprint = None;
    }
    fitting
}

/// The host of `--ssh`, else the configured one of the remote gateway, unless another address is named.
fn find_ssh(
    args: &TargetArgs,
    env: EnvLookup<'_>,
    configured: &Configured,
) -> Result<Option<Ssh>, Failure> {
    let named = args.url.is_some() || env("OPENCLAW_GATEWAY_URL").is_some();
    let (ssh, name) = match (&args.ssh, &configured.remote_ssh) {
        (Some(host), _) => (
            Ssh {
                host: host.clone(),
                identity: None,
            },
            "--ssh",
        ),
        (None, Some(ssh)) if configured.remote && !named => {
            (ssh.clone(), "gateway.remote.sshTarget")
        }
        (None, _) => return Ok(None),
    };
    // It would be an option of ssh.
    if ssh.host.starts_with('-') || ssh.host.is_empty() {
        return Err(Failure::usage(format!(
            "{name}: `{}` is no host; write user@host",
            ssh.host
        )));
    }
    Ok(Some(ssh))
}

/// What this host's gateway shows, read from its own file: nobody has to be asked about it.
fn local_fingerprint(loaded: &Loaded) -> Option<Fingerprint> {
    if !loaded.config.gateway.tls.enabled {
        return None;
    }
    Fingerprint::parse(&Files::of(loaded).fingerprint().ok()?)
}

fn find_fingerprint(
    args: &TargetArgs,
    configured: &Configured,
    url: &str,
) -> Result<Option<Fingerprint>, Failure> {
    let is = |known: &Option<String>| known.as_deref().is_some_and(|known| same(known, url));
    let wrong = |name: &str| format!("{name}: 64 hexadecimal digits are a SHA-256 fingerprint");
    if let Some(text) = &args.tls_fingerprint {
        if url.starts_with("ws:") {
            return Err(Failure::usage(format!(
                "--tls-fingerprint needs a wss:// address, not {url}"
            )));
        }
        let parsed = Fingerprint::parse(text);
        return parsed
            .map(Some)
            .ok_or_else(|| Failure::usage(wrong("--tls-fingerprint")));
    }
    if is(&configured.local_url) && configured.local_fingerprint.is_some() {
        return Ok(configured.local_fingerprint);
    }
    match &configured.remote_fingerprint {
        Some(_) if is(&configured.remote_url) && url.starts_with("ws:") => Err(Failure::usage(
            format!("gateway.remote.tlsFingerprint needs a wss:// address, not {url}"),
        )),
        Some(text) if is(&configured.remote_url) => {
            let parsed = Fingerprint::parse(text);
            parsed
                .map(Some)
                .ok_or_else(|| Failure::configuration(wrong("gateway.remote.tlsFingerprint"), None))
        }
        _ => Ok(None),
    }
}

fn find_secret(
    args: &TargetArgs,
    env: EnvLookup<'_>,
    configured: &Configured,
    url: &str,
    url_source: Source,
) -> Result<(Option<Secret>, Option<Source>), Failure> {
    if let Some(secret) = either(args.token.clone(), args.password.clone()) {
        return Ok((Some(secret), Some(Source::Flag)));
    }
    let variables = either(
        env("OPENCLAW_GATEWAY_TOKEN"),
        env("OPENCLAW_GATEWAY_PASSWORD"),
    );
    if let Some(secret) = variables {
        return Ok((Some(secret), Some(Source::Variable)));
    }
    match (configured.secret_for(url), &configured.fault) {
        (Some(secret), _) => Ok((Some(secret.clone()), Some(Source::Config))),
        (None, Some(fault)) if url_source == Source::Config => Err(Failure::configuration(
            fault.clone(),
            Some("mend it, or pass the secret with --token or --password".into()),
        )),
        (None, _) => Ok((None, None)),
    }
}

#[cfg(test)]
mod tests;
