//! `system.notify`: a notification on this desktop, through the session's D-Bus.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_client::node::{CommandError, Node};
use serde::Deserialize;
use serde_json::Value;

use super::programs::{Programs, command, run_or_fail};

/// How long a desktop may take to show it.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Notify {
    title: Option<String>,
    body: Option<String>,
    priority: Option<String>,
}

/// Offers it, if there is a desktop and a program that speaks to it; else says why not.
pub(super) fn offer(node: &mut Node, programs: &Programs) -> Result<(), String> {
    if !has_bus() {
        return Err("system.notify: there is no D-Bus session (DBUS_SESSION_BUS_ADDRESS)".into());
    }
    let send = programs.find("notify-send").map(|path| (path, true));
    let call = || programs.find("gdbus").map(|path| (path, false));
    let Some((program, sends)) = send.or_else(call) else {
        return Err("system.notify: install notify-send (libnotify-bin)".into());
    };
    node.command("system.notify", move |mut asked| {
        let program = program.clone();
        async move {
            let wanted: Notify = asked.params()?;
            let (title, body) = (
                wanted.title.unwrap_or_default(),
                wanted.body.unwrap_or_default(),
            );
            if title.trim().is_empty() && body.trim().is_empty() {
                return Err(CommandError::invalid(
                    "a notification needs a title or a body",
                ));
            }
            let urgency = match wanted.priority.as_deref() {
                Some("passive" | "low") => 0,
                Some("timeSensitive" | "critical" | "high") => 2,
                _ => 1,
            };
            let mut child = command(&program);
            if sends {
                child.args(send_arguments(&title, &body, urgency));
            } else {
                child.args(call_arguments(&title, &body, urgency));
            }
            let failed = "NOTIFICATION_FAILED";
            run_or_fail(child, LIMIT, &shown(&program), failed).await?;
            Ok(Value::Null)
        }
    });
    Ok(())
}

fn shown(program: &Path) -> String {
    program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn has_bus() -> bool {
    let address = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|it| !it.is_empty());
    let socket = || {
        let folder = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR")?);
        Some(folder.join("bus").exists())
    };
    address || socket().unwrap_or_default()
}

fn send_arguments(title: &str, body: &str, urgency: usize) -> Vec<String> {
    let level = ["low", "normal", "critical"]
        .get(urgency)
        .unwrap_or(&"normal");
    vec![
        "--app-name=OpenClaw".into(),
        format!("--urgency={level}"),
        // What follows is text, whatever it begins with.
        "--".into(),
        title.to_owned(),
        body.to_owned(),
    ]
}

fn call_arguments(title: &str, body: &str, urgency: usize) -> Vec<String> {
    let path = "/org/freedesktop/Notifications";
    let words = [
        "call",
        "--session",
        "--dest",
        "org.freedesktop.Notifications",
        "--object-path",
        path,
        "--method",
        "org.freedesktop.Notifications.Notify",
        "--",
    ];
    let mut all: Vec<String> = words.into_iter().map(str::to_owned).collect();
    all.extend([
        "'OpenClaw'".into(),
        "0".into(),
        "''".into(),
        variant(title),
        variant(body),
    ]);
    all.extend([
        "[]".into(),
        format!("{{'urgency': <byte {urgency}>}}"),
        "-1".into(),
    ]);
    all
}

/// A text as gdbus reads it.
fn variant(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_never_an_option_or_the_end_of_itself() {
        let sent = send_arguments("--help", "x", 2);
        assert_eq!(sent[1..4], ["--urgency=critical", "--", "--help"]);
        let called = call_arguments("it's \\ on", "a\nb", 0);
        assert!(called.contains(&r"'it\'s \\ on'".to_owned()), "{called:?}");
        assert!(called.contains(&r"'a\nb'".to_owned()), "{called:?}");
    }
}
