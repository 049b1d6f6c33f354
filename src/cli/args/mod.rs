//! What can be written on the command line.
#![expect(clippy::doc_markdown, reason = "clap shows these texts as they stand")]

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod audit;
mod backup;
mod channels;
mod chat;
mod config;
mod cron;
mod devices;
mod doctor;
mod migrate;
mod node_host;
mod node_use;
mod nodes;
mod protocol;
mod service;
mod setup_code;
mod system;
mod times;

pub use audit::*;
pub use backup::*;
pub use channels::*;
pub use chat::*;
pub use config::*;
pub use cron::*;
pub use devices::*;
pub use doctor::*;
pub use migrate::*;
pub use node_host::*;
pub use node_use::*;
pub use nodes::*;
pub use protocol::*;
pub use service::*;
pub use setup_code::*;
pub use system::*;
pub(crate) use times::parse_back;
use times::{parse_millis, parse_seconds};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the gateway said no, or the run failed
  2    wrong usage
  69   the gateway is not reachable, or went away
  77   the gateway refused this client: credentials or pairing
  78   the configuration cannot be used
  130  interrupted (Ctrl-C)

Which gateway: --url, else OPENCLAW_GATEWAY_URL, else the configuration: gateway.remote.url in
mode \"remote\", this host's gateway otherwise.
Its credentials: --token or --password, else OPENCLAW_GATEWAY_TOKEN or
OPENCLAW_GATEWAY_PASSWORD, else what the configuration has for that gateway.";

/// A personal gateway for messaging channels, operators and nodes.
#[derive(Debug, Parser)]
#[command(name = "openclaw", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Use the state directory ~/.openclaw-NAME instead of ~/.openclaw (also: OPENCLAW_PROFILE).
    #[arg(long, global = true, value_name = "NAME", display_order = 900)]
    pub profile: Option<String>,
    /// Reach the gateway through ssh to this host; it may stand behind the command, too.
    #[arg(long, value_name = "USER@HOST", display_order = 901)]
    pub ssh: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads a command line. `--ssh HOST` before the command is one of the command's own: a command that talks
    /// to no gateway refuses it there, like every flag that it does not have.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or the help that was asked for.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut words = words.into_iter();
        let mut ordered: Vec<OsString> = words.next().into_iter().collect();
        let mut ssh = None;
        let mut rest: Vec<OsString> = Vec::new();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--ssh") => ssh = words.next(),
                Some(text) if text.starts_with("--ssh=") => {
                    ssh = text.strip_prefix("--ssh=").map(OsString::from);
                }
                Some("--profile") => {
                    ordered.push(word);
                    ordered.extend(words.next());
                }
                Some(text) if text.starts_with('-') => ordered.push(word),
                _ => {
                    rest.push(word);
                    break;
                }
            }
        }
        rest.extend(words);
        if let Some(host) = ssh {
            let mut flag = OsString::from("--ssh=");
            flag.push(host);
            // What follows `--` is a program's.
            let end = rest.iter().position(|word| word == "--");
            rest.insert(end.unwrap_or(rest.len()), flag);
        }
        ordered.extend(rest);
        Self::try_parse_from(ordered)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway in the foreground; let systemd or launchd keep it up.
    Gateway(GatewayArgs),
    /// Ask whether the gateway is well.
    Health(ReadArgs),
    /// Show what runs, the sessions and who is connected.
    Status(ReadArgs),
    /// Send a message to an agent and show its answer.
    Agent(AgentArgs),
    /// Talk to an agent in the terminal.
    Chat(ChatArgs),
    /// List the models, choose one, and see whether it answers.
    Models(ModelsArgs),
    /// List conversations, read one, and begin one anew.
    Sessions(SessionsArgs),
    /// List, approve, name and remove devices; make setup codes for new ones.
    Devices(DevicesArgs),
    /// Show what was decided about trust: who came in, who did not, who allowed it.
    Audit(AuditArgs),
    /// Make and watch jobs that run by the clock.
    Cron(CronArgs),
    /// Tell agents what happened; show and stop their heartbeats.
    System(SystemArgs),
    /// Be a node: let a gateway use this machine's programs, screen, cameras and place.
    Node(NodeHostArgs),
    /// List nodes, and decide which of their commands may be used.
    Nodes(NodesArgs),
    /// Show the accounts on channels; start, stop and try them.
    Channels(ChannelsArgs),
    /// List and let in people who ask to write on a channel.
    Pairing(PairingArgs),
    /// Send messages to people on channels.
    Message(MessageArgs),
    /// Show a QR code that pairs one phone or node, once (same as `devices setup-code`).
    Qr(QrArgs),
    /// Open the chat page, or print its address.
    Dashboard(DashboardArgs),
    /// Show, change and check the configuration.
    Config(ConfigArgs),
    /// Show programs that wait for your yes, and decide.
    Approvals(ApprovalsArgs),
    /// Say what is wrong with this installation, and the command that mends it.
    Doctor(DoctorArgs),
    /// Make, check and put back backups of the state.
    Backup(BackupArgs),
    /// Take over the state of an OpenClaw gateway for Node.js: devices, conversations, jobs, channels.
    Migrate(MigrateArgs),
    /// Show the gateway's log.
    Logs(LogsArgs),
    /// Print the contract: JSON Schema, Swift, TypeScript, the reference; compare it.
    Protocol(ProtocolArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands into a folder.
    Man(ManArgs),
}

/// `openclaw gateway`. A flag goes before the environment and the configuration file.
#[derive(Debug, Clone, Default, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GatewayArgs {
    /// The service, or something else about it; without it, the gateway runs in the foreground.
    #[command(subcommand)]
    pub service: Option<ServiceCommand>,
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Who can reach it: loopback, lan, tailnet, auto or custom.
    #[arg(long, value_name = "WHERE")]
    pub bind: Option<String>,
    /// The shared token that clients need. Other users can see arguments: prefer
    /// OPENCLAW_GATEWAY_TOKEN or the configuration.
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "password",
        allow_hyphen_values = true
    )]
    pub token: Option<String>,
    /// The shared password that clients need. Other users can see arguments: prefer
    /// OPENCLAW_GATEWAY_PASSWORD or the configuration.
    #[arg(long, value_name = "PASSWORD", allow_hyphen_values = true)]
    pub password: Option<String>,
    /// How clients prove themselves: token, password, none or trusted-proxy.
    #[arg(long, value_name = "MODE")]
    pub auth: Option<String>,
    /// Log more.
    #[arg(short, long)]
    pub verbose: bool,
    /// Form of the log on standard output.
    #[arg(long, value_enum, value_name = "FORM")]
    pub log_format: Option<LogFormat>,
    /// Start the channels of a configuration that another gateway used before.
    #[arg(long)]
    pub adopt_channels: bool,
}

/// Form of the log on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Which gateway a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetArgs {
    /// Address of the gateway, such as ws://127.0.0.1:18789 or wss://host.tailnet.ts.net.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Its shared token.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub token: Option<String>,
    /// Its shared password.
    #[arg(
        long,
        value_name = "PASSWORD",
        conflicts_with = "token",
        allow_hyphen_values = true
    )]
    pub password: Option<String>,
    /// SHA-256 fingerprint of its certificate: no other is taken.
    #[arg(long, value_name = "SHA256")]
    pub tls_fingerprint: Option<String>,
    /// Reach the address from this host, through ssh; without --url its port 18789.
    #[arg(long, value_name = "USER@HOST")]
    pub ssh: Option<String>,
}

/// Form of the answer.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct FormArgs {
    /// Print the gateway's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, Args)]
pub struct TimeoutArgs {
    /// Longest wait for the gateway, e.g. 10s or 500ms; a bare number is milliseconds.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_millis)]
    pub timeout: Duration,
}

/// A command that only reads.
#[derive(Debug, Clone, Args)]
pub struct ReadArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub wait: TimeoutArgs,
}

/// `openclaw agent`.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// What to say; `-` reads it from standard input.
    #[arg(short, long, value_name = "TEXT")]
    pub message: String,
    /// The agent; the default one if absent.
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Key of the session; the agent's main session if absent.
    #[arg(long, value_name = "KEY")]
    pub session: Option<String>,
    /// How much the model should think: off, minimal, low, medium, high.
    #[arg(long, value_name = "LEVEL")]
    pub thinking: Option<String>,
    /// Longest run, e.g. 90s or 10m; a bare number is seconds.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_seconds)]
    pub timeout: Duration,
    /// Whether the answer is shown while it is written: by default on a terminal only.
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        conflicts_with = "json"
    )]
    pub stream: Stream,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub target: TargetArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// Whether an answer is shown while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stream {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
/// A decision about a pending request.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// The request, or a beginning of it that fits only one.
    #[arg(value_name = "REQUEST")]
    pub request: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw dashboard`.
#[derive(Debug, Clone, Args)]
pub struct DashboardArgs {
    /// Print the address and do not open it.
    #[arg(long)]
    pub no_open: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
}

/// `openclaw logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Keep showing new lines, over restarts of the gateway too.
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the last lines to show first.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub limit: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `openclaw man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The folder, such as share/man/man1.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<std::path::PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_is_one_line() {
        assert_eq!(Cli::command().render_version(), "openclaw 0.1.0\n");
    }

    #[test]
    fn a_secret_may_begin_like_a_flag() {
        for line in [
            "openclaw health --token -7xY",
            "openclaw gateway --token -7xY",
            "openclaw qr --password -p4ss",
        ] {
            let read = Cli::read(line.split(' ').map(OsString::from));
            assert!(read.is_ok(), "{line}");
        }
    }

    #[test]
    fn the_host_of_ssh_may_stand_before_the_command() {
        let read = |line: &str| Cli::read(line.split(' ').map(OsString::from));
        for line in [
            "openclaw --ssh me@host health --json",
            "openclaw --profile work --ssh=me@host health",
            "openclaw --ssh me@host --profile work health",
            "openclaw health --ssh me@host",
        ] {
            let Command::Health(args) = read(line).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!(args.target.ssh.as_deref(), Some("me@host"), "{line}");
        }
        assert!(read("openclaw --ssh me@host nodes run attic --yes -- uname --ssh").is_ok());
        assert!(read("openclaw --ssh me@host gateway probe").is_ok());
        // It would have no effect.
        assert!(read("openclaw --ssh me@host completions bash").is_err());
        assert!(read("openclaw --ssh me@host gateway").is_err());
        assert!(read("openclaw --ssh me@host").is_err());
        assert!(read("openclaw --ssh").is_err());
    }

    #[test]
    fn secrets_of_two_kinds_are_a_usage_error() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("openclaw health --token a --password b").is_err());
        assert!(parse("openclaw gateway --token a --password b").is_err());
        assert!(parse("openclaw health --url ws://h --token a --json --timeout 5s").is_ok());
        assert!(parse("openclaw agent").is_err());
        assert!(parse("openclaw --profile work qr --access node --no-ascii").is_ok());
        assert!(parse("openclaw qr --url wss://a --public-url wss://b").is_err());
        assert!(parse("openclaw devices setup-code --url ws://h --public-url wss://g").is_ok());
        assert!(parse("openclaw devices approve --latest").is_ok());
        assert!(parse("openclaw devices approve r --latest").is_err());
        assert!(parse("openclaw devices rotate --device d --role node --scope a b").is_ok());
        assert!(parse("openclaw pairing approve telegram K7PM2XQD --notify").is_ok());
        assert!(parse("openclaw pairing approve K7PM2XQD").is_ok());
        assert!(parse("openclaw pairing approve").is_err());
        assert!(parse("openclaw channels login --channel telegram").is_ok());
        assert!(parse("openclaw channels stop").is_err());
        assert!(parse("openclaw nodes describe").is_err());
        assert!(parse("openclaw nodes describe attic").is_ok());
        assert!(parse("openclaw nodes describe --node attic").is_ok());
        assert!(parse("openclaw nodes describe attic --node attic").is_err());
        assert!(parse("openclaw nodes rename attic --name Roof").is_ok());
        assert!(parse("openclaw nodes invoke attic --command device.info").is_ok());
        assert!(parse("openclaw nodes invoke --node attic --command device.info").is_ok());
        assert!(parse("openclaw nodes run attic --yes -- uname -a").is_ok());
        assert!(parse("openclaw nodes run attic").is_err());
        assert!(parse("openclaw nodes camera snap attic --facing back --out a.jpg").is_ok());
        assert!(parse("openclaw nodes camera clip attic --duration 5s --no-audio").is_ok());
        assert!(parse("openclaw logs --follow --limit 0").is_err());
        assert!(parse("openclaw cron add --name n --every 2h --message go").is_ok());
        assert!(parse("openclaw cron add --name n --message go").is_err());
        assert!(parse("openclaw cron add --name n --every 2h --at 5m -m go").is_err());
        assert!(parse("openclaw cron add --name n --every 2h --tz UTC -m go").is_err());
        assert!(parse("openclaw system event --text x --mode now").is_ok());
        assert!(parse("openclaw system heartbeat disable --json").is_ok());
        assert!(parse("openclaw gateway install --socket --dry-run").is_ok());
        assert!(parse("openclaw gateway --port 1 status").is_err());
        assert!(parse("openclaw gateway probe --ssh me@host --json").is_ok());
        assert!(parse("openclaw gateway tls fingerprint").is_ok());
        assert!(parse("openclaw doctor --fix --json").is_ok());
        assert!(parse("openclaw config set gateway.port 1").is_ok());
        assert!(parse("openclaw approvals allow-always abc").is_ok());
        assert!(parse("openclaw gateway call health --json").is_ok());
        assert!(parse("openclaw backup verify").is_err());
        assert!(parse("openclaw migrate --from /x --dry-run --json").is_ok());
        assert!(parse("openclaw cron edit j --disable --cron x --tz UTC").is_ok());
    }
}
