//! What can be written on the command line.
#![expect(clippy::doc_markdown, reason = "clap shows these texts as they stand")]

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway in the foreground.
    Gateway(GatewayArgs),
    /// Ask whether the gateway is well.
    Health(ReadArgs),
    /// Show what runs, the sessions and who is connected.
    Status(ReadArgs),
    /// Send a message to an agent and show its answer.
    Agent(AgentArgs),
    /// List, approve, name and remove devices; make setup codes for new ones.
    Devices(DevicesArgs),
    /// Show what was decided about trust: who came in, who did not, who allowed it.
    Audit(AuditArgs),
    /// List nodes, and decide which of their commands may be used.
    Nodes(NodesArgs),
    /// Show a QR code that pairs one phone or node, once (same as `devices setup-code`).
    Qr(QrArgs),
    /// Open the chat page, or print its address.
    Dashboard(DashboardArgs),
    /// Show the gateway's log.
    Logs(LogsArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
}

/// `openclaw gateway`. A flag goes before the environment and the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub struct GatewayArgs {
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Who can reach it: loopback, lan, tailnet, auto or custom.
    #[arg(long, value_name = "WHERE")]
    pub bind: Option<String>,
    /// The shared token that clients need. Other users can see arguments: prefer
    /// OPENCLAW_GATEWAY_TOKEN or the configuration.
    #[arg(long, value_name = "TOKEN", conflicts_with = "password")]
    pub token: Option<String>,
    /// The shared password that clients need. Other users can see arguments: prefer
    /// OPENCLAW_GATEWAY_PASSWORD or the configuration.
    #[arg(long, value_name = "PASSWORD")]
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
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Its shared password.
    #[arg(long, value_name = "PASSWORD", conflicts_with = "token")]
    pub password: Option<String>,
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

/// `openclaw devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArgs {
    /// What to do with devices.
    #[command(subcommand)]
    pub command: DevicesCommand,
}

/// The commands about devices.
#[derive(Debug, Clone, Subcommand)]
pub enum DevicesCommand {
    /// Show who wants to connect and who may.
    List(ReadArgs),
    /// Let a device connect.
    Approve(ApproveArgs),
    /// Turn a device's request down.
    Reject(DecideArgs),
    /// Forget a paired device: its tokens and connections end at once.
    Remove(DeviceArgs),
    /// Give a device a name.
    Rename(RenameArgs),
    /// Replace the tokens of a device's role; its connections end.
    Rotate(RotateArgs),
    /// End a role of a device: its tokens and connections; only an approval gives it back.
    Revoke(RevokeArgs),
    /// Make a one-time code by which a phone or node pairs itself.
    SetupCode(SetupCodeArgs),
}

/// A paired device.
#[derive(Debug, Clone, Args)]
pub struct DeviceArgs {
    /// The device, or a beginning of its id that fits only one.
    #[arg(value_name = "DEVICE")]
    pub device: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// An approval.
#[derive(Debug, Clone, Args)]
pub struct ApproveArgs {
    /// The request, or a beginning of it that fits only one.
    #[arg(value_name = "REQUEST")]
    pub request: Option<String>,
    /// The newest request.
    #[arg(long, conflicts_with = "request")]
    pub latest: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
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

/// A new name.
#[derive(Debug, Clone, Args)]
pub struct RenameArgs {
    /// The device, or a beginning of its id that fits only one.
    #[arg(value_name = "DEVICE")]
    pub device: String,
    /// Its new name, at most 64 characters.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// A role of a device.
#[derive(Debug, Clone, Args)]
pub struct RoleArgs {
    /// The device, or a beginning of its id that fits only one.
    #[arg(long, value_name = "DEVICE")]
    pub device: String,
    /// The role: operator or node.
    #[arg(long, value_name = "ROLE")]
    pub role: String,
}

/// New tokens.
#[derive(Debug, Clone, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub role: RoleArgs,
    /// What the new token gives, such as operator.read; without it, what the role was approved for.
    #[arg(long, value_name = "SCOPE", num_args = 1..)]
    pub scope: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// The end of a role.
#[derive(Debug, Clone, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub role: RoleArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// What a setup code says and how it is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct CodeArgs {
    /// The address under which the device reaches the gateway, such as wss://gateway.example.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Prefer gateway.remote.url to this host's own addresses.
    #[arg(long)]
    pub remote: bool,
    /// What the code gives: limited (a phone: chat and approvals, no admin) or node.
    #[arg(long, value_enum, value_name = "ACCESS", default_value = "limited")]
    pub access: AccessArg,
    /// Print the code and nothing else.
    #[arg(long)]
    pub setup_code_only: bool,
    /// Do not draw the QR code.
    #[arg(long)]
    pub no_ascii: bool,
}

/// What a setup code gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AccessArg {
    /// A phone: a node, and an operator that may chat, approve and answer.
    #[default]
    Limited,
    /// A node only.
    Node,
}

/// `openclaw devices setup-code`.
#[derive(Debug, Clone, Args)]
pub struct SetupCodeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub code: CodeArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw qr`: upstream's name for it, in which `--url` is the address inside the code.
#[derive(Debug, Clone, Args)]
pub struct QrArgs {
    /// Same as --public-url.
    #[arg(long, value_name = "URL", conflicts_with = "public_url")]
    pub url: Option<String>,
    /// The gateway's shared token.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The gateway's shared password.
    #[arg(long, value_name = "PASSWORD", conflicts_with = "token")]
    pub password: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub code: CodeArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub form: FormArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub wait: TimeoutArgs,
}

impl From<QrArgs> for SetupCodeArgs {
    fn from(args: QrArgs) -> Self {
        let QrArgs {
            url,
            token,
            password,
            code,
            form,
            wait,
        } = args;
        Self {
            code: CodeArgs {
                public_url: code.public_url.or(url),
                ..code
            },
            read: ReadArgs {
                target: TargetArgs {
                    url: None,
                    token,
                    password,
                },
                form,
                wait,
            },
        }
    }
}

/// `openclaw audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// What to do with the trail.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// The commands about the trail.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Show the newest decisions: who, what, from where, why.
    List(AuditListArgs),
}

/// `openclaw audit list`.
#[derive(Debug, Clone, Args)]
pub struct AuditListArgs {
    /// How many to show.
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Only those about this device: its id, or a beginning of it.
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Only those of this kind, e.g. connect.refused, or of a family such as pairing or token.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only those since then, e.g. 30m, 2h or 7d ago.
    #[arg(long, value_name = "TIME", value_parser = parse_back)]
    pub since: Option<Duration>,
    /// Only those before this number; the end of a list names it.
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<u64>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw nodes`.
#[derive(Debug, Clone, Args)]
pub struct NodesArgs {
    /// What to do with nodes.
    #[command(subcommand)]
    pub command: NodesCommand,
}

/// The commands about nodes.
#[derive(Debug, Clone, Subcommand)]
pub enum NodesCommand {
    /// Show the nodes, connected or not, and what waits.
    #[command(visible_alias = "status")]
    List(ReadArgs),
    /// Show what nodes offer and nobody approved yet.
    Pending(ReadArgs),
    /// Let the gateway use what a node offers.
    Approve(NodeApproveArgs),
    /// Turn down what a node offers; what was approved before stays.
    Reject(DecideArgs),
    /// Show one node with each of its commands.
    Describe(NodeArgs),
    /// Give a node another name.
    Rename(NodeRenameArgs),
    /// Forget a node: its approval, its tokens and its connection end at once.
    Remove(NodeArgs),
}

/// `openclaw nodes approve`.
#[derive(Debug, Clone, Args)]
pub struct NodeApproveArgs {
    /// The request, or a beginning of it that fits only one.
    #[arg(value_name = "REQUEST")]
    pub request: String,
    /// Yes to its sensitive commands too: those that see, hear, or run programs.
    #[arg(long)]
    pub sensitive: bool,
    /// Only these commands, with commas between them; the others go on waiting.
    #[arg(long, value_name = "COMMANDS", value_delimiter = ',')]
    pub only: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// A node.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// The node: its name, its address or its id, or a part of one that fits only one node.
    #[arg(value_name = "NODE", required_unless_present = "named")]
    pub node: Option<String>,
    /// The same, as other programs write it.
    #[arg(
        long = "node",
        value_name = "NODE",
        conflicts_with = "node",
        hide = true
    )]
    pub named: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

impl NodeArgs {
    /// The node that is meant.
    pub fn wanted(&self) -> &str {
        self.node
            .as_deref()
            .or(self.named.as_deref())
            .unwrap_or_default()
    }
}

/// `openclaw nodes rename`.
#[derive(Debug, Clone, Args)]
pub struct NodeRenameArgs {
    /// Its new name.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub node: NodeArgs,
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

fn parse_millis(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_millis(1))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_duration(text, Duration::from_secs(1))
}

/// Reads how far to look back: as other times, and days.
fn parse_back(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d') {
        Some(days) => parse_duration(days, Duration::from_hours(24)),
        None => parse_seconds(text),
    }
    .map_err(|_| format!("`{text}` is not a time such as 30m, 2h or 7d"))
}

/// Reads `90`, `500ms`, `10s`, `2m` or `1h`; `bare` is the unit of a number without one. Upstream's
/// commands differ in it, and people's scripts rely on theirs.
fn parse_duration(text: &str, bare: Duration) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 10s, 2m or 1h");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "" => bare,
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return Err(wrong()),
    };
    if number == 0 {
        return Err("must be more than 0".into());
    }
    Ok(unit.saturating_mul(number))
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
    fn times_have_units_and_bare_numbers_keep_upstreams() {
        let millis = |text| parse_millis(text).map(|time| time.as_millis());
        assert_eq!(millis("500"), Ok(500));
        assert_eq!(millis("10s"), Ok(10_000));
        assert_eq!(millis("2m"), Ok(120_000));
        assert_eq!(parse_seconds("600"), Ok(Duration::from_mins(10)));
        assert_eq!(parse_back("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(parse_back("90"), Ok(Duration::from_secs(90)));
        assert!(parse_back("7 days").is_err());
        for wrong in ["", "s", "1.5s", "-1", "10 s", "0", "10d", "99999999999"] {
            assert!(parse_millis(wrong).is_err(), "{wrong}");
        }
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
        assert!(parse("openclaw nodes describe").is_err());
        assert!(parse("openclaw nodes describe attic").is_ok());
        assert!(parse("openclaw nodes describe --node attic").is_ok());
        assert!(parse("openclaw nodes describe attic --node attic").is_err());
        assert!(parse("openclaw nodes rename attic --name Roof").is_ok());
        assert!(parse("openclaw logs --follow --limit 0").is_err());
    }
}
