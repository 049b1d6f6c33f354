//! What can be written about devices.

use clap::{Args, Subcommand};

use super::{DecideArgs, ReadArgs, SetupCodeArgs};

/// `openclaw devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// What to do with devices.
    #[command(subcommand)]
    pub command: DevicesCommand,
}

/// The commands about devices.
#[derive(Debug, Clone, Subcommand)]
pub enum DevicesCommand {
    /// Show who wants to connect and who may.
    List(ReadArgs),
    /// Let a device connect.
    Approve(ApproveArgs),
    /// Turn a device's request down.
    Reject(DecideArgs),
    /// Forget a paired device: its tokens and connections end at once.
    Remove(DeviceArgs),
    /// Give a device a name.
    Rename(RenameArgs),
    /// Replace the tokens of a device's role; its connections end.
    Rotate(RotateArgs),
    /// End a role of a device: its tokens and connections; only an approval gives it back.
    Revoke(RevokeArgs),
    /// Make a one-time code by which a phone or node pairs itself.
    SetupCode(SetupCodeArgs),
}

/// A paired device.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// The device, or a beginning of its id that fits only one.
    #[arg(value_name = "DEVICE")]
    pub device: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// An approval.
#[derive(Debug, Clone, Args)]
pub struct ApproveArgs {
    /// The request, or a beginning of it that fits only one.
    #[arg(value_name = "REQUEST")]
    pub request: Option<String>,
    /// The newest request.
    #[arg(long, conflicts_with = "request")]
    pub latest: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// A new name.
#[derive(Debug, Clone, Args)]
pub struct RenameArgs {
    /// The device, or a beginning of its id that fits only one.
    #[arg(value_name = "DEVICE")]
    pub device: String,
    /// Its new name, at most 64 characters.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// A role of a device.
#[derive(Debug, Clone, Args)]
pub struct RoleArgs {
    /// The device, or a beginning of its id that fits only one.
    #[arg(long, value_name = "DEVICE")]
    pub device: String,
    /// The role: operator or node.
    #[arg(long, value_name = "ROLE")]
    pub role: String,
}

/// New tokens.
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub role: RoleArgs,
    /// What the new token gives, such as operator.read; without it, what the role was approved for.
    #[arg(long, value_name = "SCOPE", num_args = 1..)]
    pub scope: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// The end of a role.
#[derive(Debug, Clone, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub role: RoleArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}
