//! A device: an Ed25519 key that signs challenges. Written against the wire's description, not with
//! the daemon's own code, so that the two check each other.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::socket::Socket;

/// A device.
pub(crate) struct Device {
    key: SigningKey,
    /// Hex SHA-256 of its public key.
    pub(crate) id: String,
}

impl Device {
    /// The device of a seed.
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let id = Sha256::digest(key.verifying_key().as_bytes())
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        Self { key, id }
    }

    /// Its public key as unpadded base64url.
    pub(crate) fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// Adds the proof to connect parameters: the challenge of `socket`, signed in payload version 3
    /// for a v4 client and version 2 for a v3 client.
    pub(crate) fn sign(&self, mut params: Value, socket: &Socket) -> Value {
        let version = if params["maxProtocol"] == 4 {
            "v3"
        } else {
            "v2"
        };
        let payload = payload(version, &self.id, &params, socket.ts, &socket.nonce);
        let signature = self.key.sign(payload.as_bytes());
        params["device"] = json!({
            "id": self.id,
            "publicKey": self.public_key(),
            "signature": URL_SAFE_NO_PAD.encode(signature.to_bytes()),
            "signedAt": socket.ts,
            "nonce": socket.nonce,
        });
        params
    }
}

/// The string that a device signs, in payload version `v2` or `v3`.
pub(crate) fn payload(version: &str, id: &str, params: &Value, ts: u64, nonce: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scopes: Vec<String> = params["scopes"]
        .as_array()
        .map(|scopes| scopes.iter().map(&text).collect())
        .unwrap_or_default();
    let auth = &params["auth"];
    let token = ["token", "deviceToken", "bootstrapToken"]
        .iter()
        .find_map(|key| auth[*key].as_str())
        .unwrap_or_default();
    let mut fields = vec![
        version.to_owned(),
        id.to_owned(),
        text(&params["client"]["id"]),
        text(&params["client"]["mode"]),
        params["role"].as_str().unwrap_or("operator").to_owned(),
        scopes.join(","),
        ts.to_string(),
        token.to_owned(),
        nonce.to_owned(),
    ];
    if version == "v3" {
        for key in ["platform", "deviceFamily"] {
            fields.push(text(&params["client"][key]).trim().to_lowercase());
        }
    }
    fields.join("|")
}
