//! The canvas: pages that agents write and nodes show.
//!
//! [`desk`] says who may read them: whoever has a capability, a name that nobody can guess in the path of an
//! address. It belongs to one connection and ends with it, with its right to the canvas, and when it was not
//! used for ten minutes. [`address`] makes the addresses, [`files`] reads what is asked for, [`host`] tells open
//! pages that something changed. HTTP itself is the binary's.

pub mod address;
pub mod desk;
pub mod files;
pub mod host;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use openclaw_protocol::{Role, Scope};

use crate::call::Caller;
use crate::views::Views;

/// The capability that a node announces and an owner approves.
pub const CAP: &str = "canvas";

/// `canvasHost`, but for its port, which is bound once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanvasSettings {
    /// Whether there is a canvas at all.
    pub enabled: bool,
    /// The folder of its pages.
    pub root: PathBuf,
    /// Whether open pages load themselves again after a change.
    pub live_reload: bool,
    /// Whether programs of this host may read it without any proof.
    pub allow_loopback_read: bool,
}

impl Default for CanvasSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            root: PathBuf::from("/nonexistent"),
            live_reload: true,
            allow_loopback_read: false,
        }
    }
}

/// Whether a connection may see the canvas now: an operator who may read, or a node of which an owner
/// approved it.
pub fn may_see(views: &Views, caller: &Caller) -> bool {
    let settings = views.settings.load();
    if !settings.canvas.enabled {
        return false;
    }
    if caller.role == Role::Operator {
        return caller.grants(Scope::Read);
    }
    let (Some(declared), Some(id)) = (&caller.node, &caller.device_id) else {
        return false;
    };
    let trust = views.node_trust.load();
    let approved = trust.get(&**id).and_then(|trust| trust.approved());
    let effective = settings.nodes.effective(&declared.surface, approved);
    effective.caps.contains(CAP)
}
