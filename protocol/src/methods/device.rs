//! `device.pair.*`: who may connect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{EmptyParams, MAX_ID};
use crate::method::Access;
use crate::scope::Scope;

crate::methods! {
    /// Pending requests and paired devices.
    DevicePairList => "device.pair.list", Access::Operator(Scope::Pairing), read, EmptyParams => DevicePairListResult;
    /// Approves a pending request.
    DevicePairApprove => "device.pair.approve", Access::Operator(Scope::Pairing), effect, DevicePairApproveParams => DevicePairApproveResult;
    /// Rejects a pending request.
    DevicePairReject => "device.pair.reject", Access::Operator(Scope::Pairing), effect, DevicePairRejectParams => DevicePairRejectResult;
    /// Ends a device's pairing, its tokens and its connections.
    DevicePairRemove => "device.pair.remove", Access::Operator(Scope::Pairing), effect, DevicePairRemoveParams => DevicePairRemoveResult;
    /// Gives a device a name.
    DevicePairRename => "device.pair.rename", Access::Operator(Scope::Pairing), effect, DevicePairRenameParams => DevicePairRenameResult;
    /// Ends the tokens of a role and its connections, and makes a new token.
    DeviceTokenRotate => "device.token.rotate", Access::Operator(Scope::Pairing), effect, DeviceTokenRotateParams => DeviceTokenRotateResult;
    /// Ends a role of a device, its tokens and its connections; only an owner gives it back.
    DeviceTokenRevoke => "device.token.revoke", Access::Operator(Scope::Pairing), effect, DeviceTokenRevokeParams => DeviceTokenRevokeResult;
}

/// Parameters of `device.pair.approve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePairApproveParams {
    /// The pending request.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
}

/// Parameters of `device.pair.reject`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePairRejectParams {
    /// The pending request.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
}

/// Pending requests and paired devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DevicePairListResult {
    /// Requests, oldest first.
    pub pending: Vec<PairRequest>,
    /// Devices, newest first.
    pub paired: Vec<PairedDevice>,
}

/// A device that asks to be paired: row of `device.pair.list`, payload of `device.pair.requested`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairRequest {
    /// Names it in approve and reject.
    pub request_id: String,
    /// The device.
    pub device_id: String,
    /// Its key, unpadded base64url.
    pub public_key: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// Web page it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_origin: Option<String>,
    /// Role it asks for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Roles it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Scopes it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether it can be approved without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<bool>,
    /// Whether the device was paired before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_repair: Option<bool>,
    /// When it first asked, milliseconds since the epoch.
    pub ts: u64,
}

/// A paired device, without its secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PairedDevice {
    /// The device.
    pub device_id: String,
    /// Its key, unpadded base64url.
    pub public_key: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// First role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Approved roles.
    pub roles: Vec<String>,
    /// Approved scopes.
    pub scopes: Vec<String>,
    /// Last address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// When it was first paired, milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it was last approved, milliseconds since the epoch.
    pub approved_at_ms: u64,
    /// `silent`, `owner` or `setup-code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_via: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<u64>,
    /// Its tokens, without their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<DeviceTokenInfo>>,
    /// Whether it is connected (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
}

/// A device token, without its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenInfo {
    /// Role it gives.
    pub role: String,
    /// Scopes it gives.
    pub scopes: Vec<String>,
    /// Milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<u64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
    /// Milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<u64>,
}

/// The device is paired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairApproveResult {
    /// The request.
    pub request_id: String,
    /// The device.
    pub device: PairedDevice,
}

/// The request is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRejectResult {
    /// The request.
    pub request_id: String,
    /// The device.
    pub device_id: String,
}

/// Parameters of `device.pair.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePairRemoveParams {
    /// The device.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub device_id: String,
}

/// The device is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRemoveResult {
    /// The device.
    pub device_id: String,
}

/// Parameters of `device.pair.rename`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevicePairRenameParams {
    /// The device.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub device_id: String,
    /// Its new name.
    #[schemars(length(min = 1, max = 64))]
    pub label: String,
}

/// The device has a new name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DevicePairRenameResult {
    /// The device.
    pub device_id: String,
    /// Its name.
    pub label: String,
}

/// Parameters of `device.token.rotate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceTokenRotateParams {
    /// The device.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub device_id: String,
    /// The role.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub role: String,
    /// What the new token gives; without it, what the role was approved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = MAX_ID)))]
    pub scopes: Option<Vec<String>>,
}

/// How a new token reaches its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenDelivery {
    /// It is in this answer.
    InBand,
    /// The caller is another device: the device gets a token at its next connect.
    WithheldCrossDevice,
}

/// The role's tokens were replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRotateResult {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// What the new token gives.
    pub scopes: Vec<String>,
    /// Milliseconds since the epoch.
    pub rotated_at_ms: u64,
    /// The new token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// How it reaches its device (v4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_delivery: Option<TokenDelivery>,
}

/// Parameters of `device.token.revoke`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceTokenRevokeParams {
    /// The device.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub device_id: String,
    /// The role.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub role: String,
}

/// The role is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTokenRevokeResult {
    /// The device.
    pub device_id: String,
    /// The role.
    pub role: String,
    /// Milliseconds since the epoch.
    pub revoked_at_ms: u64,
}
