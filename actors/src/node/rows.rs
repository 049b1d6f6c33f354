//! The rows of `node.list` and `node.describe`: what owners published about a node, put together for
//! the one who asks. Pure.

use std::collections::BTreeSet;

use openclaw_protocol::Scope;
use openclaw_protocol::methods::node::{ApprovalState, NodeRow};

use super::NodeTrust;
use super::policy::{CommandPolicy, Surface};
use super::state::LiveNode;
use crate::call::Caller;
use crate::clock::Millis;
use crate::pairing::Authority;
use crate::views::Views;

/// The rows that the caller may see: connected nodes first, then by name.
pub fn list(views: &Views, caller: &Caller) -> Vec<NodeRow> {
    let (live, trust) = (views.nodes.load(), views.node_trust.load());
    let ids: BTreeSet<&str> = live
        .iter()
        .map(|(id, _)| id)
        .chain(trust.keys().map(|id| &**id))
        .collect();
    let mut rows: Vec<NodeRow> = ids
        .into_iter()
        .filter_map(|id| find(views, caller, id))
        .collect();
    rows.sort_by_cached_key(|row| {
        let name = row.display_name.as_deref().unwrap_or(&row.node_id);
        (!row.connected, name.to_lowercase(), row.node_id.clone())
    });
    rows
}

/// Every node as an agent sees it: what is in effect, and nothing that waits.
pub fn brief(views: &Views) -> Vec<NodeRow> {
    let (nodes, trust) = (views.nodes.load(), views.node_trust.load());
    let settings = views.settings.load();
    let live = nodes.iter().map(|(id, _)| id);
    let ids: BTreeSet<&str> = live.chain(trust.keys().map(|id| &**id)).collect();
    let known = |id: &str| Known {
        live: nodes.get(id).map(AsRef::as_ref),
        trust: trust.get(id).map(AsRef::as_ref),
        left: nodes.left_at(id),
    };
    ids.into_iter()
        .map(|id| row(id, &known(id), &settings.nodes).without_pending())
        .collect()
}

/// The row of one node.
pub fn find(views: &Views, caller: &Caller, id: &str) -> Option<NodeRow> {
    let (nodes, trust) = (views.nodes.load(), views.node_trust.load());
    let known = Known {
        live: nodes.get(id).map(AsRef::as_ref),
        trust: trust.get(id).map(AsRef::as_ref),
        left: nodes.left_at(id),
    };
    if known.live.is_none() && known.trust.is_none() {
        return None;
    }
    let settings = views.settings.load();
    let row = row(id, &known, &settings.nodes);
    let by = Authority::of(caller);
    let row = if by.scopes.grants(Scope::Pairing) && by.reaches(id) {
        row
    } else {
        // A phone may tell its own user what to approve, and nothing about other nodes.
        let own = (caller.device_id.as_deref() == Some(id)).then(|| row.pending_request_id.clone());
        NodeRow {
            pending_request_id: own.flatten(),
            ..row.without_pending()
        }
    };
    Some(row.for_generation(caller.generation))
}

/// What is known of one node.
struct Known<'a> {
    live: Option<&'a LiveNode>,
    trust: Option<&'a NodeTrust>,
    left: Option<Millis>,
}

fn row(id: &str, known: &Known<'_>, policy: &CommandPolicy) -> NodeRow {
    let record = known.trust.map(|trust| &trust.record);
    let approved = record.and_then(|record| record.approved.as_ref());
    let pending = record.and_then(|record| record.pending.as_ref());
    let declaration = known.live.and_then(LiveNode::declared);
    let surface = match (declaration, known.trust.and_then(NodeTrust::approved)) {
        (Some(declaration), approved) => policy.effective(&declaration.surface, approved),
        (None, Some(approved)) => policy.offered(approved),
        (None, None) => Surface::default(),
    };
    let waits = pending.map(|pending| policy.offered(&pending.surface));
    let denied = declaration.map(|declaration| policy.denied(&declaration.surface));
    NodeRow {
        permissions: surface.wire_permissions(),
        caps: surface.caps.into_iter().collect(),
        commands: surface.commands.into_iter().collect(),
        path_env: declaration.and_then(|declaration| declaration.path_env.clone()),
        approved_at_ms: approved
            .map(|approved| approved.approved_at_ms)
            .or_else(|| known.trust.map(|trust| trust.approved_at_ms))
            .map(Millis::wire),
        approval_state: Some(match (approved, pending) {
            (Some(_), Some(_)) => ApprovalState::PendingReapproval,
            (None, Some(_)) => ApprovalState::PendingApproval,
            (Some(_), None) => ApprovalState::Approved,
            (None, None) => ApprovalState::Unapproved,
        }),
        pending_request_id: pending.map(|pending| pending.request_id.clone()),
        pending_declared_permissions: waits.as_ref().and_then(Surface::wire_permissions),
        pending_declared_caps: waits
            .as_ref()
            .map(|waits| waits.caps.iter().cloned().collect()),
        pending_declared_commands: waits.map(|waits| waits.commands.into_iter().collect()),
        denied_commands: denied.filter(|denied| !denied.is_empty()),
        ..seen(known, described(id, known))
    }
}

/// What the node is: what it says now, else what was known when it was approved.
fn described(id: &str, known: &Known<'_>) -> NodeRow {
    let client = known.live.map(|live| &live.caller.client);
    let about = known.trust.map(|trust| &trust.about);
    let program = known.trust.and_then(NodeTrust::program);
    NodeRow {
        node_id: id.to_owned(),
        display_name: known
            .trust
            .and_then(|trust| trust.name.clone())
            .or_else(|| client.and_then(|client| client.display_name.clone())),
        platform: client
            .map(|client| client.platform.clone())
            .or_else(|| about.and_then(|about| about.platform.clone())),
        version: client
            .map(|client| client.version.clone())
            .or_else(|| program.and_then(|program| program.version.clone())),
        device_family: client
            .and_then(|client| client.device_family.clone())
            .or_else(|| about.and_then(|about| about.device_family.clone())),
        model_identifier: client
            .and_then(|client| client.model_identifier.clone())
            .or_else(|| program.and_then(|program| program.model_identifier.clone())),
        remote_ip: match known.live {
            Some(live) => live.caller.remote_ip.clone(),
            None => about.and_then(|about| about.remote_ip.clone()),
        },
        client_id: client
            .map(|client| client.id.as_str().to_owned())
            .or_else(|| about.map(|about| about.client_id.clone())),
        client_mode: client
            .map(|client| client.mode.as_str().to_owned())
            .or_else(|| about.map(|about| about.client_mode.clone())),
        paired: known.trust.is_some(),
        connected: known.live.is_some(),
        ..NodeRow::default()
    }
}

/// When the node was here.
fn seen(known: &Known<'_>, row: NodeRow) -> NodeRow {
    let connected = known.live.map(|live| live.since);
    let last_connected = connected.max(
        known
            .trust
            .and_then(|trust| trust.record.last_connected_at_ms),
    );
    let (last_seen, reason) = match (connected, known.left) {
        (None, Some(left)) => (Some(left), Some("disconnect")),
        _ => (last_connected, last_connected.map(|_| "connect")),
    };
    NodeRow {
        connected_at_ms: connected.map(Millis::wire),
        last_connected_at_ms: last_connected.map(Millis::wire),
        last_seen_at_ms: last_seen.map(Millis::wire),
        last_seen_reason: reason.map(str::to_owned),
        ..row
    }
}
