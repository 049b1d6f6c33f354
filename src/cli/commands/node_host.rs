//! `openclaw node run`: this machine as a node.

use std::process::ExitCode;
use std::sync::Arc;

use openclaw_client::node::{NodeLink, NodeReport};
use openclaw_client::{
    Backoff, ClientId, ClientMode, DeviceIdentity, DeviceTokenStore, KnownGateways, Options,
    client_info,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::VERSION;
use crate::cli::args::{NodeHostCommand, NodeRunHostArgs};
use crate::cli::dial::dial;
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::target::{Secret, Target};
use crate::node::{self, NodeSettings};

pub(crate) async fn run(
    command: &NodeHostCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        NodeHostCommand::Run(args) => be(args, environment, output).await,
    }
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

async fn be(
    args: &NodeRunHostArgs,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut target = environment.target(&args.target)?;
    let settings = settings(args, environment, &target);
    if target.tls_fingerprint.is_none() && target.url.starts_with("wss:") {
        let known = KnownGateways::open(&target.gateway_dir.join("cli-gateways.json"));
        let known = known.map_err(|error| Failure::file(&error))?;
        target.tls_fingerprint = known.get(&target.url);
    }
    let offer = node::offer(&settings);
    for line in &offer.missing {
        output.note(line);
    }
    let link = link(&settings, &target)?;
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
    let connect = |options: Options| {
        let target = &target;
        async move { dial(target, &options).await }
    };
    let running = offer.node.run(link, connect, |report| {
        if let NodeReport::Connected(gateway) = &report {
            connected.send_replace(Some((*gateway).clone()));
        }
        tell(&report, &target, output);
    });
    tokio::select! {
        ended = running => Err(Failure::connect(&ended, &target)),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
    }
}

fn link(settings: &NodeSettings, target: &Target) -> Result<NodeLink, Failure> {
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
