//! `openclaw health`.

use openclaw_protocol::methods::system::{HealthSummary, HotReloadStatus};
use serde_json::Value;

use super::Style;
use super::table::Columns;
use super::text::{Tone, count, plain};
use super::time::lasted;

/// What to show of a health snapshot.
pub fn render(health: &HealthSummary, url: &str, style: &Style) -> String {
    let mut out = if health.ok {
        format!(
            "{}  the gateway at {} is well\n",
            style.paint(Tone::Good, "ok"),
            plain(url)
        )
    } else {
        let reason = health.reason.as_deref().unwrap_or("it does not say why");
        format!(
            "{}  the gateway at {} is not well: {}\n",
            style.paint(Tone::Bad, "not ok"),
            plain(url),
            plain(reason)
        )
    };
    if let Some(load) = &health.load {
        let text = format!(
            "memory is short ({} of {} MB): it lets go of {}\n",
            load.resident_bytes / 1_000_000,
            load.limit_bytes / 1_000_000,
            plain(&load.sheds.join(", "))
        );
        out.push_str(&style.paint(Tone::Warn, &text));
    }
    if let Some(reload) = &health.config_reload
        && reload.hot_reload_status == HotReloadStatus::Disabled
    {
        let text = "a changed configuration is used after a restart, or when it gets SIGHUP\n";
        out.push_str(&style.paint(Tone::Warn, text));
    }
    out.push('\n');
    out.push_str(&agents(health, style));
    out.push('\n');
    out.push_str(&channels(health, style));
    out
}

fn agents(health: &HealthSummary, style: &Style) -> String {
    let mut table = Columns::new(style, &["agent", "sessions", "heartbeat", "last session"]);
    for agent in &health.agents {
        let name = agent.name.as_deref().unwrap_or(&agent.agent_id);
        let mark = if agent.is_default { " (default)" } else { "" };
        let last = match agent.sessions.recent.first() {
            Some(session) => match session.age.0 {
                Some(age) => format!("{} {} ago", session.key, lasted(age)),
                None => session.key.clone(),
            },
            None => "-".into(),
        };
        let heartbeat = if agent.heartbeat.enabled {
            format!("every {}", agent.heartbeat.every)
        } else {
            "off".into()
        };
        table.row(&[
            &format!("{name}{mark}"),
            &agent.sessions.count.to_string(),
            &heartbeat,
            &last,
        ]);
    }
    table.render()
}

fn channels(health: &HealthSummary, style: &Style) -> String {
    let ids: Vec<&String> = if health.channel_order.is_empty() {
        health.channels.keys().collect()
    } else {
        health.channel_order.iter().collect()
    };
    if ids.is_empty() {
        return "no channels\n".into();
    }
    let mut table = Columns::new(style, &["channel", "state"]);
    for id in &ids {
        let label = health.channel_labels.get(*id).unwrap_or(id);
        let (tone, state) = channel_state(health.channels.get(*id).unwrap_or(&Value::Null));
        table.toned(&[(label, None), (&state, tone)]);
    }
    format!("{}{}\n", table.render(), count(ids.len() as u64, "channel"))
}

/// A channel's state in a word, from whichever of the usual fields it reports.
fn channel_state(channel: &Value) -> (Option<Tone>, String) {
    let text = |key: &str| channel.get(key).and_then(Value::as_str);
    let flag = |key: &str| channel.get(key).and_then(Value::as_bool);
    if let Some(error) = text("lastError") {
        return (Some(Tone::Bad), error.to_owned());
    }
    if let Some(state) = text("healthState").or_else(|| text("state")) {
        let tone = match state {
            "healthy" | "ok" | "connected" | "running" => Tone::Good,
            "disabled" | "stopped" | "off" => Tone::Faint,
            _ => Tone::Warn,
        };
        return (Some(tone), state.to_owned());
    }
    let known = [
        (
            flag("connected") == Some(true),
            Some(Tone::Good),
            "connected",
        ),
        (
            flag("configured") == Some(false),
            Some(Tone::Faint),
            "not configured",
        ),
        (
            flag("linked") == Some(false),
            Some(Tone::Warn),
            "not linked",
        ),
        (flag("running") == Some(true), Some(Tone::Good), "running"),
        (
            flag("running") == Some(false),
            Some(Tone::Warn),
            "not running",
        ),
    ];
    known
        .into_iter()
        .find_map(|(holds, tone, word)| holds.then(|| (tone, word.to_owned())))
        .unwrap_or((None, "unknown".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn style() -> Style {
        Style {
            colour: false,
            width: Some(100),
            now_ms: 1_000_000,
        }
    }

    fn snapshot(extra: &Value) -> HealthSummary {
        let heartbeat = |enabled| {
            json!({ "enabled": enabled, "every": "30m", "everyMs": 1_800_000, "prompt": "", "target": "last",
                "ackMaxChars": 300 })
        };
        let mut value = json!({
            "ok": true, "ts": 1, "durationMs": 2, "plugins": { "loaded": [], "errors": [] },
            "channels": {}, "channelOrder": [], "channelLabels": {}, "heartbeatSeconds": 0,
            "defaultAgentId": "main",
            "agents": [
                { "agentId": "main", "isDefault": true, "heartbeat": heartbeat(true), "sessions": {
                    "path": "/s", "count": 2,
                    "recent": [{ "key": "agent:main:main", "updatedAt": 1, "age": 130_000 }] } },
                { "agentId": "ops", "name": "Operations", "isDefault": false, "heartbeat": heartbeat(false),
                    "sessions": { "path": "/s", "count": 0, "recent": [] } },
            ],
            "sessions": { "path": "/s", "count": 2, "recent": [] },
        });
        for (key, field) in extra.as_object().unwrap() {
            value[key] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_gateway_that_is_well() {
        let text = render(&snapshot(&json!({})), "ws://127.0.0.1:18789", &style());
        assert_eq!(
            text,
            "\
ok  the gateway at ws://127.0.0.1:18789 is well

AGENT           SESSIONS  HEARTBEAT  LAST SESSION
main (default)  2         every 30m  agent:main:main 2 min ago
Operations      0         off        -

no channels
"
        );
    }

    #[test]
    fn a_gateway_that_is_not() {
        let health = snapshot(&json!({
            "ok": false, "reason": "the store cannot be written: disk full",
            "configReload": { "hotReloadStatus": "disabled" },
            "channelOrder": ["telegram", "whatsapp", "slack"],
            "channelLabels": { "telegram": "Telegram", "whatsapp": "WhatsApp" },
            "channels": {
                "telegram": { "connected": true },
                "whatsapp": { "configured": true, "linked": false },
                "slack": { "running": true, "lastError": "invalid\u{1b}[31m auth" },
            },
        }));
        let text = render(&health, "ws://127.0.0.1:18789", &style());
        assert_eq!(
            text,
            "\
not ok  the gateway at ws://127.0.0.1:18789 is not well: the store cannot be written: disk full
a changed configuration is used after a restart, or when it gets SIGHUP

AGENT           SESSIONS  HEARTBEAT  LAST SESSION
main (default)  2         every 30m  agent:main:main 2 min ago
Operations      0         off        -

CHANNEL   STATE
Telegram  connected
WhatsApp  not linked
slack     invalid\u{fffd}[31m auth
3 channels
"
        );
    }

    #[test]
    fn colours_only_where_they_help() {
        let plain = render(&snapshot(&json!({})), "ws://h", &style());
        assert!(!plain.contains('\u{1b}'));
        let coloured = Style {
            colour: true,
            ..style()
        };
        assert!(render(&snapshot(&json!({})), "ws://h", &coloured).contains("\u{1b}[32mok"));
    }
}
