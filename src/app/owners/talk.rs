//! Conversations: their index, the runs in them, what those may use, and the gate of idempotency keys in
//! front.

use std::sync::{Arc, LazyLock, OnceLock};

use actix::Addr;
use openclaw_actors::agent::state::RunnerState;
use openclaw_actors::agent::tools::{ToolDeps, Toolbox, web};
use openclaw_actors::agent::{AgentRunner, RunnerDeps};
use openclaw_actors::approvals::state::{Rules, State as ApprovalsState};
use openclaw_actors::approvals::{Approvals, ApprovalsDeps};
use openclaw_actors::dedupe::state::Keys;
use openclaw_actors::dedupe::{Dedupe, DedupeDeps, Platforms};
use openclaw_actors::kept::Kept;
use openclaw_actors::node::invoke::InvokeDeps;
use openclaw_actors::node::{Nodes, NodesDeps};
use openclaw_actors::sessions::state::Index;
use openclaw_actors::sessions::{Sessions, SessionsDeps};

use crate::app::ground::Ground;

/// What the last process left of them.
pub(super) struct Left {
    pub(super) index: Index,
    pub(super) exec_rules: Option<Rules>,
    pub(super) keys: Keys,
}

/// The owners of conversations.
pub(super) struct Talk {
    pub(super) sessions: Addr<Sessions>,
    pub(super) approvals: Addr<Approvals>,
    pub(super) nodes: Addr<Nodes>,
    pub(super) runner: Addr<AgentRunner>,
    pub(super) dedupe: Addr<Dedupe>,
    /// Where the gate finds the owner of what goes to channels, once that is started.
    pub(super) platforms: Arc<OnceLock<Platforms>>,
}

impl Talk {
    pub(super) fn start(ground: &Ground, left: Left, ollama: Option<String>) -> Self {
        let sessions = sessions(ground, left.index);
        let approvals = approvals(ground, left.exec_rules);
        let invoke = InvokeDeps {
            views: ground.views.clone(),
            approvals: approvals.clone(),
            clock: Arc::clone(&ground.clock),
            entropy: Arc::clone(&ground.entropy),
        };
        let nodes = ground.core::<Nodes>(NodesDeps {
            state: Kept::default(),
            store: ground.store.clone(),
            gateway: ground.gateway.clone(),
            invoke: invoke.clone(),
            place: ground.threads.core.clone(),
            watch: ground.watch.clone(),
        });
        let tools = Toolbox::new(ToolDeps {
            sessions: sessions.clone(),
            reader: ground.store.reader().clone(),
            views: ground.views.clone(),
            gateway: ground.gateway.clone(),
            approvals: approvals.clone(),
            http: Arc::clone(&ground.http),
            nodes: invoke,
            web: Arc::new(LazyLock::new(web::Client::new)),
        });
        let runner = runner(ground, &sessions, tools, ollama);
        let platforms = Arc::default();
        let dedupe = gate(ground, left.keys, &runner, &sessions, &nodes, &platforms);
        Self {
            sessions,
            approvals,
            nodes,
            runner,
            dedupe,
            platforms,
        }
    }
}

fn sessions(ground: &Ground, index: Index) -> Addr<Sessions> {
    ground.core(SessionsDeps {
        index: Kept::new(index),
        gateway: ground.gateway.clone(),
        store: ground.store.clone(),
        views: ground.views.clone(),
        media: ground.media.clone(),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
    })
}

fn approvals(ground: &Ground, rules: Option<Rules>) -> Addr<Approvals> {
    ground.core(ApprovalsDeps {
        state: Kept::new(ApprovalsState::new(rules)),
        gateway: ground.gateway.clone(),
        store: ground.store.clone(),
        audit: ground.views.audit.clone(),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
    })
}

fn runner(
    ground: &Ground,
    sessions: &Addr<Sessions>,
    tools: Toolbox,
    ollama: Option<String>,
) -> Addr<AgentRunner> {
    let max_concurrent = ground.views.settings.load().max_concurrent;
    ground.agents(RunnerDeps {
        state: Kept::new(RunnerState::new(max_concurrent)),
        sessions: sessions.clone(),
        gateway: ground.gateway.clone(),
        views: ground.views.clone(),
        reader: ground.store.reader().clone(),
        store: ground.store.clone(),
        http: Arc::clone(&ground.http),
        ollama,
        tools,
        media: ground.media.clone(),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
    })
}

fn gate(
    ground: &Ground,
    keys: Keys,
    runner: &Addr<AgentRunner>,
    sessions: &Addr<Sessions>,
    nodes: &Addr<Nodes>,
    platforms: &Arc<OnceLock<Platforms>>,
) -> Addr<Dedupe> {
    ground.core(DedupeDeps {
        keys: Kept::new(keys),
        waiting: Kept::default(),
        store: ground.store.clone(),
        settings: ground.views.settings.clone(),
        clock: Arc::clone(&ground.clock),
        entropy: Arc::clone(&ground.entropy),
        create: runner.clone().recipient(),
        chat_send: runner.clone().recipient(),
        agent: runner.clone().recipient(),
        send: sessions.clone().recipient(),
        platforms: Arc::clone(platforms),
        invoke: runner.clone().recipient(),
        invoke_unkeyed: runner.clone().recipient(),
        node_invoke: nodes.clone().recipient(),
    })
}
