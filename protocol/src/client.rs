//! Who connects: client ids, modes, roles, and the classes that policy looks at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A known client program. The list is closed on the wire; matching is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClientId {
    /// The chat page.
    #[serde(rename = "webchat-ui")]
    WebchatUi,
    /// The browser control UI.
    #[serde(rename = "openclaw-control-ui")]
    ControlUi,
    /// The in-browser copilot.
    #[serde(rename = "openclaw-browser-copilot")]
    BrowserCopilot,
    /// The terminal UI.
    #[serde(rename = "openclaw-tui")]
    Tui,
    /// An embedded chat.
    #[serde(rename = "webchat")]
    Webchat,
    /// The command line.
    #[serde(rename = "cli")]
    Cli,
    /// A program that embeds a client library.
    #[serde(rename = "gateway-client")]
    GatewayClient,
    /// The macOS app.
    #[serde(rename = "openclaw-macos")]
    Macos,
    /// The Linux app.
    #[serde(rename = "openclaw-linux")]
    Linux,
    /// The iOS app.
    #[serde(rename = "openclaw-ios")]
    Ios,
    /// The watchOS app.
    #[serde(rename = "openclaw-watchos")]
    Watchos,
    /// The Android app.
    #[serde(rename = "openclaw-android")]
    Android,
    /// A headless node host.
    #[serde(rename = "node-host")]
    NodeHost,
    /// A worker (its own protocol; refused on the general socket).
    #[serde(rename = "openclaw-worker")]
    Worker,
    /// Test programs.
    #[serde(rename = "test")]
    Test,
    /// Fingerprinting tools.
    #[serde(rename = "fingerprint")]
    Fingerprint,
    /// Reachability probes.
    #[serde(rename = "openclaw-probe")]
    Probe,
}

impl ClientId {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebchatUi => "webchat-ui",
            Self::ControlUi => "openclaw-control-ui",
            Self::BrowserCopilot => "openclaw-browser-copilot",
            Self::Tui => "openclaw-tui",
            Self::Webchat => "webchat",
            Self::Cli => "cli",
            Self::GatewayClient => "gateway-client",
            Self::Macos => "openclaw-macos",
            Self::Linux => "openclaw-linux",
            Self::Ios => "openclaw-ios",
            Self::Watchos => "openclaw-watchos",
            Self::Android => "openclaw-android",
            Self::NodeHost => "node-host",
            Self::Worker => "openclaw-worker",
            Self::Test => "test",
            Self::Fingerprint => "fingerprint",
            Self::Probe => "openclaw-probe",
        }
    }

    /// Whether the stricter rules for operator UIs hold: a device is never optional.
    pub const fn is_operator_ui(self) -> bool {
        matches!(self, Self::ControlUi | Self::BrowserCopilot | Self::Tui)
    }
}

/// How a client program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientMode {
    /// A chat page.
    Webchat,
    /// A command line call.
    Cli,
    /// A graphical or terminal UI.
    Ui,
    /// A program without a face.
    Backend,
    /// A device.
    Node,
    /// A worker (its own protocol).
    Worker,
    /// A reachability probe.
    Probe,
    /// A test.
    Test,
}

impl ClientMode {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webchat => "webchat",
            Self::Cli => "cli",
            Self::Ui => "ui",
            Self::Backend => "backend",
            Self::Node => "node",
            Self::Worker => "worker",
            Self::Probe => "probe",
            Self::Test => "test",
        }
    }

    /// Short-lived clients get no presence row.
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Cli | Self::Backend | Self::Probe)
    }
}

/// What a connection is allowed to be.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A person or an automation that controls the gateway.
    Operator,
    /// A device that serves commands.
    Node,
}

impl Role {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }

    /// Parses a wire name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "operator" => Some(Self::Operator),
            "node" => Some(Self::Node),
            _ => None,
        }
    }
}

/// Whether a browser is behind this client: its Origin is then always checked.
pub fn is_browser_class(id: ClientId, mode: ClientMode) -> bool {
    mode == ClientMode::Webchat || matches!(id, ClientId::WebchatUi | ClientId::ControlUi)
}

/// The device-less exception of the trust rules: the command line and embedded backends, which the
/// caller must also have found direct-local, without Origin and with a verified shared secret.
pub fn may_omit_device(id: ClientId, mode: ClientMode) -> bool {
    matches!(
        (id, mode),
        (ClientId::Cli, ClientMode::Cli | ClientMode::Probe)
            | (ClientId::GatewayClient, ClientMode::Backend)
    )
}
