//! `openclaw node run`: this machine as a node.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use openclaw_client::node::{NodeLink, NodeReport};
use openclaw_client::{
    Backoff, ClientId, ClientMode, DeviceIdentity, DeviceTokenStore, Options, client_info,
};
use openclaw_protocol::setup_code::SetupCode;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::steps::Steps;

use crate::cli::VERSION;
use crate::cli::args::{
    NodeHostCommand, NodeInstallArgs, NodeRunHostArgs, NodeServiceArgs, NodeUninstallArgs,
};
use crate::cli::connect::{ask_to_trust, renew_known, with_known};
use crate::cli::dial::dial;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::target::{Secret, Target};
use crate::node::{self, NodeSettings};
use crate::service::{KEPT, Manager, NODE_UNIT, NodeService, Step};

pub(crate) async fn run(
    command: &NodeHostCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        NodeHostCommand::Run(args) => be(args, environment, output).await,
        NodeHostCommand::Install(args) => install(args, environment, output),
        NodeHostCommand::Uninstall(args) => uninstall(args, environment, output),
    }
}

/// Variables that the service keeps: where its state is, and the desktop that it shows things on.
const DESKTOP: [&str; 3] = ["DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"];

fn service(
    folder: &Path,
    words: Vec<String>,
    secret: Option<(String, String)>,
    environment: &Environment,
) -> Result<NodeService, Failure> {
    if cfg!(not(target_os = "linux")) {
        return Err(Failure::usage("a node is a service of systemd only".into()));
    }
    let program = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("cannot tell where this program is: {error}"), None)
    })?;
    let mut call = vec![program.display().to_string(), "node".into(), "run".into()];
    call.extend(words);
    let variables = KEPT
        .iter()
        .chain(&DESKTOP)
        .filter_map(|name| Some(((*name).to_owned(), environment.variable(name)?)));
    let home = environment
        .variable("HOME")
        .unwrap_or_else(|| "/".to_owned());
    let config = environment.variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.unwrap_or_else(|| Path::new(&home).join(".config"));
    Ok(NodeService {
        call,
        variables: variables.collect(),
        units: config.join("systemd/user"),
        secrets: folder.join("secrets"),
        secret,
    })
}

fn carry_out(
    steps: &[Step],
    how: &NodeServiceArgs,
    output: &Output,
    done: &str,
) -> Result<ExitCode, Failure> {
    let carrier = Steps {
        manager: Manager::User,
        unit: NODE_UNIT,
        foreground: "openclaw node run",
        json: how.form.json,
        output,
    };
    if how.dry_run {
        carrier.show(steps)?;
        return Ok(ExitCode::SUCCESS);
    }
    for step in steps {
        carrier.step(step)?;
    }
    if how.form.json {
        output.json(&json!({ "ok": true }))?;
    } else {
        output.line(done)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn install(
    args: &NodeInstallArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (target, code) = gateway(&args.run, environment)?;
    let settings = settings(&args.run, environment, &target);
    let mut words = args.run.words();
    if args.run.target.url.is_none() && target.ssh.is_none() {
        words.insert(0, format!("--url={}", target.url));
    }
    let secret = match (&args.run.setup_code, &target.secret) {
        (Some(code), _) => Some(("OPENCLAW_SETUP_CODE", code)),
        (None, Some(Secret::Token(token))) => Some(("OPENCLAW_GATEWAY_TOKEN", token)),
        (None, Some(Secret::Password(word))) => Some(("OPENCLAW_GATEWAY_PASSWORD", word)),
        (None, None) => None,
    };
    let secret = secret.map(|(name, value)| (name.to_owned(), value.clone()));
    if let Some(fingerprint) = code.and_then(|code| code.tls_fingerprint)
        && args.run.target.tls_fingerprint.is_none()
    {
        words.push(format!("--tls-fingerprint={fingerprint}"));
    }
    let service = service(&settings.folder, words, secret, environment)?;
    if !args.how.dry_run && !args.how.form.json {
        output
            .note("it runs while you are logged in; to let it run always: loginctl enable-linger");
    }
    let done = "installed and started; its log: journalctl --user -u openclaw-node.service";
    carry_out(&service.install(), &args.how, output, done)
}

fn uninstall(
    args: &NodeUninstallArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let own = || -> Result<PathBuf, Failure> { Ok(environment.paths()?.gateway_dir.join("node")) };
    let folder = args.state_dir.clone().map_or_else(own, Ok)?;
    let service = service(&folder, Vec::new(), None, environment)?;
    let done = "uninstalled; its identity and its token stay where they are";
    carry_out(&service.uninstall(), &args.how, output, done)
}

/// The name of this machine.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let name = name.split('.').next().unwrap_or_default();
    if name.is_empty() { "node" } else { name }.to_owned()
}

fn settings(args: &NodeRunHostArgs, environment: &Environment, target: &Target) -> NodeSettings {
    let own = || target.gateway_dir.join("node");
    let display = environment.variable("DISPLAY");
    NodeSettings {
        folder: args.state_dir.clone().unwrap_or_else(own),
        name: args.display_name.clone().unwrap_or_else(host_name),
        path: environment.variable("PATH").unwrap_or_default().into(),
        programs: !args.no_programs,
        location: args.location.clone(),
        canvas: args.canvas,
        cameras: args.camera.clone(),
        screen: args.screen.clone(),
        audio: args.audio.clone(),
        has_display: display.is_some() || environment.variable("WAYLAND_DISPLAY").is_some(),
        display,
    }
}

/// The gateway that is meant. A setup code names it, and stands for any other secret.
fn gateway(
    args: &NodeRunHostArgs,
    environment: &Environment,
) -> Result<(Target, Option<SetupCode>), Failure> {
    let Some(text) = &args.setup_code else {
        return Ok((environment.target(&args.target)?, None));
    };
    let code = SetupCode::parse(text).map_err(|error| Failure::usage(error.to_string()))?;
    let mut named = args.target.clone();
    named.url.get_or_insert_with(|| code.url.clone());
    if named.tls_fingerprint.is_none() {
        named.tls_fingerprint.clone_from(&code.tls_fingerprint);
    }
    let mut target = environment.target(&named)?;
    target.secret = None;
    Ok((target, Some(code)))
}

async fn be(
    args: &NodeRunHostArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let (target, code) = gateway(args, environment)?;
    let settings = settings(args, environment, &target);
    let target = with_known(&target)?;
    match Box::pin(serve(&settings, &target, code.clone(), output)).await {
        Err(failure) => {
            let asked = ask_to_trust(&target, failure).await?;
            Box::pin(serve(&settings, &asked, code, output)).await
        }
        done => done,
    }
}

/// Offers what there is until somebody stops it.
async fn serve(
    settings: &NodeSettings,
    target: &Target,
    code: Option<SetupCode>,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let offer = node::offer(settings);
    for line in &offer.missing {
        output.note(line);
    }
    let link = link(settings, target, code)?;
    if settings.canvas.is_some() && rustix::process::geteuid().is_root() {
        output.note("canvas: as root, Chromium runs without its sandbox; run this as another user");
    }
    let connected = &offer.connected;
    let offered: Vec<&str> = offer.node.commands().collect();
    output.line(&format!(
        "node {} offers {}",
        settings.name,
        offered.join(", ")
    ))?;

    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Failure::output(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Failure::output(&error))?;
    let connect = |options: Options| async move { dial(target, &options).await };
    let running = offer.node.run(link, connect, |report| {
        if let NodeReport::Connected(gateway) = &report {
            connected.send_replace(Some((*gateway).clone()));
            renew_known(target);
        }
        tell(&report, target, output);
    });
    tokio::select! {
        ended = running => Err(Failure::connect(&ended, target)),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    }
}

fn link(
    settings: &NodeSettings,
    target: &Target,
    code: Option<SetupCode>,
) -> Result<NodeLink, Failure> {
    let file = |name: &str| settings.folder.join(name);
    let identity = DeviceIdentity::load_or_create(&file("identity.json"))
        .map_err(|error| Failure::file(&error))?;
    let tokens =
        DeviceTokenStore::open(&file("tokens.json")).map_err(|error| Failure::file(&error))?;
    let mut client = client_info(ClientId::NodeHost, ClientMode::Node, VERSION);
    client.display_name = Some(settings.name.clone());
    client.model_identifier = node::model();
    let mut options = Options {
        identity: Some(Arc::new(identity)),
        tls_fingerprint: target.tls_fingerprint,
        bootstrap_token: code.map(|code| code.bootstrap_token),
        ..Options::new(client)
    };
    match &target.secret {
        Some(Secret::Token(token)) => options.token = Some(token.clone()),
        Some(Secret::Password(password)) => options.password = Some(password.clone()),
        None => {}
    }
    Ok(NodeLink {
        place: target.place(),
        options,
        tokens,
        backoff: Backoff::default(),
    })
}

/// Says what happens, in a line each. A reader that is gone does not end the node.
fn tell(report: &NodeReport<'_>, target: &Target, output: &Output) {
    let line = match report {
        NodeReport::Connected(gateway) => format!(
            "connected to {} (gateway {}); what is new waits for an owner: openclaw nodes pending",
            target.url, gateway.hello.server.version
        ),
        NodeReport::Waiting { request, message } => match request {
            Some(request) => format!(
                "this device waits for an owner: on the gateway's host run `openclaw devices approve {request}`"
            ),
            None => format!("this device waits for an owner: {message}"),
        },
        NodeReport::Disconnected { error, retry_in } => {
            format!("{error}; again in {:.1} s", retry_in.as_secs_f32())
        }
        NodeReport::Done {
            command,
            took,
            error,
        } => {
            let took = took.as_secs_f32();
            match error {
                None => format!("{command}: done in {took:.1} s"),
                Some(error) => format!("{command}: {error} (after {took:.1} s)"),
            }
        }
    };
    output.line(&crate::cli::render::text::plain(&line)).ok();
}
