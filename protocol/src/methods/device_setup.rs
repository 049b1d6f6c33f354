//! `device.pair.setupCode` and `device.pair.setupStatus`: one-time codes by which a device pairs
//! itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_TEXT};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Makes a one-time setup code (v4).
    DevicePairSetupCode => "device.pair.setupCode", Access::Operator(Scope::Admin), effect, DevicePairSetupCodeParams => DevicePairSetupCodeResult;
    /// Whether a setup code was used, and by which device (v4).
    DevicePairSetupStatus => "device.pair.setupStatus", Access::Operator(Scope::Admin), read, DevicePairSetupStatusParams => DevicePairSetupStatusResult;
}

/// What a setup code gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SetupProfile {
    /// A phone: the node, and an operator that may chat, approve and answer, and is no admin.
    #[default]
    Limited,
    /// The node only.
    Node,
}

impl SetupProfile {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Node => "node",
        }
    }
}

/// Parameters of `device.pair.setupCode`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePairSetupCodeParams {
    /// The address under which the device reaches this gateway; without it, what the
    /// configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TEXT))]
    pub public_url: Option<String>,
    /// Prefers `gateway.remote.url` to this host's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_remote_url: Option<bool>,
    /// Draws the code as a QR picture too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_qr: Option<bool>,
    /// What the code gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_profile: Option<SetupProfile>,
    /// Gives the code as a link too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_url: Option<bool>,
}

/// The shared secret of the gateway that made a code; the code does not hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SetupAuth {
    /// A token, or none.
    Token,
    /// A password.
    Password,
}

/// A setup code. It is shown once; the gateway keeps a hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairSetupCodeResult {
    /// Names it in `device.pair.setupStatus`.
    pub setup_id: String,
    /// The code; see [`crate::setup_code::SetupCode`].
    pub setup_code: String,
    /// The code as a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_url: Option<String>,
    /// The code as a QR picture: a `data:` URL of a PNG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_data_url: Option<String>,
    /// The gateway's address in the code.
    pub gateway_url: String,
    /// Every address in the code, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_urls: Option<Vec<String>>,
    /// Which shared secret this gateway has.
    pub auth: SetupAuth,
    /// The setting that the address comes from.
    pub url_source: String,
    /// What the code gives.
    pub access: SetupProfile,
    /// When it ends, milliseconds since the epoch.
    pub expires_at_ms: u64,
}

/// Parameters of `device.pair.setupStatus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairSetupStatusParams {
    /// The code.
    #[schemars(length(min = 1, max = 128))]
    pub setup_id: String,
}

/// What became of a setup code; nothing yet when both are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairSetupStatusResult {
    /// It was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<SetupCompletion>,
    /// A device was paired by it, and its connection ended before the device was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_uncertain: Option<SetupCompletion>,
}

/// A setup code was used: part of its status, and payload of `device.pair.setup.completed`
/// and `device.pair.setup.deliveryUncertain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetupCompletion {
    /// The code.
    #[schemars(length(min = 1, max = 128))]
    pub setup_id: String,
    /// The device.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub device_id: String,
    /// What the device calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
    /// What it was given.
    pub access: SetupProfile,
    /// When, milliseconds since the epoch.
    pub ts: u64,
}
