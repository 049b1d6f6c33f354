//! What a decision does to the world, once it is on the disk: events, log lines, closed connections.

use std::collections::BTreeSet;

use openclaw_protocol::Role;

use super::effects::Effects;
use super::state::PairingState;
use super::upgrades::Upgrades;
use crate::audit::AuditPort;
use crate::call::ConnKey;
use crate::gateway::{GatewayPort, Kick};
use crate::kept::Kept;
use crate::views::Views;

/// Close code of a connection whose trust an owner ended.
pub(super) const CLOSED_BY_OWNER: u16 = 4001;

/// Closes the connections of a device, or of one of its roles, that are older than this call. One that
/// is still coming in finds that its trust ended once it joined: see [`crate::views::TrustEnds`].
#[expect(
    clippy::disallowed_methods,
    reason = "as rare as owners' decisions, and never to be lost"
)]
pub(crate) fn close_connections(
    voice: &Voice,
    device: String,
    role: Option<Role>,
    reason: &'static str,
) {
    voice.book.views.trust_ends.end(&device, role);
    let newest = ConnKey::next();
    voice.gateway.addr().do_send(Kick {
        matches: Box::new(move |caller| {
            caller.conn < newest
                && caller.device_id.as_ref() == Some(&device)
                && role.is_none_or(|role| caller.role == role)
        }),
        code: CLOSED_BY_OWNER,
        reason: reason.to_owned(),
    });
}

/// Closes the connections of devices whose trust the disk does not have: the end of it may be there,
/// although whoever ended it was told that this is not confirmed. Handshakes under way begin again,
/// because what they were judged by may be over.
#[expect(
    clippy::disallowed_methods,
    reason = "as rare as disks that fail, and never to be lost"
)]
pub(super) fn close_untrusted(
    gateway: &GatewayPort,
    views: &Views,
    trusted: BTreeSet<(String, Role)>,
) {
    views.trust_ends.doubt();
    gateway.addr().do_send(Kick {
        matches: Box::new(move |caller| {
            let device = caller.device_id.clone();
            device.is_some_and(|device| !trusted.contains(&(device, caller.role)))
        }),
        code: CLOSED_BY_OWNER,
        reason: "device trust ended".to_owned(),
    });
}

/// How the registry tells the world what is on the disk.
pub(crate) struct Voice {
    pub(super) gateway: GatewayPort,
    pub(super) audit: AuditPort,
    pub(super) upgrades: Upgrades,
    pub(super) book: NodeBook,
}

/// Publishes what is known of nodes.
///
/// It is taken from the memory, which may be ahead of the disk by the commits that are on their way:
/// if one of them fails, the memory is loaded again, and that is published.
#[derive(Clone)]
pub(super) struct NodeBook {
    pub(super) state: Kept<PairingState>,
    pub(super) views: Views,
}

impl NodeBook {
    pub(super) fn publish(&self) {
        let nodes = self.state.with(|state| state.node_trust());
        self.views.node_trust.publish(nodes);
    }
}

impl Voice {
    pub(super) fn tell(&self, effects: &Effects) {
        if effects.nodes {
            self.book.publish();
        }
        for event in &effects.events {
            self.gateway.emit(event.to_out());
        }
        if !effects.events.is_empty() {
            self.upgrades.wake();
        }
        for row in &effects.notes {
            self.audit.record(row);
        }
    }
}
