//! `openclaw protocol`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `openclaw protocol`.
#[derive(Debug, Clone, Args)]
pub struct ProtocolArgs {
    /// What is wanted.
    #[command(subcommand)]
    pub command: ProtocolCommand,
}

/// What `openclaw protocol` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum ProtocolCommand {
    /// JSON Schema of the frames, of each method's params and result, of each event.
    Schema {
        /// In which dialect.
        #[arg(long, value_enum, default_value = "draft-07")]
        draft: Draft,
        /// Where to.
        #[command(flatten)]
        target: ContractTarget,
    },
    /// Swift models: a package for Swift 5.9 and later.
    Swift(ContractTarget),
    /// TypeScript types.
    Typescript(ContractTarget),
    /// The reference: methods, events, types, errors, with examples.
    Docs(ContractTarget),
    /// Hold this gateway's contract beside an official package.
    Compare(CompareArgs),
}

/// A dialect of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Draft {
    /// Draft-07.
    #[value(name = "draft-07")]
    Seven,
    /// 2020-12.
    #[value(name = "2020-12")]
    TwentyTwenty,
}

/// Where generated files go; without a flag to standard output.
#[derive(Debug, Clone, Args)]
pub struct ContractTarget {
    /// Write the files below this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "check")]
    pub out: Option<PathBuf>,
    /// Only say whether the files below this folder are those of this version.
    #[arg(long, value_name = "FOLDER")]
    pub check: Option<PathBuf>,
}

/// `openclaw protocol compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// The package's folder, or its `protocol.schema.json`.
    #[arg(long, value_name = "PACKAGE")]
    pub against: PathBuf,
    /// Write the table to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub out: Option<PathBuf>,
    /// Only say whether this file is the table.
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
}
