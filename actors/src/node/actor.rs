//! One connected node: what it was asked to do, and what it answered. One actor per connection, which
//! the registry of nodes starts when the node joins and retires when it leaves.
//!
//! Replaceable. What is under way outlives a panic in its slot; after the node's end everything that
//! it still owes fails at once. While something is under way the link is probed, so that a peer that
//! vanished without a word is found within [`PATIENCE`] and not at the end of somebody's timeout.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, Context, Handler, Message, SpawnHandle};
use openclaw_protocol::Generation;
use openclaw_protocol::events::{NODE_INVOKE_CANCEL, NodeInvokeCancelEvent};
use openclaw_protocol::methods::node_invoke::{
    NodeInvokeProgress, NodeInvokeResult, NodeInvokeResultParams, NodeTaken,
};
use serde_json::Value;

use super::invokes::{Answer, Full, Given, Invokes, Waiting};
use crate::call::{Call, Caller};
use crate::clock::SharedClock;
use crate::kept::Kept;
use crate::limiter::counts::Count;
use crate::session::queue::HubItem;
use crate::supervised;
use crate::supervision::{Rebuild, Tier};

/// How often the link is probed while something is under way.
pub const PROBE: Duration = Duration::from_millis(2_500);
/// How long a probe may stay without any sign of life.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a node works with.
#[derive(Clone)]
pub struct NodeDeps {
    /// Its connection.
    pub caller: Arc<Caller>,
    /// What is under way; survives a rebuild.
    pub invokes: Kept<Invokes>,
    /// Time.
    pub clock: SharedClock,
}

/// A connected node.
pub struct Node {
    deps: NodeDeps,
    timer: Option<SpawnHandle>,
}

impl Rebuild for Node {
    type Deps = NodeDeps;
    const NAME: &'static str = "node";
    const TIER: Tier = Tier::Replaceable;
    /// Requests and results; a node has no more than 64 under way.
    const MAILBOX: usize = 512;

    fn build(deps: Self::Deps) -> Self {
        // Those who wait for a half-written list learn that there is no answer, as it is dropped.
        deps.invokes.recover(|_| Invokes::default());
        Self { deps, timer: None }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }

    fn instance(deps: &Self::Deps) -> Option<String> {
        deps.caller.device_id.clone()
    }
}

supervised!(Node);

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        for waiting in self.deps.invokes.with(Invokes::drain) {
            let message = format!("node disconnected ({})", waiting.command);
            // Who no longer waits needs no answer.
            let _ = waiting.tell.send(Answer::failed("DISCONNECTED", message));
        }
    }
}

/// A place for a command, which is sent once its caller's key is on the disk.
#[derive(Message)]
#[rtype(result = "Result<(), Full>")]
pub struct Begin {
    /// Names it in its result.
    pub id: String,
    /// Who waits.
    pub waiting: Waiting,
}

impl Handler<Begin> for Node {
    type Result = Result<(), Full>;

    fn handle(&mut self, msg: Begin, ctx: &mut Self::Context) -> Self::Result {
        let Begin { id, waiting } = msg;
        self.deps.invokes.with(|all| all.begin(id, waiting))?;
        self.arm(ctx);
        Ok(())
    }
}

/// The command that has a place is sent; false when its time is over already.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Dispatch {
    /// Which.
    pub id: String,
    /// The event, ready to be sent.
    pub frame: Vec<u8>,
}

impl Handler<Dispatch> for Node {
    type Result = bool;

    fn handle(&mut self, msg: Dispatch, _: &mut Self::Context) -> bool {
        let waits = self.deps.invokes.with(|all| all.is_waiting(&msg.id));
        if waits {
            self.deps.caller.send(msg.frame);
            self.probe();
        }
        waits
    }
}

/// Nobody waits for a command any more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Cancel(pub String);

impl Handler<Cancel> for Node {
    type Result = ();

    fn handle(&mut self, msg: Cancel, _: &mut Self::Context) {
        if self.deps.invokes.with(|all| all.end(&msg.0)).is_some() {
            self.tell_cancelled(msg.0);
        }
    }
}

impl Node {
    fn id(&self) -> &str {
        self.deps.caller.device_id.as_deref().unwrap_or_default()
    }

    /// Looks after what is under way again when something of it is due.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(deadline) = self.deps.invokes.with(|all| all.next_deadline()) else {
            return;
        };
        let left = deadline.saturating_sub(self.deps.clock.monotonic());
        // Timers are as fine as a millisecond: a moment later, so that the time is over then.
        let wait = left.min(PROBE) + Duration::from_millis(1);
        self.timer = Some(ctx.run_later(wait, |node, ctx| {
            node.timer = None;
            node.look();
            node.arm(ctx);
        }));
    }

    fn look(&self) {
        let now = self.deps.clock.monotonic();
        for id in self.deps.invokes.with(|all| all.expired(now)) {
            let Some(waiting) = self.deps.invokes.with(|all| all.end(&id)) else {
                continue;
            };
            // As above.
            let answer = Answer::failed("TIMEOUT", "node invoke timed out");
            let _ = waiting.tell.send(answer);
            self.tell_cancelled(id);
        }
        if !self.deps.invokes.with(|all| all.is_empty()) {
            self.probe();
        }
    }

    fn probe(&self) {
        let now = self.deps.clock.monotonic();
        let conn = self.deps.caller.conn;
        self.deps.caller.hub.push(HubItem::Probe { conn, now });
    }

    /// Nodes of the older generation do not know that commands can be cancelled.
    fn tell_cancelled(&self, invoke_id: String) {
        if self.deps.caller.generation == Generation::V4 {
            let node_id = self.id().to_owned();
            let cancel = NodeInvokeCancelEvent { invoke_id, node_id };
            self.deps.caller.tell(NODE_INVOKE_CANCEL, &cancel);
        }
    }

    /// What a node that wrote this gets as its answer.
    fn taken(&self, counts: bool) -> NodeTaken {
        if !counts {
            self.deps.caller.hub.count(Count::LateNodeResults);
        }
        NodeTaken {
            ok: true,
            ignored: (!counts).then_some(true),
        }
    }
}

impl Handler<Call<NodeInvokeResult>> for Node {
    type Result = ();

    fn handle(&mut self, call: Call<NodeInvokeResult>, _: &mut Self::Context) {
        let waiting = self.deps.invokes.with(|all| all.end(&call.params.id));
        call.reply.ok(&self.taken(waiting.is_some()));
        if let Some(waiting) = waiting {
            // Who no longer waits needs no answer.
            let _ = waiting.tell.send(answer(call.params));
        }
    }
}

impl Handler<Call<NodeInvokeProgress>> for Node {
    type Result = ();

    fn handle(&mut self, call: Call<NodeInvokeProgress>, _: &mut Self::Context) {
        let (params, invokes) = (call.params, &self.deps.invokes);
        let counts = invokes.with(|all| all.progress(&params.invoke_id, params.seq, params.chunk));
        call.reply.ok(&NodeTaken {
            ok: true,
            ignored: (!counts).then_some(true),
        });
    }
}

/// What a node wrote, in one form.
fn answer(params: NodeInvokeResultParams) -> Answer {
    if !params.ok {
        let error = params.error.0.unwrap_or_default();
        return Answer::Failed {
            code: error.code,
            message: error.message,
        };
    }
    Answer::Done(match (params.payload_json, params.payload) {
        (Some(Value::String(text)), _) => Given::Text(text),
        (_, Some(value)) | (Some(value), None) => Given::Value(value),
        (None, None) => Given::Value(Value::Null),
    })
}
