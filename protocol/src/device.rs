//! Device identity: an Ed25519 key, an id derived from it, and a signed payload string.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::connect::{AuthClaim, ClientInfo, DeviceClaim};
use crate::{ErrorShape, Generation};

/// The longest public key text that is looked at, bytes.
const MAX_KEY_TEXT: usize = 4096;
/// How far `signedAt` may be off for a v4 client, milliseconds.
const SKEW_V4_MS: u64 = 120_000;
/// How far `signedAt` may be off for a v3 client, milliseconds.
const SKEW_V3_MS: u64 = 600_000;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Why a device's proof failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The id is not the hash of the key, or the key cannot be decoded.
    #[error("device identity mismatch")]
    IdMismatch,
    /// `signedAt` is too far from the gateway's clock.
    #[error("device signature expired")]
    Expired,
    /// No nonce was signed.
    #[error("device nonce required")]
    NonceRequired,
    /// Another nonce was signed.
    #[error("device nonce mismatch")]
    NonceMismatch,
    /// The signature does not verify.
    #[error("device signature invalid")]
    Signature,
    /// The key is not a valid Ed25519 point.
    #[error("device public key invalid")]
    PublicKey,
}

impl ProofError {
    /// `details.code` and `details.reason` on the wire.
    pub const fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::IdMismatch => ("DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch"),
            Self::Expired => ("DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale"),
            Self::NonceRequired => ("DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing"),
            Self::NonceMismatch => ("DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch"),
            Self::Signature => ("DEVICE_AUTH_SIGNATURE_INVALID", "device-signature"),
            Self::PublicKey => ("DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key"),
        }
    }

    /// The error frame, with what to do next.
    pub fn to_error(self) -> ErrorShape {
        let (code, reason) = self.codes();
        let next = match self {
            Self::Expired => "check the clock of the device and of the gateway host",
            _ => "remove the stored device identity and connect again",
        };
        ErrorShape::invalid(self.to_string()).with_details(serde_json::json!({
            "code": code, "reason": reason, "remediationHint": next,
        }))
    }
}

/// A proven device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenDevice {
    /// Lower-case hex SHA-256 of the key.
    pub id: String,
    /// The key as unpadded base64url.
    pub public_key: String,
}

/// What surrounds a device's claim in its connect.
#[derive(Debug, Clone, Copy)]
pub struct ProofContext<'a> {
    /// The nonce of this socket's challenge.
    pub nonce: &'a str,
    /// The gateway's time, milliseconds since the epoch.
    pub now_ms: u64,
    /// The negotiated generation.
    pub generation: Generation,
    /// Whether the peer is on this machine: only then may a v3 client sign without a nonce.
    pub local: bool,
    /// The client program.
    pub client: &'a ClientInfo,
    /// The role, after its default.
    pub role: &'a str,
    /// The scopes as sent.
    pub scopes: &'a [String],
    /// The credentials as sent.
    pub auth: Option<&'a AuthClaim>,
}

/// Device id of a raw public key.
pub fn device_id(key: &[u8; 32]) -> String {
    Sha256::digest(key)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write as _;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// A raw key or signature as unpadded base64url.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The raw key that a text means: base64 of either alphabet, or PEM.
pub fn public_key(text: &str) -> Option<[u8; 32]> {
    decode_key(text)
}

fn decode_lenient(text: &str) -> Option<Vec<u8>> {
    let url_safe: Cow<'_, str> = if text.contains(['+', '/']) {
        text.replace('+', "-").replace('/', "_").into()
    } else {
        text.into()
    };
    URL_SAFE.decode(url_safe.trim()).ok()
}

fn decode_key(text: &str) -> Option<[u8; 32]> {
    if text.len() > MAX_KEY_TEXT {
        return None;
    }
    if text.contains("BEGIN") {
        // A PEM SubjectPublicKeyInfo of Ed25519 is a 12-byte header and the raw key.
        let body: String = text
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = decode_lenient(&body)?;
        return (der.len() == 44)
            .then(|| der[12..].try_into().ok())
            .flatten();
    }
    decode_lenient(text)?.try_into().ok()
}

/// The token that a device signs: `token`, else `deviceToken`, else `bootstrapToken`, else nothing.
fn signed_token(auth: Option<&AuthClaim>, generation: Generation) -> &str {
    let Some(auth) = auth else { return "" };
    let token = auth.token.as_deref();
    match generation {
        Generation::V3 => token.or(auth.device_token.as_deref()),
        Generation::V4 => token
            .or(auth.device_token.as_deref())
            .or(auth.bootstrap_token.as_deref()),
    }
    .unwrap_or_default()
}

/// The fields that every payload version shares, after its version tag.
fn shared_fields(claim: &DeviceClaim, context: &ProofContext<'_>) -> String {
    format!(
        "{}|{}|{}|{}|{}|{}|{}",
        claim.id,
        context.client.id.as_str(),
        context.client.mode.as_str(),
        context.role,
        context.scopes.join(","),
        claim.signed_at,
        signed_token(context.auth, context.generation),
    )
}

fn normalised(text: Option<&str>) -> String {
    text.unwrap_or_default().trim().to_ascii_lowercase()
}

/// The newest payload string of a claim: what our own client signs.
pub fn payload_v3(claim: &DeviceClaim, context: &ProofContext<'_>) -> String {
    format!(
        "v3|{}|{}|{}|{}",
        shared_fields(claim, context),
        claim.nonce.as_deref().unwrap_or_default().trim(),
        normalised(Some(&context.client.platform)),
        normalised(context.client.device_family.as_deref()),
    )
}

fn payload_v2(claim: &DeviceClaim, context: &ProofContext<'_>) -> String {
    format!(
        "v2|{}|{}",
        shared_fields(claim, context),
        claim.nonce.as_deref().unwrap_or_default().trim()
    )
}

fn payload_v1(claim: &DeviceClaim, context: &ProofContext<'_>) -> String {
    format!("v1|{}", shared_fields(claim, context))
}

/// Verifies a device's claim.
///
/// # Errors
///
/// The first check that fails, in the order in which clients expect them reported.
pub fn verify(claim: &DeviceClaim, context: &ProofContext<'_>) -> Result<ProvenDevice, ProofError> {
    let key = decode_key(&claim.public_key).ok_or(ProofError::IdMismatch)?;
    let id = device_id(&key);
    if id != claim.id {
        return Err(ProofError::IdMismatch);
    }
    let skew = if context.generation == Generation::V3 {
        SKEW_V3_MS
    } else {
        SKEW_V4_MS
    };
    if claim.signed_at.abs_diff(context.now_ms) > skew {
        return Err(ProofError::Expired);
    }
    let without_nonce =
        claim.nonce.is_none() && context.generation == Generation::V3 && context.local;
    if !without_nonce {
        match claim.nonce.as_deref().map(str::trim) {
            None | Some("") => return Err(ProofError::NonceRequired),
            Some(nonce) if nonce != context.nonce => return Err(ProofError::NonceMismatch),
            Some(_) => {}
        }
    }
    let verifying = VerifyingKey::from_bytes(&key).map_err(|_| ProofError::PublicKey)?;
    let signature: [u8; 64] = decode_lenient(&claim.signature)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(ProofError::Signature)?;
    let signature = Signature::from_bytes(&signature);
    let signed = |payload: String| {
        verifying
            .verify_strict(payload.as_bytes(), &signature)
            .is_ok()
    };
    let proven = if without_nonce {
        signed(payload_v1(claim, context))
    } else {
        signed(payload_v3(claim, context)) || signed(payload_v2(claim, context))
    };
    if proven {
        Ok(ProvenDevice {
            id,
            public_key: encode(&key),
        })
    } else {
        Err(ProofError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::client::{ClientId, ClientMode};

    fn client() -> ClientInfo {
        ClientInfo {
            id: ClientId::NodeHost,
            display_name: None,
            version: "1".into(),
            build_id: None,
            platform: " Linux ".into(),
            device_family: Some("Linux".into()),
            model_identifier: None,
            time_zone: None,
            mode: ClientMode::Node,
            instance_id: None,
        }
    }

    fn context<'a>(
        client: &'a ClientInfo,
        scopes: &'a [String],
        generation: Generation,
    ) -> ProofContext<'a> {
        ProofContext {
            nonce: "n-1",
            now_ms: 1_000_000,
            generation,
            local: true,
            client,
            role: "node",
            scopes,
            auth: None,
        }
    }

    fn claim(key: &SigningKey) -> DeviceClaim {
        let public = key.verifying_key().to_bytes();
        DeviceClaim {
            id: device_id(&public),
            public_key: encode(&public),
            signature: "x".into(),
            signed_at: 1_000_000,
            nonce: Some("n-1".into()),
        }
    }

    #[test]
    fn payload_versions_one_to_three_verify_where_they_may() {
        let (key, client, scopes) = (SigningKey::from_bytes(&[7; 32]), client(), vec![]);
        let v4 = context(&client, &scopes, Generation::V4);
        for payload in [payload_v3, payload_v2] {
            let mut claim = claim(&key);
            claim.signature = encode(&key.sign(payload(&claim, &v4).as_bytes()).to_bytes());
            assert_eq!(verify(&claim, &v4).unwrap().id, claim.id);
        }
        let v3 = context(&client, &scopes, Generation::V3);
        let mut old = claim(&key);
        old.nonce = None;
        old.signature = encode(&key.sign(payload_v1(&old, &v3).as_bytes()).to_bytes());
        assert!(verify(&old, &v3).is_ok());
        assert_eq!(
            verify(&old, &ProofContext { local: false, ..v3 }),
            Err(ProofError::NonceRequired)
        );
        assert_eq!(verify(&old, &v4), Err(ProofError::NonceRequired));
    }

    #[test]
    fn each_defect_has_its_own_error() {
        let (key, client, scopes) = (SigningKey::from_bytes(&[7; 32]), client(), vec![]);
        let cx = context(&client, &scopes, Generation::V4);
        let good = claim(&key);
        let check = |change: &dyn Fn(&mut DeviceClaim)| {
            let mut claim = good.clone();
            claim.signature = encode(&key.sign(payload_v3(&claim, &cx).as_bytes()).to_bytes());
            change(&mut claim);
            verify(&claim, &cx).unwrap_err()
        };
        assert_eq!(check(&|c| c.id = "00".into()), ProofError::IdMismatch);
        assert_eq!(
            check(&|c| c.public_key = "!!".into()),
            ProofError::IdMismatch
        );
        assert_eq!(check(&|c| c.signed_at += 120_001), ProofError::Expired);
        assert_eq!(
            check(&|c| c.nonce = Some("  ".into())),
            ProofError::NonceRequired
        );
        assert_eq!(
            check(&|c| c.nonce = Some("other".into())),
            ProofError::NonceMismatch
        );
        assert_eq!(
            check(&|c| c.signature = encode(&[0; 64])),
            ProofError::Signature
        );
        assert_eq!(check(&|c| c.signed_at += 1), ProofError::Signature);
    }

    #[test]
    fn keys_are_understood_in_every_encoding_that_clients_use() {
        let key = SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes();
        let standard = base64::engine::general_purpose::STANDARD.encode(key);
        let mut der = vec![
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        der.extend_from_slice(&key);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(der)
        );
        for text in [encode(&key), standard, pem] {
            assert_eq!(decode_key(&text), Some(key), "{text}");
        }
    }
}
