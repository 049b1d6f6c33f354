//! The refusals of gate two, each with what to do next.

use openclaw_protocol::{ErrorCode, ErrorShape, Generation, Scopes};
use serde_json::{Value, json};

use super::Admit;
use super::records::Device;
use crate::session::handshake::GateOne;

/// Why a device needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// It is unknown, or its key is another one.
    NotPaired,
    /// It has no such role, or an owner ended it.
    Role,
    /// It wants more than it was approved for.
    Scopes,
    /// It says that it is another kind of device.
    Metadata,
}

impl Gap {
    /// `details.reason` on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPaired => "not-paired",
            Self::Role => "role-upgrade",
            Self::Scopes => "scope-upgrade",
            Self::Metadata => "metadata-upgrade",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::NotPaired => "pairing required: device is not approved yet",
            Self::Role => {
                "pairing required: device is asking for a higher role than currently approved"
            }
            Self::Scopes => {
                "pairing required: device is asking for more scopes than currently approved"
            }
            Self::Metadata => "pairing required: device identity changed and must be re-approved",
        }
    }
}

/// Why nobody approved the device without asking.
pub fn why_not_silent(ask: &Admit, gap: Gap) -> &'static str {
    match (&ask.gate, gap) {
        (GateOne::Bootstrap { .. }, _) => "its setup code was made for another kind of client",
        _ if ask.remote_ip.is_some() => "it is not on the gateway's own machine",
        (GateOne::DeviceToken { .. }, _) => "it came with a device token, not the shared secret",
        (GateOne::Shared("none"), _) => "gateway.auth.mode is none, so nothing proved the client",
        _ if !ask.silent => {
            "gateway.nodes.pairing.autoApproveLocal is off, or a web page of another origin asks"
        }
        (_, Gap::NotPaired) => "the device's key is not the one that was paired",
        (_, Gap::Role) => "a further or revoked role needs an owner",
        (_, Gap::Scopes | Gap::Metadata) => "this kind of client needs an owner for that",
    }
}

/// The refusal of a device that waits for an owner.
pub fn pairing_required(
    ask: &Admit,
    gap: Gap,
    request_id: &str,
    known: Option<&Device>,
) -> ErrorShape {
    if ask.generation == Generation::V3 {
        return ErrorShape::new(ErrorCode::NotPaired, "pairing required")
            .with_details(json!({ "requestId": request_id }));
    }
    let mut details = json!({
        "code": "PAIRING_REQUIRED",
        "reason": gap.as_str(),
        "requestId": request_id,
        "remediationHint": format!(
            "approve it on the gateway host: openclaw devices approve {request_id} (not approved without asking, because {})",
            why_not_silent(ask, gap)
        ),
        "deviceId": ask.device.id,
        "requestedRole": ask.role.as_str(),
    });
    if !ask.scopes.is_empty() {
        details["requestedScopes"] = names(ask.scopes);
    }
    if let Some(device) = known {
        details["approvedRoles"] = json!(device.role_names());
        details["approvedScopes"] = names(device.scopes());
    }
    ErrorShape::new(ErrorCode::NotPaired, gap.message()).with_details(details)
}

/// The refusal of a device token that does not give what is asked for.
pub fn scope_mismatch(requested: Scopes, given: Scopes) -> ErrorShape {
    let missing = requested.missing_from(given);
    ErrorShape::invalid(
        "unauthorized: device token scope mismatch (ask for fewer scopes, or connect with the gateway token to have more approved)",
    )
    .with_details(json!({
        "code": "AUTH_SCOPE_MISMATCH",
        "authReason": "scope_mismatch",
        "canRetryWithDeviceToken": false,
        "recommendedNextStep": "review_auth_configuration",
        "missingScopes": names(missing),
    }))
}

/// No further device can be paired.
pub fn too_many_devices(limit: usize) -> ErrorShape {
    ErrorShape::new(
        ErrorCode::NotPaired,
        format!(
            "{limit} devices are paired, which is the limit; remove some: openclaw devices list, openclaw devices remove <deviceId>"
        ),
    )
    .with_details(json!({ "code": "PAIRING_STORE_FULL", "limit": limit }))
}

fn names(scopes: Scopes) -> Value {
    json!(scopes.names())
}

/// The refusal of a device whose setup code is good, and which has to wait for an owner besides.
pub fn setup_waits(mut error: ErrorShape) -> ErrorShape {
    if let Some(details) = &mut error.details {
        details["recommendedNextStep"] = json!("wait_then_retry");
        details["retryable"] = json!(true);
        details["pauseReconnect"] = json!(false);
    }
    error
}
