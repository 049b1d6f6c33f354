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
        let v4 = params["maxProtocol"] == 4;
        let mut fields = vec![
            if v4 { "v3" } else { "v2" }.to_owned(),
            self.id.clone(),
            text(&params["client"]["id"]),
            text(&params["client"]["mode"]),
            params["role"].as_str().unwrap_or("operator").to_owned(),
            scopes.join(","),
            socket.ts.to_string(),
            token.to_owned(),
            socket.nonce.clone(),
        ];
        if v4 {
            fields.push(text(&params["client"]["platform"]).trim().to_lowercase());
            fields.push(
                text(&params["client"]["deviceFamily"])
                    .trim()
                    .to_lowercase(),
            );
        }
        let signature = self.key.sign(fields.join("|").as_bytes());
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
