//! Heartbeats as text.

use openclaw_protocol::methods::heartbeat::{HeartbeatEvent, HeartbeatStatus};
use openclaw_protocol::presence::PresenceEntry;

use super::Style;
use super::status::clients;
use super::text::plain;
use super::time::ago;

/// How the last heartbeat ended.
pub fn last(event: Option<&HeartbeatEvent>, style: &Style) -> String {
    let Some(event) = event else {
        return "No heartbeat has ended yet. `openclaw status` shows whether an agent has one; agents.defaults.heartbeat gives it to the default agent.\n".into();
    };
    let said = match event.status {
        HeartbeatStatus::Sent => "it had something to tell",
        HeartbeatStatus::OkEmpty | HeartbeatStatus::OkToken => "nothing needed attention",
        HeartbeatStatus::Skipped => "it was skipped",
        HeartbeatStatus::Failed => "it failed",
    };
    let mut text = format!("{}: {said}", ago(style.now_ms, event.ts));
    if let Some(reason) = &event.reason {
        text.push_str(" (");
        text.push_str(&plain(reason));
        text.push(')');
    }
    text.push('\n');
    if let Some(preview) = &event.preview {
        text.push_str(&plain(preview));
        text.push('\n');
    }
    text
}

/// Who is connected.
pub fn presence(present: &[PresenceEntry], style: &Style) -> String {
    clients(present, style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_told_in_a_sentence() {
        let style = Style {
            colour: false,
            width: None,
            now_ms: 1_790_000_060_000,
        };
        assert!(last(None, &style).starts_with("No heartbeat has ended yet."));
        let event = HeartbeatEvent {
            ts: 1_790_000_000_000,
            status: HeartbeatStatus::Failed,
            to: None,
            preview: Some("The door\u{1b}[2J is open.".into()),
            duration_ms: Some(5),
            reason: Some("unsupported channel: x".into()),
            channel: None,
            silent: None,
            indicator_type: None,
        };
        assert_eq!(
            last(Some(&event), &style),
            "1 min ago: it failed (unsupported channel: x)\nThe door\u{fffd}[2J is open.\n"
        );
    }
}
