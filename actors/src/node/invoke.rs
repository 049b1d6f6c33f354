//! The way of one `node.invoke`, whoever asks: may it, is the command in effect, was the program
//! approved; then the node is sent it, and its answer is waited for. Dropped on that way, it is
//! cancelled.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use openclaw_protocol::events::{NODE_INVOKE_REQUEST, NodeInvokeRequestEvent};
use openclaw_protocol::methods::node_invoke::{DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS};
use openclaw_protocol::{ErrorShape, Generation, Scope, Scopes, a2ui};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::actor::{Begin, Cancel, Dispatch, Node};
use super::invokes::{Answer, Waiting};
use super::state::LiveNode;
use super::system_run::{NodeProgram, PREPARE, runs_programs};
use super::{effective, refusal};
use crate::approvals::state::Decision;
use crate::approvals::{self, Approvals, Ask, Withdraw};
use crate::canvas::address;
use crate::clock::{SharedClock, SharedEntropy};
use crate::event::targeted;
use crate::views::Views;

/// Largest frame that a node is sent, bytes: what nodes take.
const MAX_FRAME: usize = 25 << 20;
/// How long the node may take to say what exactly it would run.
const PLAN: Duration = Duration::from_secs(15);
/// How long a person may take to decide about a program.
const DECIDE: Duration = Duration::from_mins(2);

/// What invocations work with.
#[derive(Clone)]
pub struct InvokeDeps {
    /// Published snapshots.
    pub views: Views,
    /// What programs may run.
    pub approvals: Addr<Approvals>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness, for ids.
    pub entropy: SharedEntropy,
}

/// On whose behalf.
#[derive(Debug, Clone)]
pub struct By {
    /// What they may do.
    pub scopes: Scopes,
    /// How errors are written for them.
    pub generation: Generation,
    /// Whether they may decide about this node.
    pub decides: bool,
    /// The agent, if it is one that asks.
    pub agent: Option<String>,
    /// The conversation.
    pub session: Option<String>,
}

/// What is asked for.
#[derive(Debug)]
pub struct Invocation {
    /// The node: its device id.
    pub node: String,
    /// The command.
    pub command: String,
    /// What it takes.
    pub params: Option<Value>,
    /// How long the node may take.
    pub timeout: Duration,
    /// Names the request for the node.
    pub key: String,
    /// Shown what it has given so far.
    pub progress: Option<mpsc::Sender<String>>,
}

/// How long a command may take.
pub fn timeout(asked_ms: Option<u64>) -> Duration {
    Duration::from_millis(match asked_ms {
        None => DEFAULT_TIMEOUT_MS,
        Some(0) => MAX_TIMEOUT_MS,
        Some(asked) => asked.min(MAX_TIMEOUT_MS),
    })
}

/// Whether a command reads or changes the rules that a node keeps itself; upper and lower case do not matter.
fn of_rules(command: &str) -> bool {
    let family = command.get(.."system.execApprovals.".len());
    family.is_some_and(|family| family.eq_ignore_ascii_case("system.execApprovals."))
}

/// A command that has its place with the node. Dropped, it is cancelled.
pub struct Placed {
    id: String,
    actor: Addr<Node>,
    node: Arc<LiveNode>,
    event: NodeInvokeRequestEvent,
    deadline: Duration,
    told: Option<oneshot::Receiver<Answer>>,
}

impl InvokeDeps {
    /// Checks everything and takes a place among the node's commands; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Why it is not carried out.
    pub async fn place(&self, by: &By, what: Invocation) -> Result<Placed, ErrorShape> {
        if of_rules(&what.command) {
            let message = "a node's own rules are no command for everyone; use exec.approvals.node.get or exec.approvals.node.set (operator.admin)";
            return Err(ErrorShape::invalid(message));
        }
        let node = self.target(by, &what)?;
        if !runs_programs(&what.command) {
            return self.reserve(node, what).await;
        }
        let params = self.approved(by, &node, &what).await?;
        // A decision takes a while: is it still in effect?
        let node = self.target(by, &what)?;
        let what = Invocation {
            params: Some(params),
            ..what
        };
        self.reserve(node, what).await
    }

    /// The same for a node's own rules, which only its owner reads and changes, never an agent.
    ///
    /// # Errors
    ///
    /// Why it is not carried out.
    pub async fn place_rules(&self, by: &By, what: Invocation) -> Result<Placed, ErrorShape> {
        let node = self.target(by, &what)?;
        self.reserve(node, what).await
    }

    async fn reserve(
        &self,
        node: Arc<LiveNode>,
        mut what: Invocation,
    ) -> Result<Placed, ErrorShape> {
        surface_messages(&what)?;
        let now = self.clock.now();
        let (views, holder) = (&self.views, &node.caller);
        address::expand(
            views,
            holder,
            &self.entropy,
            now,
            &what.command,
            &mut what.params,
        );
        let actor = node.actor.clone().ok_or_else(refusal::left)?;
        let params_json = what.params.as_ref().map(Value::to_string);
        let size = params_json.as_ref().map_or(0, String::len);
        let (tell, told) = oneshot::channel();
        let id = self.entropy.uuid().to_string();
        let deadline = self.clock.monotonic() + what.timeout;
        let begin = Begin {
            id: id.clone(),
            waiting: Waiting {
                command: what.command.clone(),
                size,
                deadline,
                tell,
                progress: what.progress,
            },
        };
        match actor.send(begin).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(refusal::busy()),
            Err(_) => return Err(refusal::left()),
        }
        let event = NodeInvokeRequestEvent {
            id: id.clone(),
            node_id: what.node,
            command: what.command,
            params_json,
            timeout_ms: None,
            idempotency_key: Some(what.key),
        };
        let placed = Placed {
            id,
            actor,
            node,
            event,
            deadline,
            told: Some(told),
        };
        // JSON inside of JSON grows: what is sent is measured.
        if size > MAX_FRAME / 8 && placed.frame(Duration::ZERO).len() > MAX_FRAME {
            return Err(ErrorShape::invalid(format!(
                "invalid node.invoke params: at /params: the node takes at most {MAX_FRAME} bytes"
            )));
        }
        Ok(placed)
    }

    /// Sends it and waits for its end. The flag says whether the node was sent it.
    pub async fn carry_out(&self, mut placed: Placed) -> (Answer, bool) {
        let left = placed
            .deadline
            .saturating_sub(self.clock.monotonic())
            .max(Duration::from_millis(1));
        let dispatch = Dispatch {
            id: placed.id.clone(),
            frame: placed.frame(left),
        };
        let sent = placed.actor.send(dispatch).await == Ok(true);
        let Some(told) = placed.told.take() else {
            return (Answer::failed("UNKNOWN", "it was carried out before"), sent);
        };
        let answer = told.await.unwrap_or_else(|_| {
            Answer::failed(
                "UNKNOWN",
                "the part of the gateway that looks after this node failed; nobody knows whether it was carried out",
            )
        });
        (answer, sent)
    }

    /// The node, if it is here and the caller may use this command of it.
    fn target(&self, by: &By, what: &Invocation) -> Result<Arc<LiveNode>, ErrorShape> {
        let views = &self.views;
        let nodes = views.nodes.load();
        let node = nodes
            .get(&what.node)
            .ok_or_else(|| refusal::not_connected(views, &what.node))?;
        let in_effect = effective(views, &what.node)
            .is_some_and(|surface| surface.commands.contains(&what.command));
        if !in_effect {
            return Err(refusal::not_in_effect(
                views,
                node,
                &what.command,
                by.decides,
            ));
        }
        let scope = views.settings.load().nodes.invoke_scope(&what.command);
        if !by.scopes.grants(scope) {
            return Err(refusal::missing_scope(&what.command, scope));
        }
        Ok(Arc::clone(node))
    }

    /// What the node is sent to run a program that was approved.
    async fn approved(
        &self,
        by: &By,
        node: &Arc<LiveNode>,
        what: &Invocation,
    ) -> Result<Value, ErrorShape> {
        let mut program = NodeProgram::of(what.params.as_ref())?;
        if let Some(agent) = &by.agent {
            program = program.of_agent(agent, by.session.as_deref());
        }
        let prepares = effective(&self.views, &what.node)
            .is_some_and(|surface| surface.commands.contains(PREPARE));
        if prepares {
            let plan = self.plan(by, node, what, &program).await?;
            program = program.planned(plan)?;
        }
        let mut request = program.request(&what.node);
        request.agent_id = program.agent().map(str::to_owned);
        request.session_key.clone_from(&by.session);
        let ask = Ask {
            request,
            digest: program.digest(&what.node),
            // Rules about programs mean those of this host.
            program: None,
            trusted: by.scopes.grants(Scope::Admin),
            wait: DECIDE,
        };
        self.ask(ask).await?;
        Ok(program.approved(self.entropy.uuid().to_string()))
    }

    /// What exactly the node would run, in its own words.
    async fn plan(
        &self,
        by: &By,
        node: &Arc<LiveNode>,
        what: &Invocation,
        program: &NodeProgram,
    ) -> Result<Value, ErrorShape> {
        let prepare = Invocation {
            node: what.node.clone(),
            command: PREPARE.to_owned(),
            params: Some(program.prepare()),
            timeout: PLAN,
            key: self.entropy.uuid().to_string(),
            progress: None,
        };
        let placed = self.reserve(Arc::clone(node), prepare).await?;
        match self.carry_out(placed).await.0 {
            Answer::Done(given) => Ok(given.decoded()["plan"].take()),
            Answer::Failed { code, message } => Err(refusal::node_error(
                code.as_deref(),
                message.as_deref(),
                false,
                by.generation,
            )),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<(), ErrorShape> {
        let denied = |why: String| {
            ErrorShape::invalid(format!("node command not allowed: \"system.run\": {why}"))
                .with_details(json!({ "reason": "approval denied", "command": "system.run" }))
        };
        let answer = self.approvals.send(ask).await.map_err(|_| {
            ErrorShape::unavailable("the gateway's approvals are restarting; try again")
                .retry_after(1_000)
        })?;
        let answer =
            answer.map_err(|full| ErrorShape::unavailable(full.to_string()).retry_after(5_000))?;
        let (id, told) = match answer {
            approvals::Answer::Allowed => return Ok(()),
            approvals::Answer::Denied(why) => return Err(denied(why.to_owned())),
            approvals::Answer::Asked(id, told) => (id, told),
        };
        tracing::info!(approval = %id, "a program of a node waits for a yes");
        let mut asked = Asked {
            approvals: &self.approvals,
            id: Some(id),
        };
        let decision = told.await.ok().flatten();
        asked.id = None;
        match decision {
            Some(decision) if decision.allows() => Ok(()),
            Some(Decision::Deny) => Err(denied("an owner refused it".into())),
            Some(_) | None => Err(denied(format!(
                "nobody approved it within {} s; an owner decides on the approvals page, or with exec.approval.resolve",
                DECIDE.as_secs()
            ))),
        }
    }
}

/// What draws a surface is right before a node is sent it: a node says nothing about its lines.
fn surface_messages(what: &Invocation) -> Result<(), ErrorShape> {
    let params = what.params.as_ref();
    let field = |name: &str| params.and_then(|params| params.get(name));
    let (place, wrong) = match what.command.as_str() {
        "canvas.a2ui.push" => {
            let messages = field("messages").and_then(Value::as_array);
            let Some(messages) = messages else {
                return match field("jsonl") {
                    // The older form of the same.
                    Some(Value::String(text)) => lines(text),
                    _ => Err(wrong_params("/messages", "must be a list of A2UI messages")),
                };
            };
            ("/messages", a2ui::check(messages).err())
        }
        "canvas.a2ui.pushJSONL" => {
            return match field("jsonl") {
                Some(Value::String(text)) => lines(text),
                _ => Err(wrong_params("/jsonl", "must be a text of A2UI messages")),
            };
        }
        _ => return Ok(()),
    };
    wrong.map_or(Ok(()), |wrong| Err(wrong_messages(place, &wrong)))
}

fn lines(text: &str) -> Result<(), ErrorShape> {
    let read = a2ui::read_lines(text).map(drop);
    read.map_err(|wrong| wrong_messages("/jsonl", &wrong))
}

fn wrong_messages(place: &str, wrong: &[a2ui::Wrong]) -> ErrorShape {
    let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    let rows: Vec<Value> = wrong
        .iter()
        .map(|wrong| json!({ "number": wrong.number, "problem": wrong.problem }))
        .collect();
    wrong_params(place, &told.join("; "))
        .with_details(json!({ "reason": "invalid A2UI", "wrong": rows }))
}

fn wrong_params(place: &str, problem: &str) -> ErrorShape {
    ErrorShape::invalid(format!(
        "invalid node.invoke params: at /params{place}: {problem}"
    ))
}

impl Placed {
    fn frame(&self, left: Duration) -> Vec<u8> {
        let timeout_ms = u64::try_from(left.as_millis()).ok();
        let event = NodeInvokeRequestEvent {
            timeout_ms,
            ..self.event.clone()
        };
        targeted(NODE_INVOKE_REQUEST, &event)
    }

    /// The node.
    pub fn node(&self) -> &LiveNode {
        &self.node
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "one per command that was let in; a lost one would keep its place until its time is over"
        )]
        self.actor.do_send(Cancel(std::mem::take(&mut self.id)));
    }
}

/// A question that is taken back when nobody waits for its answer.
struct Asked<'a> {
    approvals: &'a Addr<Approvals>,
    id: Option<String>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            #[expect(
                clippy::disallowed_methods,
                reason = "one per question that was let in; a lost one would wait until its time is over"
            )]
            self.approvals.do_send(Withdraw(id));
        }
    }
}
