//! What can be written about nodes.

use clap::{Args, Subcommand};

use super::{
    CameraCommand, CanvasCommand, DecideArgs, LocationCommand, NodeInvokeArgs, NodeNotifyArgs,
    NodeRunArgs, ReadArgs, ScreenCommand,
};

/// `openclaw nodes`.
#[derive(Debug, Clone, Args)]
pub struct NodesArgs {
    /// What to do with nodes.
    #[command(subcommand)]
    pub command: NodesCommand,
}

/// The commands about nodes.
#[derive(Debug, Clone, Subcommand)]
pub enum NodesCommand {
    /// Show the nodes, connected or not, and what waits.
    #[command(visible_alias = "status")]
    List(ReadArgs),
    /// Show what nodes offer and nobody approved yet.
    Pending(ReadArgs),
    /// Let the gateway use what a node offers.
    Approve(NodeApproveArgs),
    /// Turn down what a node offers; what was approved before stays.
    Reject(DecideArgs),
    /// Show one node with each of its commands.
    Describe(NodeArgs),
    /// Give a node another name.
    Rename(NodeRenameArgs),
    /// Forget a node: its approval, its tokens and its connection end at once.
    Remove(NodeArgs),
    /// Have a node carry out any of its commands.
    Invoke(NodeInvokeArgs),
    /// Run a program on a node, after your yes.
    Run(NodeRunArgs),
    /// Show a notification on a node.
    Notify(NodeNotifyArgs),
    /// Use the cameras of a node.
    #[command(subcommand)]
    Camera(CameraCommand),
    /// Use the screen of a node.
    #[command(subcommand)]
    Screen(ScreenCommand),
    /// Ask where a node is.
    #[command(subcommand)]
    Location(LocationCommand),
    /// Use the canvas of a node.
    #[command(subcommand)]
    Canvas(CanvasCommand),
}

/// `openclaw nodes approve`.
#[derive(Debug, Clone, Args)]
pub struct NodeApproveArgs {
    /// The request, or a beginning of it that fits only one.
    #[arg(value_name = "REQUEST")]
    pub request: String,
    /// Yes to its sensitive commands too: those that see, hear, or run programs.
    #[arg(long)]
    pub sensitive: bool,
    /// Only these commands, with commas between them; the others go on waiting.
    #[arg(long, value_name = "COMMANDS", value_delimiter = ',')]
    pub only: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// A node.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// The node: its name, its address or its id, or a part of one that fits only one node.
    #[arg(value_name = "NODE", required_unless_present = "named")]
    pub node: Option<String>,
    /// The same, as other programs write it.
    #[arg(
        long = "node",
        value_name = "NODE",
        conflicts_with = "node",
        hide = true
    )]
    pub named: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

impl NodeArgs {
    /// The node that is meant.
    pub fn wanted(&self) -> &str {
        self.node
            .as_deref()
            .or(self.named.as_deref())
            .unwrap_or_default()
    }
}

/// `openclaw nodes rename`.
#[derive(Debug, Clone, Args)]
pub struct NodeRenameArgs {
    /// Its new name.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub node: NodeArgs,
}
