//! The command line: arguments in, one command, an exit code out.
//!
//! [`target`] decides which gateway is meant, [`connect`] opens the connection, `commands` holds one
//! file per command, [`render`] turns answers into text, [`failure`] turns errors into an exit code
//! and two lines that a person can act on. Only [`output`] prints.

pub mod args;
mod commands;
mod connect;
mod dial;
mod environment;
pub mod failure;
mod input;
pub mod methods;
mod node_choice;
pub mod output;
pub mod render;
mod run_time;
pub mod target;

use std::process::ExitCode;

use args::{Cli, Command, GatewayArgs};
use environment::Environment;
use output::Output;
use run_time::block_on;

/// Version of this program, as `--version` prints it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What this program is, for programs. The commit is that of `OPENCLAW_COMMIT` at its build.
fn version() -> serde_json::Value {
    let features: Vec<&str> = [
        ("webchat", cfg!(feature = "webchat")),
        ("discord", cfg!(feature = "discord")),
        ("imessage", cfg!(feature = "imessage")),
        ("irc", cfg!(feature = "irc")),
        ("signal", cfg!(feature = "signal")),
        ("slack", cfg!(feature = "slack")),
        ("telegram", cfg!(feature = "telegram")),
        ("whatsapp", cfg!(feature = "whatsapp")),
    ]
    .into_iter()
    .filter_map(|(name, on)| on.then_some(name))
    .collect();
    serde_json::json!({
        "version": VERSION,
        "commit": option_env!("OPENCLAW_COMMIT"),
        "features": features,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    })
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // clap answers `--version` itself, in words.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asks = |flag: &str| words.iter().any(|word| word == flag);
    if words.len() == 2 && asks("--json") && (asks("--version") || asks("-V")) {
        let done = Output::of_this_process().json(&version());
        return done.map_or_else(|failure| failure.code(), |()| ExitCode::SUCCESS);
    }
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let output = Output::of_this_process();
    let environment = Environment::of_this_process(cli.profile.clone());
    let done = match cli.command {
        Command::Gateway(GatewayArgs {
            service: Some(command),
            ..
        }) => commands::service::run(&command, &environment, &output),
        Command::Gateway(args) => {
            return commands::gateway::run(args, cli.profile, &output);
        }
        Command::Protocol(args) => commands::protocol::run(&args.command, &output),
        Command::Completions(args) => commands::completions::run(&args, &output),
        Command::Man(args) => commands::man::run(&args, &output),
        Command::Dashboard(args) => commands::dashboard::run(&args, &environment, &output),
        Command::Config(args) => {
            block_on(commands::config::run(&args.command, &environment, &output))
        }
        Command::Approvals(args) => block_on(commands::approvals::run(
            &args.command,
            &environment,
            &output,
        )),
        Command::Doctor(args) => block_on(commands::doctor::run(&args, &environment, &output)),
        Command::Backup(args) => {
            block_on(commands::backup::run(&args.command, &environment, &output))
        }
        Command::Migrate(args) => commands::migrate::run(&args, &environment, &output),
        Command::Health(args) => block_on(commands::health::run(&args, &environment, &output)),
        Command::Status(args) => block_on(commands::status::run(&args, &environment, &output)),
        Command::Agent(args) => block_on(commands::agent::run(&args, &environment, &output)),
        Command::Chat(args) => block_on(commands::chat::run(&args, &environment, &output)),
        Command::Models(args) => {
            block_on(commands::models::run(&args.command, &environment, &output))
        }
        Command::Sessions(args) => block_on(commands::sessions::run(
            &args.command,
            &environment,
            &output,
        )),
        Command::Devices(args) => {
            block_on(commands::devices::run(&args.command, &environment, &output))
        }
        Command::Audit(args) => {
            block_on(commands::audit::run(&args.command, &environment, &output))
        }
        Command::Cron(args) => block_on(commands::cron::run(&args.command, &environment, &output)),
        Command::System(args) => {
            block_on(commands::system::run(&args.command, &environment, &output))
        }
        Command::Node(args) => block_on(commands::node_host::run(
            &args.command,
            &environment,
            &output,
        )),
        Command::Nodes(args) => {
            block_on(commands::nodes::run(&args.command, &environment, &output))
        }
        Command::Channels(args) => block_on(commands::channels::run(
            &args.command,
            &environment,
            &output,
        )),
        Command::Pairing(args) => block_on(commands::channels::pairing(
            &args.command,
            &environment,
            &output,
        )),
        Command::Message(args) => {
            block_on(commands::message::run(&args.command, &environment, &output))
        }
        Command::Qr(args) => block_on(commands::setup_code::run(
            &args.into(),
            &environment,
            &output,
        )),
        Command::Logs(args) => block_on(commands::logs::run(&args, &environment, &output)),
    };
    done.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.code()
    })
}
