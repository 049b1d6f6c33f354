//! The agent runner: lanes of runs, one at a time per session.
//!
//! Replaceable. Runs are tasks of their own beside the actor, and lanes and queue outlive a panic
//! in their slot: a panic here fails the message at hand and no run. **Invariant:** a request is
//! acknowledged after one commit that holds the user's row and its key, and no event of its run
//! leaves before that acknowledgement.

mod accept;
mod attached;
mod command;
pub(crate) mod compact;
mod context;
pub mod delivery;
pub mod echo;
pub mod emit;
mod end;
mod finish;
pub mod generate;
mod intake;
pub mod lanes;
pub mod model;
pub mod offer;
pub mod prompt;
mod rounds;
pub mod run;
mod running;
pub mod state;
mod steer;
pub(crate) mod system;
mod take;
pub mod tools;

pub(crate) use accept::{Asked, Incoming, Resumed};
pub use command::MODEL as COMMAND_MODEL;
pub use running::Drain;

use std::sync::{Arc, LazyLock};

use actix::{Actor, Addr, Context};

use crate::clock::{SharedClock, SharedEntropy};
use crate::event::EventOut;
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::media::Blobs;
use crate::published::Published;
use crate::sessions::{ActiveRuns, QueuedRuns, Sessions};
use crate::store::{StoreHandle, StoreReader};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use intake::Intake;
use state::RunnerState;
use tools::Toolbox;

/// What the runner works with.
#[derive(Clone)]
pub struct RunnerDeps {
    /// Lanes, runs under way and the last that ended; survive a rebuild.
    pub state: Kept<RunnerState>,
    /// The owner of transcripts.
    pub sessions: Addr<Sessions>,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// Reads transcripts.
    pub reader: StoreReader,
    /// Keeps results of tools that were asked for by name.
    pub store: StoreHandle,
    /// The HTTP client of the models, or why there is none. Made by the first run that needs it: it
    /// loads every trusted certificate of the host.
    pub http: Arc<LazyLock<Result<reqwest::Client, String>>>,
    /// Where Ollama listens while nothing is configured; `None` never looks.
    pub ollama: Option<String>,
    /// What models may call.
    pub tools: Toolbox,
    /// Files that came with messages.
    pub media: Blobs,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

impl RunnerDeps {
    /// Now, milliseconds since the epoch.
    fn now_ms(&self) -> u64 {
        self.clock.now().wire()
    }

    pub(crate) fn tell(&self, event: Option<EventOut>) {
        if let Some(event) = event {
            self.gateway.emit(event);
        }
    }

    fn shown(&self) -> Shown {
        Shown {
            state: self.state.clone(),
            runs: self.views.runs.clone(),
            queued: self.views.queued.clone(),
        }
    }

    fn publish(&self) {
        self.shown().publish();
    }
}

/// The runs, and where they are shown.
struct Shown {
    state: Kept<RunnerState>,
    runs: Published<ActiveRuns>,
    queued: Published<QueuedRuns>,
}

impl Shown {
    fn publish(&self) {
        let (active, queued) = self.state.with(|state| (state.active(), state.queued()));
        self.runs.publish(active);
        self.queued.publish(queued);
    }
}

/// The owner of runs.
pub struct AgentRunner {
    pub(crate) deps: RunnerDeps,
    /// Lost with a panic: whoever waits in it is told.
    intake: Intake,
}

impl Rebuild for AgentRunner {
    type Deps = RunnerDeps;
    const NAME: &'static str = "agent-runner";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 4_096;

    fn build(deps: Self::Deps) -> Self {
        if deps.state.recover(RunnerState::without_runs) {
            tracing::error!(
                "the lanes were rebuilt empty; runs under way go on, queued ones are lost until their keys are asked for"
            );
        }
        Self {
            deps,
            intake: Intake::default(),
        }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(AgentRunner);

impl Actor for AgentRunner {
    type Context = Context<Self>;
}
