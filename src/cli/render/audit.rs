//! `openclaw audit list`.

use openclaw_protocol::methods::audit::{AuditEntry, AuditListResult};

use super::Style;
use super::table::Columns;
use super::text::{Tone, count, plain, scopes, short};
use super::time::ago;

/// What to show of the trail: newest first, one sentence per decision.
pub fn render(list: &AuditListResult, style: &Style) -> String {
    if list.entries.is_empty() {
        return "nothing was noted that fits\n".to_owned();
    }
    let mut table = Columns::new(style, &["when", "what", "who, from where, why"]);
    for entry in &list.entries {
        table.toned(&[
            (&when(entry, style.now_ms), None),
            (&entry.kind, tone(&entry.kind)),
            (&sentence(entry), None),
        ]);
    }
    let mut out = table.keep_whole(0).keep_whole(1).render();
    if let Some(before) = list.next_before {
        out += "older ones: `openclaw audit list --before ";
        out += &before.to_string();
        out += "`\n";
    }
    if list.dropped > 0 {
        out += &count(list.dropped, "row");
        out += " could not be kept; `openclaw logs` has what is left of them\n";
    }
    out
}

fn when(entry: &AuditEntry, now_ms: u64) -> String {
    ago(now_ms, entry.last_ts.unwrap_or(entry.ts))
}

fn tone(kind: &str) -> Option<Tone> {
    let end = kind.rsplit('.').next().unwrap_or_default();
    match end {
        "refused" | "denied" | "lockout" | "rejected" | "removed" | "revoked" | "ended" => {
            Some(Tone::Bad)
        }
        "requested" | "changed" | "rotated" => Some(Tone::Warn),
        "approved" => Some(Tone::Good),
        _ => None,
    }
}

fn sentence(entry: &AuditEntry) -> String {
    let mut parts = Vec::new();
    parts.extend(who(entry));
    parts.extend(
        entry
            .address
            .as_ref()
            .map(|address| format!("at {address}")),
    );
    parts.extend(entry.origin.as_ref().map(|page| format!("on {page}")));
    parts.extend(rights(entry));
    parts.extend(
        entry
            .by
            .as_deref()
            .map(|by| format!("by {}", short_name(by))),
    );
    parts.extend(way(entry));
    // The code of a refusal says in a word what its text says in a line.
    let why = match entry.kind.as_str() {
        "connect.refused" => entry.code.as_ref().or(entry.reason.as_ref()),
        _ => entry.reason.as_ref().or(entry.code.as_ref()),
    };
    parts.extend(why.cloned());
    if entry.kind.ends_with(".requested")
        && let Some(request) = &entry.request_id
    {
        parts.push(format!("request {request}"));
    }
    if let Some(times) = entry.count {
        parts.push(format!("{times} times"));
    }
    plain(&parts.join(", "))
}

fn who(entry: &AuditEntry) -> Option<String> {
    let name = entry.device_name.as_ref().or(entry.client.as_ref());
    match (name, entry.device_id.as_deref()) {
        (Some(name), Some(id)) => Some(format!("{name} ({})", short(id))),
        (Some(name), None) => Some(name.clone()),
        (None, Some(id)) => Some(short(id)),
        (None, None) => None,
    }
}

fn rights(entry: &AuditEntry) -> Option<String> {
    match (&entry.role, &entry.scopes) {
        (Some(role), Some(list)) if !list.is_empty() => {
            Some(format!("as {role} with {}", scopes(list)))
        }
        (Some(role), _) => Some(format!("as {role}")),
        (None, _) => None,
    }
}

fn way(entry: &AuditEntry) -> Option<String> {
    match entry.via.as_deref()? {
        // `by` has said so.
        "owner" => None,
        "silent" => Some("without asking".into()),
        "bootstrap" => Some("by a setup code".into()),
        other => Some(format!("by {other}")),
    }
}

/// `device:64 hex digits` is `device` and the beginning of its id.
fn short_name(by: &str) -> String {
    match by.split_once(':') {
        Some(("device", id)) => format!("device {}", short(id)),
        Some((kind, name)) => format!("{kind} {name}"),
        None => by.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn style(width: Option<u16>) -> Style {
        Style {
            colour: false,
            width,
            now_ms: NOW,
        }
    }

    fn list() -> AuditListResult {
        serde_json::from_value(json!({
            "entries": [
                { "id": 9, "ts": NOW - 60_000, "kind": "pairing.approved", "deviceId": "8d1f0c7a5e5c2d0a", "deviceName": "Zoë's\u{1b}[2J phone",
                  "client": "openclaw-ios/ui", "role": "operator", "scopes": ["operator.read", "operator.write"], "via": "owner",
                  "by": "client:cli", "address": "100.64.0.7", "requestId": "0f1e2d3c-aaaa-bbbb-cccc-000000000001" },
                { "id": 8, "ts": NOW - 120_000, "kind": "pairing.requested", "deviceId": "8d1f0c7a5e5c2d0a", "code": "not-paired",
                  "reason": "not approved without asking, because it is not on the gateway's own machine",
                  "requestId": "0f1e2d3c-aaaa-bbbb-cccc-000000000001" },
                { "id": 7, "ts": NOW - 240_000, "lastTs": NOW - 200_000, "kind": "connect.refused", "code": "AUTH_TOKEN_MISMATCH",
                  "reason": "unauthorized: gateway token mismatch (provide gateway auth token)", "client": "test/test",
                  "address": "10.0.0.9", "count": 118 },
                { "id": 6, "ts": NOW - 7_200_000, "kind": "token.revoked", "deviceId": "bbbbbbbbbbbbbbbb", "role": "node",
                  "by": "device:a1b2c3d4e5f6a1b2c3d4e5f6" },
            ],
            "nextBefore": 6,
            "dropped": 1,
        }))
        .unwrap()
    }

    #[test]
    fn a_sentence_for_each_decision() {
        assert_eq!(
            render(&list(), &style(None)),
            "\
WHEN       WHAT               WHO, FROM WHERE, WHY
1 min ago  pairing.approved   Zoë's\u{fffd}[2J phone (8d1f0c7a5e5c), at 100.64.0.7, as operator with read, write, by client cli
2 min ago  pairing.requested  8d1f0c7a5e5c, not approved without asking, because it is not on the gateway's own machine, request 0f1e2d3c-aaaa-bbbb-cccc-000000000001
3 min ago  connect.refused    test/test, at 10.0.0.9, AUTH_TOKEN_MISMATCH, 118 times
2 h ago    token.revoked      bbbbbbbbbbbb, as node, by device a1b2c3d4e5f6
older ones: `openclaw audit list --before 6`
1 row could not be kept; `openclaw logs` has what is left of them
"
        );
        assert_eq!(
            render(&AuditListResult::default(), &style(None)),
            "nothing was noted that fits\n"
        );
    }

    #[test]
    fn it_fits_terminals_and_requests_can_be_copied() {
        for width in [80, 120] {
            let text = render(&list(), &style(Some(width)));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(usize::from(width)), "{text}");
            assert!(
                text.contains("0f1e2d3c-aaaa-bbbb-cccc-000000000001"),
                "{text}"
            );
        }
    }
}
