//! Which method is served how: one line each.

use openclaw_protocol::methods::system;

use crate::session::dispatch::Dispatch;

/// The methods as sessions see them.
pub fn dispatch() -> Dispatch {
    Dispatch::default()
        .snapshot::<system::Health>()
        .snapshot::<system::SystemPresence>()
}
