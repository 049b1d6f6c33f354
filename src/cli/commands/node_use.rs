//! `openclaw nodes invoke`, and the commands that are one command of a node each.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use openclaw_protocol::methods::node_invoke::NodeInvoke;
use openclaw_protocol::node_command::{Reach, reach};
use openclaw_protocol::{Method as _, Scope, a2ui};
use serde_json::{Map, Value, json};

use super::node_yes::Yes;
use super::nodes::resolve;
use crate::cli::args::{
    A2uiCommand, A2uiPushArgs, CameraCommand, CanvasCommand, LocationCommand, NodeFileArgs,
    NodeInvokeArgs, NodeRunArgs, NodeUseArgs, NodesCommand, ScreenCommand,
};
use crate::cli::connect::{Wanted, open};
use crate::cli::environment::Environment;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::render::json::pretty;
use crate::cli::render::text::plain;

/// How long a person may take to decide about a program.
const DECIDE: Duration = Duration::from_mins(2);

/// One command of a node.
pub(super) struct Use<'a> {
    on: &'a NodeUseArgs,
    command: String,
    params: Value,
    key: Option<String>,
    /// Where a file that it gives is written.
    file: Written<'a>,
    /// A program that has to be approved; whether that was said already.
    program: Option<bool>,
    /// How much longer than its limit the command takes by itself.
    more: Duration,
}

/// Where a file is written.
#[derive(Clone, Copy)]
enum Written<'a> {
    /// Nowhere: it is shown as it came.
    Not,
    /// As a new file of this folder.
    Here,
    /// There; `-` is standard output.
    To(&'a Path),
}

impl<'a> From<&'a NodeFileArgs> for Written<'a> {
    fn from(args: &'a NodeFileArgs) -> Self {
        args.out.as_deref().map_or(Self::Here, Self::To)
    }
}

impl<'a> Use<'a> {
    fn new(on: &'a NodeUseArgs, command: &str, params: Value) -> Self {
        Self {
            on,
            command: command.to_owned(),
            params,
            key: None,
            file: Written::Not,
            program: None,
            more: Duration::ZERO,
        }
    }

    fn file(args: &'a NodeFileArgs, command: &str, params: Value) -> Self {
        Self {
            file: args.into(),
            ..Self::new(&args.on, command, params)
        }
    }

    /// What a command line asks for; `None` when it is about nodes and not for one.
    pub(super) fn of(command: &'a NodesCommand) -> Result<Option<Self>, Failure> {
        Ok(Some(match command {
            NodesCommand::Invoke(args) => Self::invoke(args)?,
            NodesCommand::Run(args) => Self::run(args)?,
            NodesCommand::Notify(args) => {
                let params = json!({ "title": args.title, "body": args.body });
                Self::new(&args.on, "system.notify", params)
            }
            NodesCommand::Camera(command) => Self::camera(command),
            NodesCommand::Screen(ScreenCommand::Record(args)) => {
                let params = json!({
                    "durationMs": millis(args.duration), "screenIndex": args.screen,
                    "fps": args.fps, "format": "mp4", "includeAudio": !args.no_audio,
                });
                Self {
                    more: args.duration,
                    ..Self::file(&args.file, "screen.record", params)
                }
            }
            NodesCommand::Location(LocationCommand::Get(args)) => {
                Self::new(args, "location.get", json!({}))
            }
            NodesCommand::Canvas(command) => Self::canvas(command)?,
            _ => return Ok(None),
        }))
    }

    fn camera(command: &'a CameraCommand) -> Self {
        match command {
            CameraCommand::List(args) => Self::new(args, "camera.list", json!({})),
            CameraCommand::Snap(args) => {
                let mut params = json!({
                    "facing": args.facing.as_str(), "maxWidth": args.max_width, "format": "jpg",
                });
                if let Some(id) = &args.device_id {
                    params["deviceId"] = json!(id);
                }
                Self::file(&args.file, "camera.snap", params)
            }
            CameraCommand::Clip(args) => {
                let params = json!({
                    "facing": args.facing.as_str(), "durationMs": millis(args.duration),
                    "includeAudio": !args.no_audio, "format": "mp4",
                });
                Self {
                    more: args.duration,
                    ..Self::file(&args.file, "camera.clip", params)
                }
            }
        }
    }

    fn canvas(command: &'a CanvasCommand) -> Result<Self, Failure> {
        Ok(match command {
            CanvasCommand::Present(args) => {
                let params = args
                    .page
                    .as_ref()
                    .map_or(json!({}), |page| json!({ "url": page }));
                Self::new(&args.on, "canvas.present", params)
            }
            CanvasCommand::Hide(args) => Self::new(args, "canvas.hide", json!({})),
            CanvasCommand::Navigate(args) => {
                Self::new(&args.on, "canvas.navigate", json!({ "url": args.page }))
            }
            CanvasCommand::Eval(args) => {
                Self::new(&args.on, "canvas.eval", json!({ "javaScript": args.js }))
            }
            CanvasCommand::Snapshot(args) => {
                Self::file(args, "canvas.snapshot", json!({ "format": "png" }))
            }
            CanvasCommand::A2ui(A2uiCommand::Push(args)) => {
                let params = json!({ "jsonl": surfaces(args)? });
                Self::new(&args.on, "canvas.a2ui.pushJSONL", params)
            }
            CanvasCommand::A2ui(A2uiCommand::Reset(args)) => {
                Self::new(args, "canvas.a2ui.reset", json!({}))
            }
        })
    }

    fn invoke(args: &'a NodeInvokeArgs) -> Result<Self, Failure> {
        let params = serde_json::from_str(&args.params)
            .map_err(|error| Failure::usage(format!("--params is no JSON: {error}")))?;
        Ok(Self {
            key: args.idempotency_key.clone(),
            file: args.file.out.as_deref().map_or(Written::Not, Written::To),
            program: args
                .command
                .eq_ignore_ascii_case("system.run")
                .then_some(false),
            ..Self::new(&args.file.on, &args.command, params)
        })
    }

    fn run(args: &'a NodeRunArgs) -> Result<Self, Failure> {
        let mut params = json!({
            "command": args.program, "timeoutMs": millis(args.on.invoke_timeout),
        });
        if let Some(cwd) = &args.cwd {
            params["cwd"] = json!(cwd);
        }
        let mut env = Map::new();
        for pair in &args.env {
            let (name, value) = pair
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| {
                    Failure::usage(format!("--env {}: write NAME=VALUE", plain(pair)))
                })?;
            env.insert(name.to_owned(), value.into());
        }
        if !env.is_empty() {
            params["env"] = env.into();
        }
        Ok(Self {
            program: Some(args.yes),
            // The node ends the program; its answer comes a moment later.
            more: Duration::from_secs(5),
            ..Self::new(&args.on, "system.run", params)
        })
    }

    /// Has the node do it, and shows or writes what it gives.
    pub(super) async fn carry_out(
        self,
        environment: &Environment,
        output: &Output,
    ) -> Result<(), Failure> {
        let read = &self.on.node.read;
        let target = environment.target(&read.target)?;
        let time = self.on.invoke_timeout + self.more;
        let decide = self.program.map_or(Duration::ZERO, |_| DECIDE);
        let scopes: &[Scope] = match self.program {
            Some(_) => &[Scope::Write, Scope::Approvals],
            None if reach(&self.command) == Reach::Machine => &[Scope::Write, Scope::Admin],
            None => &[Scope::Write],
        };
        let wanted = Wanted {
            scopes,
            limit: read.wait.timeout + time + decide,
        };
        let connection = open(&target, wanted).await?;
        let node = resolve(&connection, &target, self.on.node.wanted()).await?;
        let key = self.key.clone().unwrap_or_else(new_key);
        let params = json!({
            "nodeId": node, "command": self.command, "params": self.params,
            "timeoutMs": millis(time), "idempotencyKey": key,
        });
        let (client, events) = connection.into_parts();
        let asking = client.request_value(NodeInvoke::NAME, &params);
        let answer = match self.program {
            None if self.more > Duration::ZERO => recorded(asking, self.more, output).await,
            None => asking.await,
            Some(said) => {
                let words = self.params["command"].as_array().into_iter().flatten();
                let program: Vec<&str> = words.filter_map(Value::as_str).collect();
                let yes = Yes {
                    node: &node,
                    program: &program,
                    cwd: self.params["cwd"].as_str(),
                    variables: self.params["env"].is_object(),
                    said,
                    client: &client,
                    target: &target,
                    output,
                };
                tokio::select! {
                    answer = asking => answer,
                    failure = yes.watch(events) => {
                        client.close().await;
                        return Err(failure);
                    }
                }
            }
        };
        client.close().await;
        let answer = answer.map_err(|error| Failure::request(&error, &target))?;
        self.show(answer, output)
    }

    fn show(&self, mut answer: Value, output: &Output) -> Result<(), Failure> {
        let json = self.on.node.read.form.json;
        let payload = &mut answer["payload"];
        if !matches!(self.file, Written::Not)
            && let Some(data) = payload.get_mut("base64").map(Value::take)
        {
            let data = data.as_str().unwrap_or_default();
            let data = base64::engine::general_purpose::STANDARD
                .decode(data)
                .map_err(|error| {
                    Failure::failed(format!("the node sent a broken file: {error}"), None)
                })?;
            let out = match self.file {
                Written::To(out) => Some(out),
                Written::Here | Written::Not => None,
            };
            if out.is_some_and(|out| out == Path::new("-")) {
                return std::io::stdout()
                    .lock()
                    .write_all(&data)
                    .map_err(|error| Failure::output(&error));
            }
            let format = payload["format"].as_str().unwrap_or("bin").to_owned();
            let path = write(out, &self.command, &format, &data)?;
            if !json {
                return output.line(&format!("wrote {} ({} bytes)", path.display(), data.len()));
            }
            if let Some(payload) = payload.as_object_mut() {
                payload.remove("base64");
                payload.insert("path".into(), path.display().to_string().into());
            }
            answer["payloadJSON"] = Value::Null;
        }
        if json {
            return output.json(&answer);
        }
        match &answer["payload"] {
            Value::Null => output.line("done"),
            payload if self.program.is_some() => program(payload, output),
            payload => output.line(&plain_lines(&pretty(&payload.to_string()))),
        }
    }
}

/// How often it is shown how far a recording is.
const STEP: Duration = Duration::from_millis(200);

/// Waits for a recording, and shows how far it is.
async fn recorded<T>(asking: impl Future<Output = T>, whole: Duration, output: &Output) -> T {
    tokio::pin!(asking);
    let mut ticks = tokio::time::interval(STEP);
    let mut passed = Duration::ZERO;
    let answer = loop {
        tokio::select! {
            answer = &mut asking => break answer,
            _ = ticks.tick() => {
                output.progress(&bar(passed, whole));
                passed += STEP;
            }
        }
    };
    output.progress("");
    answer
}

/// How far a recording is; after its time the node is packing it up.
fn bar(passed: Duration, whole: Duration) -> String {
    const WIDTH: u128 = 30;
    if passed >= whole {
        return format!("recorded {} s; the file is on its way", whole.as_secs());
    }
    let done = usize::try_from(passed.as_millis() * WIDTH / whole.as_millis().max(1));
    let done = "#".repeat(done.unwrap_or_default());
    format!(
        "recording [{done:-<30}] {:.1} of {:.1} s",
        passed.as_secs_f64(),
        whole.as_secs_f64()
    )
}

/// The messages of a file, or those that show a text.
fn surfaces(args: &A2uiPushArgs) -> Result<String, Failure> {
    let Some(file) = &args.jsonl else {
        let text = args.text.as_deref().unwrap_or_default();
        let row =
            json!({ "id": "text", "component": { "Text": { "text": { "literalString": text } } } });
        return Ok(format!(
            "{}\n{}",
            json!({ "surfaceUpdate": { "surfaceId": "main", "components": [row] } }),
            json!({ "beginRendering": { "surfaceId": "main", "root": "text" } }),
        ));
    };
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin().lock())
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.map_err(|error| {
        let problem = format!("cannot read {}: {error}", file.display());
        Failure::failed(problem, Some("name another file with --jsonl".into()))
    })?;
    if let Err(wrong) = a2ui::read_lines(&text) {
        let wrong: Vec<String> = wrong
            .iter()
            .map(|wrong| format!("{}: {}", file.display(), plain(&wrong.to_string())))
            .collect();
        return Err(Failure::failed(
            wrong.join("\n"),
            Some("each line is one A2UI v0.8 message".into()),
        ));
    }
    Ok(text)
}

/// What a program wrote, as it wrote it; its failure is the command's.
fn program(payload: &Value, output: &Output) -> Result<(), Failure> {
    let text = |name: &str| payload[name].as_str().unwrap_or_default();
    output.write(&plain_lines(text("stdout")))?;
    for line in text("stderr").lines() {
        output.note(line);
    }
    if payload["timedOut"] == true {
        return Err(Failure::failed(
            "it was stopped: its time was over".into(),
            None,
        ));
    }
    match payload["exitCode"].as_i64() {
        Some(0) | None if payload["success"] != false => Ok(()),
        code => Err(Failure::failed(
            format!(
                "the program ended with {}",
                code.map_or_else(
                    || text("error").to_owned(),
                    |code| format!("exit code {code}")
                )
            ),
            None,
        )),
    }
}

/// Text of a node as a terminal may have it, with its line breaks.
fn plain_lines(text: &str) -> String {
    let mut shown: Vec<String> = text.split('\n').map(plain).collect();
    if shown.last().is_some_and(String::is_empty) {
        shown.pop();
        shown.push(String::new());
    }
    shown.join("\n")
}

/// Writes a file: where it was asked for, or as a new one of this folder.
fn write(out: Option<&Path>, command: &str, format: &str, data: &[u8]) -> Result<PathBuf, Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::failed(
            format!("cannot write {}: {error}", path.display()),
            Some("name another file with --out".into()),
        )
    };
    if let Some(path) = out {
        std::fs::write(path, data).map_err(|error| failed(path, &error))?;
        return Ok(path.to_owned());
    }
    // The format is the node's word: nothing but letters and digits becomes part of a name.
    let safe = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(40)
            .collect()
    };
    let path = PathBuf::from(format!(
        "{}-{}.{}",
        safe(command),
        Environment::now_ms(),
        safe(format)
    ));
    std::fs::File::create_new(&path)
        .and_then(|mut file| file.write_all(data))
        .map_err(|error| failed(&path, &error))?;
    Ok(path)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A key that no other request has.
fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_says_how_far_it_is() {
        let at = |ms| bar(Duration::from_millis(ms), Duration::from_secs(10));
        assert_eq!(
            at(0),
            format!("recording [{}] 0.0 of 10.0 s", "-".repeat(30))
        );
        let half = format!("{}{}", "#".repeat(15), "-".repeat(15));
        assert_eq!(at(5_000), format!("recording [{half}] 5.0 of 10.0 s"));
        assert_eq!(at(10_000), "recorded 10 s; the file is on its way");
    }
}
