//! Devices that approved themselves and were left behind: a program that lost its key comes back
//! as another device, and its older selves would stay for ever.
//!
//! Only after a silent approval, and only devices of the same program, mode and name that no owner
//! ever decided about, that were not seen for a minute and have no connection.

use std::collections::BTreeSet;
use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};

use openclaw_protocol::events::device::PairDecision;

use super::effects::{Effects, PairEvent};
use super::records::ApprovedVia;
use super::state::PairingState;
use super::{Admit, PairingRegistry};
use crate::audit::{AuditRow, Kind};
use crate::clock::Millis;
use crate::gateway::Connected;
use crate::store::Table;

/// A device that was seen within this time is not left behind.
const LEFT_BEHIND: Duration = Duration::from_mins(1);

impl PairingState {
    /// The older selves of a device that has just approved itself.
    pub(crate) fn left_behind(&self, of: &str, now: Millis) -> BTreeSet<String> {
        let Some(new) = self.devices.get(of) else {
            return BTreeSet::new();
        };
        self.devices
            .iter()
            .filter(|(id, device)| {
                let seen = device
                    .last_seen_at_ms
                    .unwrap_or_default()
                    .max(device.approved_at_ms);
                id.as_str() != of
                    && device.about.client_id == new.about.client_id
                    && device.about.client_mode == new.about.client_mode
                    && device.about.display_name == new.about.display_name
                    && !device.owned
                    && device.label.is_none()
                    && device.approved_via == ApprovedVia::Silent
                    && !self.pending.contains_key(*id)
                    && now.since(seen) >= LEFT_BEHIND
            })
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Forgets those that are still left behind and have no connection.
    pub(crate) fn prune(&mut self, of: &str, connected: &BTreeSet<String>, now: Millis) -> Effects {
        let mut effects = Effects::about(of);
        let gone = self.left_behind(of, now);
        let gone = gone.difference(connected);
        for id in gone {
            let Some(mut device) = self.devices.remove(id) else {
                continue;
            };
            self.forget_touched(id);
            effects.delete(Table::Devices, id);
            effects.end_node(id, &mut device, now);
            let row = AuditRow::new(Kind::DeviceRemoved)
                .device(id)
                .by("gateway")
                .reason("a newer device of the same program approved itself; nobody had approved or used this one of late");
            effects.notes.push(device.about.to_audit(row));
        }
        effects
    }
}

impl PairingRegistry {
    /// After a silent approval: asks who is connected, then forgets who was left behind.
    pub(super) fn prune_after(&self, effects: &Effects, ask: &Admit, ctx: &mut Context<Self>) {
        let approved = |event: &PairEvent| matches!(event, PairEvent::Resolved(resolved) if resolved.decision == PairDecision::Approved);
        let silent = ask.silent && effects.events.iter().any(approved);
        let of = ask.device.id.clone();
        if !silent
            || self
                .decide(|state, now| state.left_behind(&of, now))
                .is_empty()
        {
            return;
        }
        let connected = self.deps.gateway.addr().send(Connected);
        ctx.spawn(
            connected
                .into_actor(self)
                .map(move |connected, registry, _| {
                    // Without an answer nobody is forgotten; the next approval tries again.
                    if let Ok(connected) = connected {
                        registry.follow(
                            registry.decide(|state, now| state.prune(&of, &connected, now)),
                        );
                    }
                }),
        );
    }
}
