//! Device tokens that gateways gave to this device, kept in a file that only its owner may read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Fingerprint;
use crate::private_file::{self, Existing, FileError};

/// A device token and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredToken {
    /// The token.
    pub token: String,
    /// The scopes that were granted with it.
    #[serde(default)]
    pub scopes: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    tokens: BTreeMap<String, StoredToken>,
}

/// The tokens of one device, by gateway and role.
#[derive(Debug)]
pub struct DeviceTokenStore {
    path: PathBuf,
    stored: Stored,
}

impl DeviceTokenStore {
    /// Reads the store; a missing file is an empty store.
    ///
    /// # Errors
    ///
    /// [`FileError`], also for a file that others may read.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let stored = match private_file::read(path)? {
            None => Stored::default(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| FileError::content(path, format!("not a token store: {error}")))?,
        };
        Ok(Self {
            path: path.to_owned(),
            stored,
        })
    }

    /// The token of a device for a gateway and a role.
    pub fn get(&self, gateway: &str, device: &str, role: &str) -> Option<&StoredToken> {
        self.stored.tokens.get(&key(gateway, device, role))
    }

    /// Keeps a token; writes only when something changed.
    ///
    /// # Errors
    ///
    /// [`FileError`] when the file cannot be written.
    pub fn put(
        &mut self,
        gateway: &str,
        device: &str,
        role: &str,
        token: StoredToken,
    ) -> Result<(), FileError> {
        let key = key(gateway, device, role);
        if self.stored.tokens.get(&key) == Some(&token) {
            return Ok(());
        }
        self.stored.tokens.insert(key, token);
        self.save()
    }

    /// Forgets a token that the gateway no longer takes.
    ///
    /// # Errors
    ///
    /// [`FileError`] when the file cannot be written.
    pub fn remove(&mut self, gateway: &str, device: &str, role: &str) -> Result<(), FileError> {
        match self.stored.tokens.remove(&key(gateway, device, role)) {
            Some(_) => self.save(),
            None => Ok(()),
        }
    }

    fn save(&self) -> Result<(), FileError> {
        let text = serde_json::to_vec_pretty(&self.stored)
            .map_err(|error| FileError::content(&self.path, error.to_string()))?;
        private_file::write(&self.path, &text, Existing::Replace).map(drop)
    }
}

/// Certificates that a person said yes to, by gateway.
#[derive(Debug)]
pub struct KnownGateways {
    path: PathBuf,
    known: BTreeMap<String, String>,
}

impl KnownGateways {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    ///
    /// [`FileError`], also for a file that others may write.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let known = match private_file::read(path)? {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                FileError::content(path, format!("not a list of gateways: {error}"))
            })?,
        };
        Ok(Self {
            path: path.to_owned(),
            known,
        })
    }

    /// The certificate that was trusted at an address.
    pub fn get(&self, gateway: &str) -> Option<Fingerprint> {
        Fingerprint::parse(self.known.get(&address(gateway))?)
    }

    /// Trusts a certificate at an address, in place of the one before.
    ///
    /// # Errors
    ///
    /// [`FileError`] when the file cannot be written.
    pub fn trust(&mut self, gateway: &str, fingerprint: Fingerprint) -> Result<(), FileError> {
        self.known.insert(address(gateway), fingerprint.to_string());
        let text = serde_json::to_vec_pretty(&self.known)
            .map_err(|error| FileError::content(&self.path, error.to_string()))?;
        private_file::write(&self.path, &text, Existing::Replace).map(drop)
    }
}

/// A gateway is its address without path and case.
fn address(gateway: &str) -> String {
    let (scheme, rest) = gateway.split_once("://").unwrap_or(("ws", gateway));
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    format!("{scheme}://{host}").to_ascii_lowercase()
}

/// A new identity does not inherit tokens.
fn key(gateway: &str, device: &str, role: &str) -> String {
    format!("{}|{device}|{role}", address(gateway)).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_certificate_belongs_to_one_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateways.json");
        let one = Fingerprint::parse(&"ab".repeat(32)).unwrap();
        let mut known = KnownGateways::open(&path).unwrap();
        known.trust("wss://Host:1/x", one).unwrap();
        let known = KnownGateways::open(&path).unwrap();
        assert_eq!(known.get("wss://host:1"), Some(one));
        assert_eq!(known.get("wss://host:2"), None);
    }

    #[test]
    fn a_token_belongs_to_one_gateway_device_and_role() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        let token = StoredToken {
            token: "t".into(),
            scopes: vec!["operator.read".into()],
        };
        let mut store = DeviceTokenStore::open(&path).unwrap();
        store
            .put("ws://Host:1/", "d", "operator", token.clone())
            .unwrap();

        let mut store = DeviceTokenStore::open(&path).unwrap();
        assert_eq!(store.get("ws://host:1", "d", "operator"), Some(&token));
        assert_eq!(store.get("ws://host:2", "d", "operator"), None);
        assert_eq!(store.get("ws://host:1", "e", "operator"), None);
        assert_eq!(store.get("ws://host:1", "d", "node"), None);

        store.remove("ws://host:1", "d", "operator").unwrap();
        let store = DeviceTokenStore::open(&path).unwrap();
        assert_eq!(store.get("ws://host:1", "d", "operator"), None);
    }
}
