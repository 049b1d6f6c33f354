//! `openclaw status`.

use openclaw_protocol::connect::HelloOk;
use openclaw_protocol::methods::system::{StatusResult, StatusSession};
use openclaw_protocol::presence::PresenceEntry;

use super::table::Columns;
use super::text::{Tone, count};
use super::time::{ago, ago_or, lasted};
use super::{Style, limits};

/// Most sessions and clients that are listed.
const ROWS: usize = 10;

/// What the status shows beside the answer to `status`.
pub struct Facts<'a> {
    /// Address of the gateway.
    pub url: &'a str,
    /// What it said at the connect.
    pub hello: &'a HelloOk,
    /// Who is present.
    pub presence: &'a [PresenceEntry],
}

/// What to show of a status.
pub fn render(status: &StatusResult, facts: &Facts<'_>, style: &Style) -> String {
    let mut out = overview(status, facts, style);
    out.push('\n');
    out.push_str(&sessions(status, style));
    out.push('\n');
    out.push_str(&clients(facts.presence, style));
    out
}

fn overview(status: &StatusResult, facts: &Facts<'_>, style: &Style) -> String {
    let uptime = status
        .gateway
        .as_ref()
        .map_or(facts.hello.snapshot.uptime_ms, |gateway| gateway.uptime_ms);
    let mut gateway = format!(
        "running for {}, version {}",
        lasted(uptime),
        status.runtime_version
    );
    if let Some(process) = &status.gateway {
        gateway = format!("{gateway}, pid {}", process.pid);
    }
    let mut table = Columns::bare(style);
    let mut row = |name: &str, value: &str| {
        table.toned(&[(name, Some(Tone::Faint)), (value, None)]);
    };
    row("Gateway", &gateway);
    row("Address", facts.url);
    row("Model", &model(status));
    if let Some(process) = &status.gateway {
        let work = format!(
            "{}, {} under way",
            count(process.connections, "connection"),
            count(process.active_runs, "run")
        );
        row("Work", &work);
        if let Some(refused) = process.limits.as_ref().and_then(limits::refused) {
            row("Refused", &refused);
        }
        if let Some(tailscale) = &process.tailscale {
            let at = tailscale.url.as_deref().unwrap_or("on");
            let text = tailscale.problem.as_deref().unwrap_or(at);
            row("Tailscale", &format!("{}: {text}", tailscale.mode.word()));
        }
        if let Some(config) = &process.config {
            if let Some(error) = &config.error {
                row("Config", &format!("the changed one is not used: {error}"));
            }
            if !config.needs_restart.is_empty() {
                let paths = config.needs_restart.join(", ");
                row("Config", &format!("used from the next start on: {paths}"));
            }
        }
    }
    row("Sessions", &status.sessions.count.to_string());
    row("Heartbeat", &heartbeat(status));
    row("Channels", &channels(status));
    if !status.queued_system_events.is_empty() {
        let waiting = count(status.queued_system_events.len() as u64, "note");
        row("Waiting", &format!("{waiting} for the next run"));
    }
    table.render()
}

fn model(status: &StatusResult) -> String {
    let defaults = &status.sessions.defaults;
    match (
        defaults.model_provider.as_deref(),
        defaults.model.as_deref(),
    ) {
        (Some("openclaw"), Some("echo")) => {
            "none configured: a local Ollama answers if there is one, else an echo".into()
        }
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        (None, Some(model)) => model.to_owned(),
        _ => "the configured one cannot be used: `openclaw agent --message hi` says why".into(),
    }
}

fn heartbeat(status: &StatusResult) -> String {
    let on: Vec<String> = status
        .heartbeat
        .agents
        .iter()
        .filter(|agent| agent.enabled)
        .map(|agent| format!("{} every {}", agent.agent_id, agent.every))
        .collect();
    if on.is_empty() {
        "off".into()
    } else {
        on.join(", ")
    }
}

fn channels(status: &StatusResult) -> String {
    if status.channel_summary.is_empty() {
        "none".into()
    } else {
        status.channel_summary.join(", ")
    }
}

fn sessions(status: &StatusResult, style: &Style) -> String {
    let recent: &[StatusSession] = &status.sessions.recent;
    if recent.is_empty() {
        return "no sessions yet: say something with `openclaw agent --message hello`\n".into();
    }
    let mut table = Columns::new(style, &["session", "changed", "model"]);
    for session in recent.iter().take(ROWS) {
        let row = &session.row;
        let changed = match session.age.0 {
            Some(age) => ago(style.now_ms, style.now_ms.saturating_sub(age)),
            None => ago_or(style.now_ms, row.updated_at.0, "-"),
        };
        table.row(&[&row.key, &changed, &session_model(session)]);
    }
    table.render() + &more(status.sessions.count, recent.len())
}

fn session_model(session: &StatusSession) -> String {
    let row = &session.row;
    match (&row.model_provider, &row.model) {
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        (None, Some(model)) => model.clone(),
        _ => "-".into(),
    }
}

pub(super) fn clients(presence: &[PresenceEntry], style: &Style) -> String {
    let others: Vec<&PresenceEntry> = presence
        .iter()
        .filter(|entry| entry.reason.as_deref() != Some("self"))
        .collect();
    if others.is_empty() {
        return "no other clients\n".into();
    }
    let mut table = Columns::new(style, &["client", "mode", "platform", "address", "seen"]);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    for entry in others.iter().take(ROWS) {
        let address = entry.ip.clone().unwrap_or_else(|| "this host".into());
        let left = entry.reason.as_deref() == Some("disconnect");
        let seen = if left {
            format!("left {}", ago(style.now_ms, entry.ts))
        } else {
            ago(style.now_ms, entry.ts)
        };
        let tone = left.then_some(Tone::Faint);
        table.toned(&[
            (&text(&entry.host), tone),
            (&text(&entry.mode), tone),
            (&text(&entry.platform), tone),
            (&address, tone),
            (&seen, tone),
        ]);
    }
    table.render() + &more(others.len() as u64, others.len())
}

fn more(total: u64, listed: usize) -> String {
    let listed = listed.min(ROWS) as u64;
    match total.saturating_sub(listed) {
        0 => String::new(),
        rest => format!("and {rest} more\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn style() -> Style {
        Style {
            colour: false,
            width: Some(100),
            now_ms: NOW,
        }
    }

    fn hello() -> HelloOk {
        serde_json::from_value(json!({
            "type": "hello-ok", "protocol": 4,
            "server": { "version": "0.1.0", "connId": "c" },
            "features": { "methods": [], "events": [] },
            "snapshot": {
                "presence": [], "health": {}, "stateVersion": { "presence": 1, "health": 1 }, "uptimeMs": 5000,
            },
            "policy": { "maxPayload": 1, "maxBufferedBytes": 1, "tickIntervalMs": 30_000 },
        }))
        .unwrap()
    }

    fn status(recent: &Value, count: u64) -> StatusResult {
        serde_json::from_value(json!({
            "runtimeVersion": "0.1.0",
            "heartbeat": { "defaultAgentId": "main", "agents": [
                { "agentId": "main", "enabled": false, "every": "disabled", "everyMs": null } ] },
            "channelSummary": [], "queuedSystemEvents": [],
            "sessions": {
                "paths": ["/s"], "count": count,
                "defaults": { "modelProvider": "openai", "model": "gpt-5.2", "contextTokens": 400_000 },
                "recent": recent, "byAgent": [],
            },
            "gateway": { "pid": 4711, "port": 18789, "uptimeMs": 10_920_000, "connections": 2, "activeRuns": 1 },
        }))
        .unwrap()
    }

    #[test]
    fn a_gateway_at_work() {
        let recent = json!([
            { "key": "agent:main:main", "kind": "direct", "updatedAt": 1, "age": 120_000,
                "modelProvider": "openai", "model": "gpt-5.2" },
            { "key": "agent:main:work", "kind": "direct", "updatedAt": NOW - 86_400_000, "age": null },
        ]);
        let presence: Vec<PresenceEntry> = serde_json::from_value(json!([
            { "host": "pi", "mode": "gateway", "reason": "self", "ts": NOW },
            { "host": "Zoë's phone", "mode": "ui", "platform": "ios 18.4", "ip": "100.64.0.7",
                "reason": "connect", "ts": NOW - 30_000 },
            { "host": "webchat-ui", "mode": "webchat", "platform": "linux", "reason": "disconnect",
                "ts": NOW - 60_000 },
        ]))
        .unwrap();
        let facts = Facts {
            url: "ws://127.0.0.1:18789",
            hello: &hello(),
            presence: &presence,
        };
        assert_eq!(
            render(&status(&recent, 12), &facts, &style()),
            "\
Gateway    running for 3 h 2 min, version 0.1.0, pid 4711
Address    ws://127.0.0.1:18789
Model      openai/gpt-5.2
Work       2 connections, 1 run under way
Sessions   12
Heartbeat  off
Channels   none

SESSION          CHANGED    MODEL
agent:main:main  2 min ago  openai/gpt-5.2
agent:main:work  1 d ago    -
and 10 more

CLIENT       MODE     PLATFORM  ADDRESS     SEEN
Zoë's phone  ui       ios 18.4  100.64.0.7  30 s ago
webchat-ui   webchat  linux     this host   left 1 min ago
"
        );
    }

    #[test]
    fn a_gateway_that_just_started() {
        let facts = Facts {
            url: "ws://127.0.0.1:18789",
            hello: &hello(),
            presence: &[],
        };
        let mut fresh = status(&json!([]), 0);
        fresh.sessions.defaults.model_provider = Some("openclaw".into());
        fresh.sessions.defaults.model = Some("echo".into());
        let text = render(&fresh, &facts, &style());
        assert!(
            text.contains("Model      none configured: a local Ollama"),
            "{text}"
        );
        assert!(text.contains("no sessions yet"), "{text}");
        assert!(text.ends_with("no other clients\n"), "{text}");

        fresh.sessions.defaults = serde_json::from_value(json!({})).unwrap();
        let text = render(&fresh, &facts, &style());
        assert!(
            text.contains("Model      the configured one cannot be used"),
            "{text}"
        );
    }
}
