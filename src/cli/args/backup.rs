//! What can be written about backups.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormArgs, TargetArgs};

/// `openclaw backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BackupCommand,
}

/// The commands about backups.
#[derive(Debug, Clone, Subcommand)]
pub enum BackupCommand {
    /// Make one of everything in the state directory, also while the gateway runs.
    Create(BackupCreateArgs),
    /// Read one from its beginning to its end, and say whether it is good.
    Verify(BackupFileArgs),
    /// Put one back; what is there now is moved aside. The gateway must be stopped.
    Restore(BackupFileArgs),
}

/// `openclaw backup create`.
#[derive(Debug, Clone, Args)]
pub struct BackupCreateArgs {
    /// The file to write; gateway/backups in the state directory has it when absent.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// A command about an archive.
#[derive(Debug, Clone, Args)]
pub struct BackupFileArgs {
    /// The archive.
    #[arg(value_name = "FILE")]
    pub archive: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}
