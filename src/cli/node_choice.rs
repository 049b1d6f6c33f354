//! Which node, which request and which of its commands a person means. Pure.

use std::collections::BTreeMap;

use openclaw_protocol::Scope;
use openclaw_protocol::methods::node::{NodePairRequest, NodeRow};
use openclaw_protocol::node_command;

use super::render::text::plain;

/// Those of the commands that an owner has to want in so many words.
pub(super) fn sensitive(commands: &[String]) -> Vec<String> {
    commands
        .iter()
        .filter(|command| node_command::is_sensitive(command))
        .map(|command| plain(command))
        .collect()
}

/// Narrows a request to the commands that a person named; `None` when they named none.
///
/// # Errors
///
/// Says which of them the node does not offer.
pub(super) fn only(
    request: &mut NodePairRequest,
    named: &[String],
) -> Result<Option<Vec<String>>, String> {
    if named.is_empty() {
        return Ok(None);
    }
    let named: Vec<String> = named.iter().map(|name| name.trim().to_owned()).collect();
    if let Some(other) = named.iter().find(|name| !request.commands.contains(name)) {
        return Err(format!("the node does not offer `{}`", plain(other)));
    }
    request.commands.clone_from(&named);
    // What the gateway named was for all of them.
    request.required_approve_scopes = None;
    Ok(Some(named))
}

/// The scopes that the approval takes: those that the gateway names, or what its commands imply.
pub(super) fn approve_scopes(request: &NodePairRequest) -> Vec<Scope> {
    let named: Vec<Scope> = request
        .required_approve_scopes
        .iter()
        .flatten()
        .filter_map(|name| Scope::parse(name))
        .collect();
    if !named.is_empty() {
        return named;
    }
    let reach = request
        .commands
        .iter()
        .map(|command| node_command::reach(command))
        .max();
    let none = BTreeMap::new();
    node_command::approve_scopes(reach, request.permissions.as_ref().unwrap_or(&none))
}

/// Finds the request that a person means: its id, or a beginning that fits only one.
///
/// # Errors
///
/// Says that none fits, or how many do.
pub(super) fn find<'a>(
    pending: &'a [NodePairRequest],
    wanted: &str,
) -> Result<&'a NodePairRequest, String> {
    let fits =
        |request: &&NodePairRequest| !wanted.is_empty() && request.request_id.starts_with(wanted);
    let found: Vec<&NodePairRequest> = pending.iter().filter(fits).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(format!(
            "no node waits under `{wanted}`: it was decided already, or the node offers something else by now"
        )),
        _ => Err(format!("`{wanted}` fits {} requests", found.len())),
    }
}

/// Finds the node that a person means: its id, its name, its address, or else what only its id begins
/// with or only its name contains.
///
/// # Errors
///
/// Says that none fits, or how many do.
pub(super) fn find_node<'a>(nodes: &'a [NodeRow], wanted: &str) -> Result<&'a NodeRow, String> {
    let wanted = wanted.trim();
    let exact = |node: &&NodeRow| {
        node.node_id == wanted
            || node.remote_ip.as_deref() == Some(wanted)
            || node
                .display_name
                .as_ref()
                .is_some_and(|name| name.trim().to_lowercase() == wanted.to_lowercase())
    };
    let resembles = |node: &&NodeRow| {
        node.node_id.starts_with(wanted)
            || node
                .display_name
                .as_ref()
                .is_some_and(|name| name.to_lowercase().contains(&wanted.to_lowercase()))
    };
    if wanted.is_empty() {
        return Err("a node has to be named".into());
    }
    let found: Vec<&NodeRow> = nodes.iter().filter(exact).collect();
    let found = if found.is_empty() {
        nodes.iter().filter(resembles).collect()
    } else {
        found
    };
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(format!("no node `{wanted}`")),
        _ => Err(format!(
            "`{wanted}` fits {} nodes; say which by its id",
            found.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::render::nodes::tests::{nodes, waiting};

    #[test]
    fn scopes_come_from_the_gateway_or_from_the_commands() {
        use Scope::{Admin, Pairing, Write};
        assert_eq!(approve_scopes(&waiting()), [Pairing, Admin]);
        let old = |commands: &[&str]| NodePairRequest {
            commands: commands.iter().map(|name| (*name).to_owned()).collect(),
            ..NodePairRequest::default()
        };
        assert_eq!(approve_scopes(&old(&[])), [Pairing]);
        assert_eq!(approve_scopes(&old(&["camera.snap"])), [Pairing, Write]);
        assert_eq!(approve_scopes(&old(&["system.run"])), [Pairing, Admin]);
    }

    #[test]
    fn named_commands_are_approved_alone_with_their_own_scopes() {
        let mut request = waiting();
        assert_eq!(only(&mut request, &[]), Ok(None));
        let named = ["canvas.present ".to_owned()];
        let chosen = only(&mut request, &named).unwrap().unwrap();
        assert_eq!(chosen, ["canvas.present"]);
        assert_eq!(approve_scopes(&request), [Scope::Pairing, Scope::Write]);
        assert!(only(&mut waiting(), &["sms.send".to_owned()]).is_err());
    }

    #[test]
    fn a_node_is_found_by_name_address_and_beginning() {
        let nodes = nodes();
        let found = |wanted: &str| find_node(&nodes, wanted).map(|node| &node.node_id[..4]);
        for wanted in ["attic", "TIC", "100.64.0.7", "dd", &"d".repeat(64)] {
            assert_eq!(found(wanted), Ok("dddd"), "{wanted}");
        }
        assert_eq!(found("a1b2"), Ok("a1b2"));
        assert!(found("").is_err() && found("cellar").is_err());
        assert!(find(&[waiting()], "0f1e").is_ok() && find(&[waiting()], "").is_err());
    }
}
