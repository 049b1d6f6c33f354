//! `openclaw backup`. It works on the gateway's host: it reads and writes the state directory itself,
//! and asks a gateway that runs there for a copy of its database only.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use openclaw_actors::clock::SystemClock;
use openclaw_actors::store::{StoreConfig, StoreDeps};
use openclaw_protocol::Scope;
use openclaw_protocol::methods::backup::{BackupSnapshot, BackupSnapshotParams};
use serde_json::json;

use crate::backup::{self, BackupError, Manifest, Place};
use crate::cli::args::{BackupCommand, BackupCreateArgs, BackupFileArgs, TargetArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::text::{count, plain};
use crate::lock::{Holder, LOCK_FILE, Lock, LockError, LockPlace};
use crate::state_dir::{StatePaths, ensure_private_dir};

/// Longest wait for a copy of the database.
const COPY: Duration = Duration::from_mins(10);

pub(crate) async fn run(
    command: &BackupCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let cx = Cx {
        paths: environment.paths()?,
        environment,
        output,
    };
    match command {
        BackupCommand::Create(args) => cx.create(args).await?,
        BackupCommand::Verify(args) => cx.verify(args)?,
        BackupCommand::Restore(args) => cx.restore(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Cx<'a> {
    paths: StatePaths,
    environment: &'a Environment,
    output: &'a Output,
}

impl Cx<'_> {
    async fn create(&self, args: &BackupCreateArgs) -> Result<(), Failure> {
        let state_dir = &self.paths.state_dir;
        if !state_dir.is_dir() {
            return Err(Failure::failed(
                format!("there is no state directory `{}`", state_dir.display()),
                Some("set OPENCLAW_STATE_DIR to the gateway's".into()),
            ));
        }
        let now_ms = Environment::now_ms();
        let archive = match &args.out {
            Some(out) => std::path::absolute(out).unwrap_or_else(|_| out.clone()),
            None => self.usual_place(now_ms)?,
        };
        if archive.exists() {
            return Err(Failure::usage(format!(
                "`{}` is there already",
                archive.display()
            )));
        }
        let copy = self.copy(&args.target).await?;
        let made = backup::create(&Place {
            paths: &self.paths,
            store: copy.as_deref(),
            archive: &archive,
            now_ms,
        });
        if let Some(copy) = &copy {
            let _ = std::fs::remove_file(copy);
        }
        let made = made.map_err(|error| failed(&error))?;
        if args.form.json {
            return self.output.json(&json!({
                "ok": true, "path": archive, "bytes": made.bytes, "manifest": made.manifest,
            }));
        }
        for left_out in &made.manifest.left_out {
            self.output.note(&format!("left out: {}", plain(left_out)));
        }
        self.output.write(&format!(
            "{}\n{} in {}, {} of the database\nIt holds secrets. Keep it elsewhere, and try it now and then: openclaw backup verify {}\n",
            archive.display(),
            size(made.bytes),
            count(made.manifest.files.len() as u64, "file"),
            count(made.manifest.rows, "row"),
            archive.display(),
        ))
    }

    fn verify(&self, args: &BackupFileArgs) -> Result<(), Failure> {
        let scratch = self.scratch()?;
        let manifest = backup::verify(&args.archive, &scratch).map_err(|error| failed(&error))?;
        if args.form.json {
            return self
                .output
                .json(&json!({ "ok": true, "manifest": manifest }));
        }
        self.output
            .write(&format!("It is good: {}\n", told(&manifest)))
    }

    fn restore(&self, args: &BackupFileArgs) -> Result<(), Failure> {
        let archive = std::path::absolute(&args.archive).unwrap_or_else(|_| args.archive.clone());
        ensure_private_dir(&self.paths.gateway_dir).map_err(|error| Failure::config(&error))?;
        // Held to the end: no gateway starts meanwhile.
        let _lock = self.lock()?.ok_or_else(|| {
            Failure::failed(
                "the gateway runs; a backup is put back while it does not".into(),
                Some("stop it first: openclaw gateway stop".into()),
            )
        })?;
        let restored = backup::restore(&archive, &self.paths, Environment::now_ms())
            .map_err(|error| failed(&error))?;
        if args.form.json {
            return self.output.json(&json!({
                "ok": true, "manifest": restored.manifest, "before": restored.before,
            }));
        }
        let mut text = format!("Put back: {}\n", told(&restored.manifest));
        if let Some(before) = &restored.before {
            text.push_str("What was there is in ");
            text.push_str(&before.display().to_string());
            text.push('\n');
        }
        self.output.write(&text)
    }

    /// The lock of the state directory; `None` while a gateway has it.
    fn lock(&self) -> Result<Option<Lock>, Failure> {
        let holder = Holder::this_process(i64::try_from(Environment::now_ms()).unwrap_or(0), None)
            .running("openclaw backup");
        match Lock::acquire(
            &self.paths.gateway_dir.join(LOCK_FILE),
            LockPlace::StateDir,
            &holder,
        ) {
            Ok(lock) => Ok(Some(lock)),
            Err(LockError::Held { .. }) => Ok(None),
            Err(error) => Err(Failure::config(&error)),
        }
    }

    /// A copy of the database: from the gateway if it runs, else made here. None where there is none.
    async fn copy(&self, target: &TargetArgs) -> Result<Option<PathBuf>, Failure> {
        let store = self.paths.store_file();
        if !store.exists() {
            return Ok(None);
        }
        let Some(lock) = self.lock()? else {
            return self.copy_of_gateway(target).await.map(Some);
        };
        let config = StoreConfig::file(&store);
        let to = self
            .scratch()?
            .join(format!("offline-{}.redb", std::process::id()));
        let copied = StoreDeps::open(&config, SystemClock::shared())
            .and_then(|deps| deps.reader().copy_to(&to));
        drop(lock);
        copied.map_err(|error| failed(&BackupError::Store(error)))?;
        Ok(Some(to))
    }

    async fn copy_of_gateway(&self, target: &TargetArgs) -> Result<PathBuf, Failure> {
        let target = self.environment.target(target)?;
        let wanted = Wanted {
            scopes: &[Scope::Admin],
            limit: COPY,
        };
        let connection = open(&target, wanted).await?;
        let copied = connection
            .client()
            .request::<BackupSnapshot>(&BackupSnapshotParams {})
            .await;
        let copied = copied.map_err(|error| Failure::request(&error, &target))?;
        connection.close().await;
        let path = PathBuf::from(copied.path);
        if !path.starts_with(&self.paths.gateway_dir) || !path.is_file() {
            return Err(Failure::failed(
                format!(
                    "the gateway at {} does not use {}",
                    target.url,
                    self.paths.state_dir.display()
                ),
                Some("run this on the gateway's host, with its OPENCLAW_STATE_DIR".into()),
            ));
        }
        Ok(path)
    }

    fn usual_place(&self, now_ms: u64) -> Result<PathBuf, Failure> {
        let folder = self.paths.gateway_dir.join("backups");
        ensure_private_dir(&folder).map_err(|error| Failure::config(&error))?;
        let at =
            Timestamp::from_millisecond(i64::try_from(now_ms).unwrap_or(0)).unwrap_or_default();
        Ok(folder.join(format!("openclaw-{}.tar", at.strftime("%Y%m%dT%H%M%SZ"))))
    }

    fn scratch(&self) -> Result<PathBuf, Failure> {
        let folder = self.paths.gateway_dir.join("snapshots");
        ensure_private_dir(&folder).map_err(|error| Failure::config(&error))?;
        Ok(folder)
    }
}

fn failed(error: &BackupError) -> Failure {
    let remedy = match error {
        BackupError::Bad { .. } => {
            "take an older one: openclaw backup verify FILE says whether it is good"
        }
        BackupError::Torn { .. } => "put both together by hand before the gateway starts",
        BackupError::Io { .. } | BackupError::Store(_) => "openclaw doctor says more",
    };
    Failure::failed(error.to_string(), Some(remedy.into()))
}

fn told(manifest: &Manifest) -> String {
    format!(
        "{} of {}, by version {}, with {} of the database",
        count(manifest.files.len() as u64, "file"),
        plain(&manifest.state_dir),
        plain(&manifest.version),
        count(manifest.rows, "row"),
    )
}

/// Bytes as people say them.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(
            [9, 20_000, 20_000_000].map(size),
            ["9 bytes", "20 kB", "20 MB"]
        );
    }
}
