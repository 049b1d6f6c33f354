//! A headless node: this machine's programs, screen, cameras and place, for a gateway.
//!
//! [`offer`] looks at what is here and declares only that; [`openclaw_client::node`] keeps the node
//! connected and dispatches. One file for each capability; none of them knows another.

mod approvals;
mod camera;
mod canvas;
mod device;
mod ffmpeg;
mod location;
mod notify;
mod programs;
mod screen;
mod system;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openclaw_client::node::{Gateway, Node};
use tokio::sync::watch;

use approvals::Approvals;
pub use camera::Cameras;
pub use canvas::CanvasPlace;
use ffmpeg::Ffmpeg;
pub use ffmpeg::MediaSource;
pub use location::LocationSource;
use programs::Programs;
pub use screen::Screen;

/// What a node is asked to offer.
#[derive(Debug, Clone, Default)]
pub struct NodeSettings {
    /// The node's own folder.
    pub folder: PathBuf,
    /// What people call it.
    pub name: String,
    /// Where programs are looked for.
    pub path: OsString,
    /// Whether its programs may be run at all.
    pub programs: bool,
    /// Where it is told to be.
    pub location: Option<LocationSource>,
    /// Where the canvas is shown.
    pub canvas: Option<CanvasPlace>,
    /// Its cameras.
    pub cameras: Option<Cameras>,
    /// Its screen.
    pub screen: Option<Screen>,
    /// What is heard while a film is made.
    pub audio: Option<MediaSource>,
    /// The X display of this session.
    pub display: Option<String>,
    /// Whether there is a display of any kind.
    pub has_display: bool,
}

/// What a node offers, and why it does not offer more.
#[derive(Debug)]
pub struct Offer {
    /// The node.
    pub node: Node,
    /// A line for each thing that was asked for, or could be, and is not offered.
    pub missing: Vec<String>,
    /// Told which gateway it is connected to.
    pub connected: watch::Sender<Option<Gateway>>,
}

/// Looks at this machine, and makes a node of what is here. Needs a runtime.
pub fn offer(settings: &NodeSettings) -> Offer {
    let programs = Programs::new(settings.path.clone());
    let mut node = Node::default();
    let mut missing = Vec::new();
    device::offer(&mut node, &settings.name);
    if settings.programs {
        let approvals = Approvals::new(settings.folder.join("exec-approvals.json"));
        system::offer(&mut node, &programs, &approvals);
    }
    missing.extend(notify::offer(&mut node, &programs).err());
    if let Some(source) = &settings.location {
        location::offer(&mut node, source);
    }
    let (connected, connection) = watch::channel(None);
    if let Some(place) = settings.canvas {
        let folder = &settings.folder;
        let display = settings.has_display;
        let offered = canvas::offer(&mut node, &programs, place, display, folder, &connection);
        missing.extend(offered.err());
    }
    missing.extend(media(&mut node, settings, &programs));
    Offer {
        node,
        missing,
        connected,
    }
}

/// Cameras and the screen; both need ffmpeg.
fn media(node: &mut Node, settings: &NodeSettings, programs: &Programs) -> Vec<String> {
    if settings.cameras.is_none() && settings.screen.is_none() {
        return Vec::new();
    }
    let Some(program) = programs.find("ffmpeg") else {
        return vec!["camera and screen: install ffmpeg".into()];
    };
    let folder = settings.folder.join("films");
    let ffmpeg = Ffmpeg { program, folder };
    let audio = settings.audio.as_ref();
    let cameras = settings
        .cameras
        .as_ref()
        .map(|cameras| camera::offer(node, cameras, audio, ffmpeg.clone()));
    let display = settings.display.as_deref();
    let screen = settings
        .screen
        .as_ref()
        .map(|screen| screen::offer(node, screen, audio, display, ffmpeg));
    [cameras, screen]
        .into_iter()
        .flatten()
        .filter_map(Result::err)
        .collect()
}

/// What the machine calls itself.
pub fn model() -> Option<String> {
    device::model(Path::new("/"))
}
