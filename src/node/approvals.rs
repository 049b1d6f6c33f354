//! Which programs this node runs: its own rules, beside those of the gateway.
//!
//! The file `exec-approvals.json` has the form of the gateway's rules (`exec.approvals.get`). Without
//! one, a program runs if somebody approved it at the gateway. `security: deny` runs nothing,
//! `security: full` everything that the gateway asks for; `security: allowlist` with `ask: off` only what
//! is listed here, whatever was approved there.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use openclaw_actors::approvals::state::{Rules, State, Verdict};
use openclaw_client::node::{CommandError, Node};
use openclaw_protocol::methods::approvals::ExecRules;
use serde::Deserialize;
use serde_json::{Value, json};

/// The largest file that is read, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The rules of this node.
pub(super) struct Approvals {
    path: PathBuf,
    /// Held while the file is looked at and replaced.
    change: Mutex<()>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Set {
    file: ExecRules,
    base_hash: Option<String>,
}

impl Approvals {
    /// The rules of a file. It is read anew for each program, so that an edit counts at once.
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        let change = Mutex::new(());
        Arc::new(Self { path, change })
    }

    /// Whether a program may run; `approved` is what the gateway says of it.
    pub(super) fn permit(&self, agent: &str, program: &Path, approved: bool) -> Result<(), String> {
        // What cannot be read allows nothing.
        let state = State::new(self.read()?);
        match state.judge(agent, "", program.to_str(), true) {
            Verdict::Allowed => Ok(()),
            Verdict::Ask if approved => Ok(()),
            Verdict::Ask => Err("nobody approved it at the gateway".into()),
            Verdict::Denied(why) => Err(format!("{why}: {}", self.path.display())),
        }
    }

    fn read(&self) -> Result<Option<Rules>, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        match fs::metadata(&self.path) {
            Ok(found) if found.len() > MAX_BYTES => return Err(told(&"it is too large")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(&error)),
        }
        let text = fs::read_to_string(&self.path).map_err(|error| told(&error))?;
        let file = serde_json::from_str(&text).map_err(|error| told(&error))?;
        Ok(Some(Rules { file }))
    }

    fn write(&self, rules: &Rules) -> io::Result<()> {
        let draft = self.path.with_extension("json.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(&rules.file)?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)
    }

    fn snapshot(&self) -> Result<Value, CommandError> {
        let rules = self
            .read()
            .map_err(|why| CommandError::new("APPROVALS_UNREADABLE", why))?;
        let exists = rules.is_some();
        let rules = rules.unwrap_or_default();
        Ok(json!({
            "path": self.path, "exists": exists, "hash": rules.hash(), "file": rules.file,
        }))
    }

    fn set(&self, set: Set) -> Result<Value, CommandError> {
        let _one_at_a_time = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self
            .read()
            .map_err(|why| CommandError::new("APPROVALS_UNREADABLE", why))?;
        match (known, set.base_hash) {
            (Some(_), None) => {
                let message = "exec approvals base hash required; ask for them, and send their hash as baseHash";
                return Err(CommandError::invalid(message));
            }
            (Some(rules), Some(base)) if rules.hash() != base => {
                let message = "exec approvals changed since last load; load them again and retry";
                return Err(CommandError::invalid(message));
            }
            _ => {}
        }
        self.write(&Rules { file: set.file }).map_err(|error| {
            let message = format!("cannot write {}: {error}", self.path.display());
            CommandError::new("APPROVALS_UNWRITABLE", message)
        })?;
        self.snapshot()
    }

    /// Offers to read and to replace them.
    pub(super) fn offer(this: &Arc<Self>, node: &mut Node) {
        let rules = Arc::clone(this);
        node.command("system.execApprovals.get", move |_| {
            let rules = Arc::clone(&rules);
            async move { rules.snapshot() }
        });
        let rules = Arc::clone(this);
        node.command("system.execApprovals.set", move |mut asked| {
            let rules = Arc::clone(&rules);
            async move { rules.set(asked.params()?) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(defaults: &Value, listed: &[&str]) -> Value {
        let list: Vec<Value> = listed
            .iter()
            .map(|path| json!({ "pattern": path }))
            .collect();
        json!({ "version": 1, "defaults": defaults, "agents": { "*": { "allowlist": list } } })
    }

    #[test]
    fn the_nodes_own_rules_come_before_what_the_gateway_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exec-approvals.json");
        let approvals = Approvals::new(path.clone());
        let ls = Path::new("/bin/ls");
        let both = |approvals: &Approvals| {
            [false, true].map(|approved| approvals.permit("main", ls, approved).is_ok())
        };
        assert_eq!(both(&approvals), [false, true], "without a file");
        for (defaults, listed, expected) in [
            (
                json!({ "security": "deny" }),
                vec!["/bin/ls"],
                [false, false],
            ),
            (json!({ "security": "full" }), vec![], [true, true]),
            (
                json!({ "security": "allowlist", "ask": "off" }),
                vec!["/bin/ls"],
                [true, true],
            ),
            (
                json!({ "security": "allowlist", "ask": "off" }),
                vec!["/bin/cat"],
                [false, false],
            ),
            (json!({ "ask": "always" }), vec!["/bin/ls"], [false, true]),
            (
                json!({ "security": "anything" }),
                vec!["/bin/ls"],
                [false, false],
            ),
        ] {
            fs::write(&path, rules(&defaults, &listed).to_string()).unwrap();
            assert_eq!(both(&approvals), expected, "{defaults} {listed:?}");
        }
        fs::write(&path, "{").unwrap();
        assert_eq!(
            both(&approvals),
            [false, false],
            "what is broken allows nothing"
        );
        let why = approvals.permit("main", ls, true).unwrap_err();
        assert!(why.contains("exec-approvals.json"), "{why}");
    }

    #[test]
    fn rules_are_replaced_only_by_those_who_saw_them() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::new(folder.path().join("exec-approvals.json"));
        let set = |security: &str, hash: Option<&Value>| {
            let file =
                serde_json::from_value(rules(&json!({ "security": security }), &[])).unwrap();
            let base_hash = hash.and_then(Value::as_str).map(str::to_owned);
            approvals.set(Set { file, base_hash })
        };
        assert_eq!(approvals.snapshot().unwrap()["exists"], false);
        let first = set("deny", None).unwrap();
        assert_eq!(first["file"]["defaults"]["security"], "deny");
        assert!(set("full", None).is_err());
        assert!(set("full", Some(&json!("other"))).is_err());
        let second = set("full", Some(&first["hash"])).unwrap();
        assert_ne!(second["hash"], first["hash"]);
        assert_eq!(approvals.snapshot().unwrap(), second);
    }
}
