//! What can be written about the trail of decisions.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::ReadArgs;
use super::times::parse_back;

/// `openclaw audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// What to do with the trail.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// The commands about the trail.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Show the newest decisions: who, what, from where, why.
    List(AuditListArgs),
}

/// `openclaw audit list`.
#[derive(Debug, Clone, Args)]
pub struct AuditListArgs {
    /// How many to show.
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Only those about this device: its id, or a beginning of it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Only those of this kind, e.g. connect.refused, or of a family such as pairing or token.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only those since then, e.g. 30m, 2h or 7d ago.
    #[arg(long, value_name = "TIME", value_parser = parse_back)]
    pub since: Option<Duration>,
    /// Only those before this number; the end of a list names it.
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}
