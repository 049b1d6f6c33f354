//! What can be written about the configuration and about approvals.

use clap::{Args, Subcommand};

use super::{FormArgs, ReadArgs};

/// `openclaw config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// The commands about the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Show what is in force, or one value of it; secrets are not shown.
    Get(ConfigGetArgs),
    /// Change one value of the file. It is checked first, and in force at once.
    Set(ConfigSetArgs),
    /// Remove one value of the file.
    Unset(ConfigUnsetArgs),
    /// Say whether the file of this host can be used, and where it is wrong. No gateway is needed.
    Validate(FormArgs),
    /// Print the file's path.
    File(FormArgs),
}

/// `openclaw config get`.
#[derive(Debug, Clone, Args)]
pub struct ConfigGetArgs {
    /// The value, such as gateway.port; everything when absent.
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw config set`.
#[derive(Debug, Clone, Args)]
pub struct ConfigSetArgs {
    /// The value's place, such as agents.defaults.heartbeat.every.
    #[arg(value_name = "PATH")]
    pub path: String,
    /// What it becomes: JSON5, or a text; - reads standard input, as a secret should be: what stands on
    /// the command line is seen by every user of this host, and kept in the shell's history.
    #[arg(value_name = "VALUE")]
    pub value: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw config unset`.
#[derive(Debug, Clone, Args)]
pub struct ConfigUnsetArgs {
    /// The value's place.
    #[arg(value_name = "PATH")]
    pub path: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw approvals`.
#[derive(Debug, Clone, Args)]
pub struct ApprovalsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ApprovalsCommand,
}

/// The commands about programs that wait for a yes.
#[derive(Debug, Clone, Subcommand)]
pub enum ApprovalsCommand {
    /// Show what waits.
    List(ReadArgs),
    /// Let it run once.
    Allow(ApprovalArgs),
    /// Let it run, now and whenever it is exactly the same.
    AllowAlways(ApprovalArgs),
    /// Do not let it run.
    Deny(ApprovalArgs),
    /// Show the lasting rules.
    Rules(ReadArgs),
}

/// One that waits.
#[derive(Debug, Clone, Args)]
pub struct ApprovalArgs {
    /// Its id, or a beginning of it that fits only one.
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw gateway call`.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    /// The method, such as sessions.describe.
    #[arg(value_name = "METHOD")]
    pub method: String,
    /// Its parameters: a JSON5 object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub params: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}
