//! `openclaw gateway probe`: how far a connection comes, step by step, and what stops it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use openclaw_client::Connection;
use openclaw_protocol::Scope;
use serde_json::{Value, json};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::cli::args::ReadArgs;
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::{Exit, Failure, Stage};
use crate::cli::output::Output;
use crate::cli::target::{Target, host_and_port};

/// What a connection comes through, in order.
const STEPS: [&str; 7] = ["name", "tcp", "tls", "upgrade", "auth", "pairing", "scopes"];

/// What was found: a detail for each step that went well, and what stopped the next one.
#[derive(Debug)]
struct Probe {
    done: Vec<(&'static str, String)>,
    stopped: Option<(&'static str, Failure)>,
}

pub(crate) async fn run(
    args: &ReadArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let target = environment.target(&args.target)?;
    let probe = probe(&target, args.wait.timeout).await;
    if args.form.json {
        output.json(&probe.json(&target.url))?;
    } else {
        output.write(&probe.text(&target.url))?;
    }
    Ok(probe
        .stopped
        .map_or(ExitCode::SUCCESS, |(_, failure)| failure.code()))
}

async fn probe(target: &Target, limit: Duration) -> Probe {
    let mut probe = Probe {
        done: Vec::new(),
        stopped: None,
    };
    if target.ssh.is_some() {
        // ssh looks for the name, and the socket is its own: what it came through is known at the end.
        return probe.connect(target, limit).await;
    }
    let (host, port) = host_and_port(&target.url);
    let addresses: Vec<SocketAddr> = match timeout(limit, lookup_host((host.as_str(), port))).await
    {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return probe.stop("name", unknown_name(&host, &error.to_string())),
        Err(_) => return probe.stop("name", unknown_name(&host, "no answer in time")),
    };
    probe.did("name", list(&addresses));
    match reach(&addresses, limit).await {
        Ok(found) => probe.did("tcp", found),
        Err(why) => return probe.stop("tcp", unreachable(target, &why)),
    }
    probe.connect(target, limit).await
}

/// Connects to the first address that answers; how long it took.
async fn reach(addresses: &[SocketAddr], limit: Duration) -> Result<String, String> {
    let mut why = "the name has no address".to_owned();
    for address in addresses {
        let started = Instant::now();
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                let millis = started.elapsed().as_millis();
                return Ok(format!("{address} answers after {millis} ms"));
            }
            Ok(Err(error)) => why = format!("{address}: {error}"),
            Err(_) => why = format!("{address}: no answer within {} s", limit.as_secs_f64()),
        }
    }
    Err(why)
}

fn list(addresses: &[SocketAddr]) -> String {
    let mut texts: Vec<String> = addresses
        .iter()
        .map(|found| found.ip().to_string())
        .collect();
    texts.dedup();
    texts.join(", ")
}

fn unknown_name(host: &str, why: &str) -> Failure {
    Failure::unreachable(
        format!("{host} has no address: {why}"),
        "check how the name is written, and that the VPN or DNS that knows it is up",
    )
}

fn unreachable(target: &Target, why: &str) -> Failure {
    let remedy = if target.loopback {
        "start it with `openclaw gateway`, or open the tunnel to it"
    } else {
        "check that the gateway runs, that it listens there (gateway.bind), and that no firewall is in between"
    };
    Failure::unreachable(why.to_owned(), remedy)
}

impl Probe {
    /// Goes on over the socket.
    async fn connect(mut self, target: &Target, limit: Duration) -> Self {
        let wanted = Wanted {
            scopes: &[Scope::Read],
            limit,
        };
        match open(target, wanted).await {
            Ok(connection) => {
                self.pass(target, STEPS.len());
                self.scopes(&connection);
                connection.close().await;
                self
            }
            Err(failure) => {
                let step = match failure.stage {
                    Stage::Socket if target.ssh.is_some() => "tcp",
                    Stage::Certificate => "tls",
                    Stage::Socket if target.url.starts_with("wss:") => "tls",
                    Stage::Socket | Stage::Upgrade => "upgrade",
                    Stage::Pairing => "pairing",
                    Stage::Scopes => "scopes",
                    Stage::Auth | Stage::Other => "auth",
                };
                let passed = STEPS.iter().position(|known| *known == step).unwrap_or(0);
                self.pass(target, passed);
                self.stop(step, failure)
            }
        }
    }

    fn did(&mut self, step: &'static str, detail: impl Into<String>) {
        self.done.push((step, detail.into()));
    }

    fn stop(mut self, step: &'static str, failure: Failure) -> Self {
        self.stopped = Some((step, failure));
        self
    }

    /// Notes the steps before the one with this number, which a connection came through.
    fn pass(&mut self, target: &Target, before: usize) {
        for step in &STEPS[self.done.len()..before] {
            if let (Some(ssh), "name" | "tcp") = (&target.ssh, *step) {
                self.did(step, format!("left to ssh ({})", ssh.host));
                continue;
            }
            let detail = match *step {
                "tls" if target.url.starts_with("ws:") => "not asked for (ws://)",
                "tls" if target.tls_fingerprint.is_some() => "the pinned certificate",
                "tls" => "a certificate that is trusted here",
                "upgrade" => "it speaks the protocol",
                "auth" => "it takes the credentials",
                "pairing" => "this device is known, or needs no pairing",
                _ => "",
            };
            self.did(step, detail);
        }
    }

    fn scopes(&mut self, connection: &Connection) {
        let granted = connection
            .hello
            .auth
            .as_ref()
            .map(|auth| auth.scopes.names());
        if let (Some((_, detail)), Some(granted)) = (self.done.last_mut(), granted) {
            *detail = granted.join(", ");
        }
    }

    fn text(&self, url: &str) -> String {
        let mut text = format!("{url}\n");
        // Writing to a `String` cannot fail.
        for (step, detail) in &self.done {
            let _ = writeln!(text, "  {step:<8} ok      {detail}");
        }
        let Some((stopped, failure)) = &self.stopped else {
            return text;
        };
        let _ = writeln!(text, "  {stopped:<8} FAILED  {}", failure.what);
        if let Some(remedy) = &failure.remedy {
            let _ = writeln!(text, "  {:<8}         {remedy}", "");
        }
        for step in &STEPS[(self.done.len() + 1).min(STEPS.len())..] {
            let _ = writeln!(text, "  {step:<8} -");
        }
        text
    }

    fn json(&self, url: &str) -> Value {
        let mut steps: Vec<Value> = self
            .done
            .iter()
            .map(|(step, detail)| json!({ "step": step, "ok": true, "detail": detail }))
            .collect();
        if let Some((step, failure)) = &self.stopped {
            steps.push(json!({
                "step": step,
                "ok": false,
                "detail": failure.what,
                "remedy": failure.remedy,
            }));
        }
        json!({ "url": url, "ok": self.stopped.is_none(), "steps": steps })
    }
}

impl Failure {
    /// Nobody answers there.
    fn unreachable(what: String, remedy: &str) -> Self {
        Self {
            exit: Exit::Unreachable,
            ..Self::failed(what, Some(remedy.to_owned()))
        }
    }
}
