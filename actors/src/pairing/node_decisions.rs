//! What a node may offer: its declaration, and what owners decide about it. Pure.
//!
//! A declaration changes nothing that is in effect; it files a request for what goes beyond the last
//! approval, and takes the request back when nothing does any more. An approval covers the whole
//! declaration as the owner saw it, or the commands that they chose, and replaces the one before.

use openclaw_protocol::connect::ClientInfo;
use openclaw_protocol::events::node::{NodePairDecision, NodePairResolvedEvent};
use openclaw_protocol::methods::node::{
    NodePairApproveParams, NodePairApproveResult, NodePairListResult, NodePairRejectResult,
    NodePairRemoveResult, NodeRenameParams, NodeRenameResult,
};
use openclaw_protocol::{ErrorShape, Role, Scope};
use serde_json::json;

use super::Admit;
use super::authority::Authority;
use super::decisions::{Decision, unknown_request};
use super::effects::{Effects, PairEvent, Step};
use super::endings::denied;
use super::node_record::{ApprovedSurface, PendingSurface, Program, scope_names};
use super::records::Device;
use super::state::PairingState;
use crate::audit::{AuditRow, Kind};
use crate::clock::{Entropy, Millis};
use crate::node::policy::{CommandPolicy, Surface};
use crate::node::{NodeTrust, NodeTrustMap};
use crate::store::Table;

const DENIED: &str = "node pairing decision denied";

/// What a connected node says of itself.
pub(crate) struct Claim<'a> {
    /// Its device.
    pub id: &'a str,
    /// What it offers.
    pub surface: &'a Surface,
    /// Its program.
    pub client: &'a ClientInfo,
}

impl PairingState {
    /// What is known of every device that holds the role of a node.
    pub(crate) fn node_trust(&self) -> NodeTrustMap {
        self.devices
            .iter()
            .filter_map(|(id, device)| Some((id.as_str().into(), NodeTrust::of(device)?.into())))
            .collect()
    }

    /// Takes note of what a node that was just let in declares.
    pub(crate) fn declare(
        &mut self,
        ask: &Admit,
        policy: &CommandPolicy,
        now: Millis,
        entropy: &dyn Entropy,
        effects: &mut Effects,
    ) {
        if ask.role != Role::Node {
            return;
        }
        if let Some(device) = self.devices.get_mut(&ask.device.id) {
            device.node.get_or_insert_default().last_connected_at_ms = Some(now);
        }
        let claim = Claim {
            id: &ask.device.id,
            surface: &ask.claims,
            client: &ask.client,
        };
        self.claim(&claim, policy, now, entropy, effects);
    }

    /// Files what a node declares, as far as the configuration lets it ask: at its connect, and again
    /// when the configuration is another one.
    pub(crate) fn claim(
        &mut self,
        claim: &Claim<'_>,
        policy: &CommandPolicy,
        now: Millis,
        entropy: &dyn Entropy,
        effects: &mut Effects,
    ) {
        let id = claim.id;
        let Some(device) = self.devices.get_mut(id) else {
            return;
        };
        if !device.roles.contains_key(&Role::Node) {
            return;
        }
        let declared = policy.offered(claim.surface);
        let node = device.node.get_or_insert_default();
        let approved = node.approved.as_ref().map(|approved| &approved.surface);
        let asks = !declared.gives_nothing()
            && !approved.is_some_and(|approved| declared.is_within(approved));
        match &mut node.pending {
            None if !asks => {
                self.touch(id);
                return;
            }
            Some(pending) if asks && pending.surface == declared => {
                // The same question again: nobody is told twice.
                pending.program = Program::of(claim.client);
                self.touch(id);
                return;
            }
            _ => {}
        }
        let older = node.pending.take();
        if asks {
            node.pending = Some(PendingSurface {
                request_id: entropy.uuid().to_string(),
                surface: declared,
                program: Program::of(claim.client),
                ts: now,
            });
        }
        if let Some(older) = older {
            effects.node_resolved(id, &older.request_id, NodePairDecision::Rejected, now);
        }
        effects.put_device(id, device);
        if let Some(pending) = device.node.as_ref().and_then(|node| node.pending.as_ref()) {
            let request = pending.to_wire(id, device, policy);
            effects
                .events
                .push(PairEvent::NodeRequested(Box::new(request)));
            let id = &pending.request_id;
            effects.note(
                about(device, Kind::NodeRequested)
                    .request(id)
                    .reason(said(policy, &pending.surface))
                    .remedy(format!("openclaw nodes approve {id}")),
            );
        }
    }

    /// Surfaces that the caller may see: requests and approvals, newest first.
    pub(crate) fn list_nodes(&self, by: &Authority, policy: &CommandPolicy) -> NodePairListResult {
        let mut list = NodePairListResult::default();
        for (id, device) in self.devices.iter().filter(|(id, _)| by.reaches(id)) {
            let Some(node) = device.node_role() else {
                continue;
            };
            if let Some(pending) = &node.pending {
                let row = pending.to_wire(id, device, policy);
                list.pending.push(row.for_generation(by.generation));
            }
            if let Some(approved) = &node.approved {
                let row = approved.to_wire(id, device, policy);
                list.paired.push(row.for_generation(by.generation));
            }
        }
        list.pending.sort_by_key(|row| std::cmp::Reverse(row.ts));
        list.paired
            .sort_by_key(|row| std::cmp::Reverse(row.approved_at_ms));
        list
    }

    /// Puts what a node declared into effect, or only some of its commands; the rest goes on waiting
    /// under another request.
    pub(crate) fn approve_node(
        &mut self,
        params: &NodePairApproveParams,
        by: &Authority,
        policy: &CommandPolicy,
        now: Millis,
        entropy: &dyn Entropy,
    ) -> Decision<NodePairApproveResult> {
        let request_id = &params.request_id;
        let Some((id, device)) = self.node_of(request_id) else {
            return unknown_node_request();
        };
        if !by.reaches(&id) {
            return denied(&id, DENIED);
        }
        let Some(node) = device.node.as_mut() else {
            return unknown_node_request();
        };
        let Some(asked) = node.pending.clone() else {
            return unknown_node_request();
        };
        // What was denied meanwhile is not approved for the day when it is denied no more.
        let offered = policy.offered(&asked.surface);
        let surface = match chosen(&offered, params.commands.as_deref()) {
            Ok(surface) => surface,
            Err(error) => return Step::answer(&id, Err(error)),
        };
        if let Err(error) = enough(by, &policy.approve_scopes(&surface)) {
            return Step::answer(&id, Err(error));
        }
        let reason = said(policy, &surface);
        let rest = !offered.is_within(&surface);
        let before = node.approved.take();
        node.approved = Some(ApprovedSurface {
            revision: before.as_ref().map_or(1, |before| before.revision + 1),
            surface,
            program: asked.program.clone(),
            created_at_ms: before.map_or(now, |before| before.created_at_ms),
            approved_at_ms: now,
        });
        node.pending = rest.then(|| PendingSurface {
            request_id: entropy.uuid().to_string(),
            surface: offered,
            ts: now,
            ..asked
        });
        let mut effects = Effects::about(&id);
        effects.note(
            about(device, Kind::NodeApproved)
                .request(request_id)
                .by(&by.name)
                .reason(reason)
                .remedy(format!("openclaw nodes remove {id}")),
        );
        effects.put_device(&id, device);
        effects.node_resolved(&id, request_id, NodePairDecision::Approved, now);
        let node = device.node.as_ref();
        if let Some(pending) = node.and_then(|node| node.pending.as_ref()) {
            let request = pending.to_wire(&id, device, policy);
            effects
                .events
                .push(PairEvent::NodeRequested(Box::new(request)));
        }
        let Some(approved) = node.and_then(|node| node.approved.as_ref()) else {
            return unknown_node_request();
        };
        let row = approved.to_wire(&id, device, policy);
        effects.with(Ok(NodePairApproveResult {
            request_id: request_id.clone(),
            node: row.for_generation(by.generation),
        }))
    }

    /// Turns a declaration down; what was approved before stays. The node may ask again.
    pub(crate) fn reject_node(
        &mut self,
        request_id: &str,
        by: &Authority,
        now: Millis,
    ) -> Decision<NodePairRejectResult> {
        let Some((id, device)) = self.node_of(request_id) else {
            return unknown_node_request();
        };
        if !by.reaches(&id) {
            return denied(&id, DENIED);
        }
        if let Some(node) = &mut device.node {
            node.pending = None;
        }
        let mut effects = Effects::about(&id);
        let row = about(device, Kind::NodeRejected);
        effects.note(row.request(request_id).by(&by.name));
        effects.put_device(&id, device);
        effects.node_resolved(&id, request_id, NodePairDecision::Rejected, now);
        effects.with(Ok(NodePairRejectResult {
            request_id: request_id.to_owned(),
            node_id: id,
        }))
    }

    /// Ends the node role of a device; a device without any other role is forgotten.
    pub(crate) fn remove_node(
        &mut self,
        id: &str,
        by: &Authority,
        now: Millis,
    ) -> Decision<NodePairRemoveResult> {
        if !by.reaches(id) {
            return denied(id, DENIED);
        }
        let Some(device) = self.devices.get_mut(id) else {
            return denied(id, "unknown nodeId");
        };
        if device.roles.remove(&Role::Node).is_none() {
            return denied(id, "unknown nodeId");
        }
        let mut effects = Effects::about(id);
        effects.note(about(device, Kind::NodeRemoved).by(&by.name));
        effects.end_node(id, device, now);
        if device.roles.is_empty() {
            self.devices.remove(id);
            effects.delete(Table::Devices, id);
        } else {
            effects.put_device(id, device);
        }
        effects.nodes = true;
        effects.node_resolved(id, "", NodePairDecision::Removed, now);
        effects.with(Ok(NodePairRemoveResult {
            node_id: id.to_owned(),
        }))
    }

    /// Gives a node a name that it cannot change itself.
    pub(crate) fn rename_node(
        &mut self,
        params: &NodeRenameParams,
        by: &Authority,
    ) -> Decision<NodeRenameResult> {
        let id = &params.node_id;
        if !by.reaches(id) {
            return denied(id, DENIED);
        }
        let name = params.display_name.trim();
        if name.is_empty() {
            return denied(id, "displayName must not be blank");
        }
        let Some(device) = self
            .devices
            .get_mut(id)
            .filter(|device| device.roles.contains_key(&Role::Node))
        else {
            return denied(id, "unknown nodeId");
        };
        device.label = Some(name.to_owned());
        let mut effects = Effects::about(id);
        effects.note(AuditRow::new(Kind::DeviceRenamed).name(name).by(&by.name));
        effects.put_device(id, device);
        effects.with(Ok(NodeRenameResult {
            node_id: id.clone(),
            display_name: name.to_owned(),
        }))
    }

    /// Whether a node waits under this id.
    pub(super) fn is_node_request(&mut self, request_id: &str) -> bool {
        self.node_of(request_id).is_some()
    }

    fn node_of(&mut self, request_id: &str) -> Option<(String, &mut Device)> {
        self.devices
            .iter_mut()
            .find(|(_, device)| {
                device
                    .node_role()
                    .and_then(|node| node.pending.as_ref())
                    .is_some_and(|pending| pending.request_id == request_id)
            })
            .map(|(id, device)| (id.clone(), device))
    }
}

impl Effects {
    /// Tells owners that a request about a node's surface is over.
    pub(super) fn node_resolved(
        &mut self,
        id: &str,
        request_id: &str,
        decision: NodePairDecision,
        now: Millis,
    ) {
        self.events
            .push(PairEvent::NodeResolved(NodePairResolvedEvent {
                request_id: request_id.to_owned(),
                node_id: id.to_owned(),
                decision,
                ts: now.wire(),
            }));
    }

    /// Takes back what was approved for a device's node role, and what it asks for.
    pub(super) fn end_node(&mut self, id: &str, device: &mut Device, now: Millis) {
        if let Some(pending) = device.node.take().and_then(|node| node.pending) {
            self.node_resolved(id, &pending.request_id, NodePairDecision::Rejected, now);
        }
        self.nodes = true;
    }
}

/// The part of an offer that an owner chose; all of it without a choice.
fn chosen(offered: &Surface, commands: Option<&[String]>) -> Result<Surface, ErrorShape> {
    let mut chosen = offered.clone();
    if let Some(commands) = commands {
        if let Some(other) = commands
            .iter()
            .find(|command| !offered.commands.contains(*command))
        {
            let message = format!("the node does not offer this command: {other}");
            return Err(ErrorShape::invalid(message));
        }
        chosen.commands.retain(|command| commands.contains(command));
    }
    Ok(chosen)
}

/// Whether the caller holds what an approval takes.
fn enough(by: &Authority, needed: &[Scope]) -> Result<(), ErrorShape> {
    let Some(missing) = needed.iter().find(|scope| !by.scopes.grants(**scope)) else {
        return Ok(());
    };
    let mut error = ErrorShape::missing_scope(*missing);
    if let Some(details) = &mut error.details {
        details["requiredScopes"] = json!(scope_names(needed));
    }
    Err(error)
}

/// The row of a decision about this node.
fn about(device: &Device, kind: Kind) -> AuditRow {
    device
        .about
        .to_audit(AuditRow::new(kind))
        .role(Role::Node)
        .name(device.shown_name())
}

/// What a surface means, in words: how much it offers, and which of it needs an explicit yes.
fn said(policy: &CommandPolicy, surface: &Surface) -> String {
    let sensitive = policy.sensitive(surface);
    let some = surface.commands.len();
    if sensitive.is_empty() {
        return format!("{some} commands, none of them sensitive");
    }
    let sensitive = sensitive.join(", ");
    format!("{some} commands; sensitive: {sensitive}")
}

fn unknown_node_request<T>() -> Decision<T> {
    unknown_request(
        "it was decided, or the node declares something else by now; see: openclaw nodes pending",
    )
}
