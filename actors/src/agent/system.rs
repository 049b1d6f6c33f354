//! What every run begins with: the files in which a person tells an agent who it is, and what the
//! configuration and the request add.

use openclaw_protocol::Scopes;

use super::tools::Origin;
use super::tools::workspace::Root;
use crate::settings::AgentSettings;

/// Files of the workspace that are part of every run, in this order.
pub(crate) const FILES: [&str; 4] = ["AGENTS.md", "SOUL.md", "USER.md", "MEMORY.md"];
/// Those among them that tell of the owner.
const PRIVATE: [&str; 2] = ["USER.md", "MEMORY.md"];
/// Most characters of one file.
const MAX_FILE: usize = 20_000;
/// Most characters of all of them.
const MAX_ALL: usize = 60_000;

/// The system prompt of a run; `None` when nothing is said anywhere. Whoever may do nothing here is
/// told nothing of the owner either: what a model knows it can be made to say.
pub(super) async fn prompt(
    agent: &AgentSettings,
    extra: Option<&str>,
    origin: &Origin,
) -> Option<String> {
    let is_stranger = origin.scopes == Scopes::NONE;
    let mut parts: Vec<String> = Vec::new();
    parts.extend(agent.system_prompt.clone());
    if let Some(workspace) = agent.workspace.clone() {
        let root = Root::plain(workspace);
        let read = tokio::task::spawn_blocking(move || files(&root, is_stranger)).await;
        // A run without them is better than none; the log of the panic has the place.
        parts.extend(read.unwrap_or_default());
    }
    parts.extend(extra.map(str::to_owned));
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

/// The files that are there, each under its name.
fn files(root: &Root, is_stranger: bool) -> Option<String> {
    let mut left = MAX_ALL;
    let mut found = Vec::new();
    for name in FILES {
        if is_stranger && PRIVATE.contains(&name) {
            continue;
        }
        let Ok(bytes) = super::tools::workspace::read(root, name) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() || left == 0 {
            continue;
        }
        let most = left.min(MAX_FILE);
        let end = text.char_indices().nth(most).map(|(end, _)| end);
        let shown = &text[..end.unwrap_or(text.len())];
        left -= shown.chars().count();
        let cut = if end.is_some() {
            "\n[cut: the file is longer; read it for the rest]"
        } else {
            ""
        };
        found.push(format!("## {name}\n\n{shown}{cut}"));
    }
    let intro =
        "# Files of your workspace\n\nThe person whom you work for wrote these for you.\n\n";
    (!found.is_empty()).then(|| format!("{intro}{}", found.join("\n\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_in_order_and_bounded() {
        let home = tempfile::tempdir().unwrap();
        let root = Root::plain(home.path().to_owned());
        assert_eq!(files(&root, false), None);
        std::fs::write(home.path().join("USER.md"), "Call me Ada.").unwrap();
        std::fs::write(home.path().join("AGENTS.md"), "ä".repeat(MAX_FILE + 5)).unwrap();
        std::fs::write(home.path().join("SOUL.md"), "  \n").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", home.path().join("MEMORY.md")).unwrap();
        let text = files(&root, false).unwrap();
        let order: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(order, ["## AGENTS.md", "## USER.md"]);
        assert!(text.contains("[cut: ") && text.ends_with("Call me Ada."));
        assert_eq!(text.matches('ä').count(), MAX_FILE);
        let text = files(&root, true).unwrap();
        assert!(text.contains("## AGENTS.md") && !text.contains("Ada"));
    }
}
