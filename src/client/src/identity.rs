//! The device that a client is: an Ed25519 key kept in a file that only its owner may read.

use std::fmt;
use std::path::Path;

use ed25519_dalek::{Signer, SigningKey};
use openclaw_protocol::connect::{AuthClaim, ClientInfo, DeviceClaim};
use openclaw_protocol::{Generation, device};
use serde::{Deserialize, Serialize};

use crate::private_file::{self, Existing, FileError};

/// A device's key and its id.
pub struct DeviceIdentity {
    key: SigningKey,
    id: String,
}

/// The file. The key's seed is hex, so that it can be checked by eye for its length.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    device_id: String,
    private_key: String,
}

impl DeviceIdentity {
    /// Makes a new device.
    pub fn generate() -> Self {
        Self::from_seed(rand::random())
    }

    /// The device of a known 32-byte secret.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let id = device::device_id(&key.verifying_key().to_bytes());
        Self { key, id }
    }

    /// Reads the device from `path`, or makes one and writes it there (0600). Of two programs that do
    /// so at the same moment, both end with the same device.
    ///
    /// # Errors
    ///
    /// [`FileError`], also for a file that others may read or whose key does not match its id.
    pub fn load_or_create(path: &Path) -> Result<Self, FileError> {
        if let Some(known) = Self::load(path)? {
            return Ok(known);
        }
        let new = Self::generate();
        if new.save(path)? {
            return Ok(new);
        }
        Self::load(path)?.ok_or_else(|| FileError::content(path, "vanished while it was read"))
    }

    /// Reads the device from `path`; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// As [`DeviceIdentity::load_or_create`].
    pub fn load(path: &Path) -> Result<Option<Self>, FileError> {
        private_file::read(path)?
            .map(|text| Self::parse(path, &text))
            .transpose()
    }

    /// Writes the device to `path` (0600), unless a file is there; returns whether it was written.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`].
    pub fn save(&self, path: &Path) -> Result<bool, FileError> {
        let stored = Stored {
            version: 1,
            device_id: self.id.clone(),
            private_key: hex(&self.key.to_bytes()),
        };
        let text = serde_json::to_vec_pretty(&stored)
            .map_err(|error| FileError::content(path, error.to_string()))?;
        private_file::write(path, &text, Existing::Keep)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let stored: Stored = serde_json::from_str(text)
            .map_err(|error| FileError::content(path, format!("not a device identity: {error}")))?;
        let seed = unhex(&stored.private_key)
            .ok_or_else(|| FileError::content(path, "privateKey is not 64 hex digits"))?;
        let identity = Self::from_seed(seed);
        if identity.id != stored.device_id {
            return Err(FileError::content(
                path,
                "privateKey does not belong to deviceId",
            ));
        }
        Ok(identity)
    }

    /// Lower-case hex SHA-256 of the public key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key as unpadded base64url.
    pub fn public_key(&self) -> String {
        device::encode(&self.key.verifying_key().to_bytes())
    }

    /// Signs a connect. `signed_at` is the challenge's own time, so that the clocks of client and
    /// gateway need not agree.
    pub(crate) fn claim(&self, proof: &Proof<'_>) -> DeviceClaim {
        let mut claim = DeviceClaim {
            id: self.id.clone(),
            public_key: self.public_key(),
            signature: String::new(),
            signed_at: proof.signed_at,
            nonce: Some(proof.nonce.to_owned()),
        };
        let context = device::ProofContext {
            nonce: proof.nonce,
            now_ms: proof.signed_at,
            generation: Generation::NEWEST,
            local: false,
            client: proof.client,
            role: proof.role,
            scopes: proof.scopes,
            auth: proof.auth,
        };
        let payload = device::payload_v3(&claim, &context);
        claim.signature = device::encode(&self.key.sign(payload.as_bytes()).to_bytes());
        claim
    }
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("DeviceIdentity").field(&self.id).finish()
    }
}

/// What a device signs.
pub(crate) struct Proof<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) signed_at: u64,
    pub(crate) client: &'a ClientInfo,
    pub(crate) role: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) auth: Option<&'a AuthClaim>,
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut seed = [0; 32];
    for (byte, at) in seed.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::{ClientId, ClientMode};

    use super::*;
    use crate::client_info;

    #[test]
    fn an_identity_is_made_once_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway/cli-identity.json");
        let first = DeviceIdentity::load_or_create(&path).unwrap();
        let second = DeviceIdentity::load_or_create(&path).unwrap();
        assert_eq!(first.id(), second.id());
        assert_eq!(first.public_key(), second.public_key());
    }

    #[test]
    fn a_damaged_identity_is_never_replaced_silently() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        for text in [
            "{}",
            "not json",
            r#"{"version":1,"deviceId":"x","privateKey":"00"}"#,
            &format!(
                r#"{{"version":1,"deviceId":"x","privateKey":"{}"}}"#,
                "ab".repeat(32)
            ),
        ] {
            private_file::write(&path, text.as_bytes(), Existing::Replace).unwrap();
            let error = DeviceIdentity::load_or_create(&path).unwrap_err();
            assert!(
                error.to_string().contains("move the file away"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn what_it_signs_is_what_a_gateway_verifies() {
        let identity = DeviceIdentity::from_seed([7; 32]);
        let client = client_info(ClientId::Cli, ClientMode::Cli, "1");
        let scopes = vec!["operator.read".to_owned()];
        let auth = AuthClaim {
            token: Some("t".into()),
            ..AuthClaim::default()
        };
        let claim = identity.claim(&Proof {
            nonce: "n",
            signed_at: 5,
            client: &client,
            role: "operator",
            scopes: &scopes,
            auth: Some(&auth),
        });
        let context = device::ProofContext {
            nonce: "n",
            now_ms: 5,
            generation: Generation::V4,
            local: false,
            client: &client,
            role: "operator",
            scopes: &scopes,
            auth: Some(&auth),
        };
        assert_eq!(device::verify(&claim, &context).unwrap().id, identity.id());
    }
}
