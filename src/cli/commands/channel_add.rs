//! `openclaw channels add`: what a channel needs beside this program.

use std::path::Path;
use std::process::ExitCode;

use openclaw_actors::channel::whatsapp::{BAILEYS, PACKAGE, PACKAGE_LOCK, SCRIPT};

use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::config::channels::sidecar_dir;

/// Oldest Node that Baileys runs on.
const NODE: u32 = 20;

pub(super) async fn run(
    channel: &str,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    if channel != "whatsapp" {
        return Err(Failure::failed(
            format!("{channel} needs nothing to be installed"),
            Some("configure it below channels in openclaw.json; the README says how".into()),
        ));
    }
    let loaded = environment.config()?;
    let folder = sidecar_dir(&loaded.paths);
    node().await?;
    lay_out(&folder).map_err(|error| {
        Failure::failed(
            format!("cannot write to {}: {error}", folder.display()),
            None,
        )
    })?;
    output.write(&format!(
        "installing Baileys {BAILEYS} in {}\n",
        folder.display()
    ))?;
    install(&folder).await?;
    let next = if loaded.config.channels.whatsapp.is_some() {
        "link your phone: openclaw channels login whatsapp\n"
    } else {
        "now add it to openclaw.json, with your own number:\n\n  channels: { whatsapp: { allowFrom: [\"+15551234567\"] } }\n\nand link your phone: openclaw channels login whatsapp\n"
    };
    output.write(next)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a Node is there that is new enough.
async fn node() -> Result<(), Failure> {
    let remedy = || Some(format!("install Node.js {NODE} or later, with npm"));
    let asked = tokio::process::Command::new("node")
        .arg("--version")
        .output()
        .await;
    let said = asked.map_err(|error| {
        Failure::failed(format!("Node.js cannot be started: {error}"), remedy())
    })?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let major = said.trim_start_matches('v').split('.').next();
    let major: Option<u32> = major.and_then(|major| major.parse().ok());
    if major.is_none_or(|major| major < NODE) {
        return Err(Failure::failed(
            format!("Node.js is {said}, which is too old for Baileys"),
            remedy(),
        ));
    }
    Ok(())
}

fn lay_out(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for (name, text) in [
        ("package.json", PACKAGE),
        ("package-lock.json", PACKAGE_LOCK),
        ("sidecar.mjs", SCRIPT),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Exactly what the lock file names; no script of any package is run.
async fn install(folder: &Path) -> Result<(), Failure> {
    let ran = tokio::process::Command::new("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--omit=dev",
            "--omit=optional",
            "--omit=peer",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(folder)
        .status()
        .await;
    let why = match ran {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("npm could not install it ({status})"),
        Err(error) => format!("npm cannot be started: {error}"),
    };
    Err(Failure::failed(
        why,
        Some("see what npm said above; then once more: openclaw channels add whatsapp".into()),
    ))
}
