//! Chat commands: what a message that begins with `/` may ask of the gateway. Pure; the only place
//! that knows them, for every client and channel.

use openclaw_protocol::Scope;
use openclaw_protocol::methods::chat::{ChatCommand, QueueMode};
use openclaw_protocol::methods::commands::{CommandArg, CommandArgChoice, CommandArgKind};

use crate::agent::model::thinking::Thinking;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Stops the runs of the session.
    Stop,
    /// Begins the session anew; what follows is its first message.
    New,
    /// The same, said otherwise.
    Reset,
    /// Shortens the conversation to a summary.
    Compact,
    /// Says how the session is.
    Status,
    /// Shows or chooses the model.
    Model,
    /// Shows or chooses how much the model thinks.
    Think,
    /// Shows or chooses what becomes of a message that comes during a run.
    Queue,
    /// Lists the commands.
    Help,
}

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// What it does.
    pub name: Name,
    /// Its name and its aliases, without the slash.
    pub words: &'static [&'static str],
    /// The scope that it needs.
    pub scope: Scope,
    category: &'static str,
    description: &'static str,
    argument: Option<(&'static str, &'static str)>,
}

/// Every command, in the order of `/help`.
pub const ALL: &[Spec] = &[
    Spec {
        name: Name::Help,
        words: &["help", "commands"],
        scope: Scope::Read,
        category: "status",
        description: "List the commands",
        argument: None,
    },
    Spec {
        name: Name::Status,
        words: &["status"],
        scope: Scope::Read,
        category: "status",
        description: "Show model, run and queue of this session",
        argument: None,
    },
    Spec {
        name: Name::Stop,
        words: &["stop", "abort"],
        scope: Scope::Write,
        category: "session",
        description: "Stop the run of this session, and what waits behind it",
        argument: None,
    },
    Spec {
        name: Name::New,
        words: &["new"],
        scope: Scope::Admin,
        category: "session",
        description: "Begin a new conversation; the text that follows is its first message",
        argument: Some(("message", "First message of the new conversation")),
    },
    Spec {
        name: Name::Reset,
        words: &["reset"],
        scope: Scope::Admin,
        category: "session",
        description: "Set this conversation aside and begin anew",
        argument: Some(("message", "First message of the new conversation")),
    },
    Spec {
        name: Name::Compact,
        words: &["compact"],
        scope: Scope::Admin,
        category: "session",
        description: "Shorten what the model sees of this conversation to a summary; what follows says what to keep",
        argument: Some(("focus", "What the summary must keep")),
    },
    Spec {
        name: Name::Model,
        words: &["model"],
        scope: Scope::Write,
        category: "options",
        description: "Show or choose the model of this session; `default` gives the agent's own back",
        argument: Some(("model", "provider/model, an alias, or default")),
    },
    Spec {
        name: Name::Think,
        words: &["think", "thinking", "t"],
        scope: Scope::Write,
        category: "options",
        description: "Show or choose how much the model thinks in this session; `default` gives the agent's own back",
        argument: Some((
            "level",
            "off, minimal, low, medium, high, xhigh, adaptive, max or default",
        )),
    },
    Spec {
        name: Name::Queue,
        words: &["queue"],
        scope: Scope::Write,
        category: "options",
        description: "Show or choose what becomes of a message that comes during a run",
        argument: Some(("mode", "steer, followup, collect, interrupt or default")),
    },
];

/// A message that is a command.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// Which.
    pub spec: &'static Spec,
    /// What follows it.
    pub rest: &'a str,
}

/// Reads a message as a command. One that begins with `/` and is none is text for the agent: paths
/// begin so, too.
pub fn parse(message: &str) -> Option<Invocation<'_>> {
    let message = message.trim();
    let found = |word: &str| {
        let word = word.to_lowercase();
        ALL.iter().find(|spec| spec.words.contains(&word.as_str()))
    };
    let Some(tail) = message.strip_prefix('/') else {
        let spec = found(message).filter(|spec| spec.name == Name::Stop)?;
        return Some(Invocation { spec, rest: "" });
    };
    let end = tail
        .find(|c: char| c.is_whitespace() || c == ':')
        .unwrap_or(tail.len());
    let (word, rest) = tail.split_at(end);
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim();
    Some(Invocation {
        spec: found(word)?,
        rest,
    })
}

/// The same, where `triggers` begin a session anew too: alone, or with the first message behind them.
pub fn parse_with<'a>(message: &'a str, triggers: &[String]) -> Option<Invocation<'a>> {
    if let Some(found) = parse(message) {
        return Some(found);
    }
    let message = message.trim();
    let rest = triggers.iter().find_map(|trigger| {
        let (head, rest) = message.split_at_checked(trigger.len())?;
        let fits = head.to_lowercase() == *trigger;
        let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
        (fits && ends).then(|| rest.trim())
    })?;
    let spec = ALL.iter().find(|spec| spec.name == Name::New)?;
    Some(Invocation { spec, rest })
}

/// The commands as clients list them.
pub fn catalogue(with_args: bool) -> Vec<ChatCommand> {
    ALL.iter().map(|spec| spec.row(with_args)).collect()
}

/// The answer of `/help`.
pub fn help() -> String {
    let lines = ALL.iter().map(|spec| {
        let argument = spec
            .argument
            .map_or_else(String::new, |(name, _)| format!(" [{name}]"));
        format!("- `/{}{argument}`: {}", spec.words[0], spec.description)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The mode that a person wrote; `None` gives the configured one back.
///
/// # Errors
///
/// With what can be written.
pub fn queue_mode(written: &str) -> Result<Option<QueueMode>, String> {
    Ok(Some(match written.trim().to_lowercase().as_str() {
        "steer" => QueueMode::Steer,
        "followup" => QueueMode::Followup,
        "collect" => QueueMode::Collect,
        "interrupt" => QueueMode::Interrupt,
        "default" | "reset" => return Ok(None),
        other => {
            return Err(format!(
                "`{other}` is no queue mode; write steer, followup, collect, interrupt or default"
            ));
        }
    }))
}

impl Spec {
    fn choices(&self) -> Option<Vec<CommandArgChoice>> {
        let words: Vec<&str> = match self.name {
            Name::Queue => vec!["steer", "followup", "collect", "interrupt", "default"],
            Name::Think => {
                let levels = Thinking::ALL.map(Thinking::name);
                levels.into_iter().chain(["default"]).collect()
            }
            _ => return None,
        };
        let choice = |word: &str| CommandArgChoice {
            value: word.to_owned(),
            label: word.to_owned(),
        };
        Some(words.into_iter().map(choice).collect())
    }

    fn row(&self, with_args: bool) -> ChatCommand {
        let argument = self.argument.filter(|_| with_args);
        ChatCommand {
            name: self.words[0].to_owned(),
            text_aliases: Some(self.words.iter().map(|word| format!("/{word}")).collect()),
            description: self.description.to_owned(),
            category: Some(self.category.to_owned()),
            source: Some("native".to_owned()),
            scope: Some("text".to_owned()),
            accepts_args: Some(self.argument.is_some()),
            args: argument.map(|(name, description)| {
                vec![CommandArg {
                    name: name.to_owned(),
                    description: description.to_owned(),
                    kind: CommandArgKind::String,
                    required: Some(false),
                    choices: self.choices(),
                    dynamic: (self.name == Name::Model).then_some(true),
                }]
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_by_its_word() {
        let read = |text| parse(text).map(|found| (found.spec.name, found.rest));
        assert_eq!(read("/stop"), Some((Name::Stop, "")));
        assert_eq!(read(" ABORT "), Some((Name::Stop, "")));
        assert_eq!(read("/New\n hello  you "), Some((Name::New, "hello  you")));
        assert_eq!(read("/model: a/b"), Some((Name::Model, "a/b")));
        for text in [
            "/etc/hosts is broken",
            "/newer",
            "/",
            "help",
            "please stop",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_trigger_begins_a_session_anew() {
        let triggers = ["/neu".to_owned(), "fresh start".to_owned()];
        let read = |text| parse_with(text, &triggers).map(|found| (found.spec.name, found.rest));
        assert_eq!(read("/NEU"), Some((Name::New, "")));
        assert_eq!(
            read(" Fresh start  hello you"),
            Some((Name::New, "hello you"))
        );
        assert_eq!(read("/stop"), Some((Name::Stop, "")));
        for text in [
            "/neue",
            "a fresh start",
            "fresh starts",
            "",
            "ſ",
            "fresh stärt",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_list_names_every_command_once() {
        let rows = catalogue(true);
        let mut words: Vec<&String> = rows
            .iter()
            .flat_map(|row| row.text_aliases.iter().flatten())
            .collect();
        words.sort();
        words.dedup();
        let count: usize = ALL.iter().map(|spec| spec.words.len()).sum();
        assert_eq!((rows.len(), words.len()), (ALL.len(), count));
        assert!(
            rows.iter()
                .all(|row| help().contains(&format!("`/{}", row.name)))
        );
        assert!(catalogue(false).iter().all(|row| row.args.is_none()));
    }

    #[test]
    fn a_queue_mode_is_read_as_people_write_it() {
        assert_eq!(queue_mode(" Collect"), Ok(Some(QueueMode::Collect)));
        assert_eq!(queue_mode("default"), Ok(None));
        assert!(queue_mode("later").is_err_and(|told| told.contains("followup")));
    }
}
