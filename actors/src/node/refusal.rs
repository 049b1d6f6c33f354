//! Why a command of a node is not carried out, in words that say what to do. Pure.

use openclaw_protocol::node_command::is_sensitive;
use openclaw_protocol::{ErrorCode, ErrorShape, Generation, Scope};
use serde_json::json;

use super::invokes::MAX_IN_FLIGHT;
use super::state::LiveNode;
use crate::views::Views;

/// The node is not there.
pub fn not_connected(views: &Views, id: &str) -> ErrorShape {
    let (reason, why) = if views.node_trust.load().contains_key(id) {
        (
            "not-connected",
            "it is paired and not here; start it, or see when it was last seen: openclaw nodes describe",
        )
    } else {
        (
            "unknown-node",
            "no node has this id; see which there are: openclaw nodes list",
        )
    };
    gone(reason, why)
}

/// The node left before it was sent anything.
pub fn left() -> ErrorShape {
    gone("not-connected", "it left a moment ago; nothing was sent")
}

fn gone(reason: &str, why: &str) -> ErrorShape {
    ErrorShape::unavailable(format!("node not connected: {why}"))
        .with_details(json!({ "code": "NOT_CONNECTED", "reason": reason }))
}

/// The command is not in effect. Those who may decide about the node are told which request to approve.
pub fn not_in_effect(views: &Views, node: &LiveNode, command: &str, decides: bool) -> ErrorShape {
    let empty = super::Declaration::default();
    let declared = &node.declared().unwrap_or(&empty).surface.commands;
    let (reason, why) = if declared.is_empty() {
        (
            "node did not declare commands",
            "the node offers no commands".to_owned(),
        )
    } else if !declared.contains(command) {
        let offers: Vec<&str> = declared.iter().take(20).map(String::as_str).collect();
        let more = declared.len().saturating_sub(offers.len());
        let more = if more == 0 { "" } else { ", …" };
        (
            "command not declared by node",
            format!(
                "the node does not offer it; it offers: {}{more}",
                offers.join(", ")
            ),
        )
    } else if views.settings.load().nodes.denies(command) {
        (
            "command denied by configuration",
            "gateway.nodes.commands.deny (or denyCommands) in openclaw.json denies it".to_owned(),
        )
    } else {
        (
            "command not allowlisted",
            waits(views, node, command, decides),
        )
    };
    ErrorShape::invalid(format!("node command not allowed: \"{command}\": {why}"))
        .with_details(json!({ "reason": reason, "command": command }))
}

fn waits(views: &Views, node: &LiveNode, command: &str, decides: bool) -> String {
    let trust = views.node_trust.load();
    let id = node.caller.device_id.as_deref().unwrap_or_default();
    let pending = trust
        .get(id)
        .and_then(|trust| trust.record.pending.as_ref());
    let flag = if is_sensitive(command) {
        " --sensitive"
    } else {
        ""
    };
    match pending {
        Some(pending) if decides => format!(
            "it waits for your approval: openclaw nodes approve {}{flag}",
            pending.request_id
        ),
        Some(_) => {
            "it waits for an owner's approval: openclaw nodes pending shows it, openclaw nodes approve puts it into effect".to_owned()
        }
        None => "it was turned down; the node asks again when it connects again: openclaw nodes pending".to_owned(),
    }
}

/// The caller may not use so much.
pub fn missing_scope(command: &str, scope: Scope) -> ErrorShape {
    let mut error = ErrorShape::missing_scope(scope);
    error.message = format!("{} (for {command})", error.message).into();
    error
}

/// The node has too much to do.
pub fn busy() -> ErrorShape {
    ErrorShape::unavailable(format!(
        "the node has {MAX_IN_FLIGHT} commands, or too much data, under way; try again"
    ))
    .with_details(json!({ "code": "NODE_BUSY" }))
    .retry_after(500)
}

/// What the node, or the gateway in its place, said when the command failed.
pub fn node_error(
    code: Option<&str>,
    message: Option<&str>,
    dispatched: bool,
    generation: Generation,
) -> ErrorShape {
    let words = message.unwrap_or("node invoke failed");
    let details = json!({ "code": code, "message": message });
    if generation == Generation::V3 {
        return ErrorShape::new(ErrorCode::Unavailable, words.to_owned())
            .with_details(json!({ "nodeError": details }));
    }
    let text = match code {
        Some(code) => format!("{code}: {words}"),
        None => words.to_owned(),
    };
    ErrorShape::new(ErrorCode::Unavailable, text).with_details(json!({
        "nodeError": details, "nodeCommandDispatched": dispatched,
    }))
}
