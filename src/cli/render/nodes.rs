//! `openclaw nodes`.

use std::collections::{BTreeMap, BTreeSet};

use openclaw_protocol::methods::node::{
    ApprovalState, NodeDescribeResult, NodePairRequest, NodeRow, PairedNode,
};
use openclaw_protocol::node_command::{self, Reach};

use super::Style;
use super::table::Columns;
use super::text::{Tone, count, plain, scopes, short};
use super::time::{ago, ago_or};
use crate::cli::node_choice::{approve_scopes, sensitive};

/// What is said of a command that this program does not know.
const UNKNOWN: &str = "unknown to this program: ask who made the node";

/// The nodes, and before them what waits.
pub fn list(nodes: &[NodeRow], pending: &[NodePairRequest], style: &Style) -> String {
    let mut out = String::new();
    if !pending.is_empty() {
        out.push_str(&style.paint(Tone::Strong, "Waiting for approval"));
        out.push('\n');
        let mut table = Columns::new(style, &["request", "node", "offers", "asked"]);
        for request in pending {
            let asked = ago(style.now_ms, request.ts);
            let name = name(request.display_name.as_deref(), &request.node_id);
            table.row(&[&request.request_id, &name, &offers(request), &asked]);
        }
        out.push_str(&table.keep_whole(0).render());
        out.push_str("see what it is with `openclaw nodes pending`\n\n");
    }
    if nodes.is_empty() {
        out.push_str("no nodes\n");
        return out;
    }
    out.push_str(&style.paint(Tone::Strong, "Nodes"));
    out.push('\n');
    let mut table = Columns::new(
        style,
        &["node", "id", "platform", "address", "commands", "seen"],
    );
    for node in nodes {
        let (commands, tone) = in_effect(node);
        let (seen, seen_tone) = seen(node, style);
        table.toned(&[
            (&name(node.display_name.as_deref(), &node.node_id), None),
            (&short(&node.node_id), Some(Tone::Faint)),
            (node.platform.as_deref().unwrap_or("unknown"), None),
            (node.remote_ip.as_deref().unwrap_or("this host"), None),
            (&commands, tone),
            (&seen, seen_tone),
        ]);
    }
    out.push_str(&table.render());
    out
}

/// What waits, each command with what it allows.
pub fn pending(requests: &[NodePairRequest], style: &Style) -> String {
    if requests.is_empty() {
        return "nothing waits for approval\n".into();
    }
    let mut out = String::new();
    for one in requests {
        out.push_str(&request(one, style));
        out.push_str("approve it with `openclaw nodes approve ");
        out.push_str(&short_request(&one.request_id, requests));
        out.push_str(yes(&one.commands));
        out.push_str("`\n\n");
    }
    out.pop();
    out
}

/// One request, each command with what it allows.
pub fn request(request: &NodePairRequest, style: &Style) -> String {
    let named = name(request.display_name.as_deref(), &request.node_id);
    let mut out = format!(
        "{} ({}) offers {}, asked {}\n",
        style.paint(Tone::Strong, &plain(&named)),
        short(&request.node_id),
        offers(request),
        ago(style.now_ms, request.ts)
    );
    let mut table = Columns::bare(style);
    table.row(&["request", &request.request_id]);
    let kind = kind(request.platform.as_deref(), request.version.as_deref());
    table.row(&["program", &kind]);
    table.row(&["from", request.remote_ip.as_deref().unwrap_or("this host")]);
    let needed = approve_scopes(request);
    let needed: Vec<&str> = needed.iter().map(|scope| scope.as_str()).collect();
    table.row(&["approval needs", &scopes(&needed)]);
    facts(&mut table, &request.caps, request.permissions.as_ref());
    out.push_str(&table.keep_whole(0).render());
    out.push_str(&commands(&request.commands, |_| None, style));
    out.push_str(legend(&request.commands));
    out
}

/// One node, each command with its state and what it allows.
pub fn describe(described: &NodeDescribeResult, style: &Style) -> String {
    let node = &described.node;
    let title = name(node.display_name.as_deref(), &node.node_id);
    let mut out = format!("{}\n", style.paint(Tone::Strong, &plain(&title)));
    let mut table = Columns::bare(style);
    table.row(&["id", &node.node_id]);
    let kind = kind(node.platform.as_deref(), node.version.as_deref());
    table.row(&["program", &kind]);
    if let Some(model) = &node.model_identifier {
        table.row(&["model", model]);
    }
    table.row(&["from", node.remote_ip.as_deref().unwrap_or("this host")]);
    let (seen, tone) = seen(node, style);
    table.toned(&[("seen", None), (&seen, tone)]);
    let (effect, tone) = in_effect(node);
    table.toned(&[("commands", None), (&effect, tone)]);
    facts(&mut table, &node.caps, node.permissions.as_ref());
    out.push_str(&table.keep_whole(0).render());

    let waiting = node
        .pending_declared_commands
        .as_deref()
        .unwrap_or_default();
    let denied = node.denied_commands.as_deref().unwrap_or_default();
    let all: BTreeSet<&String> = node.commands.iter().chain(waiting).chain(denied).collect();
    let all: Vec<String> = all.into_iter().cloned().collect();
    let state = |command: &String| {
        Some(if node.commands.contains(command) {
            ("in effect", Tone::Good)
        } else if denied.contains(command) {
            ("denied", Tone::Bad)
        } else {
            ("waits", Tone::Warn)
        })
    };
    out.push_str(&commands(&all, state, style));
    out.push_str(legend(&all));
    if !denied.is_empty() {
        out.push_str(
            "denied by gateway.nodes.commands.deny (or denyCommands) in the configuration\n",
        );
    }
    if let Some(request) = &node.pending_request_id {
        out.push_str("what waits is approved with `openclaw nodes approve ");
        out.push_str(&plain(request));
        out.push_str(yes(waiting));
        out.push_str("`\n");
    }
    out
}

/// What an approval made possible.
pub fn approved(node: &PairedNode, style: &Style) -> String {
    let name = plain(&name(node.display_name.as_deref(), &node.node_id));
    let id = short(&node.node_id);
    let mut out = format!("approved {name} ({id})");
    if node.commands.is_empty() {
        out.push_str(" without any command\n");
        return out;
    }
    out.push_str("; the gateway's agents can now\n");
    out.push_str(&commands(&node.commands, |_| None, style));
    out.push_str("undo it with `openclaw nodes remove ");
    out.push_str(&id);
    out.push_str("`\n");
    out
}

fn name(display: Option<&str>, id: &str) -> String {
    display.map_or_else(|| short(id), str::to_owned)
}

fn kind(platform: Option<&str>, version: Option<&str>) -> String {
    let platform = platform.unwrap_or("unknown platform");
    version.map_or_else(
        || platform.to_owned(),
        |version| format!("{platform}, version {version}"),
    )
}

fn offers(request: &NodePairRequest) -> String {
    let all = count(request.commands.len() as u64, "command");
    match sensitive(&request.commands).len() {
        0 => all,
        some => format!("{all}, {some} sensitive"),
    }
}

fn in_effect(node: &NodeRow) -> (String, Option<Tone>) {
    let some = count(node.commands.len() as u64, "command");
    match node.approval_state {
        Some(ApprovalState::PendingApproval) => ("wait for approval".into(), Some(Tone::Warn)),
        Some(ApprovalState::PendingReapproval) => {
            (format!("{some}, more wait for approval"), Some(Tone::Warn))
        }
        Some(ApprovalState::Unapproved) => ("none approved".into(), None),
        Some(ApprovalState::Approved) | None => (some, None),
    }
}

fn seen(node: &NodeRow, style: &Style) -> (String, Option<Tone>) {
    if node.connected {
        return ("connected".into(), Some(Tone::Good));
    }
    (ago_or(style.now_ms, node.last_seen_at_ms, "never"), None)
}

fn facts(table: &mut Columns, caps: &[String], permissions: Option<&BTreeMap<String, bool>>) {
    if !caps.is_empty() {
        table.row(&["abilities", &caps.join(", ")]);
    }
    let granted = permissions.into_iter().flatten();
    let granted: Vec<String> = granted
        .map(|(key, granted)| format!("{key} {}", if *granted { "yes" } else { "no" }))
        .collect();
    if !granted.is_empty() {
        table.row(&["permissions", &granted.join(", ")]);
    }
}

/// A line for each command; those that need an explicit yes are marked.
fn commands(
    commands: &[String],
    state: impl Fn(&String) -> Option<(&'static str, Tone)>,
    style: &Style,
) -> String {
    let mut table = Columns::bare(style);
    for command in commands {
        let known = node_command::meaning(command);
        let (mark, tone) = match node_command::reach(command) {
            Reach::Ordinary => (" ", None),
            Reach::Sensitive => ("!", Some(Tone::Warn)),
            Reach::Machine => ("!", Some(Tone::Bad)),
        };
        let allows = known.map_or(UNKNOWN, |known| known.allows);
        let mut cells = vec![(mark, tone), (command.as_str(), tone)];
        if let Some((state, tone)) = state(command) {
            cells.push((state, Some(tone)));
        }
        cells.push((allows, None));
        table.toned(&cells);
    }
    table.keep_whole(0).keep_whole(1).render()
}

/// The flag without which the command line approves none of these.
fn yes(commands: &[String]) -> &'static str {
    if sensitive(commands).is_empty() {
        ""
    } else {
        " --sensitive"
    }
}

/// What the mark means, where there is one.
fn legend(commands: &[String]) -> &'static str {
    if sensitive(commands).is_empty() {
        ""
    } else {
        "! needs your explicit yes\n"
    }
}

/// As much of a request's id as tells it from the others.
fn short_request(id: &str, all: &[NodePairRequest]) -> String {
    let first = id.chars().take(8).collect::<String>();
    let unique = all
        .iter()
        .filter(|request| request.request_id.starts_with(&first))
        .count()
        == 1;
    plain(if unique { &first } else { id })
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn style(width: u16) -> Style {
        Style {
            colour: false,
            width: Some(width),
            now_ms: NOW,
        }
    }

    pub(crate) fn waiting() -> NodePairRequest {
        serde_json::from_value(json!({
            "requestId": "0f1e2d3c-aaaa-bbbb-cccc-000000000001", "nodeId": "d".repeat(64),
            "displayName": "Zoë's\u{1b}[2J attic", "platform": "linux", "version": "2.1",
            "caps": ["canvas", "system"],
            "commands": ["canvas.present", "garage.open", "system.run"],
            "permissions": { "camera": true, "screen": false },
            "requiredApproveScopes": ["operator.pairing", "operator.admin"],
            "remoteIp": "100.64.0.7", "ts": NOW - 65_000,
        }))
        .unwrap()
    }

    pub(crate) fn nodes() -> Vec<NodeRow> {
        serde_json::from_value(json!([
            { "nodeId": "d".repeat(64), "displayName": "Attic", "platform": "linux", "version": "2.1",
                "remoteIp": "100.64.0.7", "caps": ["canvas"], "commands": ["canvas.present"],
                "approvalState": "pending-reapproval",
                "pendingRequestId": "0f1e2d3c-aaaa-bbbb-cccc-000000000001",
                "pendingDeclaredCommands": ["canvas.present", "system.run"],
                "deniedCommands": ["camera.snap"], "paired": true, "connected": true },
            { "nodeId": "a1b2c3d4e5f60718".repeat(4), "platform": "ios", "caps": [], "commands": [],
                "approvalState": "unapproved", "lastSeenAtMs": NOW - 600_000,
                "paired": true, "connected": false },
        ]))
        .unwrap()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap()
    }

    #[test]
    fn the_list_fits_both_terminals() {
        assert_eq!(
            list(&nodes(), &[waiting()], &style(120)),
            "\
Waiting for approval
REQUEST                               NODE             OFFERS                   ASKED
0f1e2d3c-aaaa-bbbb-cccc-000000000001  Zoë's\u{fffd}[2J attic  3 commands, 2 sensitive  1 min ago
see what it is with `openclaw nodes pending`

Nodes
NODE          ID            PLATFORM  ADDRESS     COMMANDS                           SEEN
Attic         dddddddddddd  linux     100.64.0.7  1 command, more wait for approval  connected
a1b2c3d4e5f6  a1b2c3d4e5f6  ios       this host   none approved                      10 min ago
"
        );
        let narrow = list(&nodes(), &[waiting()], &style(80));
        assert!(widest(&narrow) <= 80, "{narrow}");
        assert!(
            narrow.contains("0f1e2d3c-aaaa-bbbb-cccc-000000000001"),
            "{narrow}"
        );
        assert_eq!(list(&[], &[], &style(80)), "no nodes\n");
    }

    #[test]
    fn what_waits_says_what_it_allows() {
        let text = pending(&[waiting()], &style(80));
        assert_eq!(
            text,
            "\
Zoë's\u{fffd}[2J attic (dddddddddddd) offers 3 commands, 2 sensitive, asked 1 min ago
request         0f1e2d3c-aaaa-bbbb-cccc-000000000001
program         linux, version 2.1
from            100.64.0.7
approval needs  pairing, admin
abilities       canvas, system
permissions     camera yes, screen no
   canvas.present  show pages on its canvas
!  garage.open     unknown to this program: ask who made the node
!  system.run      run programs there
! needs your explicit yes
approve it with `openclaw nodes approve 0f1e2d3c --sensitive`
"
        );
        assert!(widest(&pending(&[waiting()], &style(80))) <= 80);
        assert_eq!(pending(&[], &style(80)), "nothing waits for approval\n");
    }

    #[test]
    fn a_node_is_described_with_the_state_of_each_command() {
        let described = NodeDescribeResult {
            ts: NOW,
            node: nodes().remove(0),
        };
        assert_eq!(
            describe(&described, &style(100)),
            format!(
                "\
Attic
id         {}
program    linux, version 2.1
from       100.64.0.7
seen       connected
commands   1 command, more wait for approval
abilities  canvas
!  camera.snap     denied     take photos
   canvas.present  in effect  show pages on its canvas
!  system.run      waits      run programs there
! needs your explicit yes
denied by gateway.nodes.commands.deny (or denyCommands) in the configuration
what waits is approved with `openclaw nodes approve 0f1e2d3c-aaaa-bbbb-cccc-000000000001 --sensitive`
",
                "d".repeat(64)
            )
        );
        let narrow = describe(&described, &style(80));
        assert!(narrow.contains(&"d".repeat(64)), "{narrow}");
    }

    #[test]
    fn an_approval_says_what_is_possible_now() {
        let node = PairedNode {
            node_id: "d".repeat(64),
            display_name: Some("Attic".into()),
            commands: vec!["camera.snap".into()],
            ..PairedNode::default()
        };
        assert_eq!(
            approved(&node, &style(80)),
            "\
approved Attic (dddddddddddd); the gateway's agents can now
!  camera.snap  take photos
undo it with `openclaw nodes remove dddddddddddd`
"
        );
        let nothing = PairedNode {
            commands: vec![],
            ..node
        };
        assert_eq!(
            approved(&nothing, &style(80)),
            "approved Attic (dddddddddddd) without any command\n"
        );
    }
}
