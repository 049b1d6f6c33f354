//! Devices that approved themselves and were left behind: a program that lost its key comes back
//! as another device, and its older selves would stay for ever.
//!
//! Only after a silent approval, and only devices of the same program, mode and name that no owner
//! ever decided about, that were not seen for a minute and have no connection. One that comes in just
//! then is closed like one that an owner removed: it approves itself anew.

use std::collections::BTreeSet;
use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler, Message};

use openclaw_protocol::events::device::PairDecision;

use super::effects::{Effects, PairEvent, Step};
use super::records::ApprovedVia;
use super::state::PairingState;
use super::{Admit, PairingRegistry, close_connections};
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
    pub(crate) fn prune(
        &mut self,
        of: &str,
        connected: &BTreeSet<String>,
        now: Millis,
    ) -> Step<Vec<String>> {
        let mut effects = Effects::about(of);
        let gone = self.left_behind(of, now);
        let gone: Vec<String> = gone.difference(connected).cloned().collect();
        for id in &gone {
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
        effects.with(gone)
    }
}

/// Who is connected, after a device approved itself.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Prune {
    pub(super) of: String,
    pub(super) connected: BTreeSet<String>,
}

impl Handler<Prune> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, msg: Prune, _: &mut Context<Self>) {
        let Prune { of, connected } = msg;
        if self.ready().is_err() {
            return;
        }
        let Step { answer, effects } = self.decide(|state, now| state.prune(&of, &connected, now));
        self.follow_with(effects, move |voice| {
            for device in answer {
                close_connections(voice, device, None, "a newer device took its place");
            }
        });
    }
}

impl PairingRegistry {
    /// After a silent approval: asks who is connected, and forgets who was left behind once that is
    /// known. Where the question or its answer finds a full mailbox nobody is forgotten; the next
    /// approval tries again.
    pub(super) fn prune_after(&self, effects: &Effects, ask: &Admit, ctx: &Context<Self>) {
        let approved = |event: &PairEvent| matches!(event, PairEvent::Resolved(resolved) if resolved.decision == PairDecision::Approved);
        let silent = ask.silent && effects.events.iter().any(approved);
        let of = ask.device.id.clone();
        let is_empty = || self.decide(|state, now| state.left_behind(&of, now).is_empty());
        if !silent || is_empty() {
            return;
        }
        let registry = ctx.address();
        let tell = Box::new(move |connected| {
            let _ = registry.try_send(Prune { of, connected });
        });
        let _ = self.deps.gateway.addr().try_send(Connected { tell });
    }
}
