//! What can be written about what is wrong.

use clap::Args;

use super::{FormArgs, TargetArgs};

/// `openclaw doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Mend what can be mended without asking: permissions and missing folders.
    #[arg(long)]
    pub fix: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}
