//! `openclaw gateway discover`: the gateways that announce themselves in this network.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::args::DiscoverArgs;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::table::Columns;
use crate::discovery::find;

/// Said whenever something was found: anybody in a network can announce anything.
const CAUTION: &str = "anybody in this network can announce anything: before you trust a certificate, compare it with `openclaw gateway tls fingerprint` on the gateway's host";

pub(super) fn run(args: &DiscoverArgs, output: &Output) -> Result<ExitCode, Failure> {
    let found = find(args.timeout).map_err(|error| {
        Failure::failed(
            format!("cannot listen for announcements: {error}"),
            Some("name the gateway with --url".into()),
        )
    })?;
    if args.form.json {
        output.json(&json!({
            "timeoutMs": args.timeout.as_millis(),
            "count": found.len(),
            "beacons": found,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        output.line("no gateway announces itself in this network")?;
        output.note(
            "a gateway does where gateway.bind is \"lan\", or discovery.mdns.mode is \"minimal\" or \"full\"",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let style = output.style(Environment::now_ms());
    let mut table = Columns::new(&style, &["name", "address", "host"]);
    for beacon in &found {
        let at = beacon.ws_url.as_deref().unwrap_or("-");
        table.row(&[&beacon.instance_name, at, &beacon.host]);
    }
    output.write(&table.render())?;
    output.note(CAUTION);
    Ok(ExitCode::SUCCESS)
}
