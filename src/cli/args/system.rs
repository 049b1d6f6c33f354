//! What can be written about the gateway's own doings.

use clap::{Args, Subcommand};

use super::{ReadArgs, WakeWhen};

/// `openclaw system`.
#[derive(Debug, Clone, Args)]
pub struct SystemArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SystemCommand,
}

/// The commands about the gateway's own doings.
#[derive(Debug, Clone, Subcommand)]
pub enum SystemCommand {
    /// Tell an agent that something happened.
    Event(SystemEventArgs),
    /// Show how the last heartbeat ended; stop them, or let them run again.
    Heartbeat(HeartbeatArgs),
    /// Show who is connected.
    Presence(ReadArgs),
}

/// `openclaw system event`.
#[derive(Debug, Clone, Args)]
pub struct SystemEventArgs {
    /// What happened.
    #[arg(long, value_name = "TEXT")]
    pub text: String,
    /// When the agent hears of it.
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "next-heartbeat"
    )]
    pub mode: WakeWhen,
    /// The agent; the default one if absent.
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw system heartbeat`.
#[derive(Debug, Clone, Args)]
pub struct HeartbeatArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: HeartbeatCommand,
}

/// The commands about heartbeats.
#[derive(Debug, Clone, Subcommand)]
pub enum HeartbeatCommand {
    /// Show how the last one ended.
    Last(ReadArgs),
    /// Let them run again.
    Enable(ReadArgs),
    /// Stop them all, until they are enabled again.
    Disable(ReadArgs),
}
