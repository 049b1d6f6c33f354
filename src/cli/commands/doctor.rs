//! `openclaw doctor`: what can be seen on this host, then what the gateway itself says.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use openclaw_protocol::methods::channels::ChannelsStatus;
use openclaw_protocol::methods::device::DevicePairList;
use openclaw_protocol::methods::system::{EmptyParams, Health, HealthParams, Status};
use openclaw_protocol::{Method, Scope};
use rustix::process::getuid;
use serde_json::{Value, json};

use crate::cli::args::DoctorArgs;
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::text::short;
use crate::doctor::{Finding, Level, Place, local, render, word};
use crate::lock::{Holder, LOCK_FILE, Lock};
use crate::service::Surroundings;
use crate::state_dir::StatePaths;

/// Longest wait for the gateway.
const WAIT: Duration = Duration::from_secs(10);

pub(crate) async fn run(
    args: &DoctorArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let paths = environment.paths()?;
    let mut findings = look(environment, &paths);
    if args.fix {
        for mend in findings.iter().filter_map(|finding| finding.mend.as_ref()) {
            if let Err(error) = mend.apply() {
                output.note(&format!("not mended: {error}"));
            }
        }
        findings = look(environment, &paths);
    }
    if holder(&paths).is_some() || args.target.url.is_some() {
        findings.extend(ask(args, environment).await);
    }
    let good = findings.iter().all(|finding| finding.level != Level::Fail);
    if args.form.json {
        output.json(&json!({ "ok": good, "findings": findings }))?;
    } else {
        output.write(&render(&findings, &output.style(Environment::now_ms())))?;
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn look(environment: &Environment, paths: &StatePaths) -> Vec<Finding> {
    let loaded = environment.config();
    let variable = |name: &str| environment.variable(name);
    let around = Surroundings {
        program: PathBuf::new(),
        home: variable("HOME").unwrap_or_else(|| "/".to_owned()).into(),
        config_home: variable("XDG_CONFIG_HOME").map(Into::into),
        user: getuid().as_raw(),
        variables: Vec::new(),
        port: 0,
    };
    let holder = holder(paths);
    let path = variable("PATH");
    local(&Place {
        paths,
        config: loaded.as_ref().map_err(|failure| failure.what.clone()),
        holder: holder.as_ref(),
        path: path.as_deref(),
        around: &around,
        now_ms: Environment::now_ms(),
    })
}

/// The gateway that has the state directory.
fn holder(paths: &StatePaths) -> Option<Holder> {
    let holder = Lock::holder(&paths.gateway_dir.join(LOCK_FILE));
    holder
        .ok()
        .flatten()
        .filter(|holder| holder.command.is_none())
}

/// What the gateway says of itself.
async fn ask(args: &DoctorArgs, environment: &Environment) -> Vec<Finding> {
    let unreachable = |failure: &Failure| {
        let fix = failure.remedy.clone();
        let fix = fix.unwrap_or_else(|| "openclaw logs --limit 50".to_owned());
        vec![Finding::fail("connect", failure.what.clone(), fix)]
    };
    let target = match environment.target(&args.target) {
        Ok(target) => target,
        Err(failure) => return unreachable(&failure),
    };
    let wanted = Wanted {
        scopes: &[Scope::Read, Scope::Pairing],
        limit: WAIT,
    };
    let connection = match open(&target, wanted).await {
        Ok(connection) => connection,
        Err(failure) => return unreachable(&failure),
    };
    let client = connection.client();
    let mut findings = vec![Finding::ok("connect", format!("{} answers", target.url))];
    if let Ok(health) = client
        .request::<Health>(&HealthParams { probe: Some(true) })
        .await
    {
        findings.extend(skew(health.ts, Environment::now_ms()));
        if let Some(reason) = health.reason {
            findings.push(Finding::fail("health", reason, "openclaw logs --limit 50"));
        }
    }
    if let Ok(status) = client.request_raw(Status::NAME, &json!({})).await {
        findings.extend(of_status(
            &serde_json::from_str(status.get()).unwrap_or_default(),
        ));
    }
    if let Ok(devices) = client.request::<DevicePairList>(&EmptyParams {}).await {
        for request in &devices.pending {
            let id = short(&request.request_id);
            let fix = format!("openclaw devices approve {id}");
            findings.push(Finding::warn("devices", "a device waits for your yes", fix));
        }
    }
    if let Ok(status) = client.request_raw(ChannelsStatus::NAME, &json!({})).await {
        findings.extend(of_channels(
            &serde_json::from_str(status.get()).unwrap_or_default(),
        ));
    }
    connection.close().await;
    findings
}

/// Devices sign with the time: their clock and the gateway's must agree.
fn skew(theirs: u64, ours: u64) -> Option<Finding> {
    let seconds = theirs.abs_diff(ours) / 1_000;
    let what = format!("this host's clock and the gateway's differ by {seconds} s");
    (seconds > 60).then(|| Finding::fail("clock", what, "timedatectl set-ntp true"))
}

fn of_status(status: &Value) -> Vec<Finding> {
    let gateway = &status["gateway"];
    let mut findings = Vec::new();
    if let Some(error) = gateway["config"]["error"].as_str() {
        let what = format!("the configuration in force is an older one: {error}");
        findings.push(Finding::fail("config", what, "openclaw doctor --json"));
    }
    let paths = gateway["config"]["needsRestart"].as_array();
    let paths: Vec<&str> = paths
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !paths.is_empty() {
        let what = format!("a restart is needed for {}", paths.join(", "));
        findings.push(Finding::warn("config", what, "openclaw gateway restart"));
    }
    if let Some(problem) = gateway["tailscale"]["problem"].as_str() {
        findings.push(Finding::fail(
            "tailscale",
            problem,
            "tailscale serve status",
        ));
    }
    if let Some(note) = gateway["store"].as_str() {
        findings.push(Finding::warn("database", note, "openclaw backup create"));
    }
    findings
}

fn of_channels(status: &Value) -> Vec<Finding> {
    let accounts = status["channelAccounts"].as_object().into_iter().flatten();
    let mut findings = Vec::new();
    for (channel, rows) in accounts {
        for row in rows.as_array().into_iter().flatten() {
            let Some(error) = row["lastError"].as_str() else {
                continue;
            };
            if row["connected"] == true {
                continue;
            }
            let account = row["accountId"].as_str().unwrap_or("default");
            let what = format!("{channel} ({account}): {error}");
            let fix = format!(
                "openclaw channels login {} --account {}",
                word(channel),
                word(account)
            );
            findings.push(Finding::fail("channels", what, fix));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_says_becomes_findings_with_commands() {
        let status = json!({ "gateway": {
            "config": { "error": "bad", "needsRestart": ["gateway.port"] }, "store": "damaged once",
            "tailscale": { "mode": "serve", "problem": "Logged out." },
        } });
        let levels: Vec<Level> = of_status(&status)
            .iter()
            .map(|finding| finding.level)
            .collect();
        assert_eq!(levels, [Level::Fail, Level::Warn, Level::Fail, Level::Warn]);
        let channels = json!({ "channelAccounts": { "telegram": [
            { "accountId": "a", "connected": false, "lastError": "the token is wrong" },
            { "accountId": "b", "connected": true, "lastError": "old" },
        ] } });
        let found = of_channels(&channels);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].fix.as_deref(),
            Some("openclaw channels login telegram --account a")
        );
        assert_eq!(skew(100_000, 100_500), None);
        assert!(skew(0, 100_000).is_some());
    }
}
