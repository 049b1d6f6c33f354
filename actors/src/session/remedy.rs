//! What a refused connect is told to do: the same in its frame, in its close and in the log.

use openclaw_protocol::ErrorShape;
use serde_json::Value;

use super::handshake::Refusal;

/// The next step for a program, and the one for a person with its exact command, by `details.code`.
/// Steps are the ones that clients know; a code that is not here says all in its message.
const REMEDIES: &[(&str, &str, &str)] = &[
    (
        "AUTH_TOKEN_MISSING",
        "update_auth_configuration",
        "`openclaw dashboard --no-open` on the gateway host prints the address with its token; a command takes it as --token or OPENCLAW_GATEWAY_TOKEN",
    ),
    (
        "AUTH_TOKEN_MISMATCH",
        "update_auth_credentials",
        "the token is another one now; `openclaw dashboard --no-open` on the gateway host prints the address with it",
    ),
    (
        "AUTH_PASSWORD_MISSING",
        "update_auth_configuration",
        "give the gateway's gateway.auth.password with --password or OPENCLAW_GATEWAY_PASSWORD",
    ),
    (
        "AUTH_PASSWORD_MISMATCH",
        "update_auth_credentials",
        "the password is another one now; it stands in gateway.auth.password on the gateway host",
    ),
    (
        "AUTH_DEVICE_TOKEN_MISMATCH",
        "update_auth_credentials",
        "it was rotated, revoked, or ended with the gateway's secret: connect once with the gateway token, or look at `openclaw devices list` on the gateway host",
    ),
    (
        "AUTH_SCOPE_MISMATCH",
        "review_auth_configuration",
        "`openclaw devices list` on the gateway host shows what was approved; connect with the gateway token to ask for more",
    ),
    (
        "CONTROL_UI_ORIGIN_NOT_ALLOWED",
        "review_auth_configuration",
        "open the page that `openclaw dashboard` prints, or add this origin to gateway.controlUi.allowedOrigins",
    ),
    (
        "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        "review_auth_configuration",
        "a browser has keys on secure pages only: use HTTPS, or `openclaw dashboard` on the gateway host",
    ),
    (
        "DEVICE_IDENTITY_REQUIRED",
        "review_auth_configuration",
        "connect with a device identity: sign the challenge with an Ed25519 key; only the command line on the gateway host needs none",
    ),
    (
        "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        "review_auth_configuration",
        "device.id is the SHA-256 of the raw public key in hex: let the client make its identity anew",
    ),
    (
        "DEVICE_AUTH_SIGNATURE_EXPIRED",
        "review_auth_configuration",
        "the clocks of client and gateway are minutes apart: set them, or sign with the time of connect.challenge",
    ),
    (
        "DEVICE_AUTH_NONCE_REQUIRED",
        "review_auth_configuration",
        "sign the nonce of this connection's connect.challenge: update the client",
    ),
    (
        "DEVICE_AUTH_NONCE_MISMATCH",
        "review_auth_configuration",
        "sign the nonce of this connection's connect.challenge, not of an earlier one",
    ),
    (
        "DEVICE_AUTH_SIGNATURE_INVALID",
        "review_auth_configuration",
        "role, scopes, token and client must be signed as they are sent: update the client",
    ),
    (
        "DEVICE_AUTH_PUBLIC_KEY_INVALID",
        "review_auth_configuration",
        "device.publicKey is 32 bytes of an Ed25519 key as base64url: let the client make its identity anew",
    ),
    (
        "PROTOCOL_MISMATCH",
        "review_auth_configuration",
        "update the client: this gateway speaks protocol 3 and 4",
    ),
    (
        "PAIRING_STORE_FULL",
        "review_auth_configuration",
        "on the gateway host: `openclaw devices list`, then `openclaw devices remove DEVICE`",
    ),
    (
        "PAIRING_REQUIRED",
        "approve_request",
        "on the gateway host: `openclaw devices list`",
    ),
];

/// Adds the next step where whoever refused named none.
pub(super) fn complete(mut refusal: Refusal) -> Refusal {
    if let Some(error) = &mut refusal.error {
        add(error);
    }
    refusal
}

fn add(error: &mut ErrorShape) {
    let Some(Value::Object(details)) = &mut error.details else {
        return;
    };
    let code = details.get("code").and_then(Value::as_str);
    let Some((_, step, hint)) = REMEDIES.iter().find(|(known, ..)| Some(*known) == code) else {
        return;
    };
    let mut fill = |key: &str, value: &str| {
        if !details.contains_key(key) {
            details.insert(key.to_owned(), Value::from(value));
        }
    };
    fill("recommendedNextStep", step);
    fill("remediationHint", hint);
}

/// The close reason of a device that waits. A reason has room for 123 bytes: the cause, then the
/// command, whose argument is the whole id of the request. Clients look for the first two words.
pub(super) fn pairing_reason(error: &ErrorShape) -> Option<String> {
    let details = error.details.as_ref()?;
    let (why, id) = (details["reason"].as_str()?, details["requestId"].as_str()?);
    Some(format!(
        "pairing required ({why}): openclaw devices approve {id}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_longest_cause_leaves_the_command_whole() {
        let id = "0f1e2d3c-aaaa-bbbb-cccc-000000000001";
        let error = ErrorShape::invalid("x").with_details(json!({
            "code": "PAIRING_REQUIRED", "reason": "metadata-upgrade", "requestId": id,
        }));
        let reason = pairing_reason(&error).unwrap();
        assert!(reason.len() <= 123, "{} bytes", reason.len());
        assert!(reason.ends_with(&format!("openclaw devices approve {id}")));
        assert_eq!(pairing_reason(&ErrorShape::invalid("x")), None);
    }

    #[test]
    fn what_was_said_already_is_kept() {
        let refuse = |details: Value| {
            let error = ErrorShape::invalid("x").with_details(details);
            let refusal = complete(Refusal::answered(error));
            refusal.error.and_then(|error| error.details).unwrap()
        };
        let own = refuse(json!({ "code": "AUTH_TOKEN_MISMATCH", "recommendedNextStep": "own" }));
        assert_eq!(own["recommendedNextStep"], "own");
        assert!(
            own["remediationHint"]
                .as_str()
                .unwrap()
                .contains("openclaw dashboard")
        );
        assert_eq!(
            refuse(json!({ "requestId": "r" })),
            json!({ "requestId": "r" })
        );
    }
}
