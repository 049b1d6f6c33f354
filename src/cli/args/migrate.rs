//! What can be written about taking over another gateway's state.

use std::path::PathBuf;

use clap::Args;

use super::FormArgs;

/// `openclaw migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// The state directory of the other gateway; this gateway's own when absent.
    #[arg(long, value_name = "FOLDER")]
    pub from: Option<PathBuf>,
    /// Say what would be done, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}
