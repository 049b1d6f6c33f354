//! `system.which` and `system.run`: the programs of this machine.
//!
//! A program runs if the node's own rules let it (see [`super::approvals`]); by default that is what an
//! owner approved at the gateway, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::node::system_run::is_variable;
use openclaw_client::node::{CommandError, Invocation, Node};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::approvals::Approvals;
use super::programs::{self, Programs, command};

/// Most programs that are looked for at once.
const MAX_BINS: usize = 256;
/// Pieces of output that wait to be shown.
const PIECES: usize = 16;
/// Variables that decide which code a program runs: an allowlist would mean nothing beside them.
const CODE: [&str; 12] = [
    "PATH",
    "LD_",
    "DYLD_",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "PS4",
    "NODE_OPTIONS",
    "PYTHON",
    "PERL5",
    "RUBYOPT",
    "GIT_",
];

#[derive(Deserialize)]
struct Which {
    bins: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    command: Vec<String>,
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    timeout_ms: Option<u64>,
    agent_id: Option<String>,
    #[serde(default)]
    approved: bool,
}

/// Offers both, and the rules themselves.
pub(super) fn offer(node: &mut Node, programs: &Programs, approvals: &Arc<Approvals>) {
    let found = programs.clone();
    node.cap("system")
        .command("system.which", move |mut asked| {
            let programs = found.clone();
            async move {
                let Which { bins } = asked.params()?;
                if bins.len() > MAX_BINS {
                    let message = format!("at most {MAX_BINS} programs are looked for at once");
                    return Err(CommandError::invalid(message));
                }
                let found: BTreeMap<String, PathBuf> = bins
                    .into_iter()
                    .filter_map(|name| programs.find(&name).map(|path| (name, path)))
                    .collect();
                Ok(json!({ "bins": found }))
            }
        });
    let (programs, rules) = (programs.clone(), Arc::clone(approvals));
    node.command("system.run", move |asked| {
        let (programs, rules) = (programs.clone(), Arc::clone(&rules));
        async move { run(asked, &programs, &rules).await }
    });
    Approvals::offer(approvals, node);
}

async fn run(
    mut asked: Invocation,
    programs: &Programs,
    approvals: &Approvals,
) -> Result<Value, CommandError> {
    let wanted: Run = asked.params()?;
    let Some((name, arguments)) = wanted.command.split_first() else {
        return Err(CommandError::invalid("command names no program"));
    };
    if let Some(name) = wanted.env.keys().find(|name| !is_variable(name)) {
        let message = format!("{name:?} is no name of a variable");
        return Err(CommandError::new("SYSTEM_RUN_DENIED", message));
    }
    if let Some(name) = wanted.env.keys().find(|name| decides_code(name)) {
        let message = format!("the variable {name} decides which code runs, and is not taken");
        return Err(CommandError::new("SYSTEM_RUN_DENIED", message));
    }
    let program = programs.find(name).ok_or_else(|| {
        let message = format!("there is no program {name} on this node");
        CommandError::new("PROGRAM_NOT_FOUND", message)
    })?;
    let agent = wanted.agent_id.as_deref().unwrap_or("main");
    approvals
        .permit(agent, &program, wanted.approved)
        .map_err(|why| CommandError::new("SYSTEM_RUN_DENIED", why))?;
    let mut child = command(&program);
    child.args(arguments).envs(&wanted.env);
    if let Some(cwd) = wanted.cwd.or_else(std::env::home_dir) {
        child.current_dir(cwd);
    }
    let limit = wanted.timeout_ms.map_or(asked.time, Duration::from_millis);
    let (shown, mut pieces) = mpsc::channel(PIECES);
    let progress = asked.progress;
    let working = programs::run(child, limit, Some(shown));
    let showing = async {
        while let Some(piece) = pieces.recv().await {
            progress.send(&piece).await;
        }
    };
    let (ran, ()) = tokio::join!(working, showing);
    let ran = ran.map_err(|error| {
        CommandError::new(
            "SYSTEM_RUN_FAILED",
            format!("{}: {error}", program.display()),
        )
    })?;
    let code = ran.status.and_then(|status| status.code());
    let mut result = json!({
        "exitCode": code,
        "timedOut": ran.status.is_none(),
        "success": code == Some(0),
        "stdout": ran.stdout,
        "stderr": ran.stderr,
    });
    // A program that a signal ended has no code.
    if let (Some(status), None) = (ran.status, code) {
        result["error"] = json!(status.to_string());
    }
    Ok(result)
}

/// Upper and lower case do not matter: what is refused must not come back in another spelling.
fn decides_code(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    CODE.iter().any(|code| {
        let family = code.ends_with('_') || matches!(*code, "PYTHON" | "PERL5");
        name == *code || (family && name.starts_with(code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_decide_which_code_runs_are_known() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "ld_preload",
            "PYTHONPATH",
            "GIT_SSH_COMMAND",
            "ENV",
        ] {
            assert!(decides_code(name), "{name}");
        }
        for name in ["LANG", "ENVIRONMENT", "PATHS", "LDX", "TERM"] {
            assert!(!decides_code(name) && is_variable(name), "{name}");
        }
        for name in [
            "",
            "A=B",
            "BASH_ENV=/tmp/e",
            "BASH_FUNC_ls%%",
            "f()",
            "1A",
            "A B",
        ] {
            assert!(!is_variable(name), "{name}");
        }
    }
}
