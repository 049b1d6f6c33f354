//! `web.login.*`, `channels.link`: accounts that a phone links, by scanning a picture or by a code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{MAX_ID, MAX_INT};
use crate::method::Access;
use crate::scope::Scope;

/// Longest picture, characters.
const MAX_PICTURE: u32 = 16_384;
/// Longest number of a phone as somebody writes it, characters.
const MAX_PHONE: u32 = 32;

crate::methods! {
    /// Begins to link an account, and gives the first picture to scan.
    WebLoginStart => "web.login.start", Access::Operator(Scope::Admin), effect, WebLoginStartParams => WebLoginResult;
    /// Begins to link an account of the named channel, by a picture or by a code that is typed into the phone.
    /// A method of this gateway's own.
    ChannelsLink => "channels.link", Access::Operator(Scope::Admin), effect, ChannelsLinkParams => WebLoginResult;
    /// Waits for the next picture, or for the end.
    WebLoginWait => "web.login.wait", Access::Operator(Scope::Admin), effect, WebLoginWaitParams => WebLoginResult;
}

/// Parameters of `web.login.start`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebLoginStartParams {
    /// Also where the account is linked: that device is forgotten first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// How long the first picture is waited for, milliseconds; 30 s unless said, 2 min at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// Whether more is to be logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbose: Option<bool>,
    /// The account; the default one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
}

/// Parameters of `channels.link`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelsLinkParams {
    /// The channel.
    #[schemars(length(min = 1, max = MAX_ID))]
    pub channel: String,
    /// The account; the channel's default one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// Also where the account is linked: that device is forgotten first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<bool>,
    /// The phone's number with its country, for a code in place of a picture; only where the channel has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PHONE))]
    pub phone: Option<String>,
    /// How long the first picture, or the code, is waited for, milliseconds; 30 s unless said, 2 min at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
}

/// Parameters of `web.login.wait`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebLoginWaitParams {
    /// How long something new is waited for, milliseconds; 2 min unless said, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = MAX_INT))]
    pub timeout_ms: Option<u64>,
    /// The account; the default one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_ID))]
    pub account_id: Option<String>,
    /// The picture that is shown: another one ends the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_PICTURE), regex(pattern = "^data:image/png;base64,"))]
    pub current_qr_data_url: Option<String>,
}

/// How far a login has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebLoginResult {
    /// Whether the account is linked and connected.
    #[serde(default)]
    pub connected: bool,
    /// What a person is told.
    pub message: String,
    /// The picture to scan, a PNG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_data_url: Option<String>,
    /// What the picture says, for terminals. A field of this gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr_text: Option<String>,
    /// What is typed into the phone, in place of a picture. A field of this gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether the login came to nothing; the message says why. A field of this gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
}
