//! Which gateway is meant, and what opens it. Pure: flags, variables and configuration in, one
//! [`Target`] out.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use actix_web::http::Uri;
use secrecy::ExposeSecret;

use super::args::TargetArgs;
use super::failure::Failure;
use crate::config::Loaded;
use crate::config::gateway::{AuthMode, GatewayMode};
use crate::config::secrets::SecretInput;
use crate::state_dir::{EnvLookup, StatePaths};

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
    /// Where this command line keeps its device and its tokens.
    pub gateway_dir: PathBuf,
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
    let (url, url_source) = if let Some(url) = &args.url {
        (normalise(url).map_err(Failure::usage)?, Source::Flag)
    } else if let Some(url) = env("OPENCLAW_GATEWAY_URL") {
        let url = normalise(&url).map_err(|error| {
            Failure::configuration(format!("OPENCLAW_GATEWAY_URL: {error}"), None)
        })?;
        (url, Source::Variable)
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
        url,
        url_source,
        secret,
        secret_source,
        gateway_dir: configured.gateway_dir.clone(),
    })
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

/// Turns what people write into a WebSocket address: `http` becomes `ws`, a bare host gets the
/// scheme that fits it.
fn normalise(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let wrong = |why: &str| format!("`{text}` is not the address of a gateway: {why}");
    let (scheme, rest) = match text.split_once("://") {
        Some(("ws" | "http", rest)) => ("ws", rest),
        Some(("wss" | "https", rest)) => ("wss", rest),
        Some(_) => return Err(wrong("use ws:// or wss://")),
        None => return Err(wrong("write it as ws://HOST:PORT or wss://HOST")),
    };
    if rest.contains(['#', '@']) || rest.contains("token=") {
        return Err(wrong(
            "it must not hold credentials; pass them with --token",
        ));
    }
    let url = format!("{scheme}://{rest}");
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(url),
        _ => Err(wrong("the host is missing")),
    }
}

/// The host of a normalised address, without the brackets of IPv6.
fn host_of(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

fn port_of(url: &str) -> Option<u16> {
    let uri: Uri = url.parse().ok()?;
    uri.port_u16()
        .or(Some(if url.starts_with("wss:") { 443 } else { 80 }))
}

/// Whether two addresses name the same gateway.
fn same(known: &str, url: &str) -> bool {
    let Ok(known) = normalise(known) else {
        return false;
    };
    let (one, other) = (host_of(&known), host_of(url));
    let host = one == other || (is_loopback(&one) && is_loopback(&other));
    host && port_of(&known) == port_of(url)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Loopback does not leave the host, and a tailnet is encrypted below.
fn may_be_plain(host: &str) -> bool {
    let tailnet = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, ..] = address.octets();
            a == 100 && (64..128).contains(&b)
        }
        Ok(IpAddr::V6(address)) => address.segments()[..3] == [0xfd7a, 0x115c, 0xa1e0],
        Err(_) => host.ends_with(".ts.net"),
    };
    tailnet || is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::super::failure::Exit;
    use super::*;

    fn configured() -> Configured {
        Configured {
            remote: false,
            remote_url: Some("wss://gw.example.com".into()),
            remote_secret: Some(Secret::Token("remote".into())),
            local_url: Some("ws://127.0.0.1:18789".into()),
            local_secret: Some(Secret::Token("local".into())),
            owner_only: false,
            fault: None,
            gateway_dir: "/state/gateway".into(),
        }
    }

    fn args(url: Option<&str>, token: Option<&str>) -> TargetArgs {
        TargetArgs {
            url: url.map(str::to_owned),
            token: token.map(str::to_owned),
            password: None,
        }
    }

    fn find(
        args: &TargetArgs,
        variables: &[(&str, &str)],
        configured: &Configured,
    ) -> Result<Target, Failure> {
        let env = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        resolve(args, &env, configured)
    }

    fn token(target: &Target) -> Option<&str> {
        match target.secret.as_ref()? {
            Secret::Token(token) | Secret::Password(token) => Some(token),
        }
    }

    #[test]
    fn flags_go_before_variables_before_the_configuration() {
        let url = [("OPENCLAW_GATEWAY_URL", "wss://env")];
        let both = [url[0], ("OPENCLAW_GATEWAY_TOKEN", "env")];
        let configured = configured();

        let target = find(&args(None, None), &[], &configured).unwrap();
        assert_eq!(
            (&*target.url, token(&target)),
            ("ws://127.0.0.1:18789", Some("local"))
        );
        let target = find(&args(None, None), &both, &configured).unwrap();
        assert_eq!((&*target.url, token(&target)), ("wss://env", Some("env")));
        let target = find(&args(Some("wss://flag"), Some("flag")), &both, &configured).unwrap();
        assert_eq!((&*target.url, token(&target)), ("wss://flag", Some("flag")));
        let target = find(&args(None, Some("flag")), &url, &configured).unwrap();
        assert_eq!((&*target.url, token(&target)), ("wss://env", Some("flag")));
    }

    #[test]
    fn mode_remote_means_the_remote_gateway() {
        let remote = Configured {
            remote: true,
            ..configured()
        };
        let target = find(&args(None, None), &[], &remote).unwrap();
        assert_eq!(
            (&*target.url, token(&target)),
            ("wss://gw.example.com", Some("remote"))
        );
        assert!(!target.loopback);

        let nowhere = Configured {
            remote_url: None,
            ..remote
        };
        let failure = find(&args(None, None), &[], &nowhere).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(
            failure.what.contains("gateway.remote.url"),
            "{}",
            failure.what
        );
    }

    #[test]
    fn a_configured_secret_is_only_given_to_its_own_gateway() {
        let configured = configured();
        let found = |url| find(&args(Some(url), None), &[], &configured).unwrap();
        assert_eq!(token(&found("ws://localhost:18789")), Some("local"));
        assert_eq!(token(&found("ws://[::1]:18789/")), Some("local"));
        assert_eq!(token(&found("wss://GW.example.com")), Some("remote"));
        for other in [
            "ws://127.0.0.1:18790",
            "wss://elsewhere",
            "wss://gw.example.com:8443",
        ] {
            assert_eq!(token(&found(other)), None, "{other}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named_unless_another_gateway_is_meant() {
        let broken = Configured {
            local_secret: None,
            fault: Some("gateway.auth.token: X is not set".into()),
            ..configured()
        };
        let failure = find(&args(None, None), &[], &broken).unwrap_err();
        assert_eq!(
            (failure.exit, &*failure.what),
            (Exit::Config, "gateway.auth.token: X is not set")
        );
        assert!(find(&args(None, Some("flag")), &[], &broken).is_ok());
        assert!(find(&args(Some("wss://other"), None), &[], &broken).is_ok());
    }

    #[test]
    fn addresses_are_understood_as_people_write_them() {
        let found = |url| find(&args(Some(url), None), &[], &configured()).map(|target| target.url);
        assert_eq!(found("http://127.0.0.1:1/").unwrap(), "ws://127.0.0.1:1");
        assert_eq!(found("https://gw/path").unwrap(), "wss://gw/path");
        for wrong in [
            "127.0.0.1:18789",
            "ftp://x",
            "ws://",
            "ws://a b",
            "ws://127.0.0.1/#token=x",
            "ws://user:pw@127.0.0.1",
        ] {
            assert_eq!(found(wrong).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
    }

    #[test]
    fn credentials_cross_a_network_only_encrypted() {
        let found =
            |url, env: &[(&str, &str)]| find(&args(Some(url), Some("t")), env, &configured());
        for fine in [
            "ws://127.0.0.9:1",
            "ws://localhost",
            "ws://[::1]:1",
            "ws://100.101.1.1:18789",
            "ws://[fd7a:115c:a1e0::1]:18789",
            "ws://pi.tail1.ts.net",
            "wss://gw.example.com",
        ] {
            assert!(found(fine, &[]).is_ok(), "{fine}");
        }
        for plain in [
            "ws://192.168.1.5:18789",
            "ws://gw.example.com",
            "ws://100.1.1.1",
        ] {
            let failure = found(plain, &[]).unwrap_err();
            assert_eq!(failure.exit, Exit::Config, "{plain}");
            assert!(found(plain, &[(ALLOW_PLAIN, "1")]).is_ok());
        }
    }

    #[test]
    fn debug_output_never_holds_a_secret() {
        let target = find(&args(None, Some("s3cret")), &[], &configured()).unwrap();
        assert!(!format!("{target:?}").contains("s3cret"));
    }

    #[test]
    fn where_no_secret_is_configured_the_gateways_own_one_proves_its_user() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join(".openclaw");
        std::fs::create_dir_all(state.join("gateway")).unwrap();
        std::fs::write(state.join("gateway/token"), "own-secret\n").unwrap();
        let env = |_: &str| None;
        let found = |auth: &str| {
            let config =
                format!("{{ gateway: {{ trustedProxies: ['10.0.0.1'], auth: {{ {auth} }} }} }}");
            std::fs::write(state.join("openclaw.json"), config).unwrap();
            let loaded = crate::config::load(&crate::config::LoadRequest {
                flags: &crate::config::Flags::default(),
                env: &env,
                home: Some(home.path()),
            });
            let configured = Configured::of(&loaded.unwrap());
            (configured.local_secret, configured.owner_only)
        };
        let own = Some(Secret::Token("own-secret".into()));
        assert_eq!(
            found("mode: 'none', token: 'unused-0123456789'"),
            (own.clone(), true)
        );
        let proxy = "mode: 'trusted-proxy', trustedProxy: { userHeader: 'x-user' }";
        assert_eq!(found(proxy), (own.clone(), true));
        let password = Some(Secret::Password("pw".into()));
        assert_eq!(found(&format!("{proxy}, password: 'pw'")), (password, true));
        let token = Some(Secret::Token("configured".into()));
        assert_eq!(found("token: 'configured'"), (token, false));
        assert_eq!(found(""), (own, false));
    }
}
