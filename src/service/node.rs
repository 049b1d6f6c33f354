//! A node as a service of systemd, for one user: what is written where, and which commands are run. Pure.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Manager, Step, quoted, systemctl};

/// The unit's name.
pub const NODE_UNIT: &str = "openclaw-node.service";

const TEMPLATE: &str = include_str!("../../deploy/systemd/openclaw-node.service");

/// What a service is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeService {
    /// This program and what it is called with; no secret, because others see it.
    pub call: Vec<String>,
    /// Variables that the service gets.
    pub variables: Vec<(String, String)>,
    /// Where systemd looks for units of this user.
    pub units: PathBuf,
    /// The file with the gateway's secret, which is needed until the node has a token of its own.
    pub secrets: PathBuf,
    /// What stands in it.
    pub secret: Option<(String, String)>,
}

impl NodeService {
    /// The file that says that it is installed.
    pub fn unit(&self) -> PathBuf {
        self.units.join(NODE_UNIT)
    }

    /// Writes the unit and starts it, now and at every login.
    pub fn install(&self) -> Vec<Step> {
        let mut steps = vec![Step::Write(self.unit(), self.text())];
        steps.extend(self.secret.as_ref().map(|(name, value)| {
            Step::WriteSecret(
                self.secrets.clone(),
                format!("{name}={}\n", in_quotes(value)),
            )
        }));
        steps.push(call(&["daemon-reload"]));
        steps.push(call(&["enable", NODE_UNIT]));
        steps.push(call(&["restart", NODE_UNIT]));
        steps
    }

    /// Stops it, and removes its unit and the secret.
    pub fn uninstall(&self) -> Vec<Step> {
        let disable = ["disable", "--now", NODE_UNIT];
        vec![
            Step::Try(systemctl(Manager::User, &disable)),
            Step::Remove(self.unit()),
            Step::Remove(self.secrets.clone()),
            call(&["daemon-reload"]),
        ]
    }

    fn text(&self) -> String {
        let words: Vec<String> = self.call.iter().map(|word| quoted(word)).collect();
        let mut lines = format!("ExecStart={}\n", words.join(" "));
        for (name, value) in &self.variables {
            let variable = quoted(&format!("{name}={value}"));
            // Writing to a text cannot fail.
            let _ = writeln!(lines, "Environment={variable}");
        }
        let _ = writeln!(lines, "EnvironmentFile=-{}", path(&self.secrets));
        TEMPLATE.replace("ExecStart=@OPENCLAW@\n", &lines)
    }
}

fn call(arguments: &[&str]) -> Step {
    Step::Run(systemctl(Manager::User, arguments))
}

/// A path of a setting that takes no quotes: only what systemd would replace is doubled.
fn path(path: &Path) -> String {
    path.display().to_string().replace('%', "%%")
}

/// A value of an environment file.
fn in_quotes(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_in_a_file_and_the_flags_are_in_the_unit() {
        let service = NodeService {
            call: [
                "/opt/a b/openclaw",
                "node",
                "run",
                "--display-name",
                "100% Attic",
            ]
            .map(str::to_owned)
            .to_vec(),
            variables: vec![("DISPLAY".into(), ":0".into())],
            units: "/home/ada/.config/systemd/user".into(),
            secrets: "/home/ada/.openclaw/gateway/node/secrets".into(),
            secret: Some(("OPENCLAW_GATEWAY_TOKEN".into(), "a\"$b".into())),
        };
        let steps = service.install();
        let Step::Write(unit, text) = &steps[0] else {
            panic!("{steps:?}")
        };
        assert_eq!(*unit, service.unit());
        let start = "ExecStart=\"/opt/a b/openclaw\" node run --display-name \"100%% Attic\"\n";
        assert!(text.contains(start), "{text}");
        assert!(
            text.contains("Environment=DISPLAY=:0\n") && !text.contains("$b"),
            "{text}"
        );
        assert!(text.contains("EnvironmentFile=-/home/ada/.openclaw/gateway/node/secrets\n"));
        let Step::WriteSecret(_, secret) = &steps[1] else {
            panic!("{steps:?}")
        };
        assert_eq!(secret, "OPENCLAW_GATEWAY_TOKEN=\"a\\\"\\$b\"\n");
        assert_eq!(
            service.uninstall()[2],
            Step::Remove(service.secrets.clone())
        );
    }
}
