//! `openclaw config`.

use std::process::ExitCode;

use openclaw_protocol::methods::config::{ConfigGet, ConfigPatch, ConfigSnapshot};
use openclaw_protocol::methods::system::EmptyParams;
use openclaw_protocol::{Method, Scope};
use serde_json::{Map, Value, json};

use crate::cli::args::{ConfigCommand, ConfigGetArgs, ReadArgs};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::input;
use crate::cli::output::Output;

/// Longest value on standard input, bytes.
const MAX_VALUE: u64 = 1 << 20;

pub(crate) async fn run(
    command: &ConfigCommand,
    environment: &Environment,
    output: &Output,
) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Get(args) => get(args, environment, output).await?,
        ConfigCommand::Set(args) => {
            let value = value(&args.value)?;
            change(&args.path, value, &args.read, environment, output).await?;
        }
        ConfigCommand::Unset(args) => {
            change(&args.path, Value::Null, &args.read, environment, output).await?;
        }
        ConfigCommand::Validate(form) => validate(form.json, environment, output)?,
        ConfigCommand::File(form) => {
            let path = environment.paths()?.config_path;
            if form.json {
                output.json(&json!({ "path": path }))?;
            } else {
                output.line(&path.display().to_string())?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn get(
    args: &ConfigGetArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    let target = environment.target(&args.read.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Read],
        limit: args.read.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let snapshot = connection
        .client()
        .request::<ConfigGet>(&EmptyParams {})
        .await;
    connection.close().await;
    let snapshot: ConfigSnapshot = snapshot.map_err(|error| Failure::request(&error, &target))?;
    let Some(path) = &args.path else {
        return show(&snapshot.config, output);
    };
    match at(&snapshot.config, path) {
        Some(value) => show(value, output),
        None => Err(Failure::failed(
            format!("nothing is set at {path}"),
            Some("`openclaw config get` shows everything".into()),
        )),
    }
}

/// What a value becomes: the argument, or standard input for `-`, where a secret is seen by nobody.
fn value(argument: &str) -> Result<Value, Failure> {
    let text = if argument == "-" {
        let text = input::all("value", MAX_VALUE)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    } else {
        argument.to_owned()
    };
    // What is no JSON5 is a text: people write names without quotes.
    Ok(json5::from_str(&text).unwrap_or_else(|_| json!(text)))
}

/// A text as it is, anything else as JSON.
fn show(value: &Value, output: &Output) -> Result<(), Failure> {
    match value {
        Value::String(text) => output.line(text),
        value => output.json(value),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    parts(path)
        .iter()
        .try_fold(value, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            value => value.get(part),
        })
}

/// The keys of a path; one with dots in it stands in brackets: `models.providers[my.host].baseUrl`.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut inside = false;
    for c in path.chars() {
        match (c, inside) {
            ('[', false) => {
                inside = true;
                parts.push(String::new());
            }
            (']', true) => inside = false,
            ('.', false) => parts.push(String::new()),
            (c, _) => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The object that has this value at this place and nothing else.
fn patch(path: &str, value: Value) -> Value {
    parts(path).into_iter().rev().fold(value, |value, part| {
        Value::Object(Map::from_iter([(part, value)]))
    })
}

async fn change(
    path: &str,
    value: Value,
    read: &ReadArgs,
    environment: &Environment,
    output: &Output,
) -> Result<(), Failure> {
    if parts(path).is_empty() {
        return Err(Failure::usage(format!(
            "\"{path}\" is no path such as gateway.port"
        )));
    }
    let target = environment.target(&read.target)?;
    let wanted = Wanted {
        scopes: &[Scope::Read, Scope::Admin],
        limit: read.wait.timeout,
    };
    let connection = open(&target, wanted).await?;
    let client = connection.client();
    let snapshot = client.request::<ConfigGet>(&EmptyParams {}).await;
    let snapshot: ConfigSnapshot = snapshot.map_err(|error| Failure::request(&error, &target))?;
    let gone = value.is_null();
    let mut params = json!({ "raw": patch(path, value).to_string() });
    if let Some(hash) = &snapshot.hash {
        params["baseHash"] = hash.as_str().into();
    }
    let answer = client.request_raw(ConfigPatch::NAME, &params).await;
    connection.close().await;
    let answer = answer.map_err(|error| Failure::request(&error, &target))?;
    if read.form.json {
        return output.raw(&answer);
    }
    let done = if gone { "removed" } else { "set" };
    output.line(&format!("{path} is {done} in {}", snapshot.path))
}

fn validate(form: bool, environment: &Environment, output: &Output) -> Result<(), Failure> {
    let path = environment.paths()?.config_path;
    let checked = environment.config().and_then(|loaded| {
        crate::config::auth::resolve(&loaded).map_err(|error| Failure::config(&error))?;
        Ok(loaded)
    });
    if form {
        let problem = checked.as_ref().err().map(|failure| failure.what.clone());
        output.json(&json!({ "path": path, "valid": problem.is_none(), "problem": problem }))?;
        // The answer is given; the exit code says the same.
        return checked.map(drop).map_err(|failure| Failure {
            what: String::new(),
            ..failure
        });
    }
    let loaded = checked?;
    for warning in &loaded.warnings {
        output.note(warning);
    }
    output.line(&format!("{} can be used", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_value() {
        assert_eq!(parts("gateway.port"), ["gateway", "port"]);
        assert_eq!(
            parts("models.providers[my.host].baseUrl"),
            ["models", "providers", "my.host", "baseUrl"]
        );
        assert!(parts("..").is_empty());
        let value = json!({ "a": { "b": [1, { "c": "x" }] } });
        assert_eq!(at(&value, "a.b.1.c"), Some(&json!("x")));
        assert_eq!(at(&value, "a.b[1].c"), Some(&json!("x")));
        assert_eq!(at(&value, "a.x"), None);
        assert_eq!(patch("a.b", json!(1)), json!({ "a": { "b": 1 } }));
    }
}
