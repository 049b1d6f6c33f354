//! What the commands of nodes give away, and what an owner has to hold to approve them.
//!
//! A node declares commands by name; the names below are those of the protocol. One that is not
//! among them is somebody's own: nobody here knows what it does, so it counts as the most.

use std::collections::BTreeMap;

use crate::Scope;

/// How much a command gives away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// It shows something, or tells the state of the device.
    Ordinary,
    /// It sees, hears or tells what is private, or acts in the owner's name.
    Sensitive,
    /// It runs programs, reads files or steers the machine: as good as a login there.
    Machine,
}

/// What is known of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// How much it gives away.
    pub reach: Reach,
    /// What it allows, after "lets the gateway's agents".
    pub allows: &'static str,
}

/// Commands and families of commands (with a dot or a star at their end), the first that fits
/// counts. The wildcard covers what continues the name: `system.run*` is also `system.run.prepare`.
const KNOWN: &[(&str, Reach, &str)] = &[
    ("system.run*", Reach::Machine, "run programs there"),
    ("system.which", Reach::Machine, "look for programs there"),
    (
        "system.execApprovals.*",
        Reach::Machine,
        "read and change which programs may run there",
    ),
    (
        "system.notify",
        Reach::Sensitive,
        "show notifications there",
    ),
    ("system.*", Reach::Sensitive, "act on the system there"),
    (
        "browser.proxy*",
        Reach::Machine,
        "use the browser there, with its logins",
    ),
    ("browser.*", Reach::Machine, "use the browser there"),
    ("fs.*", Reach::Machine, "look into folders there"),
    ("file.*", Reach::Machine, "read and write files there"),
    ("dir.*", Reach::Machine, "read folders there"),
    ("terminal.*", Reach::Machine, "reach terminals there"),
    (
        "desktop.*",
        Reach::Machine,
        "see and steer the desktop there",
    ),
    (
        "computer.*",
        Reach::Machine,
        "steer mouse and keyboard there",
    ),
    ("mcp.*", Reach::Machine, "call the tools of programs there"),
    ("agent.*", Reach::Machine, "run agents there"),
    (
        "workspace.*",
        Reach::Machine,
        "read an agent's workspace there",
    ),
    (
        "camera.list",
        Reach::Sensitive,
        "see which cameras there are",
    ),
    ("camera.snap", Reach::Sensitive, "take photos"),
    ("camera.clip", Reach::Sensitive, "record video with sound"),
    ("camera.*", Reach::Sensitive, "use the cameras"),
    ("screen.record", Reach::Sensitive, "record the screen"),
    ("screen.*", Reach::Sensitive, "see the screen"),
    ("location.*", Reach::Sensitive, "know where it is"),
    ("talk.*", Reach::Sensitive, "listen and speak there"),
    ("contacts.*", Reach::Sensitive, "read and change contacts"),
    (
        "calendar.*",
        Reach::Sensitive,
        "read and change the calendar",
    ),
    ("callLog.*", Reach::Sensitive, "read the list of calls"),
    ("reminders.*", Reach::Sensitive, "read and change reminders"),
    ("photos.*", Reach::Sensitive, "see photos"),
    ("sms.*", Reach::Sensitive, "read and send text messages"),
    ("health.*", Reach::Sensitive, "read health data"),
    ("motion.*", Reach::Sensitive, "know how it moves"),
    ("notifications.*", Reach::Sensitive, "read notifications"),
    (
        "mobile.ui.*",
        Reach::Sensitive,
        "see and use the apps there",
    ),
    ("device.apps", Reach::Sensitive, "see which apps are there"),
    (
        "device.*",
        Reach::Ordinary,
        "ask for the state of the device",
    ),
    ("canvas.eval", Reach::Ordinary, "run scripts in its canvas"),
    ("canvas.snapshot", Reach::Ordinary, "see its canvas"),
    ("canvas.*", Reach::Ordinary, "show pages on its canvas"),
    ("ollama.*", Reach::Ordinary, "use the language models there"),
];

/// The permission that lets a node into its owner's main session.
const ATTACH: &str = "attach";

/// Whether a pattern of a configuration or of the list above means this command: the same name, or
/// with a star at its end the same beginning. Upper and lower case do not matter: what is denied as
/// `camera.snap` must not come back as `Camera.Snap`.
pub fn matches(pattern: &str, command: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern.eq_ignore_ascii_case(command),
        Some(start) => command
            .as_bytes()
            .get(..start.len())
            .is_some_and(|beginning| beginning.eq_ignore_ascii_case(start.as_bytes())),
    }
}

/// What is known of a command; `None` for one that is not of this protocol.
pub fn meaning(command: &str) -> Option<Meaning> {
    KNOWN
        .iter()
        .find(|(pattern, _, _)| matches(pattern, command))
        .map(|&(_, reach, allows)| Meaning { reach, allows })
}

/// How much a command gives away; an unknown one as much as there is.
pub fn reach(command: &str) -> Reach {
    meaning(command).map_or(Reach::Machine, |known| known.reach)
}

/// Whether an owner has to say yes to this very command.
pub fn is_sensitive(command: &str) -> bool {
    reach(command) > Reach::Ordinary
}

/// What an owner has to hold to approve a surface whose commands reach at most `reach`, `None`
/// without any command.
pub fn approve_scopes(reach: Option<Reach>, permissions: &BTreeMap<String, bool>) -> Vec<Scope> {
    let attaches = permissions.get(ATTACH) == Some(&true);
    let mut scopes = vec![Scope::Pairing];
    match reach {
        _ if attaches => scopes.push(Scope::Admin),
        None => {}
        Some(Reach::Ordinary | Reach::Sensitive) => scopes.push(Scope::Write),
        Some(Reach::Machine) => scopes.push(Scope::Admin),
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_that_need_an_explicit_yes_and_those_that_need_an_admin() {
        for (command, expected) in [
            ("canvas.present", Reach::Ordinary),
            ("canvas.a2ui.push", Reach::Ordinary),
            ("device.info", Reach::Ordinary),
            ("device.apps", Reach::Sensitive),
            ("camera.snap", Reach::Sensitive),
            ("camera.ptz.control", Reach::Sensitive),
            ("screen.record", Reach::Sensitive),
            ("location.get", Reach::Sensitive),
            ("sms.send", Reach::Sensitive),
            ("system.notify", Reach::Sensitive),
            ("system.something.new", Reach::Sensitive),
            ("system.run", Reach::Machine),
            ("system.run.prepare", Reach::Machine),
            ("System.Run", Reach::Machine),
            ("system.which", Reach::Machine),
            ("system.execApprovals.set", Reach::Machine),
            ("browser.proxy", Reach::Machine),
            ("browser.proxy.upload.v1", Reach::Machine),
            ("fs.listDir", Reach::Machine),
            ("file.write", Reach::Machine),
            ("garage.open", Reach::Machine),
            ("", Reach::Machine),
        ] {
            assert_eq!(reach(command), expected, "{command}");
        }
        assert!(meaning("garage.open").is_none());
        assert!(is_sensitive("camera.list") && !is_sensitive("canvas.hide"));
    }

    #[test]
    fn patterns_end_in_a_star_or_mean_one_command() {
        for (pattern, command, expected) in [
            ("camera.snap", "camera.snap", true),
            ("camera.snap", "camera.snapshot", false),
            ("camera.snap", "CAMERA.Snap", true),
            ("camera.*", "camera.snap", true),
            ("camera.*", "camera", false),
            ("camera.*", "cameras.x", false),
            ("*", "anything", true),
            ("", "anything", false),
            ("ca*", "é", false),
        ] {
            assert_eq!(matches(pattern, command), expected, "{pattern} {command}");
        }
    }

    #[test]
    fn what_an_approval_takes() {
        use Scope::{Admin, Pairing, Write};
        let none = BTreeMap::new();
        for (reach, expected) in [
            (None, vec![Pairing]),
            (Some(Reach::Ordinary), vec![Pairing, Write]),
            (Some(Reach::Sensitive), vec![Pairing, Write]),
            (Some(Reach::Machine), vec![Pairing, Admin]),
        ] {
            assert_eq!(approve_scopes(reach, &none), expected, "{reach:?}");
        }
        let attach = |on| BTreeMap::from([(ATTACH.to_owned(), on)]);
        assert_eq!(approve_scopes(None, &attach(true)), [Pairing, Admin]);
        assert_eq!(approve_scopes(None, &attach(false)), [Pairing]);
    }
}
