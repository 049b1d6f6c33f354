//! `auth-profiles.json`: credentials that upstream's `openclaw configure` keeps per agent.
//!
//! Only keys and static tokens are used. A login in a browser (`oauth`) needs a refresh flow with
//! its provider's client id, which is not ours to use; such a profile is named, with what to do.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;
use serde::Deserialize;

use crate::config::secrets::SecretRef;
use crate::state_dir::{StateDirError, read_bounded};

/// Largest profile file in bytes.
const MAX_PROFILES: u64 = 1024 * 1024;

/// The profiles of one agent.
#[derive(Debug, Clone, Default)]
pub struct AuthProfiles {
    profiles: BTreeMap<String, Profile>,
    order: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone)]
struct Profile {
    provider: String,
    credential: Credential,
}

/// What a profile holds.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A key or static token.
    Key(SecretString),
    /// A reference to one.
    Reference(SecretRef),
    /// A login in a browser.
    Oauth,
    /// A kind that is not known.
    Other(String),
}

/// What the profiles say about one provider.
#[derive(Debug, Clone)]
pub struct ProfileKey<'a> {
    /// The profile.
    pub id: &'a str,
    /// What it holds.
    pub credential: &'a Credential,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Written {
    profiles: BTreeMap<String, WrittenProfile>,
    order: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WrittenProfile {
    #[serde(rename = "type")]
    kind: String,
    provider: String,
    key: Option<SecretString>,
    token: Option<SecretString>,
    key_ref: Option<SecretRef>,
    token_ref: Option<SecretRef>,
}

impl AuthProfiles {
    /// Reads the file; none is the same as an empty one.
    ///
    /// # Errors
    ///
    /// [`StateDirError`] when it exists and cannot be read; what is in it never fails a start, a
    /// file that is not understood is returned as a warning beside no profiles.
    pub fn read(path: &Path) -> Result<(Self, Option<String>), StateDirError> {
        let Some(text) = read_bounded(path, MAX_PROFILES)? else {
            return Ok((Self::default(), None));
        };
        match Self::parse(&text) {
            Some(profiles) => Ok((profiles, None)),
            None => Ok((
                Self::default(),
                Some(format!(
                    "{} is not a profile file; it is not used",
                    path.display()
                )),
            )),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(text).ok()?;
        let profiles = written
            .profiles
            .into_iter()
            .map(|(id, profile)| (id, profile.into()))
            .collect();
        Some(Self {
            profiles,
            order: written.order,
        })
    }

    /// What there is for `provider`: keys before anything else, in `order`, then in the file's own
    /// order, then by id.
    pub fn of<'a>(&'a self, provider: &str, order: &[String]) -> Vec<ProfileKey<'a>> {
        let own = self
            .order
            .get(provider)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let rank = |id: &str| {
            order
                .iter()
                .chain(own)
                .position(|wanted| wanted == id)
                .unwrap_or(usize::MAX)
        };
        let mut found: Vec<ProfileKey<'a>> = self
            .profiles
            .iter()
            .filter(|(_, profile)| profile.provider.eq_ignore_ascii_case(provider))
            .map(|(id, profile)| ProfileKey {
                id,
                credential: &profile.credential,
            })
            .collect();
        found.sort_by_key(|key| {
            let unusable = !matches!(
                key.credential,
                Credential::Key(_) | Credential::Reference(_)
            );
            (unusable, rank(key.id))
        });
        found
    }
}

impl From<WrittenProfile> for Profile {
    fn from(written: WrittenProfile) -> Self {
        let WrittenProfile {
            kind,
            provider,
            key,
            token,
            key_ref,
            token_ref,
        } = written;
        let credential = match (kind.as_str(), key.or(token), key_ref.or(token_ref)) {
            ("api_key" | "token", Some(key), _) => Credential::Key(key),
            ("api_key" | "token", None, Some(reference)) => Credential::Reference(reference),
            ("oauth", ..) => Credential::Oauth,
            _ => Credential::Other(kind),
        };
        Self {
            provider,
            credential,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_before_logins_and_in_the_wanted_order() {
        let profiles = AuthProfiles::parse(
            r#"{ "version": 1, "profiles": {
                "openai:a": { "type": "oauth", "provider": "openai", "access": "x", "refresh": "y", "expires": 1 },
                "openai:b": { "type": "api_key", "provider": "openai", "key": "k1" },
                "openai:c": { "type": "token", "provider": "openai", "token": "k2" },
                "groq:default": { "type": "api_key", "provider": "groq", "keyRef": { "source": "env", "id": "G" } }
            }, "usageStats": {} }"#,
        )
        .unwrap();
        let ids = |order: &[&str]| {
            let order: Vec<String> = order.iter().map(|id| (*id).to_owned()).collect();
            profiles
                .of("OpenAI", &order)
                .into_iter()
                .map(|key| key.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&[]), ["openai:b", "openai:c", "openai:a"]);
        assert_eq!(ids(&["openai:c"]), ["openai:c", "openai:b", "openai:a"]);
        assert!(matches!(
            profiles.of("groq", &[])[0].credential,
            Credential::Reference(_)
        ));
        assert!(profiles.of("xai", &[]).is_empty());
    }
}
