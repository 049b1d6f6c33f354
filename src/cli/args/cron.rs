//! What can be written about jobs.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::ReadArgs;
use super::times::{parse_back, parse_seconds};

/// `openclaw cron`.
#[derive(Debug, Clone, Args)]
pub struct CronArgs {
    /// What to do with jobs.
    #[command(subcommand)]
    pub command: CronCommand,
}

/// The commands about jobs.
#[derive(Debug, Clone, Subcommand)]
pub enum CronCommand {
    /// Show the jobs, those that are due next first.
    List(CronListArgs),
    /// Show whether jobs run, and when the next one is due.
    Status(ReadArgs),
    /// Make a job.
    #[command(visible_alias = "create")]
    Add(Box<CronAddArgs>),
    /// Change a job; what is not named stays as it is.
    Edit(Box<CronEditArgs>),
    /// Run a job now, whether it is due or not.
    Run(CronRunArgs),
    /// Show the runs of a job, or of all, the newest first.
    Runs(CronRunsArgs),
    /// Let a job run again.
    Enable(CronJobArgs),
    /// Keep a job, and let it not run.
    Disable(CronJobArgs),
    /// End a job; its history goes with it.
    #[command(visible_aliases = ["remove", "delete"])]
    Rm(CronJobArgs),
}

/// `openclaw cron list`.
#[derive(Debug, Clone, Args)]
pub struct CronListArgs {
    /// Also those that do not run.
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// A job.
#[derive(Debug, Clone, Args)]
pub struct CronJobArgs {
    /// The job: its id, a beginning of it that fits only one, or its name.
    #[arg(value_name = "JOB")]
    pub job: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw cron run`.
#[derive(Debug, Clone, Args)]
pub struct CronRunArgs {
    /// Only when it is due.
    #[arg(long)]
    pub due: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub job: CronJobArgs,
}

/// `openclaw cron runs`.
#[derive(Debug, Clone, Args)]
pub struct CronRunsArgs {
    /// The job; all where none is named.
    #[arg(value_name = "JOB")]
    pub job: Option<String>,
    /// The same, as other programs write it.
    #[arg(long = "id", value_name = "JOB", conflicts_with = "job")]
    pub named: Option<String>,
    /// How many to show.
    #[arg(short = 'n', long, value_name = "RUNS", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(1..=200))]
    pub limit: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// When a job is due.
#[derive(Debug, Clone, Default, Args)]
pub struct WhenArgs {
    /// Once: a time such as 2027-01-31T09:00:00Z (local time without a zone), or in so long, e.g. 20m.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["every", "cron"])]
    pub at: Option<String>,
    /// Each time that this has passed, e.g. 10m, 2h or 1d.
    #[arg(long, value_name = "TIME", value_parser = parse_back, conflicts_with = "cron")]
    pub every: Option<Duration>,
    /// By a cron expression: five fields, or six with seconds.
    #[arg(long, value_name = "EXPRESSION")]
    pub cron: Option<String>,
    /// Time zone of the expression, e.g. Europe/Zurich; the gateway's own where none is named.
    #[arg(long, value_name = "ZONE", requires = "cron", conflicts_with_all = ["at", "every"])]
    pub tz: Option<String>,
}

/// What a job does.
#[derive(Debug, Clone, Default, Args)]
pub struct DoArgs {
    /// What the agent is told, in a run of its own.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "system_event")]
    pub message: Option<String>,
    /// What the agent is told in its main conversation.
    #[arg(long, value_name = "TEXT")]
    pub system_event: Option<String>,
    /// Where it runs: main, isolated, or session: and a key.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// The agent; the default one where none is named.
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// The model, as provider/model.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// How much the model should think: off, minimal, low, medium, high.
    #[arg(long, value_name = "LEVEL")]
    pub thinking: Option<String>,
    /// Longest run, e.g. 90s or 10m; a bare number is seconds.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub timeout_seconds: Option<Duration>,
    /// When a text for the main conversation is told.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub wake: Option<WakeWhen>,
    /// Send the answer: to --to on --channel, or to the main conversation.
    #[arg(long, conflicts_with = "no_deliver")]
    pub announce: bool,
    /// Leave the answer in its session.
    #[arg(long)]
    pub no_deliver: bool,
    /// Channel of the answer.
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// Recipient of the answer.
    #[arg(long, value_name = "RECIPIENT")]
    pub to: Option<String>,
    /// Post the end of each run to this web address.
    #[arg(long, value_name = "URL", conflicts_with_all = ["announce", "no_deliver", "channel", "to"])]
    pub webhook: Option<String>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// End the job after a run that went well.
    #[arg(long)]
    pub delete_after_run: bool,
}

/// When a text for the main conversation is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WakeWhen {
    /// At once.
    Now,
    /// With the next heartbeat; at once where the agent has none.
    NextHeartbeat,
}

/// `openclaw cron add`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("when").required(true).args(["at", "every", "cron"]))]
#[command(group = ArgGroup::new("what").required(true).args(["message", "system_event"]))]
pub struct CronAddArgs {
    /// Its name.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Make it, and let it not run.
    #[arg(long)]
    pub disabled: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub when: WhenArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub what: DoArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub read: ReadArgs,
}

/// `openclaw cron edit`.
#[derive(Debug, Clone, Args)]
pub struct CronEditArgs {
    /// Another name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Let it run.
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    /// Let it not run.
    #[arg(long)]
    pub disable: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub when: WhenArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub what: DoArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub job: CronJobArgs,
}
