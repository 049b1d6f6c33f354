//! What can be written about the gateway as a service.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::times::parse_millis;
use super::{CallArgs, FormArgs, ReadArgs};

/// The commands about the service; without one, the gateway runs in the foreground.
#[derive(Debug, Clone, Subcommand)]
pub enum ServiceCommand {
    /// Let systemd or launchd keep the gateway up: write its unit, start it, and start it at every boot.
    Install(InstallArgs),
    /// Stop it, and remove its unit.
    Uninstall(ServiceArgs),
    /// Start it.
    Start(ServiceArgs),
    /// Stop it; one that was started by hand, too.
    Stop(ServiceArgs),
    /// Stop and start it.
    Restart(ServiceArgs),
    /// Show whether it is installed, and whether it runs.
    Status(ServiceArgs),
    /// Call any method of a gateway that runs, and print its answer.
    Call(CallArgs),
    /// Say how far a connection comes: name, TCP, TLS, upgrade, auth, pairing, scopes.
    Probe(ReadArgs),
    /// List the gateways that announce themselves in this network.
    Discover(DiscoverArgs),
    /// Show the certificate of the listener.
    Tls {
        /// What of it.
        #[command(subcommand)]
        command: TlsCommand,
    },
}

/// `openclaw gateway discover`.
#[derive(Debug, Clone, Args)]
pub struct DiscoverArgs {
    /// How long to listen, e.g. 5s or 500ms; a bare number is milliseconds.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_millis)]
    pub timeout: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// What `openclaw gateway tls` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum TlsCommand {
    /// Print its SHA-256 fingerprint, which clients pin.
    Fingerprint(FormArgs),
}

/// Which service.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// The host's service (root) instead of this user's.
    #[arg(long)]
    pub system: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// `openclaw gateway install`.
#[derive(Debug, Clone, Args)]
pub struct InstallArgs {
    /// Let systemd keep the port too: nobody is refused while the gateway restarts.
    #[arg(long)]
    pub socket: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub service: ServiceArgs,
}
