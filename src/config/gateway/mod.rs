//! `gateway`: where the daemon listens, whom it lets in, and its limits.

mod access;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::{
    AuthMode, GatewayAuth, NodeCommands, NodePairing, Nodes, RateLimit, SshVerify, TrustedProxy,
};

use super::secrets::SecretInput;

/// The port when nothing says otherwise.
pub const DEFAULT_PORT: u16 = 18789;

/// `gateway`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Gateway {
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
    /// `local` runs a gateway here, `remote` makes the CLI talk to `gateway.remote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<GatewayMode>,
    /// Which addresses to listen on.
    pub bind: Bind,
    /// The address of `bind: "custom"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_bind_host: Option<String>,
    /// The address under which others reach the gateway, as an origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_origin: Option<String>,
    /// Who may connect.
    pub auth: GatewayAuth,
    /// The web UI.
    pub control_ui: ControlUi,
    /// Pairing and commands of nodes.
    pub nodes: Nodes,
    /// Addresses or CIDR blocks of proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Believes `X-Real-IP` of a trusted proxy that sends no `X-Forwarded-For`.
    pub allow_real_ip_fallback: bool,
    /// TLS of the listener.
    pub tls: Tls,
    /// What a change of the file does while the daemon runs.
    pub reload: Reload,
    /// The gateway that the CLI talks to in mode `remote`.
    pub remote: Remote,
    /// Exposure through the host's Tailscale.
    pub tailscale: Tailscale,
    /// Bounds of sockets and queues.
    pub limits: Limits,
    /// HTTP beside the WebSocket.
    pub http: Http,
    /// Tools over HTTP.
    pub tools: HttpTools,
}

/// `gateway.tools`: which tools `/tools/invoke` runs, of those that the default rules of tools permit.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpTools {
    /// Those that are left out otherwise, and are not.
    pub allow: Vec<String>,
    /// Further ones that are left out.
    pub deny: Vec<String>,
}

impl HttpTools {
    /// What is left out: what runs programs, lasts, or speaks in another conversation.
    pub fn denied(&self) -> Vec<String> {
        let usual = ["exec", "cron", "nodes", "sessions_send"].into_iter();
        let usual = usual.filter(|name| !self.allow.iter().any(|allowed| allowed == name));
        let own = self.deny.iter().cloned();
        usual.map(str::to_owned).chain(own).collect()
    }
}

/// `gateway.http`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Http {
    /// What is served besides the page and the probes.
    pub endpoints: HttpEndpoints,
}

/// `gateway.http.endpoints`: each lets whoever knows the shared secret use agents over HTTP.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpEndpoints {
    /// `/v1/chat/completions`, as OpenAI's clients ask.
    #[expect(clippy::doc_markdown, reason = "shown as help")]
    pub chat_completions: HttpEndpoint,
    /// `/v1/responses`, as OpenAI's clients ask.
    #[expect(clippy::doc_markdown, reason = "shown as help")]
    pub responses: HttpEndpoint,
}

/// One of them.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpEndpoint {
    /// Whether it is served.
    pub enabled: bool,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            mode: None,
            bind: Bind::Loopback,
            custom_bind_host: None,
            public_origin: None,
            auth: GatewayAuth::default(),
            control_ui: ControlUi::default(),
            nodes: Nodes::default(),
            trusted_proxies: Vec::new(),
            allow_real_ip_fallback: false,
            tls: Tls::default(),
            reload: Reload::default(),
            remote: Remote::default(),
            tailscale: Tailscale::default(),
            limits: Limits::default(),
            http: Http::default(),
            tools: HttpTools::default(),
        }
    }
}

/// `gateway.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GatewayMode {
    /// The gateway runs on this host.
    Local,
    /// The gateway runs elsewhere; none is started here.
    Remote,
}

/// `gateway.bind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Bind {
    /// 127.0.0.1 only.
    Loopback,
    /// Every interface.
    Lan,
    /// This host's Tailscale address, and 127.0.0.1.
    Tailnet,
    /// Loopback where there is one, else every interface.
    Auto,
    /// `gateway.customBindHost`, and 127.0.0.1.
    Custom,
}

/// `gateway.controlUi`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlUi {
    /// Whether the page is served.
    pub enabled: bool,
    /// Path prefix behind a reverse proxy, such as `/openclaw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_path: Option<String>,
    /// A folder with another static UI, served in place of the embedded page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Further browser origins that may connect; `*` for any.
    pub allowed_origins: Vec<String>,
    /// Accepts an origin that equals the Host header, on any host. Dangerous behind DNS rebinding.
    pub dangerously_allow_host_header_origin_fallback: bool,
}

impl Default for ControlUi {
    fn default() -> Self {
        Self {
            enabled: true,
            base_path: None,
            root: None,
            allowed_origins: Vec::new(),
            dangerously_allow_host_header_origin_fallback: false,
        }
    }
}

/// `gateway.tls`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tls {
    /// Whether the listener speaks TLS.
    pub enabled: bool,
    /// Makes a self-signed pair when both files are missing.
    pub auto_generate: bool,
    /// PEM file of the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_path: Option<String>,
    /// PEM file of the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<String>,
    /// PEM file of further roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            enabled: false,
            auto_generate: true,
            cert_path: None,
            key_path: None,
            ca_path: None,
        }
    }
}

/// `gateway.reload`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Reload {
    /// The way of applying a change.
    pub mode: ReloadMode,
    /// Quiet time after the last write before the file is read, in milliseconds.
    #[schemars(range(max = 600_000))]
    pub debounce_ms: u64,
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            mode: ReloadMode::Hybrid,
            debounce_ms: 300,
        }
    }
}

/// `gateway.reload.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReloadMode {
    /// Changes wait for the next start.
    Off,
    /// An older name of `hybrid`.
    Restart,
    /// An older name of `hybrid`.
    Hot,
    /// Applied live where possible, else named as needing a restart.
    Hybrid,
}

/// `gateway.remote`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Remote {
    /// `ws://` or `wss://` address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<RemoteTransport>,
    /// With `ssh`: where to, `user@host` or a name of ssh's own configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_target: Option<String>,
    /// With `ssh`: file of the key, where ssh does not find it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_identity: Option<String>,
    /// That gateway's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretInput>,
    /// That gateway's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretInput>,
    /// SHA-256 fingerprint of its certificate, for pinning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_fingerprint: Option<String>,
}

/// `gateway.remote.transport`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RemoteTransport {
    /// Through an SSH tunnel.
    Ssh,
    /// Straight to the address.
    Direct,
}

/// `gateway.tailscale`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Tailscale {
    /// How far the port is exposed.
    pub mode: TailscaleMode,
    /// Takes the exposure back at the end.
    pub reset_on_exit: bool,
    /// Where tailscaled listens, when not in its usual place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
}

/// `gateway.tailscale.mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TailscaleMode {
    /// Not at all.
    #[default]
    Off,
    /// To the tailnet.
    Serve,
    /// To the internet; needs a password.
    Funnel,
}

/// `gateway.limits`: this daemon's own section, upstream has no keys for these.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Limits {
    /// Time between two `tick` events, in milliseconds.
    #[schemars(range(min = 1000, max = 3_600_000))]
    pub tick_interval_ms: u64,
    /// Largest inbound frame after the handshake, in bytes.
    #[schemars(range(min = 65_536, max = 268_435_456))]
    pub max_payload: u64,
    /// Most bytes queued for one connection before it counts as a slow consumer.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub max_buffered_bytes: u64,
    /// Time for the handshake, in milliseconds.
    #[schemars(range(min = 100, max = 600_000))]
    pub handshake_timeout_ms: u64,
    /// Most sockets of one address that have not finished the handshake.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_preauth_connections_per_ip: u32,
    /// Most such sockets of all addresses together; those of this machine do not count.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_preauth_connections: u32,
    /// New sockets a second of one address; five seconds' worth may come at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub handshakes_per_second_per_ip: u32,
    /// New sockets a second of all addresses together; those of this machine do not count.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub handshakes_per_second: u32,
    /// Messages a second of one connection; more are refused, and closed when that goes on.
    #[schemars(range(min = 10, max = 100_000_000))]
    pub max_frames_per_second: u32,
    /// Memory of the process, in bytes, near which it lets go of work: above three quarters nobody is told who came
    /// and went, above nine tenths no run begins. 0 takes what systemd or the container allows, else half of the
    /// machine's.
    #[schemars(range(max = 1_099_511_627_776_u64))]
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tick_interval_ms: 30_000,
            max_payload: 26_214_400,
            max_buffered_bytes: 52_428_800,
            handshake_timeout_ms: 15_000,
            max_preauth_connections_per_ip: 32,
            max_preauth_connections: 1_024,
            handshakes_per_second_per_ip: 100,
            handshakes_per_second: 1_000,
            max_frames_per_second: 200_000,
            memory_bytes: 0,
        }
    }
}
