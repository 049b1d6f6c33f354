//! The gateway as a service of systemd or launchd: what is written where, and which commands are run.
//! Pure; [`Step`]s are carried out by the command line.

mod node;

use std::path::{Path, PathBuf};

pub use node::{NODE_UNIT, NodeService};

/// The unit's name.
pub const UNIT: &str = "openclaw-gateway.service";
/// The socket unit's name.
pub const SOCKET: &str = "openclaw-gateway.socket";
/// The agent's name.
pub const LABEL: &str = "ai.openclaw.gateway";

const USER_UNIT: &str = include_str!("../../deploy/systemd/openclaw-gateway.service");
const SYSTEM_UNIT: &str = include_str!("../../deploy/systemd/system/openclaw-gateway.service");
const SOCKET_UNIT: &str = include_str!("../../deploy/systemd/openclaw-gateway.socket");
const AGENT: &str = include_str!("../../deploy/launchd/ai.openclaw.gateway.plist");
/// The state directory of the host's service.
pub const SYSTEM_STATE_DIR: &str = "/var/lib/openclaw";
/// What stands in the templates where the program's path goes.
const PROGRAM: &str = "@OPENCLAW@";
/// Variables that a service keeps from whoever installs it.
pub const KEPT: [&str; 4] = [
    "OPENCLAW_STATE_DIR",
    "OPENCLAW_CONFIG_PATH",
    "OPENCLAW_HOME",
    "OPENCLAW_PROFILE",
];

/// Who keeps the gateway up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd, for one user.
    User,
    /// systemd, for the host.
    System,
    /// launchd, for one user.
    Launchd,
}

/// What is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Write the unit and start it, now and at every boot or login.
    Install {
        /// Whether systemd keeps the port, too.
        socket: bool,
    },
    /// Stop it and remove the unit.
    Uninstall,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop and start it.
    Restart,
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// This program.
    pub program: PathBuf,
    /// The user's home.
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, if set.
    pub config_home: Option<PathBuf>,
    /// The user's number, for launchd.
    pub user: u32,
    /// Variables that the service gets.
    pub variables: Vec<(String, String)>,
    /// The port that systemd keeps.
    pub port: u16,
}

impl Surroundings {
    /// Whether systemd was told to keep the port.
    fn keeps_port(&self, manager: Manager) -> bool {
        unit_file(manager, self).with_file_name(SOCKET).exists()
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write a file, and the folder that it is in.
    Write(PathBuf, String),
    /// The same, for its user alone.
    WriteSecret(PathBuf, String),
    /// Run a command, which has to go well.
    Run(Vec<String>),
    /// Run a command that may fail: what it ends may not run.
    Try(Vec<String>),
    /// Remove a file, if it is there.
    Remove(PathBuf),
}

/// What is to be done for a wish, in order.
pub fn steps(manager: Manager, wish: Wish, around: &Surroundings) -> Vec<Step> {
    match manager {
        Manager::Launchd => launchd(wish, around),
        Manager::User | Manager::System => systemd(manager, wish, around),
    }
}

/// The file that says that the gateway is installed.
pub fn unit_file(manager: Manager, around: &Surroundings) -> PathBuf {
    match manager {
        Manager::Launchd => around
            .home
            .join("Library/LaunchAgents")
            .join(format!("{LABEL}.plist")),
        Manager::System => Path::new("/etc/systemd/system").join(UNIT),
        Manager::User => {
            let config = around.config_home.clone();
            let config = config.unwrap_or_else(|| around.home.join(".config"));
            config.join("systemd/user").join(UNIT)
        }
    }
}

/// A call of `systemctl` for a manager.
pub fn systemctl(manager: Manager, arguments: &[&str]) -> Vec<String> {
    let mut call = vec!["systemctl".to_owned()];
    if manager == Manager::User {
        call.push("--user".to_owned());
    }
    call.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    call
}

fn systemd(manager: Manager, wish: Wish, around: &Surroundings) -> Vec<Step> {
    let unit = unit_file(manager, around);
    let socket = unit.with_file_name(SOCKET);
    let call = |arguments: &[&str]| Step::Run(systemctl(manager, arguments));
    match wish {
        Wish::Install { socket: keeps_port } => {
            let mut steps = vec![Step::Write(unit, unit_text(manager, around))];
            if keeps_port {
                let listen = format!("ListenStream=127.0.0.1:{}", around.port);
                let text = SOCKET_UNIT.replace("ListenStream=127.0.0.1:18789", &listen);
                steps.push(Step::Write(socket, text));
            }
            steps.push(call(&["daemon-reload"]));
            if keeps_port {
                steps.push(call(&["enable", "--now", SOCKET]));
            }
            steps.push(call(&["enable", "--now", UNIT]));
            steps
        }
        Wish::Uninstall => vec![
            Step::Try(systemctl(manager, &["disable", "--now", UNIT])),
            Step::Try(systemctl(manager, &["disable", "--now", SOCKET])),
            Step::Remove(unit),
            Step::Remove(socket),
            call(&["daemon-reload"]),
        ],
        Wish::Start if around.keeps_port(manager) => vec![call(&["start", SOCKET, UNIT])],
        Wish::Start => vec![call(&["start", UNIT])],
        // With its socket up, the next connection would start it again.
        Wish::Stop if around.keeps_port(manager) => vec![call(&["stop", SOCKET, UNIT])],
        Wish::Stop => vec![call(&["stop", UNIT])],
        Wish::Restart => vec![call(&["restart", UNIT])],
    }
}

fn launchd(wish: Wish, around: &Surroundings) -> Vec<Step> {
    let file = unit_file(Manager::Launchd, around);
    let domain = format!("gui/{}", around.user);
    let service = format!("{domain}/{LABEL}");
    let call = |arguments: &[&str]| {
        let mut call = vec!["launchctl".to_owned()];
        call.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        call
    };
    let path = file.display().to_string();
    match wish {
        Wish::Install { .. } => vec![
            Step::Write(file, agent_text(around)),
            Step::Try(call(&["bootout", &service])),
            Step::Run(call(&["bootstrap", &domain, &path])),
        ],
        Wish::Uninstall => vec![Step::Try(call(&["bootout", &service])), Step::Remove(file)],
        Wish::Start => vec![Step::Run(call(&["bootstrap", &domain, &path]))],
        Wish::Stop => vec![Step::Run(call(&["bootout", &service]))],
        Wish::Restart => vec![Step::Run(call(&["kickstart", "-k", &service]))],
    }
}

/// The unit with this program's path and the variables that it keeps.
pub fn unit_text(manager: Manager, around: &Surroundings) -> String {
    let template = if manager == Manager::System {
        SYSTEM_UNIT
    } else {
        USER_UNIT
    };
    let mut text = template.replace(
        &format!("ExecStart={PROGRAM}"),
        &format!(
            "ExecStart={}",
            quoted(&around.program.display().to_string())
        ),
    );
    // The host's service has a state directory of its own.
    if manager == Manager::User {
        for (name, value) in &around.variables {
            let line = format!("Environment={}\n", quoted(&format!("{name}={value}")));
            text = text.replacen(
                "Restart=on-failure\n",
                &format!("{line}Restart=on-failure\n"),
                1,
            );
        }
    }
    text
}

/// A word of a unit: in quotes, with nothing in it that systemd would replace.
fn quoted(word: &str) -> String {
    let plain = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-=:".contains(&byte));
    if plain {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

fn agent_text(around: &Surroundings) -> String {
    let mut text = AGENT.replace(PROGRAM, &escaped(&around.program.display().to_string()));
    if !around.variables.is_empty() {
        let mut block = String::from("  <key>EnvironmentVariables</key>\n  <dict>\n");
        for (name, value) in &around.variables {
            block.push_str("    <key>");
            block.push_str(&escaped(name));
            block.push_str("</key>\n    <string>");
            block.push_str(&escaped(value));
            block.push_str("</string>\n");
        }
        block.push_str("  </dict>\n");
        text = text.replacen(
            "  <key>RunAtLoad</key>",
            &format!("{block}  <key>RunAtLoad</key>"),
            1,
        );
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            program: "/opt/my 100% apps/openclaw".into(),
            home: "/home/ada".into(),
            config_home: None,
            user: 501,
            variables: vec![("OPENCLAW_STATE_DIR".into(), "/srv/a & b".into())],
            port: 20_000,
        }
    }

    fn lines(steps: &[Step]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                Step::Write(path, _) | Step::WriteSecret(path, _) => {
                    format!("write {}", path.display())
                }
                Step::Remove(path) => format!("remove {}", path.display()),
                Step::Run(call) | Step::Try(call) => call.join(" "),
            })
            .collect()
    }

    #[test]
    fn a_user_installs_a_unit_of_their_own() {
        let steps = steps(Manager::User, Wish::Install { socket: true }, &around());
        assert_eq!(
            lines(&steps),
            [
                "write /home/ada/.config/systemd/user/openclaw-gateway.service",
                "write /home/ada/.config/systemd/user/openclaw-gateway.socket",
                "systemctl --user daemon-reload",
                "systemctl --user enable --now openclaw-gateway.socket",
                "systemctl --user enable --now openclaw-gateway.service",
            ]
        );
        let text = unit_text(Manager::User, &around());
        assert!(
            text.contains("ExecStart=\"/opt/my 100%% apps/openclaw\" gateway\n"),
            "{text}"
        );
        assert!(
            text.contains("Environment=\"OPENCLAW_STATE_DIR=/srv/a & b\"\n"),
            "{text}"
        );
        assert!(text.contains("RestartPreventExitStatus=78\n"), "{text}");
        let Step::Write(_, socket) = &steps[1] else {
            panic!("{steps:?}")
        };
        assert!(
            socket.contains("ListenStream=127.0.0.1:20000\n"),
            "{socket}"
        );
    }

    #[test]
    fn a_port_that_systemd_keeps_stops_and_starts_with_the_gateway() {
        let home = tempfile::tempdir().unwrap();
        let around = Surroundings {
            home: home.path().into(),
            ..around()
        };
        let stop = || lines(&steps(Manager::User, Wish::Stop, &around));
        assert_eq!(stop(), ["systemctl --user stop openclaw-gateway.service"]);
        let socket = unit_file(Manager::User, &around).with_file_name(SOCKET);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::fs::write(socket, "").unwrap();
        assert_eq!(
            stop(),
            ["systemctl --user stop openclaw-gateway.socket openclaw-gateway.service"]
        );
    }

    #[test]
    fn a_host_has_its_own_place_and_state() {
        let around = around();
        assert_eq!(
            lines(&steps(Manager::System, Wish::Uninstall, &around)),
            [
                "systemctl disable --now openclaw-gateway.service",
                "systemctl disable --now openclaw-gateway.socket",
                "remove /etc/systemd/system/openclaw-gateway.service",
                "remove /etc/systemd/system/openclaw-gateway.socket",
                "systemctl daemon-reload",
            ]
        );
        assert!(!unit_text(Manager::System, &around).contains("/srv/a"));
        let folder = format!("OPENCLAW_STATE_DIR={SYSTEM_STATE_DIR} ");
        assert!(unit_text(Manager::System, &around).contains(&folder));
        assert!(unit_text(Manager::System, &around).contains("DynamicUser=yes"));
    }

    #[test]
    fn launchd_has_an_agent() {
        let around = around();
        assert_eq!(
            lines(&steps(
                Manager::Launchd,
                Wish::Install { socket: false },
                &around
            )),
            [
                "write /home/ada/Library/LaunchAgents/ai.openclaw.gateway.plist",
                "launchctl bootout gui/501/ai.openclaw.gateway",
                "launchctl bootstrap gui/501 /home/ada/Library/LaunchAgents/ai.openclaw.gateway.plist",
            ]
        );
        let text = agent_text(&around);
        assert!(text.contains("<string>/srv/a &amp; b</string>"), "{text}");
        assert!(!text.contains(PROGRAM), "{text}");
    }
}
