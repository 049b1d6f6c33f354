//! What a device says it is, compared with what was approved.

use openclaw_protocol::client::{ClientId, ClientMode};

use super::Admit;
use super::records::About;

/// Whether the device claims to be of another kind than the one that was approved. A claim that is
/// missing is not another claim: what counts for policy stays what was approved.
pub(super) fn differs(approved: &About, ask: &Admit) -> bool {
    let native = is_native_app(ask.client.id, ask.client.mode);
    // The claim within the bounds in which it would be kept, so that a longer one can be approved.
    let claimed = About::of(ask);
    let system = |about: &About| {
        let text = about.platform.as_deref()?;
        Some(platform(text, native))
    };
    let family = |about: &About| about.device_family.as_deref().map(plain);
    other(system(approved), system(&claimed)) || other(family(approved), family(&claimed))
}

/// An app of a phone or a desktop, whose operating system is updated now and then.
pub(super) const fn is_native_app(id: ClientId, mode: ClientMode) -> bool {
    matches!(mode, ClientMode::Ui | ClientMode::Node)
        && matches!(
            id,
            ClientId::Macos
                | ClientId::Linux
                | ClientId::Ios
                | ClientId::Watchos
                | ClientId::Android
        )
}

fn other(approved: Option<String>, claimed: Option<String>) -> bool {
    match (approved, claimed) {
        (Some(approved), Some(claimed)) => {
            !approved.is_empty() && !claimed.is_empty() && approved != claimed
        }
        _ => false,
    }
}

fn plain(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// The platform's name: the same for its aliases, and for apps without the version of the system.
fn platform(text: &str, native: bool) -> String {
    let text = plain(text);
    let name = if native {
        text.split(|c: char| !c.is_ascii_alphabetic())
            .next()
            .unwrap_or_default()
    } else {
        text.as_str()
    };
    match name {
        "darwin" => "macos",
        "win32" => "windows",
        "ipados" if native => "ios",
        other => other,
    }
    .to_owned()
}

impl About {
    /// Takes over what is new; a missing claim leaves what was known.
    pub(super) fn replace_by(&mut self, new: &Self) {
        let Self {
            display_name,
            platform,
            device_family,
            client_id,
            client_mode,
            remote_ip,
        } = new.clone();
        self.display_name = display_name.or(self.display_name.take());
        self.platform = platform.or(self.platform.take());
        self.device_family = device_family.or(self.device_family.take());
        self.client_id = client_id;
        self.client_mode = client_mode;
        self.remote_ip = remote_ip;
    }
}
