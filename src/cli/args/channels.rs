//! What can be written about channels, pairing and messages.

use clap::{Args, Subcommand};

use super::ReadArgs;

/// `openclaw channels`.
#[derive(Debug, Clone, Args)]
pub struct ChannelsArgs {
    /// What to do with channels.
    #[command(subcommand)]
    pub command: ChannelsCommand,
}

/// The commands about channels.
#[derive(Debug, Clone, Subcommand)]
pub enum ChannelsCommand {
    /// Show the accounts and whether they hear their platform.
    #[command(visible_alias = "list")]
    Status(ChannelsStatusArgs),
    /// Start an account, or let it try again now.
    Start(AccountArgs),
    /// Stop an account until it is started, or the gateway is.
    Stop(AccountArgs),
    /// Try an account's secret on its platform, and say what is wrong with it.
    Login(AccountArgs),
    /// Stop an account and forget where it went on receiving.
    Logout(AccountArgs),
}

/// `openclaw channels status`.
#[derive(Debug, Clone, Args)]
pub struct ChannelsStatusArgs {
    /// Only this channel.
    #[arg(value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Ask the platforms; the answer says when they were last heard in any case.
    #[arg(long)]
    pub probe: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// An account.
#[derive(Debug, Clone, Args)]
pub struct AccountArgs {
    /// The channel, such as telegram.
    #[arg(value_name = "CHANNEL", required_unless_present = "named")]
    pub channel: Option<String>,
    /// The same, as other programs write it.
    #[arg(
        long = "channel",
        value_name = "CHANNEL",
        hide = true,
        conflicts_with = "channel"
    )]
    pub named: Option<String>,
    /// The account; the channel's default one if absent.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

impl AccountArgs {
    /// The channel that was written.
    pub fn channel(&self) -> &str {
        let written = self.channel.as_deref().or(self.named.as_deref());
        written.unwrap_or_default()
    }
}

/// `openclaw pairing`.
#[derive(Debug, Clone, Args)]
pub struct PairingArgs {
    /// What to do with those who ask.
    #[command(subcommand)]
    pub command: PairingCommand,
}

/// The commands about people who ask to write.
#[derive(Debug, Clone, Subcommand)]
pub enum PairingCommand {
    /// Show who asks to write, with their codes.
    List(PairingListArgs),
    /// Let somebody write.
    Approve(PairingDecideArgs),
    /// Forget that somebody asked.
    Dismiss(PairingDecideArgs),
}

/// `openclaw pairing list`.
#[derive(Debug, Clone, Args)]
pub struct PairingListArgs {
    /// Only this channel.
    #[arg(value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw pairing approve` and `dismiss`.
#[derive(Debug, Clone, Args)]
pub struct PairingDecideArgs {
    /// The channel, and the code that the person was told; or the code alone.
    #[arg(value_name = "CHANNEL CODE", num_args = 1..=2, required = true)]
    pub request: Vec<String>,
    /// The account; any if absent.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// Tell the person.
    #[arg(long)]
    pub notify: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}
