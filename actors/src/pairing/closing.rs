//! What a decision does to the world, once it is on the disk: events, log lines, closed connections.

use std::time::Duration;

use openclaw_protocol::Role;

use super::effects::Effects;
use super::state::PairingState;
use super::upgrades::Upgrades;
use crate::audit::AuditPort;
use crate::call::{Caller, ConnKey};
use crate::gateway::{GatewayPort, Kick};
use crate::kept::Kept;
use crate::views::Views;

/// Close code of a connection whose trust an owner ended.
pub(super) const CLOSED_BY_OWNER: u16 = 4001;
/// Between the two looks for connections that have to be closed.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// Closes the connections of a device, or of one of its roles.
pub(crate) fn close_connections(
    gateway: &GatewayPort,
    device: String,
    role: Option<Role>,
    reason: &'static str,
) {
    close_twice(
        gateway,
        move |caller| {
            caller.device_id.as_ref() == Some(&device)
                && role.is_none_or(|role| caller.role == role)
        },
        reason,
    );
}

/// Closes connections that match now, and once more a moment later those that are older than this
/// call: a connect that was let in before may reach the Gateway after it.
fn close_twice(
    gateway: &GatewayPort,
    matches: impl Fn(&Caller) -> bool + Clone + Send + 'static,
    reason: &'static str,
) {
    let newest = ConnKey::next();
    let kick = move || {
        let matches = matches.clone();
        Kick {
            matches: Box::new(move |caller| caller.conn < newest && matches(caller)),
            code: CLOSED_BY_OWNER,
            reason: reason.to_owned(),
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "as rare as owners' decisions, and never to be lost"
    )]
    let look = move |gateway: &GatewayPort| gateway.addr().do_send(kick());
    look(gateway);
    let gateway = gateway.clone();
    actix_rt::spawn(async move {
        tokio::time::sleep(SECOND_LOOK).await;
        look(&gateway);
    });
}

/// How the registry tells the world what is on the disk.
pub(super) struct Voice {
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
