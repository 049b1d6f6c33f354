//! `openclaw migrate`. It works on the gateway's host, while no gateway of ours uses the state directory.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::args::MigrateArgs;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::migrate::text;
use crate::lock::{Holder, LOCK_FILE, Lock, LockError, LockPlace};
use crate::migrate::{MigrateError, Task, migrate};
use crate::state_dir::{StatePaths, ensure_private_dir};

pub(crate) fn run(
    args: &MigrateArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let paths = environment.paths()?;
    let from = args.from.as_deref().unwrap_or(&paths.state_dir);
    let from = std::path::absolute(from).unwrap_or_else(|_| from.to_owned());
    // Held to the end: no gateway starts meanwhile.
    let _lock = hold(&paths, args.dry_run)?;
    let env = |name: &str| environment.variable(name);
    let done = migrate(&Task {
        from: &from,
        to: &paths,
        env: &env,
        temp: &std::env::temp_dir(),
        now_ms: Environment::now_ms(),
        dry_run: args.dry_run,
        progress: &|text| output.progress(text),
    });
    output.progress("");
    let report = done.map_err(|error| failed(&error, &paths))?;
    if args.form.json {
        output.json(&json!({ "ok": true, "report": report }))?;
    } else {
        output.write(&text(&report, &output.style(Environment::now_ms())))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The lock of the state directory. A dry run only looks whether somebody has it.
fn hold(paths: &StatePaths, dry_run: bool) -> Result<Option<Lock>, Failure> {
    let place = paths.gateway_dir.join(LOCK_FILE);
    let runs = || {
        Failure::failed(
            format!(
                "this gateway runs on {}; another one's state is taken over while it does not",
                paths.state_dir.display()
            ),
            Some("stop it first: openclaw gateway stop".into()),
        )
    };
    if dry_run {
        return match Lock::holder(&place) {
            Ok(Some(_)) => Err(runs()),
            Ok(None) => Ok(None),
            Err(error) => Err(Failure::config(&error)),
        };
    }
    ensure_private_dir(&paths.gateway_dir).map_err(|error| Failure::config(&error))?;
    let now = i64::try_from(Environment::now_ms()).unwrap_or(0);
    let holder = Holder::this_process(now, None).running("openclaw migrate");
    match Lock::acquire(&place, LockPlace::StateDir, &holder) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held { .. }) => Err(runs()),
        Err(error) => Err(Failure::config(&error)),
    }
}

fn failed(error: &MigrateError, paths: &StatePaths) -> Failure {
    let remedy = match error {
        MigrateError::Nothing(_) => "name it: openclaw migrate --from ~/.openclaw".to_owned(),
        MigrateError::Running { .. } => {
            "stop it first, as it was started: its own `openclaw gateway stop`, or kill its process"
                .to_owned()
        }
        MigrateError::Store(_) => format!(
            "openclaw doctor says more about {}",
            short(&paths.gateway_dir)
        ),
        MigrateError::Io { .. } | MigrateError::Wrong { .. } => {
            "mend or move that file away, then try again: what is here already is passed over"
                .to_owned()
        }
    };
    Failure::failed(error.to_string(), Some(remedy))
}

fn short(path: &Path) -> String {
    path.display().to_string()
}
