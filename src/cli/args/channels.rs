//! What can be written about channels, pairing and messages.

use clap::{Args, Subcommand};

use super::{LogsArgs, ReadArgs};

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
    /// Install what a channel needs beside this program.
    Add(ChannelAddArgs),
    /// Try an account's secret on its platform, or link it by a phone; say what is wrong with it.
    Login(ChannelLoginArgs),
    /// Stop an account and forget where it went on receiving.
    Logout(AccountArgs),
    /// Show what the log says of the accounts.
    Logs(ChannelsLogsArgs),
    /// Show what waits to be sent, what did not arrive, and what nobody knows about.
    Outbox(OutboxArgs),
    /// Send a message again that did not arrive, or of which nobody knows.
    Resend(OutboxDecideArgs),
    /// Forget a message that did not arrive, or of which nobody knows.
    Discard(OutboxDecideArgs),
}

/// `openclaw channels logs`.
#[derive(Debug, Clone, Args)]
pub struct ChannelsLogsArgs {
    /// Only this channel.
    #[arg(value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Only this account.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub logs: LogsArgs,
}

/// `openclaw channels add`.
#[derive(Debug, Clone, Args)]
pub struct ChannelAddArgs {
    /// The channel: whatsapp needs something, the others are complete.
    #[arg(value_name = "CHANNEL")]
    pub channel: String,
}

/// `openclaw channels login`.
#[derive(Debug, Clone, Args)]
pub struct ChannelLoginArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub account: AccountArgs,
    /// Forget a device that is linked already, and link another.
    #[arg(long)]
    pub force: bool,
    /// Link by a code that is typed into the phone of this number, in place of a picture (whatsapp).
    #[arg(long, value_name = "NUMBER")]
    pub phone: Option<String>,
}

/// `openclaw channels outbox`.
#[derive(Debug, Clone, Args)]
pub struct OutboxArgs {
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

/// `openclaw channels resend` and `discard`.
#[derive(Debug, Clone, Args)]
pub struct OutboxDecideArgs {
    /// The message, as `openclaw channels outbox` names it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// The channel; any if absent.
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// The account; any if absent.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw message`.
#[derive(Debug, Clone, Args)]
pub struct MessageArgs {
    /// What to do with messages.
    #[command(subcommand)]
    pub command: MessageCommand,
}

/// The commands about messages.
#[derive(Debug, Clone, Subcommand)]
pub enum MessageCommand {
    /// Send a message to a person or a group on a channel, or to a conversation.
    Send(Box<MessageSendArgs>),
}

/// `openclaw message send`.
#[derive(Debug, Clone, Args)]
pub struct MessageSendArgs {
    /// Who gets it: a chat as its channel names it (telegram: 123456 or @name), with :topic:ID for a
    /// thread; or a conversation of this gateway (main).
    #[arg(short, long, value_name = "CHAT", visible_alias = "to")]
    pub target: String,
    /// The text, Markdown.
    #[arg(short, long, value_name = "TEXT", required_unless_present = "media")]
    pub message: Option<String>,
    /// A file that goes with it: a path here, or an http(s) address on the public web.
    #[arg(long, value_name = "FILE")]
    pub media: Option<String>,
    /// The channel; needed when several are configured.
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// The account; the channel's default one if absent.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// The message that is answered, by its id on the channel.
    #[arg(long, value_name = "ID")]
    pub reply_to: Option<String>,
    /// The thread or topic.
    #[arg(long, value_name = "ID")]
    pub thread_id: Option<String>,
    /// Without a sound.
    #[arg(long)]
    pub silent: bool,
    /// Sent once, however often the command runs with the same key; a new one if absent.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
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
    /// Take back that somebody may write.
    Remove(PairingRemoveArgs),
}

/// `openclaw pairing remove`.
#[derive(Debug, Clone, Args)]
pub struct PairingRemoveArgs {
    /// The channel.
    #[arg(value_name = "CHANNEL")]
    pub channel: String,
    /// The person's id on the platform, as `openclaw audit list --kind channel` shows it.
    #[arg(value_name = "SENDER")]
    pub sender: String,
    /// The account; the channel's default one if absent.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
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
