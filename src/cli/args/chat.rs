//! What can be written about conversations and models.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::times::parse_millis;
use super::{FormArgs, ReadArgs, TargetArgs};

/// `openclaw chat`.
#[derive(Debug, Clone, Args)]
pub struct ChatArgs {
    /// Key of the session; the agent's main session if absent.
    #[arg(value_name = "SESSION")]
    pub session: Option<String>,
    /// The agent; the default one if absent.
    #[arg(long, value_name = "ID", conflicts_with = "session")]
    pub agent: Option<String>,
    /// How much of the conversation so far is shown first.
    #[arg(long, value_name = "MESSAGES", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub history: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// `openclaw models`.
#[derive(Debug, Clone, Args)]
pub struct ModelsArgs {
    /// What to do with the models.
    #[command(subcommand)]
    pub command: ModelsCommand,
}

/// The commands about models.
#[derive(Debug, Clone, Subcommand)]
pub enum ModelsCommand {
    /// Show the configured models, and which one answers.
    List(ReadArgs),
    /// Let another model answer from the next message on.
    Set(ModelsSetArgs),
    /// Ask a provider for a word, and say what is wrong when none comes.
    Test(ModelsTestArgs),
}

/// `openclaw models set`.
#[derive(Debug, Clone, Args)]
pub struct ModelsSetArgs {
    /// The model, as PROVIDER/MODEL.
    #[arg(value_name = "MODEL")]
    pub model: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw models test`.
#[derive(Debug, Clone, Args)]
pub struct ModelsTestArgs {
    /// The provider; that of the model that answers if absent.
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// How long the provider has, e.g. 10s; a bare number is milliseconds.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_millis)]
    pub timeout: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// `openclaw sessions`.
#[derive(Debug, Clone, Args)]
pub struct SessionsArgs {
    /// What to do with the sessions.
    #[command(subcommand)]
    pub command: SessionsCommand,
}

/// The commands about sessions.
#[derive(Debug, Clone, Subcommand)]
pub enum SessionsCommand {
    /// Show the conversations, newest first.
    List(SessionsListArgs),
    /// Show what was said in one.
    Show(SessionsShowArgs),
    /// Begin one anew: the next message starts without what was said before.
    Reset(SessionsResetArgs),
    /// Show what answers took: tokens and dollars by day, model and conversation.
    Usage(SessionsUsageArgs),
}

/// `openclaw sessions usage`.
#[derive(Debug, Clone, Args)]
pub struct SessionsUsageArgs {
    /// How far back: 7d, 30d, 90d, 1y or all.
    #[arg(long, value_name = "TIME", default_value = "30d",
          value_parser = clap::builder::PossibleValuesParser::new(["7d", "30d", "90d", "1y", "all"]))]
    pub range: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw sessions list`.
#[derive(Debug, Clone, Args)]
pub struct SessionsListArgs {
    /// How many to show.
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Only those that have this text in their key or title.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw sessions show`.
#[derive(Debug, Clone, Args)]
pub struct SessionsShowArgs {
    /// Key of the session; the main session if absent.
    #[arg(value_name = "SESSION", default_value = "main")]
    pub session: String,
    /// How many of the last messages to show.
    #[arg(short = 'n', long, value_name = "MESSAGES", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw sessions reset`.
#[derive(Debug, Clone, Args)]
pub struct SessionsResetArgs {
    /// Key of the session.
    #[arg(value_name = "SESSION")]
    pub session: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}
