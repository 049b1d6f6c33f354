//! What is kept about devices and their requests: rows of the store, and how they look on the wire.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::device::{ProvenDevice, encode};
use openclaw_protocol::methods::device::{DeviceTokenInfo, PairRequest, PairedDevice};
use openclaw_protocol::{Role, Scopes};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Admit;
use super::node_record::NodeRecord;
use crate::audit::{AuditRow, Kind};
use crate::clock::Millis;
use crate::gate::{AuthMode, GateSettings};

/// Longest name of a device that is kept, characters.
const MAX_NAME: usize = 128;
/// Longest platform and family that are kept, characters.
const MAX_KIND: usize = 64;

/// How trust came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovedVia {
    /// An owner said yes.
    Owner,
    /// Nobody was asked: it is on this machine and knew the shared secret.
    Silent,
    /// A one-time setup code.
    Bootstrap,
}

impl ApprovedVia {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Silent => "silent",
            Self::Bootstrap => "bootstrap",
        }
    }
}

/// Tells one shared secret from the next without holding it: salted per installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretMark(String);

impl SecretMark {
    /// The mark of the present secret; `None` in a mode without one.
    pub fn of(gate: &GateSettings, salt: &[u8]) -> Option<Self> {
        use secrecy::ExposeSecret as _;
        let secret = match &gate.mode {
            AuthMode::Token(secret) | AuthMode::Password(secret) => secret.expose_secret(),
            AuthMode::TrustedProxy { password, .. } => password.as_ref()?.expose_secret(),
            AuthMode::None => return None,
        };
        let digest = Sha256::new()
            .chain_update(salt)
            .chain_update(gate.mode.as_str())
            .chain_update([0])
            .chain_update(secret)
            .finalize();
        Some(Self(encode(&digest[..16])))
    }
}

/// A token that was made a moment ago, and may be handed out again instead of a further one.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// The token itself; never written anywhere.
    pub plain: SecretString,
    /// When it was made.
    pub minted: Millis,
}

/// A device token. Only its hash is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// SHA-256 of the token's text, unpadded base64url.
    pub hash: String,
    /// What it gives; never more than its role was approved for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at_ms: Millis,
    /// When it took the place of another one by an order to rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at_ms: Option<Millis>,
    /// When it was last used or handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at_ms: Option<Millis>,
    /// It ends with the shared secret that this marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_to: Option<SecretMark>,
    /// In memory only, and only briefly.
    #[serde(skip)]
    pub fresh: Option<Fresh>,
}

impl Token {
    /// Whether the shared secret that it is bound to, if any, is still the gateway's.
    pub fn is_live(&self, mark: Option<&SecretMark>) -> bool {
        self.bound_to
            .as_ref()
            .is_none_or(|bound| Some(bound) == mark)
    }

    /// When it was last used, or made.
    pub fn used(&self) -> Millis {
        self.last_used_at_ms.unwrap_or(self.created_at_ms)
    }

    /// When a client should think that it was issued.
    pub fn issued(&self) -> Millis {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }
}

/// What one role of a device was approved for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The scopes.
    pub scopes: Scopes,
    /// How the last approval came about.
    pub via: ApprovedVia,
    /// When.
    pub approved_at_ms: Millis,
    /// An owner ended it; only an owner gives it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<Millis>,
    /// Its tokens.
    #[serde(default)]
    pub tokens: Vec<Token>,
}

/// A paired device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its key, unpadded base64url.
    pub public_key: String,
    /// What it is; as approved.
    #[serde(flatten)]
    pub about: About,
    /// A name that an owner gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its roles.
    pub roles: BTreeMap<Role, Grant>,
    /// What it may offer and asks for as a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeRecord>,
    /// How the last approval came about.
    pub approved_via: ApprovedVia,
    /// An owner decided about it at some time: it is never forgotten by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owned: bool,
    /// When it was first paired.
    pub created_at_ms: Millis,
    /// When it was last approved.
    pub approved_at_ms: Millis,
    /// When it was last let in; written to the disk with a delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at_ms: Option<Millis>,
}

/// What a device says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
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
    pub client_id: String,
    /// How it runs.
    pub client_mode: String,
    /// Its address; `None` for this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
}

/// A request that waits for an owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Names it in approve and reject.
    pub request_id: String,
    /// The key, unpadded base64url.
    pub public_key: String,
    /// What the device says about itself.
    #[serde(flatten)]
    pub about: About,
    /// The role it asked for first.
    pub role: Role,
    /// Every role it asks for.
    pub roles: BTreeSet<Role>,
    /// The scopes that it asks for.
    pub scopes: Scopes,
    /// Whether it was paired before.
    pub is_repair: bool,
    /// An approval gives exactly this, instead of this besides what the device has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// When it first asked.
    pub ts: Millis,
    /// When it last asked; the request ends some minutes after this.
    pub refreshed_at_ms: Millis,
}

/// Hash of a token's text, as it is stored.
pub fn hash_token(token: &str) -> String {
    encode(&Sha256::digest(token.as_bytes()))
}

/// Text without blanks around it, cut to `chars` characters; nothing when nothing is left.
pub fn clip(text: Option<&str>, chars: usize) -> Option<String> {
    let text = text?.trim();
    (!text.is_empty()).then(|| text.chars().take(chars).collect())
}

fn names(scopes: Scopes) -> Vec<String> {
    scopes.names().into_iter().map(str::to_owned).collect()
}

impl About {
    /// What the device of a connect says about itself, within bounds.
    pub fn of(ask: &Admit) -> Self {
        Self {
            display_name: clip(ask.client.display_name.as_deref(), MAX_NAME),
            platform: clip(Some(&ask.client.platform), MAX_KIND),
            device_family: clip(ask.client.device_family.as_deref(), MAX_KIND),
            client_id: ask.client.id.as_str().to_owned(),
            client_mode: ask.client.mode.as_str().to_owned(),
            remote_ip: ask.remote_ip.clone(),
        }
    }

    /// A name for logs: what it calls itself, else its program.
    pub fn name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.client_id)
    }
}

impl About {
    /// Adds what the device says about itself.
    pub fn to_audit(&self, row: AuditRow) -> AuditRow {
        row.name(&self.display_name)
            .program(format!("{}/{}", self.client_id, self.client_mode))
            .address(&self.remote_ip)
    }
}

impl Pending {
    /// A new request.
    pub fn new(request_id: String, ask: &Admit, is_repair: bool, now: Millis) -> Self {
        Self {
            request_id,
            public_key: ask.device.public_key.clone(),
            about: About::of(ask),
            role: ask.role,
            roles: BTreeSet::from([ask.role]),
            scopes: ask.scopes,
            is_repair,
            replaces: false,
            ts: now,
            refreshed_at_ms: now,
        }
    }

    /// A connected device asks for more scopes.
    pub fn upgrade(
        request_id: String,
        device: &Device,
        scopes: Scopes,
        remote_ip: Option<String>,
        now: Millis,
    ) -> Self {
        Self {
            request_id,
            public_key: device.public_key.clone(),
            about: About {
                remote_ip,
                ..device.about.clone()
            },
            role: Role::Operator,
            roles: BTreeSet::from([Role::Operator]),
            scopes,
            is_repair: true,
            replaces: false,
            ts: now,
            refreshed_at_ms: now,
        }
    }

    /// The same request, asking also for what an older one of this device asked for.
    #[must_use]
    pub fn merged_with(mut self, older: &Self) -> Self {
        if self.public_key == older.public_key {
            self.role = older.role;
            self.roles.extend(older.roles.iter().copied());
            self.scopes = self.scopes.union(older.scopes);
            self.replaces |= older.replaces;
        }
        self
    }

    /// What the audit trail is told about this request.
    pub fn to_audit(&self, kind: Kind) -> AuditRow {
        let mut row = AuditRow::new(kind)
            .request(&self.request_id)
            .role(self.role)
            .scopes(self.scopes);
        row = self.about.to_audit(row);
        row
    }

    /// Whether what `ask` wants is part of this request already.
    pub fn covers(&self, ask: &Admit) -> bool {
        self.roles.contains(&ask.role) && self.scopes.covers(ask.scopes)
    }

    /// The row of `device.pair.list` and the payload of `device.pair.requested`.
    pub fn to_wire(&self, device_id: &str) -> PairRequest {
        PairRequest {
            request_id: self.request_id.clone(),
            device_id: device_id.to_owned(),
            public_key: self.public_key.clone(),
            display_name: self.about.display_name.clone(),
            platform: self.about.platform.clone(),
            device_family: self.about.device_family.clone(),
            client_id: Some(self.about.client_id.clone()),
            client_mode: Some(self.about.client_mode.clone()),
            browser_origin: None,
            role: Some(self.role.as_str().to_owned()),
            roles: Some(
                self.roles
                    .iter()
                    .map(|role| role.as_str().to_owned())
                    .collect(),
            ),
            scopes: Some(names(self.scopes)),
            remote_ip: self.about.remote_ip.clone(),
            silent: None,
            is_repair: self.is_repair.then_some(true),
            ts: self.ts.wire(),
        }
    }
}

impl Device {
    /// Whether the key is the one that was paired.
    pub fn has_key(&self, device: &ProvenDevice) -> bool {
        self.public_key == device.public_key
    }

    /// The grant of a role, unless an owner ended it.
    pub fn grant(&self, role: Role) -> Option<&Grant> {
        self.roles
            .get(&role)
            .filter(|grant| grant.revoked_at_ms.is_none())
    }

    /// As [`Device::grant`].
    pub fn grant_mut(&mut self, role: Role) -> Option<&mut Grant> {
        self.roles
            .get_mut(&role)
            .filter(|grant| grant.revoked_at_ms.is_none())
    }

    /// What it may offer and asks for as a node; nothing once an owner ended that role.
    pub fn node_role(&self) -> Option<&NodeRecord> {
        self.grant(Role::Node)?;
        self.node.as_ref()
    }

    /// The name that an owner gave it, or that it gives itself.
    pub fn shown_name(&self) -> Option<String> {
        self.label
            .clone()
            .or_else(|| self.about.display_name.clone())
    }

    /// Wire names of the roles that it holds.
    pub fn role_names(&self) -> Vec<String> {
        self.roles
            .iter()
            .filter(|(_, grant)| grant.revoked_at_ms.is_none())
            .map(|(role, _)| role.as_str().to_owned())
            .collect()
    }

    /// The operator scopes that it was approved for.
    pub fn scopes(&self) -> Scopes {
        self.grant(Role::Operator)
            .map_or(Scopes::NONE, |grant| grant.scopes)
    }

    /// The row of `device.pair.list`: no secret, not even a hash.
    pub fn to_wire(&self, device_id: &str) -> PairedDevice {
        let roles = self.role_names();
        PairedDevice {
            device_id: device_id.to_owned(),
            public_key: self.public_key.clone(),
            display_name: self.shown_name(),
            platform: self.about.platform.clone(),
            device_family: self.about.device_family.clone(),
            client_id: Some(self.about.client_id.clone()),
            client_mode: Some(self.about.client_mode.clone()),
            role: roles.first().cloned(),
            roles,
            scopes: names(self.scopes()),
            remote_ip: self.about.remote_ip.clone(),
            created_at_ms: self.created_at_ms.wire(),
            approved_at_ms: self.approved_at_ms.wire(),
            approved_via: Some(self.approved_via.as_str().to_owned()),
            last_seen_at_ms: self.last_seen_at_ms.map(Millis::wire),
            tokens: Some(self.token_infos()),
            connected: None,
        }
    }

    fn token_infos(&self) -> Vec<DeviceTokenInfo> {
        let mut infos = Vec::new();
        for (role, grant) in &self.roles {
            let info = |created: Millis, scopes: Scopes| DeviceTokenInfo {
                role: role.as_str().to_owned(),
                scopes: names(scopes),
                created_at_ms: created.wire(),
                rotated_at_ms: None,
                revoked_at_ms: None,
                last_used_at_ms: None,
            };
            if let Some(revoked) = grant.revoked_at_ms {
                infos.push(DeviceTokenInfo {
                    revoked_at_ms: Some(revoked.wire()),
                    ..info(grant.approved_at_ms, grant.scopes)
                });
            }
            infos.extend(grant.tokens.iter().map(|token| DeviceTokenInfo {
                rotated_at_ms: token.rotated_at_ms.map(Millis::wire),
                last_used_at_ms: token.last_used_at_ms.map(Millis::wire),
                ..info(token.created_at_ms, token.scopes)
            }));
        }
        infos
    }
}
