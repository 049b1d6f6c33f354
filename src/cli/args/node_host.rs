//! What can be written about this machine as a node.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::TargetArgs;
use crate::node::{Cameras, CanvasPlace, LocationSource, MediaSource, Screen};

/// `openclaw node`.
#[derive(Debug, Clone, Args)]
pub struct NodeHostArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeHostCommand,
}

/// The commands about this machine as a node.
#[derive(Debug, Clone, Subcommand)]
pub enum NodeHostCommand {
    /// Be a node in the foreground: connect, and carry out what the gateway asks for. It comes back by
    /// itself when the gateway restarts.
    Run(NodeRunHostArgs),
}

/// `openclaw node run`. Only what is asked for and is here is offered, and nothing of it is used before
/// an owner approved it: `openclaw nodes pending` on the gateway's host.
#[derive(Debug, Clone, Args)]
pub struct NodeRunHostArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    /// What people call this node; the name of this machine if absent.
    #[arg(long, value_name = "NAME")]
    pub display_name: Option<String>,
    /// Do not let programs be looked for or run.
    #[arg(long)]
    pub no_programs: bool,
    /// Show pages, in Chromium: in a window where there is a display.
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    pub canvas: Option<CanvasPlace>,
    /// Take photos and clips, with ffmpeg: with this machine's cameras, or from FORMAT:INPUT as ffmpeg has
    /// them, such as v4l2:/dev/video2.
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = cameras)]
    pub camera: Option<Cameras>,
    /// Record the screen, with ffmpeg: the X display of this session, or FORMAT:INPUT.
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = screen)]
    pub screen: Option<Screen>,
    /// What is heard on clips and recordings: FORMAT:INPUT, such as pulse:default. Without it they are silent.
    #[arg(long, value_name = "SOURCE")]
    pub audio: Option<MediaSource>,
    /// Tell where this machine is: from gpsd on this machine, or from its HOST:PORT, or always LAT,LON.
    #[arg(
        long,
        value_name = "PLACE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = LocationSource::GPSD,
        allow_hyphen_values = true
    )]
    pub location: Option<LocationSource>,
    /// Folder of its identity, its token and its own rules (exec-approvals.json); `gateway/node` of the
    /// state directory if absent.
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
}

fn cameras(text: &str) -> Result<Cameras, String> {
    if text.is_empty() {
        return Ok(Cameras::OfThisMachine);
    }
    text.parse().map(Cameras::One)
}

fn screen(text: &str) -> Result<Screen, String> {
    if text.is_empty() {
        return Ok(Screen::OfThisSession);
    }
    text.parse().map(Screen::One)
}
