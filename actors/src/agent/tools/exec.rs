//! `exec`: a program on this host, behind exec approvals.
//!
//! What runs is exactly what was shown: the digest of the plan is taken again right before the start,
//! in one step with it. What is left is the moment from the last byte that was read to the system's
//! own look at the file: whoever may write to the file could use that, and as well change what the
//! program reads later; nothing short of a copy of all of it would prevent that. The program gets a process group and few variables of its own, and everything that it began ends with
//! the call: when it is done, when its time is over, when its run is stopped.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use openclaw_protocol::Scope;
use openclaw_protocol::methods::approvals::ExecRequest;
use rustix::process::{Pid, Signal};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::{
    Descriptor, Group, Risk, Running, Tool, ToolContext, ToolError, ToolOutput, arguments,
};
use crate::approvals::plan::Plan;
use crate::approvals::state::Decision;
use crate::approvals::{Answer, Approvals, Ask, Withdraw, what};
use crate::audit::{AuditRow, Kind};

/// How long a person may take to decide.
const DECIDE: Duration = Duration::from_mins(2);
/// How long a program may run when the call names no time.
const RUN: Duration = Duration::from_mins(2);
/// How long it may run at most.
const LONGEST: Duration = Duration::from_mins(30);
/// Bytes of the beginning of its output that are kept.
const HEAD: usize = 16 * 1024;
/// Bytes of the end of its output that are kept.
const TAIL: usize = 32 * 1024;
/// Longest command.
const MAX_COMMAND: usize = 16 * 1024;
/// Variables of the gateway that programs get.
const VARIABLES: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

/// The tool.
pub(super) struct Exec;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    command: String,
    #[serde(alias = "cwd")]
    workdir: Option<String>,
    /// Seconds.
    timeout: Option<u64>,
}

impl Tool for Exec {
    fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: "exec".into(),
            label: "Exec",
            description: "Runs a command on the gateway's host, in the workspace unless `workdir` names another folder, and gives its output and exit code. The owner may have to approve it first, which can take minutes; a refusal is final, do not try to get around it. Programs that go on in the background end with the call. `timeout` is in seconds.".into(),
            group: Group::Runtime,
            parameters: json!({
                "type": "object",
                "properties": {
                    "command": {"type": "string"},
                    "workdir": {"type": "string"},
                    "timeout": {"type": "integer", "minimum": 1, "maximum": LONGEST.as_secs()},
                },
                "required": ["command"],
                "additionalProperties": false,
            }),
            risk: Risk::Exec,
            limit: LONGEST + DECIDE + Duration::from_mins(1),
        }
    }

    fn run<'a>(&'a self, cx: &'a ToolContext<'a>, given: Value) -> Running<'a> {
        Box::pin(async move {
            let asked: Arguments = arguments(given)?;
            if asked.command.trim().is_empty() || asked.command.len() > MAX_COMMAND {
                return Err(ToolError::new("the command is empty or too long"));
            }
            let plan = plan(cx, &asked)?;
            let shown = digest(plan.clone()).await?;
            let request = request(cx, &asked, &plan);
            let row = |kind| {
                AuditRow::new(kind)
                    .device(&cx.origin.device_id)
                    .by(&cx.origin.principal)
                    .reason(what(&request, Some(&shown)))
            };
            let yes = allowed(cx, request.clone(), shown.clone()).await?;
            let audit = &cx.deps.views.audit;
            let Some(started) = start(plan.clone(), shown.clone()).await? else {
                audit.record(&row(Kind::ExecRefused).code("changed").request(&yes.request));
                return Err(ToolError::new(
                    "a file that the command uses was changed after it was approved; it was not run",
                ));
            };
            audit.record(&row(Kind::ExecStarted).code(yes.code).request(&yes.request));
            let limit = asked.timeout.map_or(RUN, Duration::from_secs).min(LONGEST);
            execute(cx, &plan, started, limit).await
        })
    }
}

fn plan(cx: &ToolContext<'_>, asked: &Arguments) -> Result<Plan, ToolError> {
    let root = cx.workspace()?.path;
    std::fs::create_dir_all(&root).map_err(|error| {
        ToolError::new(format!(
            "cannot make the workspace {}: {error}",
            root.display()
        ))
    })?;
    let cwd = asked
        .workdir
        .as_ref()
        .map_or_else(|| root.clone(), |folder| root.join(folder));
    let cwd = std::fs::canonicalize(&cwd)
        .map_err(|error| ToolError::new(format!("the folder {}: {error}", cwd.display())))?;
    let env: BTreeMap<String, String> = VARIABLES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    Ok(Plan::of(&asked.command, cwd, env))
}

async fn digest(plan: Plan) -> Result<String, ToolError> {
    tokio::task::spawn_blocking(move || plan.digest())
        .await
        .map_err(|_| ToolError::new("the command could not be looked into"))
}

fn request(cx: &ToolContext<'_>, asked: &Arguments, plan: &Plan) -> ExecRequest {
    ExecRequest {
        command: asked.command.clone(),
        command_argv: plan.argv.clone(),
        cwd: Some(plan.cwd.display().to_string()),
        host: Some("gateway".into()),
        agent_id: Some(cx.agent.id.clone()),
        session_key: Some(cx.session.to_owned()),
        resolved_path: plan.program.clone(),
        ..ExecRequest::default()
    }
}

/// Why something may run.
struct Yes {
    /// A person's decision, or `rules`.
    code: &'static str,
    /// What the person decided on.
    request: Option<String>,
}

/// Waits until it may run.
async fn allowed(
    cx: &ToolContext<'_>,
    request: ExecRequest,
    digest: String,
) -> Result<Yes, ToolError> {
    let rules = "the gateway's approvals are restarting; try again";
    let ask = Ask {
        program: request.resolved_path.clone(),
        request,
        digest,
        trusted: cx.origin.scopes.grants(Scope::Admin),
        wait: DECIDE,
    };
    let answer = cx.deps.approvals.send(ask).await;
    let answer = answer
        .map_err(|_| ToolError::new(rules))?
        .map_err(|full| ToolError::new(full.to_string()))?;
    let (id, told) = match answer {
        Answer::Allowed => {
            return Ok(Yes {
                code: "rules",
                request: None,
            });
        }
        Answer::Denied(why) => return Err(ToolError::new(format!("it was not run: {why}"))),
        Answer::Asked(id, told) => (id, told),
    };
    tracing::info!(approval = %id, agent = %cx.agent.id, session = %cx.session, "a program waits for a yes");
    (cx.progress)("waiting for the owner's approval");
    let mut waiting = Waiting {
        approvals: &cx.deps.approvals,
        id: Some(id.clone()),
    };
    let decision = told.await.ok().flatten();
    waiting.id = None;
    match decision {
        Some(decision) if decision.allows() => Ok(Yes {
            code: decision.as_str(),
            request: Some(id),
        }),
        Some(Decision::Deny) => Err(ToolError::new("the owner refused it; it was not run")),
        Some(_) | None => Err(ToolError::new(format!(
            "nobody approved it within {} s; it was not run. The owner decides with exec.approval.resolve, or on the approvals page",
            DECIDE.as_secs()
        ))),
    }
}

/// A request that is taken back when its run is stopped.
struct Waiting<'a> {
    approvals: &'a actix::Addr<Approvals>,
    id: Option<String>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            #[expect(
                clippy::disallowed_methods,
                reason = "one per request that was let in; a lost one would wait until its time is over"
            )]
            self.approvals.do_send(Withdraw(id));
        }
    }
}

/// Every process of a call; ends them when it is dropped.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Gone already is what is wanted.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

/// A program that runs.
struct Started {
    child: Child,
    group: ProcessGroup,
    at: tokio::time::Instant,
}

/// Looks at the files once more and starts the program, with nothing between; `None` when they are not
/// what was shown.
async fn start(plan: Plan, shown: String) -> Result<Option<Started>, ToolError> {
    let starting = tokio::task::spawn_blocking(move || {
        if plan.digest() != shown {
            return Ok(None);
        }
        spawn(&plan).map(Some)
    });
    let started = starting.await;
    started.map_err(|_| ToolError::new("the command could not be started"))?
}

fn spawn(plan: &Plan) -> Result<Started, ToolError> {
    let mut command = Command::new(&plan.argv[0]);
    command
        .args(&plan.argv[1..])
        .current_dir(&plan.cwd)
        .env_clear()
        .envs(&plan.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|error| ToolError::new(format!("{}: {error}", plan.argv[0])))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    Ok(Started {
        group: ProcessGroup(pid.and_then(Pid::from_raw)),
        child,
        at: tokio::time::Instant::now(),
    })
}

async fn execute(
    cx: &ToolContext<'_>,
    plan: &Plan,
    started: Started,
    limit: Duration,
) -> Result<ToolOutput, ToolError> {
    let Started {
        mut child,
        mut group,
        at,
    } = started;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut output = Output::default();
    let over = tokio::time::sleep(limit);
    tokio::pin!(over);
    let mut status = None;
    let mut timed_out = false;
    while out.is_some() || err.is_some() || status.is_none() {
        tokio::select! {
            piece = next(&mut out), if out.is_some() => output.add(cx, &piece),
            piece = next(&mut err), if err.is_some() => output.add(cx, &piece),
            ended = child.wait(), if status.is_none() => {
                status = Some(ended.map_err(|error| ToolError::new(error.to_string()))?);
                // What it left behind holds the pipes open; it ends with the program. Its number may
                // belong to somebody else later.
                drop(ProcessGroup(group.0.take()));
            }
            () = &mut over, if !timed_out => {
                timed_out = true;
                drop(ProcessGroup(group.0));
            }
        }
    }
    drop(group);
    let code = status.and_then(|status| status.code());
    let took = at.elapsed().as_millis();
    let end = match (timed_out, code) {
        (true, _) => format!("[stopped after {} s]", limit.as_secs()),
        (false, Some(0)) => String::new(),
        (false, Some(code)) => format!("[exit code {code}]"),
        (false, None) => "[ended by a signal]".to_owned(),
    };
    let mut text = output.text();
    if !text.is_empty() && !end.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&end);
    if text.is_empty() {
        text.push_str("[no output]");
    }
    let details = json!({
        "exitCode": code,
        "timedOut": timed_out,
        "durationMs": u64::try_from(took).unwrap_or(u64::MAX),
        "cwd": plan.cwd.display().to_string(),
    });
    Ok(ToolOutput::text(text).with(details))
}

/// The next piece of a pipe; at its end the pipe is gone.
async fn next<R: AsyncRead + Unpin>(pipe: &mut Option<R>) -> Vec<u8> {
    let Some(open) = pipe else {
        return std::future::pending().await;
    };
    let mut piece = vec![0; 8 * 1024];
    match open.read(&mut piece).await {
        Ok(read) if read > 0 => piece.truncate(read),
        Ok(_) | Err(_) => {
            *pipe = None;
            piece.clear();
        }
    }
    piece
}

/// The beginning and the end of an output.
#[derive(Default)]
struct Output {
    head: Vec<u8>,
    tail: Vec<u8>,
    lost: usize,
}

impl Output {
    fn add(&mut self, cx: &ToolContext<'_>, piece: &[u8]) {
        self.keep(piece);
        if !piece.is_empty() {
            let newest = if self.tail.is_empty() {
                &self.head
            } else {
                &self.tail
            };
            (cx.progress)(&String::from_utf8_lossy(newest));
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = HEAD - self.head.len();
        let (first, rest) = piece.split_at(piece.len().min(room));
        self.head.extend_from_slice(first);
        self.tail.extend_from_slice(rest);
        // Cut seldom: each cut moves what is kept.
        if self.tail.len() > 2 * TAIL {
            let surplus = self.tail.len() - TAIL;
            self.tail.drain(..surplus);
            self.lost += surplus;
        }
    }

    fn text(mut self) -> String {
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        let lost = self.lost + surplus;
        let mut text = if lost == 0 {
            // Whole: a character may lie across the seam.
            self.head.extend_from_slice(&self.tail);
            self.tail.clear();
            String::from_utf8_lossy(&self.head).into_owned()
        } else {
            let head = String::from_utf8_lossy(&self.head);
            format!("{head}\n[{lost} bytes left out]\n")
        };
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_keeps_its_beginning_and_its_end() {
        let mut output = Output::default();
        output.keep(b"first\n");
        for _ in 0..100 {
            output.keep(&vec![b'x'; 8 * 1024]);
        }
        output.keep(b"\nlast");
        let text = output.text();
        assert!(text.starts_with("first\n") && text.ends_with("\nlast"));
        assert!(text.len() < HEAD + TAIL + 100 && text.contains("bytes left out"));
        let mut whole = Output::default();
        whole.keep("ä".repeat(HEAD).as_bytes());
        assert_eq!(whole.text(), "ä".repeat(HEAD));
    }
}
