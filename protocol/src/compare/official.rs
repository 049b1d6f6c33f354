//! Our contract beside the official package: method by method, with a reason for each difference.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::{Difference, Direction, Kind, Verdict, given, parts, rows, schemas};

/// Reasons of single differences: `subject part place | what: reason`, one a line; `**` stands for
/// anything.
const REASONS: &str = include_str!("reasons.txt");

/// Names of official schemas that do not follow from the method's name.
pub(super) const PARAMS: &[(&str, &str)] = &[
    ("agent.identity.get", "AgentIdentityParams"),
    ("connect", "ConnectParams"),
    ("device.scopes.requestUpgrade", "ScopeUpgradeRequest"),
    ("device.scopes.waitUpgrade", "ScopeUpgradeWait"),
];
pub(super) const RESULTS: &[(&str, &str)] = &[
    ("agent.identity.get", "AgentIdentityResult"),
    ("connect", "HelloOk"),
    ("config.schema", "ConfigSchemaResponse"),
    ("cron.get", "CronJob"),
    ("cron.update", "CronJob"),
    ("device.scopes.requestUpgrade", "ScopeUpgradeRegistration"),
    ("device.scopes.waitUpgrade", "ScopeUpgradeResult"),
    ("exec.approvals.get", "ExecApprovalsSnapshot"),
    ("exec.approvals.set", "ExecApprovalsSnapshot"),
    ("exec.approvals.node.get", "ExecApprovalsNodeSnapshot"),
    ("exec.approvals.node.set", "ExecApprovalsNodeSnapshot"),
];

/// Two schemas that the package has for one part, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The package has no schema for it.
    Untold,
    /// What differs; nothing if they are the same.
    Told(Vec<Difference>),
}

/// One method or event beside the official one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Name on the wire.
    pub name: String,
    /// Whether the package knows the name.
    pub known: bool,
    /// The scope that it needs here, and there, where both say it.
    pub scope: Option<(String, String)>,
    /// Its parts by their names: `params` and `result`, or `payload`.
    pub parts: Vec<(&'static str, Part)>,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What we implement.
    pub methods: Vec<Row>,
    /// What we send.
    pub events: Vec<Row>,
    /// Official methods that this gateway does not have.
    pub absent: Vec<String>,
    /// Official schemas that look like those of methods here, and that nothing was compared with.
    pub overlooked: Vec<String>,
}

/// Compares our schema document with the package's `protocol.schema.json`.
pub fn compare(ours: &Value, official: &Value) -> Report {
    // An object of names with their scopes.
    let known: BTreeSet<&str> = official["methods"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let methods = rows(ours, "methods");
    let connect = serde_json::json!({
        "params": ours["frames"]["connect"],
        "result": ours["frames"]["hello-ok"],
    });
    let all = methods
        .iter()
        .map(|(name, row)| (*name, *row))
        .chain([("connect", &connect)]);
    let mut found: Vec<Row> = all
        .map(|(name, row)| Row {
            name: name.to_owned(),
            known: name == "connect" || known.contains(name),
            scope: scopes(ours, official, name),
            parts: vec![
                (
                    "params",
                    part(ours, official, &row["params"], PARAMS, name, "Params"),
                ),
                ("result", result(ours, official, &row["result"], name)),
            ],
        })
        .collect();
    found.sort_by(|one, two| one.name.cmp(&two.name));
    let events = rows(ours, "events")
        .into_iter()
        .map(|(name, row)| {
            let payload = part(ours, official, &row["payload"], &[], name, "Event");
            Row {
                name: name.to_owned(),
                known: payload != Part::Untold,
                scope: None,
                parts: vec![("payload", payload)],
            }
        })
        .collect();
    let mut absent: Vec<String> = known
        .iter()
        .filter(|name| **name != "connect" && !methods.contains_key(**name))
        .map(|name| (*name).to_owned())
        .collect();
    absent.sort();
    let untold: Vec<(&str, &str)> = found
        .iter()
        .flat_map(|row| row.parts.iter().map(|part| (row.name.as_str(), part)))
        .filter(|(_, (_, found))| *found == Part::Untold)
        .map(|(name, (part, _))| (name, *part))
        .collect();
    Report {
        overlooked: parts::overlooked(official, &untold),
        methods: found,
        events,
        absent,
    }
}

fn part(
    ours: &Value,
    official: &Value,
    schema: &Value,
    names: &[(&str, &str)],
    subject: &str,
    suffix: &str,
) -> Part {
    let name = names
        .iter()
        .find(|(known, _)| *known == subject)
        .map_or_else(|| pascal(subject) + suffix, |(_, name)| (*name).to_owned());
    let theirs = &official["definitions"][&name];
    if theirs.is_null() {
        return Part::Untold;
    }
    let compare = if suffix == "Params" { schemas } else { given };
    Part::Told(compare((ours, schema), (official, theirs)))
}

/// The whole result, else the rows in it that the package has a schema for.
fn result(ours: &Value, official: &Value, schema: &Value, name: &str) -> Part {
    match part(ours, official, schema, RESULTS, name, "Result") {
        Part::Untold => {
            let rows = parts::of_result(ours, official, schema, name);
            rows.map_or(Part::Untold, Part::Told)
        }
        told @ Part::Told(_) => told,
    }
}

/// What a method needs here and there.
fn scopes(ours: &Value, official: &Value, name: &str) -> Option<(String, String)> {
    let here = ours["methods"][name]["access"].as_str()?;
    let there = official["methods"][name]["scope"].as_str()?;
    Some((here.to_owned(), there.to_owned()))
}

/// `chat.send` as `ChatSend`.
pub(super) fn pascal(name: &str) -> String {
    name.split(['.', '-'])
        .map(|word| {
            let (head, tail) = word.split_at(word.len().min(1));
            head.to_ascii_uppercase() + tail
        })
        .collect()
}

/// Why a difference is there; none if nobody said.
pub fn reason(subject: &str, part: &str, difference: &Difference) -> Option<&'static str> {
    let text = format!(
        "{subject} {part} {} | {}",
        difference.place, difference.what
    );
    written(&text).or_else(|| general(part, difference))
}

/// Why a method needs another scope here than there; none if nobody said.
pub fn scope_reason(method: &str, here: &str, there: &str) -> Option<&'static str> {
    written(&format!("{method} scope | {here}, there {there}"))
}

fn written(text: &str) -> Option<&'static str> {
    REASONS
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(pattern, _)| matches(pattern, text))
        .map(|(_, reason)| reason)
}

/// Whether a text is of a pattern, in which `**` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split("**");
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => part.is_empty() || rest.is_empty(),
    }
}

/// Reasons that hold for a kind of difference.
fn general(part: &str, difference: &Difference) -> Option<&'static str> {
    use Direction::{Narrower, Wider};
    let taken = part == "params";
    Some(match (taken, difference.kind, difference.direction) {
        (true, Kind::Bound, Narrower) => {
            "every text, list and number has a limit here, above what clients send"
        }
        (true, _, Wider) => {
            "more is taken than asked for: both generations, and programs that leave things out"
        }
        (false, Kind::Bound, _) => "lengths of what is given are no promise",
        (false, Kind::Required, Narrower) => "always given here",
        (false, _, Narrower) => "never given here",
        _ => return None,
    })
}

impl Row {
    /// The scopes here and there, if they differ.
    fn other_scope(&self) -> Option<(&str, &str)> {
        let (here, there) = self.scope.as_ref()?;
        (here != there).then_some((here.as_str(), there.as_str()))
    }

    fn scope_word(&self) -> &'static str {
        match (&self.scope, self.other_scope()) {
            (None, _) => "-",
            (Some(_), None) => "same",
            (Some(_), Some(_)) => "other",
        }
    }
}

impl Report {
    /// The differences without a reason, each as a line.
    pub fn unexplained(&self) -> Vec<String> {
        let mut lines = self.overlooked.clone();
        for row in self.methods.iter().chain(&self.events) {
            if let Some((here, there)) = row.other_scope()
                && scope_reason(&row.name, here, there).is_none()
            {
                lines.push(format!("{} scope | {here}, there {there}", row.name));
            }
            for (part, found) in &row.parts {
                let Part::Told(differences) = found else {
                    continue;
                };
                for difference in differences {
                    if reason(&row.name, part, difference).is_none() {
                        lines.push(format!(
                            "{} {part} {} | {}: {:?}",
                            row.name, difference.place, difference.what, difference.direction
                        ));
                    }
                }
            }
        }
        lines
    }

    /// The table, with the differences that have a reason of their own, as Markdown.
    pub fn markdown(&self, package: &str) -> String {
        let mut out = format!(
            "<!-- Written by `openclaw protocol compare`; do not edit. -->\n\n# Beside {package}\n\n\
             What each side admits, seen from this gateway: `same`, `narrower` (less is taken or given here), `wider`, \
             `differs` (both), `-` (the package has no schema for it). Keys that a method which changes nothing does not \
             know are ignored, and not counted. Of an answer whose rows alone have a schema there, the rows are compared. \
             {} methods here, {} more only there.\n\n\
             | Method | Params | Result | Scope | |\n|---|---|---|---|---|\n",
            self.methods.len(),
            self.absent.len()
        );
        for row in &self.methods {
            let verdicts: Vec<&str> = row.parts.iter().map(|(_, part)| verdict(part)).collect();
            let note = if row.known { "" } else { "only here" };
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {note} |",
                row.name,
                verdicts.join(" | "),
                row.scope_word()
            );
        }
        out.push_str("\n| Event | Payload |\n|---|---|\n");
        for row in &self.events {
            let verdicts: Vec<&str> = row.parts.iter().map(|(_, part)| verdict(part)).collect();
            let _ = writeln!(out, "| `{}` | {} |", row.name, verdicts.join(" | "));
        }
        self.reasons(&mut out);
        let absent: Vec<String> = self.absent.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(out, "\n## Only there\n\n{}\n", absent.join(", "));
        out
    }

    fn reasons(&self, out: &mut String) {
        out.push_str(
            "\n## Differences and why\n\n| Where | Here | What | Why |\n|---|---|---|---|\n",
        );
        for row in self.methods.iter().chain(&self.events) {
            if let Some((here, there)) = row.other_scope() {
                let why = scope_reason(&row.name, here, there).unwrap_or("**no reason yet**");
                let _ = writeln!(
                    out,
                    "| `{}` scope | `{here}` | there `{there}` | {why} |",
                    row.name
                );
            }
            for (part, found) in &row.parts {
                let Part::Told(differences) = found else {
                    continue;
                };
                for difference in differences {
                    let here = match difference.direction {
                        Direction::Narrower => "not",
                        Direction::Wider => "only",
                    };
                    let why = reason(&row.name, part, difference).unwrap_or("**no reason yet**");
                    let _ = writeln!(
                        out,
                        "| `{}` {part} `{}` | {here} | {} | {why} |",
                        row.name,
                        difference.place.replace('|', "\\|"),
                        difference.what.replace('|', "\\|")
                    );
                }
            }
        }
    }
}

fn verdict(part: &Part) -> &'static str {
    match part {
        Part::Untold => "-",
        Part::Told(differences) => Verdict::of(differences).as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_names_its_methods_as_keys() {
        let method = serde_json::json!({"access": "any", "params": {}, "result": {}});
        let ours = serde_json::json!({"methods": {"health": method, "own": method}, "events": {}});
        let official = serde_json::json!({
            "methods": {"health": {"scope": "operator.read"}, "push.test": {"scope": "operator.write"}},
            "definitions": {},
        });
        let report = compare(&ours, &official);
        let known = |name: &str| {
            report
                .methods
                .iter()
                .find(|row| row.name == name)
                .map(|row| row.known)
        };
        assert_eq!((known("health"), known("own")), (Some(true), Some(false)));
        assert_eq!(report.absent, ["push.test"]);
    }

    #[test]
    fn a_method_that_needs_another_scope_needs_a_reason_too() {
        let method =
            |access: &str| serde_json::json!({"access": access, "params": {}, "result": {}});
        let ours = serde_json::json!({"events": {}, "methods": {
            "logs.tail": method("operator.admin"), "status": method("operator.read"), "health": method("any"),
        }});
        let scope = |scope: &str| serde_json::json!({"scope": scope});
        let official = serde_json::json!({"definitions": {}, "methods": {
            "logs.tail": scope("operator.read"), "status": scope("operator.read"), "health": scope("operator.read"),
        }});
        let report = compare(&ours, &official);
        assert_eq!(
            report.unexplained(),
            ["logs.tail scope | operator.admin, there operator.read"]
        );
        let table = report.markdown("a package");
        assert!(table.contains("| `status` | - | - | same |  |"), "{table}");
        assert!(table.contains("| `health` | - | - | other |  |"), "{table}");
    }

    #[test]
    fn patterns_of_reasons_match_as_written() {
        let text = "cron.add result /payload/to | this key";
        for pattern in [
            "cron.** result **",
            "cron.add result /payload/to | this key",
            "cron.** result /payload/** | this key",
            "**",
        ] {
            assert!(matches(pattern, text), "{pattern}");
        }
        for pattern in [
            "cron.add result",
            "cron.get **",
            "** | another",
            "result **",
        ] {
            assert!(!matches(pattern, text), "{pattern}");
        }
    }
}
