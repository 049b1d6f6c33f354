//! The folder of a linked device, as Baileys lays it out: `creds.json` and one file for each key.
//!
//! The sidecar is its only writer, while it runs; here is what is done before it starts. `creds.json`
//! that is whole is copied, one that is torn is replaced by the copy: without it the phone has to link
//! the device anew.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The device's own keys and name.
const CREDS: &str = "creds.json";
/// The copy of it.
const BACKUP: &str = "creds.json.bak";
/// What was found torn.
const TORN: &str = "creds.json.torn";
/// How the names of the files begin that belong to a device.
const OWN: [&str; 10] = [
    "creds",
    "pre-key-",
    "session-",
    "sender-key-",
    "app-state-sync-",
    "lid-mapping-",
    "device-list-",
    "tctoken-",
    "identity-key-",
    "sender-key-memory-",
];
/// How the names of files end that pass between the sidecar and us.
const PART: &str = ".part";
/// Largest file of credentials, bytes.
const MOST: u64 = 1024 * 1024;

/// Who the device belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Me {
    /// The number, digits only.
    pub(super) number: String,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whose device it is; `None` when none is linked.
    pub(super) me: Option<Me>,
    /// Whether the copy had to stand in.
    pub(super) restored: bool,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The place.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither the file nor its copy is whole.
    #[error("{} is damaged, and there is no copy of it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AuthError {
    let path = path.to_owned();
    move |source| AuthError::Io {
        action,
        path,
        source,
    }
}

/// Credentials that are whole.
fn whole(text: &[u8]) -> Option<Value> {
    let creds: Value = serde_json::from_slice(text).ok()?;
    let has = |key| creds.get(key).is_some_and(|value: &Value| !value.is_null());
    let keys = [
        "noiseKey",
        "signedIdentityKey",
        "signedPreKey",
        "registrationId",
        "advSecretKey",
    ];
    keys.into_iter().all(has).then_some(creds)
}

/// Whose they are. A pairing that did not come to its end leaves a number without an account.
fn owner(creds: &Value) -> Option<Me> {
    let me = creds.get("me")?;
    let begun = me.get("name").and_then(Value::as_str) == Some("~")
        && creds.get("account").is_none_or(Value::is_null);
    let id = me.get("id")?.as_str()?;
    let number: String = id.chars().take_while(char::is_ascii_digit).collect();
    (!begun && !number.is_empty()).then_some(Me { number })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, AuthError> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("read", path)(error)),
    };
    let mut text = Vec::new();
    let read = file.take(MOST).read_to_end(&mut text);
    read.map_err(at("read", path))?;
    Ok(Some(text))
}

/// Writes a whole file, or nothing.
fn write(path: &Path, text: &[u8]) -> Result<(), AuthError> {
    let beside = path.with_extension("writing");
    let writing = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    writing().map_err(at("write", path))
}

/// Makes the folder where it is missing.
pub(super) fn make(folder: &Path) -> Result<(), AuthError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(at("make", folder))
}

/// Copies what is whole, replaces what is torn. Only its owner may call it, before the sidecar runs.
///
/// # Errors
///
/// [`AuthError`].
pub(super) fn prepare(folder: &Path) -> Result<Found, AuthError> {
    let (path, backup) = (folder.join(CREDS), folder.join(BACKUP));
    let present = read(&path)?;
    let copy = read(&backup)?;
    let creds = present.as_deref().and_then(whole);
    if let (Some(creds), Some(text)) = (&creds, &present) {
        let me = owner(creds);
        // A copy of a device that is linked is not given up for one that is not.
        if copy.as_ref() != Some(text) && (me.is_some() || copy.is_none()) {
            write(&backup, text)?;
        }
        return Ok(Found {
            me,
            restored: false,
        });
    }
    let kept = copy.as_deref().and_then(whole);
    match (kept, copy, present) {
        (Some(creds), Some(text), present) => {
            if present.is_some() {
                let _ = std::fs::rename(&path, folder.join(TORN));
            }
            write(&path, &text)?;
            Ok(Found {
                me: owner(&creds),
                restored: true,
            })
        }
        (_, _, Some(_)) => Err(AuthError::Damaged { path }),
        (_, _, None) => Ok(Found {
            me: None,
            restored: false,
        }),
    }
}

/// Forgets the device: its keys and their copies. Other files stay.
///
/// # Errors
///
/// [`AuthError::Io`] at the first file that stays.
pub(super) fn clear(folder: &Path) -> Result<(), AuthError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at("read", folder)(error)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_own = OWN.iter().any(|own| name.starts_with(own)) && name.contains(".json");
        if is_own {
            std::fs::remove_file(entry.path()).map_err(at("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// A name for a file that passes between the sidecar and us.
pub(super) fn part() -> String {
    format!(".{}{PART}", uuid::Uuid::new_v4().simple())
}

/// Removes what a gateway left that was killed while a file passed. Only its owner may call it.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(PART) {
            // It takes room only.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::channel::whatsapp) fn creds(id: &str) -> Vec<u8> {
        let creds = json!({
            "noiseKey": { "private": "a", "public": "b" }, "signedIdentityKey": {}, "signedPreKey": {},
            "registrationId": 7, "advSecretKey": "s", "me": { "id": id, "name": "Ann \"A\" \u{fc}" },
        });
        creds.to_string().into_bytes()
    }

    #[test]
    fn a_file_torn_at_any_place_is_replaced_by_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CREDS);
        let good = creds("15550001111:3@s.whatsapp.net");
        std::fs::write(&path, &good).unwrap();
        let me = Some(Me {
            number: "15550001111".into(),
        });
        let found = prepare(folder.path()).unwrap();
        assert_eq!((found.me.clone(), found.restored), (me.clone(), false));
        for end in 0..good.len() {
            std::fs::write(&path, &good[..end]).unwrap();
            let found = prepare(folder.path()).unwrap();
            assert_eq!((&found.me, found.restored), (&me, true), "at {end}");
            assert_eq!(std::fs::read(&path).unwrap(), good, "at {end}");
            // The end of an older text that was longer.
            let mut over = good[..end].to_vec();
            over.extend(b"}}\"}}");
            std::fs::write(&path, &over).unwrap();
            assert!(prepare(folder.path()).unwrap().restored, "over {end}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(prepare(folder.path()).unwrap().restored);
    }

    #[test]
    fn a_copy_that_is_torn_too_is_told_and_never_used() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(prepare(folder.path()).unwrap().me, None);
        std::fs::write(folder.path().join(CREDS), "{\"noise").unwrap();
        std::fs::write(folder.path().join(BACKUP), "{").unwrap();
        let error = prepare(folder.path()).unwrap_err();
        assert!(matches!(error, AuthError::Damaged { .. }), "{error}");
        std::fs::write(folder.path().join("mine.json"), "{}").unwrap();
        clear(folder.path()).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn files_that_a_killed_gateway_left_are_removed_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let kept = ["creds.json", "mine.part", ".mine"];
        for name in kept {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        std::fs::write(folder.path().join(part()), "x").unwrap();
        sweep(folder.path());
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".mine", "creds.json", "mine.part"]);
    }

    #[test]
    fn a_pairing_that_was_begun_is_no_linked_device_and_takes_no_copy_away() {
        let folder = tempfile::tempdir().unwrap();
        let good = creds("15550001111@s.whatsapp.net");
        std::fs::write(folder.path().join(BACKUP), &good).unwrap();
        let mut begun: Value = serde_json::from_slice(&good).unwrap();
        begun["me"]["name"] = "~".into();
        std::fs::write(folder.path().join(CREDS), begun.to_string()).unwrap();
        assert_eq!(prepare(folder.path()).unwrap().me, None);
        assert_eq!(std::fs::read(folder.path().join(BACKUP)).unwrap(), good);
    }
}
