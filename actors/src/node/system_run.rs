//! `system.run`: a program on a node, behind the same exec approvals as programs of this host.
//!
//! What is shown and approved is what the node is sent: its arguments, folder and variables, bound to
//! that one node; where the node can say what exactly it would run, that plan, with the digest of a
//! script. The node keeps to the plan, or refuses. A caller's own word that something was approved is
//! left out.

use std::collections::BTreeMap;

use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::approvals::{ExecRequest, MAX_COMMAND};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::approvals::plan::hex;

/// The command.
const NAME: &str = "system.run";
/// The command by which a node says what exactly it would run: the program's own file, and of a script
/// its content.
pub const PREPARE: &str = "system.run.prepare";
/// Most variables.
const MAX_VARIABLES: usize = 128;
/// What else of the parameters the node is sent.
const PASSED: [&str; 5] = [
    "timeoutMs",
    "needsScreenRecording",
    "agentId",
    "sessionKey",
    "suppressNotifyOnExit",
];

/// Whether a command runs programs. Upper and lower case do not matter: a node that takes both must
/// not run one of them unasked.
pub fn runs_programs(command: &str) -> bool {
    command.eq_ignore_ascii_case(NAME)
}

/// Whether this can be the name of a variable: letters, digits and underscores. Anything else would come to the person
/// who decides as free text, and `A=B C` as a name is the variable `A` to a program.
pub fn is_variable(name: &str) -> bool {
    let mut letters = name.bytes();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// A program on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeProgram {
    argv: Vec<String>,
    cwd: Option<String>,
    env: BTreeMap<String, String>,
    passed: Map<String, Value>,
    /// What the node said it would run.
    plan: Option<Value>,
}

impl NodeProgram {
    /// Reads the parameters of `system.run`.
    ///
    /// # Errors
    ///
    /// When they are not what can be shown to a person.
    pub fn of(params: Option<&Value>) -> Result<Self, ErrorShape> {
        let wrong = |place: &str, what: &str| {
            ErrorShape::invalid(format!(
                "invalid node.invoke params: at /params{place}: {what}"
            ))
        };
        let params = params
            .and_then(Value::as_object)
            .ok_or_else(|| wrong("", "must be an object with the program in command"))?;
        let argv: Option<Vec<String>> = params.get("command").and_then(|words| {
            let text = |word: &Value| word.as_str().map(str::to_owned);
            words.as_array()?.iter().map(text).collect()
        });
        let argv = argv
            .filter(|argv| {
                argv.first()
                    .is_some_and(|program| !program.trim().is_empty())
            })
            .ok_or_else(|| wrong("/command", "must be a list of texts, the program first"))?;
        if shown(&argv).chars().count() > MAX_COMMAND {
            let longest = format!("must NOT have more than {MAX_COMMAND} characters");
            return Err(wrong("/command", &longest));
        }
        let cwd = match params.get("cwd") {
            None | Some(Value::Null) => None,
            Some(Value::String(folder)) => Some(folder.clone()),
            Some(_) => return Err(wrong("/cwd", "must be string")),
        };
        let env = match params.get("env") {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(env) => serde_json::from_value(env.clone())
                .ok()
                .filter(|env: &BTreeMap<String, String>| {
                    env.len() <= MAX_VARIABLES && env.keys().all(|name| is_variable(name))
                })
                .ok_or_else(|| {
                    let what = "must be an object of at most 128 texts, with names of letters, digits and underscores";
                    wrong("/env", what)
                })?,
        };
        let passed = PASSED
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), params.get(key)?.clone())))
            .collect();
        Ok(Self {
            argv,
            cwd,
            env,
            passed,
            plan: None,
        })
    }

    /// An agent runs it in its own name and conversation: the node judges by its rules for that agent.
    #[must_use]
    pub fn of_agent(mut self, agent: &str, session: Option<&str>) -> Self {
        self.passed.insert("agentId".into(), agent.into());
        self.passed.remove("sessionKey");
        if let Some(session) = session {
            self.passed.insert("sessionKey".into(), session.into());
        }
        self
    }

    /// By whose rules the node judges, where the caller says.
    pub fn agent(&self) -> Option<&str> {
        self.passed.get("agentId")?.as_str()
    }

    /// What the node is asked for its plan with.
    pub fn prepare(&self) -> Value {
        let mut params = json!({ "command": self.argv });
        if let Some(cwd) = &self.cwd {
            params["cwd"] = json!(cwd);
        }
        if !self.env.is_empty() {
            params["env"] = json!(self.env);
        }
        for key in ["agentId", "sessionKey"] {
            if let Some(value) = self.passed.get(key) {
                params[key] = value.clone();
            }
        }
        params
    }

    /// The program as the node would run it. Its plan may name the program's file; the arguments are
    /// those that were asked for.
    ///
    /// # Errors
    ///
    /// When the plan is none, or for something else.
    pub fn planned(mut self, plan: Value) -> Result<Self, ErrorShape> {
        let argv = plan["argv"].as_array().map(|words| {
            let text = |word: &Value| word.as_str().map(str::to_owned);
            words.iter().map(text).collect::<Option<Vec<String>>>()
        });
        let Some(argv) = argv.flatten().filter(|argv| !argv.is_empty()) else {
            return Err(ErrorShape::unavailable(
                "the node did not say what it would run; nothing was run",
            ));
        };
        if argv[1..] != self.argv[1..] {
            return Err(ErrorShape::unavailable(format!(
                "the node would run something else ({}); nothing was run",
                shown(&argv)
            )));
        }
        if let Some(cwd) = plan["cwd"].as_str() {
            self.cwd = Some(cwd.to_owned());
        }
        self.argv = argv;
        self.plan = Some(plan);
        Ok(self)
    }

    /// The digest of all of it, with the node that it is for.
    pub fn digest(&self, node: &str) -> String {
        let mut digest = Sha256::new();
        let mut add = |tag: u8, text: &str| {
            digest.update([tag]);
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        add(b'N', node);
        for word in &self.argv {
            add(b'a', word);
        }
        if let Some(cwd) = &self.cwd {
            add(b'd', cwd);
        }
        if let Some(agent) = self.agent() {
            add(b'g', agent);
        }
        for (name, value) in &self.env {
            add(b'n', name);
            add(b'v', value);
        }
        if let Some(plan) = &self.plan {
            add(b'p', &plan.to_string());
        }
        hex(&digest.finalize())
    }

    /// It as people see it.
    pub fn request(&self, node: &str) -> ExecRequest {
        let names: Vec<&str> = self.env.keys().map(String::as_str).collect();
        ExecRequest {
            command: shown(&self.argv),
            command_argv: self.argv.clone(),
            cwd: self.cwd.clone(),
            host: Some("node".into()),
            node_id: Some(node.to_owned()),
            warning_text: (!names.is_empty())
                .then(|| format!("it sets the variables {}", names.join(", "))),
            ..ExecRequest::default()
        }
    }

    /// What the node is sent once it was approved.
    pub fn approved(self, run_id: String) -> Value {
        let mut params = self.passed;
        params.insert("command".into(), self.argv.into());
        if let Some(plan) = self.plan {
            // The node compares these with its plan.
            for (key, name) in [
                ("agentId", "agentId"),
                ("sessionKey", "sessionKey"),
                ("rawCommand", "commandText"),
            ] {
                params.remove(key);
                if let Some(text) = plan[name].as_str() {
                    params.insert(key.to_owned(), text.into());
                }
            }
            params.insert("systemRunPlan".into(), plan);
        }
        if let Some(cwd) = self.cwd {
            params.insert("cwd".into(), cwd.into());
        }
        if !self.env.is_empty() {
            params.insert("env".into(), json!(self.env));
        }
        params.insert("runId".into(), run_id.into());
        params.insert("approved".into(), true.into());
        params.insert("approvalDecision".into(), "allow-once".into());
        params.into()
    }
}

/// A command line that a shell would read as these words.
fn shown(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    let words: Vec<String> = argv
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(params: &Value) -> NodeProgram {
        NodeProgram::of(Some(params)).unwrap()
    }

    #[test]
    fn what_is_sent_is_what_was_shown_and_no_word_of_the_caller_about_approvals() {
        let program = program(&json!({
            "command": ["sh", "-c", "echo it's $HOME"], "rawCommand": "ls", "cwd": "/tmp",
            "env": {"LD_PRELOAD": "x"}, "timeoutMs": 5_000, "approved": true,
            "approvalDecision": "allow-always", "runId": "forged", "systemRunPlan": {"argv": ["ls"]},
        }));
        let request = program.request("n1");
        assert_eq!(request.command, r"sh -c 'echo it'\''s $HOME'");
        assert_eq!(request.node_id.as_deref(), Some("n1"));
        assert_eq!(
            request.warning_text.as_deref(),
            Some("it sets the variables LD_PRELOAD")
        );
        assert_eq!(
            program.approved("run".into()),
            json!({
                "command": ["sh", "-c", "echo it's $HOME"], "cwd": "/tmp",
                "env": {"LD_PRELOAD": "x"}, "timeoutMs": 5_000,
                "runId": "run", "approved": true, "approvalDecision": "allow-once",
            })
        );
    }

    #[test]
    fn an_agent_is_judged_as_itself_and_variables_have_the_names_that_are_shown() {
        let asked = program(&json!({"command": ["ls"], "agentId": "ops", "sessionKey": "theirs"}));
        let own = asked.clone().of_agent("main", Some("agent:main:main"));
        assert_eq!((asked.agent(), own.agent()), (Some("ops"), Some("main")));
        assert_ne!(asked.digest("n"), own.digest("n"));
        assert_eq!(own.prepare()["sessionKey"], "agent:main:main");
        let sent = own.of_agent("main", None).approved("run".into());
        assert_eq!(
            (&sent["agentId"], &sent["sessionKey"]),
            (&json!("main"), &Value::Null)
        );
        for name in ["", "BASH_ENV=/tmp/e", "A B", "f()", "BASH_FUNC_ls%%"] {
            let error = NodeProgram::of(Some(&json!({"command": ["ls"], "env": {name: "x"}})));
            let message = error.unwrap_err().message;
            assert!(message.contains("/params/env"), "{message}");
        }
    }

    #[test]
    fn the_plan_of_a_node_is_bound_and_is_for_what_was_asked() {
        let asked = program(&json!({"command": ["sh", "job.sh"], "agentId": "main"}));
        assert_eq!(
            asked.prepare(),
            json!({"command": ["sh", "job.sh"], "agentId": "main"})
        );
        let plan = json!({
            "argv": ["/bin/sh", "job.sh"], "cwd": "/home", "commandText": "/bin/sh job.sh",
            "mutableFileOperand": {"sha256": "one"},
        });
        let planned = asked.clone().planned(plan.clone()).unwrap();
        assert_eq!(planned.request("n").command, "/bin/sh job.sh");
        assert_eq!(planned.request("n").cwd.as_deref(), Some("/home"));
        let mut other = plan.clone();
        other["mutableFileOperand"]["sha256"] = json!("two");
        let changed = asked.clone().planned(other).unwrap();
        assert_ne!(changed.digest("n"), planned.digest("n"));
        let sent = planned.approved("run".into());
        assert_eq!(sent["systemRunPlan"], plan);
        assert_eq!(sent["rawCommand"], "/bin/sh job.sh");
        assert!(sent["agentId"].is_null(), "{sent}");
        for plan in [
            json!({}),
            json!({"argv": ["rm", "-rf", "/"]}),
            json!({"argv": [1]}),
        ] {
            assert!(asked.clone().planned(plan).is_err());
        }
    }

    #[test]
    fn whatever_is_changed_changes_the_digest_the_node_too() {
        let base = json!({"command": ["ls", "-l"], "cwd": "/tmp", "env": {"A": "b"}});
        let digest = program(&base).digest("n1");
        assert_eq!(program(&base).digest("n1"), digest);
        assert_ne!(program(&base).digest("n2"), digest);
        for (key, value) in [
            ("command", json!(["ls", "-", "l"])),
            ("command", json!(["ls-l"])),
            ("cwd", json!("/")),
            ("cwd", Value::Null),
            ("env", json!({"A": "c"})),
            ("env", json!({"Ab": ""})),
        ] {
            let mut other = base.clone();
            other[key] = value;
            assert_ne!(program(&other).digest("n1"), digest, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_its_place() {
        for (params, place) in [
            (Value::Null, "at /params:"),
            (json!({}), "at /params/command:"),
            (json!({"command": "ls -l"}), "at /params/command:"),
            (json!({"command": []}), "at /params/command:"),
            (json!({"command": [" "]}), "at /params/command:"),
            (
                json!({"command": ["a".repeat(20_000)]}),
                "at /params/command:",
            ),
            (json!({"command": ["ls"], "cwd": 1}), "at /params/cwd:"),
            (
                json!({"command": ["ls"], "env": {"A": 1}}),
                "at /params/env:",
            ),
        ] {
            let error = NodeProgram::of(Some(&params)).unwrap_err();
            assert!(error.message.contains(place), "{}", error.message);
        }
        assert!(runs_programs("System.Run") && !runs_programs("system.run.prepare"));
    }
}
