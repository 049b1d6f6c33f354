//! What can be written to have a node do something.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::NodeArgs;
use super::times::parse_millis;

/// A node that does something.
#[derive(Debug, Clone, Args)]
pub struct NodeUseArgs {
    /// How long the node may take, e.g. 30s or 2m; a bare number is milliseconds.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_millis)]
    pub invoke_timeout: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub node: NodeArgs,
}

/// A node that gives a file.
#[derive(Debug, Clone, Args)]
pub struct NodeFileArgs {
    /// Where to write it; by default a new file in this folder. `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
}

/// `openclaw nodes invoke`.
#[derive(Debug, Clone, Args)]
pub struct NodeInvokeArgs {
    /// The command, such as device.info.
    #[arg(long, short, value_name = "COMMAND")]
    pub command: String,
    /// What it takes, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub params: String,
    /// Names the request: it is carried out once, however often it is asked for.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub file: NodeFileArgs,
}

/// `openclaw nodes run`.
#[derive(Debug, Clone, Args)]
pub struct NodeRunArgs {
    /// Folder on the node.
    #[arg(long, value_name = "FOLDER")]
    pub cwd: Option<String>,
    /// A variable for the program, as NAME=VALUE; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Yes, run it: do not ask.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub program: Vec<String>,
}

/// `openclaw nodes notify`.
#[derive(Debug, Clone, Args)]
pub struct NodeNotifyArgs {
    /// Its title.
    #[arg(long, value_name = "TEXT", default_value = "OpenClaw")]
    pub title: String,
    /// What it says.
    #[arg(long, value_name = "TEXT")]
    pub body: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
}

/// `openclaw nodes camera`.
#[derive(Debug, Clone, Subcommand)]
pub enum CameraCommand {
    /// Show which cameras a node has.
    List(NodeUseArgs),
    /// Take a photo.
    Snap(CameraSnapArgs),
    /// Record a clip.
    Clip(CameraClipArgs),
}

/// Which side of the device a camera looks from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Facing {
    /// Towards who holds it.
    #[default]
    Front,
    /// Away.
    Back,
}

impl Facing {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Back => "back",
        }
    }
}

/// `openclaw nodes camera snap`.
#[derive(Debug, Clone, Args)]
pub struct CameraSnapArgs {
    /// Which camera.
    #[arg(long, value_enum, default_value = "front")]
    pub facing: Facing,
    /// Largest width, pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 1_600)]
    pub max_width: u32,
    /// The camera's own id, where a node has several.
    #[arg(long, value_name = "ID")]
    pub device_id: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub file: NodeFileArgs,
}

/// `openclaw nodes camera clip`.
#[derive(Debug, Clone, Args)]
pub struct CameraClipArgs {
    /// Which camera.
    #[arg(long, value_enum, default_value = "front")]
    pub facing: Facing,
    /// How long, e.g. 3s; a bare number is milliseconds.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_millis)]
    pub duration: Duration,
    /// Without sound.
    #[arg(long)]
    pub no_audio: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub file: NodeFileArgs,
}

/// `openclaw nodes screen`.
#[derive(Debug, Clone, Subcommand)]
pub enum ScreenCommand {
    /// Record the screen of a node.
    Record(ScreenRecordArgs),
}

/// `openclaw nodes screen record`.
#[derive(Debug, Clone, Args)]
pub struct ScreenRecordArgs {
    /// How long, e.g. 10s; a bare number is milliseconds.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_millis)]
    pub duration: Duration,
    /// Which screen, from 0.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub screen: u32,
    /// Pictures a second.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub fps: u32,
    /// Without sound.
    #[arg(long)]
    pub no_audio: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub file: NodeFileArgs,
}

/// `openclaw nodes location`.
#[derive(Debug, Clone, Subcommand)]
pub enum LocationCommand {
    /// Ask a node where it is.
    Get(NodeUseArgs),
}

/// `openclaw nodes canvas`.
#[derive(Debug, Clone, Subcommand)]
pub enum CanvasCommand {
    /// Show the canvas.
    Present(CanvasShowArgs),
    /// Hide it.
    Hide(NodeUseArgs),
    /// Show another page on it.
    Navigate(CanvasGoArgs),
    /// Run a script in it and show what it gives.
    Eval(CanvasEvalArgs),
    /// Take a picture of it.
    Snapshot(NodeFileArgs),
    /// Draw surfaces that are described in A2UI.
    #[command(subcommand)]
    A2ui(A2uiCommand),
}

/// `openclaw nodes canvas a2ui`.
#[derive(Debug, Clone, Subcommand)]
pub enum A2uiCommand {
    /// Draw what a file describes, one message a line.
    Push(A2uiPushArgs),
    /// Take everything away.
    Reset(NodeUseArgs),
}

/// `openclaw nodes canvas a2ui push`.
#[derive(Debug, Clone, Args)]
pub struct A2uiPushArgs {
    /// The file, in A2UI v0.8; `-` is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    pub jsonl: Option<PathBuf>,
    /// A text to show, in place of a file.
    #[arg(long, value_name = "TEXT", conflicts_with = "jsonl")]
    pub text: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
}

/// `openclaw nodes canvas present`.
#[derive(Debug, Clone, Args)]
pub struct CanvasShowArgs {
    /// The page.
    #[arg(long, value_name = "URL")]
    pub page: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
}

/// `openclaw nodes canvas navigate`.
#[derive(Debug, Clone, Args)]
pub struct CanvasGoArgs {
    /// The page.
    #[arg(long, value_name = "URL")]
    pub page: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
}

/// `openclaw nodes canvas eval`.
#[derive(Debug, Clone, Args)]
pub struct CanvasEvalArgs {
    /// The script.
    #[arg(long, value_name = "SCRIPT")]
    pub js: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub on: NodeUseArgs,
}
