//! `device.scopes.requestUpgrade` and `device.scopes.waitUpgrade`: a connected device asks for more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::MAX_ID;
use crate::method::Access;

crate::methods! {
    /// Asks the owner for more scopes, without a new connection (v4).
    DeviceScopesRequestUpgrade => "device.scopes.requestUpgrade", Access::AnyOperator, effect, DeviceScopesRequestUpgradeParams => DeviceScopesRequestUpgradeResult;
    /// Answers when the owner has decided, or the request has ended (v4).
    DeviceScopesWaitUpgrade => "device.scopes.waitUpgrade", Access::AnyOperator, effect, DeviceScopesWaitUpgradeParams => DeviceScopesWaitUpgradeResult;
}

/// Most scopes of one request.
pub const MAX_UPGRADE_SCOPES: usize = 8;

/// Parameters of `device.scopes.requestUpgrade`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceScopesRequestUpgradeParams {
    /// The scopes, besides those that the device has.
    #[schemars(
        length(min = 1, max = MAX_UPGRADE_SCOPES),
        inner(length(min = 1, max = MAX_ID)),
        extend("uniqueItems" = true)
    )]
    pub scopes: Vec<String>,
}

/// The request waits for an owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceScopesRequestUpgradeResult {
    /// Names it in `device.scopes.waitUpgrade` and for the owner.
    pub request_id: String,
}

/// Parameters of `device.scopes.waitUpgrade`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceScopesWaitUpgradeParams {
    /// The request.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub request_id: String,
}

/// How a request for more scopes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpgradeStatus {
    /// The owner said yes; the token gives the scopes at the next connect.
    Approved,
    /// The owner said no, or another request took its place.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

/// How a request for more scopes ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceScopesWaitUpgradeResult {
    /// How.
    pub status: UpgradeStatus,
    /// The request.
    pub request_id: String,
    /// The new token, when it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<String>,
    /// What the token gives, when it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}
