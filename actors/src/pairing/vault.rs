//! The gateway's own secrets, made at its first start and kept for good.

use ed25519_dalek::SigningKey;
use openclaw_protocol::device::{device_id, encode};
use openclaw_protocol::methods::system::GatewayIdentity;
use serde::{Deserialize, Serialize};

use crate::clock::Entropy;
use crate::store::{Op, StoreError, StoreReader, Table};

/// Where it is in the table of facts about the file.
const KEY: &str = "gateway-identity";

/// One secret per purpose; none of them is derived from another.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vault {
    /// Seed of the gateway's own Ed25519 key.
    identity_seed: [u8; 32],
    /// Salt of the marks that bind tokens to a shared secret.
    mark_salt: [u8; 32],
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// What the store has.
    pub(super) fn load(reader: &StoreReader) -> Result<Option<Self>, StoreError> {
        reader.get_json(Table::Meta, KEY.as_bytes())
    }

    /// New secrets.
    pub(super) fn create(entropy: &dyn Entropy) -> Self {
        Self {
            identity_seed: entropy.bytes32(),
            mark_salt: entropy.bytes32(),
        }
    }

    /// The row.
    pub(super) fn to_op(&self) -> Op {
        super::effects::put(Table::Meta, KEY, self)
    }

    /// The public half of the gateway's identity.
    pub(super) fn identity(&self) -> GatewayIdentity {
        let key = SigningKey::from_bytes(&self.identity_seed)
            .verifying_key()
            .to_bytes();
        GatewayIdentity {
            device_id: device_id(&key),
            public_key: encode(&key),
        }
    }

    /// The salt of secret marks.
    pub(super) const fn mark_salt(&self) -> &[u8] {
        &self.mark_salt
    }
}
