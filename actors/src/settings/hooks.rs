//! What webhooks may start (`hooks` of the configuration).

use std::time::Duration;

use secrecy::SecretString;

/// Webhooks, where they are on.
#[derive(Debug)]
pub struct Hooks {
    /// What whoever calls has to know.
    pub token: SecretString,
    /// Where they are, without a slash at the end.
    pub path: String,
    /// Largest body, bytes.
    pub max_body: usize,
    /// The session of runs that name none; each has its own when unset.
    pub default_session: Option<String>,
    /// Whether a request may name its session.
    pub request_sessions: bool,
    /// What session keys must begin with, in small letters; anything when empty.
    pub prefixes: Vec<String>,
    /// The agents that may be asked; all when unset.
    pub agents: Option<Vec<String>>,
    /// What becomes of requests to other paths; the first that fits counts.
    pub mappings: Vec<Mapping>,
}

/// What becomes of the requests to a path.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, and any may go with any"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Its name in the log.
    pub id: String,
    /// The path behind that of the hooks; any when unset.
    pub path: Option<String>,
    /// What `source` of the payload has to be; anything when unset.
    pub source: Option<String>,
    /// What is done.
    pub action: Action,
    /// Only with the next heartbeat.
    pub later: bool,
    /// Its name for the agent; a template.
    pub name: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The session; a template.
    pub session: Option<String>,
    /// Whether its runs go on with the session instead of beginning one of their own.
    pub persistent: bool,
    /// What the agent is told; a template.
    pub message: String,
    /// What wakes it; a template.
    pub text: String,
    /// A list of the payload whose entries are handled one by one.
    pub for_each: Option<String>,
    /// Whether the answer is sent somewhere.
    pub deliver: Option<bool>,
    /// The channel it is sent on.
    pub channel: Option<String>,
    /// The recipient; a template.
    pub to: Option<String>,
    /// The model; a template.
    pub model: Option<String>,
    /// How much it thinks; a template.
    pub thinking: Option<String>,
    /// Longest run.
    pub timeout: Option<Duration>,
    /// Whether the message is the owner's own words.
    pub trusted: bool,
    /// It needs a program that this gateway does not run.
    pub transformed: bool,
}

/// What a mapping does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// Starts a run.
    #[default]
    Agent,
    /// Tells the agent something in its main session.
    Wake,
}
