//! Devices that another gateway trusted, as rows of this one. Pure.
//!
//! The owner of the host asks for it while no gateway runs, so that what is trusted there is trusted here: a
//! device keeps its key, its roles and scopes, and its tokens, of which only hashes are kept. What a device may
//! do as a node is not taken over: its commands wait for an owner, as those of any other node.

use std::collections::BTreeMap;

use openclaw_protocol::device::{device_id, encode, public_key};
use openclaw_protocol::{Role, Scopes};
use serde_json::Value;

use super::effects::put;
use super::records::{About, ApprovedVia, Device, Grant, Token, clip, hash_token};
use super::tokens::MAX_TOKENS;
use crate::clock::Millis;
use crate::store::{Op, Table};

/// Longest text of a device's own words that is kept, characters.
const MAX_WORDS: usize = 128;

/// A device that was understood.
#[derive(Debug)]
pub struct Imported {
    /// Its id.
    pub id: String,
    /// Its row.
    pub op: Op,
    /// How many of its tokens stay good.
    pub tokens: u64,
    /// What of it was not taken over, in words.
    pub left: Vec<String>,
}

/// Takes over a row of the other gateway (`devices/paired.json`, or the table of its database in the same form).
///
/// # Errors
///
/// Why it cannot be trusted: its key is none, or does not belong to its id.
pub fn device(id: &str, row: &Value, now: Millis) -> Result<Imported, String> {
    let text = |name: &str| row[name].as_str().filter(|text| !text.is_empty());
    let key = text("publicKey")
        .and_then(public_key)
        .ok_or("it has no Ed25519 key")?;
    if device_id(&key) != id {
        return Err("its key does not belong to its id".into());
    }
    let mut left = Vec::new();
    let roles = roles(row, now, &mut left);
    if roles.is_empty() {
        return Err("it has no role that is known here".into());
    }
    let time = |name: &str| millis(&row[name]);
    let tokens = roles.values().map(|grant| grant.tokens.len() as u64).sum();
    let device = Device {
        public_key: encode(&key),
        about: About {
            display_name: clip(text("displayName"), MAX_WORDS),
            platform: clip(text("platform"), MAX_WORDS),
            device_family: clip(text("deviceFamily"), MAX_WORDS),
            client_id: clip(text("clientId"), MAX_WORDS).unwrap_or_else(|| "unknown".into()),
            client_mode: clip(text("clientMode"), MAX_WORDS).unwrap_or_else(|| "unknown".into()),
            remote_ip: clip(text("remoteIp"), MAX_WORDS),
        },
        label: clip(text("operatorLabel"), MAX_WORDS),
        roles,
        node: None,
        approved_via: ApprovedVia::Owner,
        owned: true,
        created_at_ms: time("createdAtMs").unwrap_or(now),
        approved_at_ms: time("approvedAtMs").unwrap_or(now),
        last_seen_at_ms: time("lastSeenAtMs"),
    };
    Ok(Imported {
        id: id.to_owned(),
        op: put(Table::Devices, id, &device),
        tokens,
        left,
    })
}

fn roles(row: &Value, now: Millis, left: &mut Vec<String>) -> BTreeMap<Role, Grant> {
    let mut names = strings(&row["roles"]);
    names.extend(row["role"].as_str().map(str::to_owned));
    names.extend(
        row["tokens"]
            .as_object()
            .into_iter()
            .flat_map(|tokens| tokens.keys().cloned()),
    );
    names.sort();
    names.dedup();
    let mut roles = BTreeMap::new();
    for name in names {
        let role = match name.as_str() {
            "operator" => Role::Operator,
            "node" => Role::Node,
            _ => {
                left.push(format!("its role `{name}`, which is not known here"));
                continue;
            }
        };
        let token = &row["tokens"][&name];
        let mut scopes = Scopes::NONE;
        if role == Role::Operator {
            let approved = strings(&row["approvedScopes"]);
            let names = if approved.is_empty() {
                strings(&row["scopes"])
            } else {
                approved
            };
            let names = if names.is_empty() {
                strings(&token["scopes"])
            } else {
                names
            };
            scopes = Scopes::parse(&names);
            let known = scopes.names();
            let unknown = names.iter().filter(|name| !known.contains(&name.as_str()));
            left.extend(unknown.map(|name| format!("its scope `{name}`, which is not known here")));
        }
        let revoked = millis(&token["revokedAtMs"]);
        let mut grant = Grant {
            scopes,
            via: ApprovedVia::Owner,
            approved_at_ms: millis(&row["approvedAtMs"]).unwrap_or(now),
            revoked_at_ms: revoked,
            tokens: Vec::new(),
        };
        if revoked.is_none() {
            grant.tokens.extend(kept(token, scopes, now));
        }
        roles.insert(role, grant);
    }
    debug_assert!(roles.values().all(|grant| grant.tokens.len() <= MAX_TOKENS));
    roles
}

fn kept(token: &Value, approved: Scopes, now: Millis) -> Option<Token> {
    let plain = token["token"].as_str().filter(|text| !text.is_empty())?;
    let asked = Scopes::parse(&strings(&token["scopes"]));
    Some(Token {
        hash: hash_token(plain),
        scopes: asked.common(approved),
        created_at_ms: millis(&token["createdAtMs"]).unwrap_or(now),
        rotated_at_ms: millis(&token["rotatedAtMs"]),
        last_used_at_ms: millis(&token["lastUsedAtMs"]),
        bound_to: None,
        fresh: None,
    })
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

fn millis(value: &Value) -> Option<Millis> {
    value.as_i64().filter(|at| *at > 0).map(Millis)
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::Scope;
    use serde_json::json;

    use super::*;
    use crate::store::rows;

    fn row() -> (String, Value) {
        let key = [7_u8; 32];
        let row = json!({
            "publicKey": encode(&key), "clientId": "cli", "clientMode": "cli", "role": "operator",
            "roles": ["operator", "node", "poet"], "scopes": ["operator.read", "operator.dance"],
            "tokens": {
                "operator": { "token": "secret", "scopes": ["operator.admin", "operator.read"], "createdAtMs": 5 },
                "node": { "token": "other", "scopes": [], "revokedAtMs": 9 },
            },
            "createdAtMs": 3, "approvedAtMs": 4,
        });
        (device_id(&key), row)
    }

    fn stored(op: &Op) -> Device {
        let Op::Put { table, value, .. } = op else {
            panic!("{op:?}");
        };
        rows::decode(*table, value).unwrap()
    }

    #[test]
    fn a_device_keeps_its_tokens_as_hashes_and_gets_no_more_than_it_had() {
        let (id, row) = row();
        let imported = device(&id, &row, Millis(100)).unwrap();
        let device = stored(&imported.op);
        assert_eq!(imported.tokens, 1);
        assert_eq!(imported.left.len(), 2, "{:?}", imported.left);
        let operator = &device.roles[&Role::Operator];
        assert_eq!(operator.scopes.names(), ["operator.read"]);
        assert_eq!(operator.tokens[0].hash, hash_token("secret"));
        let given = operator.tokens[0].scopes;
        assert!(
            given.grants(Scope::Read) && !given.grants(Scope::Write),
            "{given:?}"
        );
        assert!(device.roles[&Role::Node].revoked_at_ms.is_some());
        assert!(device.grant(Role::Node).is_none());
        assert!(
            device.node.is_none(),
            "what it may do as a node is asked anew"
        );
        let text = serde_json::to_string(&device).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_key_that_is_not_the_ids_is_not_trusted() {
        let (_, row) = row();
        assert!(device(&"0".repeat(64), &row, Millis(1)).is_err());
        let (id, mut row) = self::row();
        row["publicKey"] = json!("AAAA");
        assert!(device(&id, &row, Millis(1)).is_err());
        let (id, mut row) = self::row();
        row["roles"] = json!([]);
        row["role"] = json!("poet");
        row["tokens"] = json!({});
        assert!(device(&id, &row, Millis(1)).is_err());
    }
}
