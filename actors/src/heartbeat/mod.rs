//! Heartbeats: agents that look after things by themselves, and hear what waited for them.
//!
//! Replaceable; what waits, and when an agent's last heartbeat began, is in the store, so that neither
//! a panic nor a restart forgets or repeats any. A heartbeat is a run like any other (`agent`, under its
//! own idempotency key) in a conversation of its own that begins anew each time. It may read and write
//! and no more, whoever woke the agent: what it is asked stands in files that agents write themselves.
//! **Invariant:** nothing begins that is not committed.

pub mod answer;
pub mod hours;
mod run;
pub mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, Recipient,
    ResponseFuture, SpawnHandle, WrapFuture as _,
};
use openclaw_protocol::events::HEARTBEAT;
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::heartbeat::HeartbeatEvent;
use openclaw_protocol::methods::messaging::Send as SendMethod;
use openclaw_protocol::methods::session_changes::SessionsReset;
use openclaw_protocol::methods::system::HeartbeatConfig;
use tokio::sync::oneshot;

use crate::call::Call;
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::event::{Audience, Class, EventOut, Plain};
use crate::gateway::GatewayPort;
use crate::kept::Kept;
use crate::store::{Op, StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use crate::views::Views;
use state::{Beat, Change, Heard, Note, Plan, State, Stored};

/// What an agent is asked where the configuration says nothing else.
pub const PROMPT: &str = "Look at HEARTBEAT.md if there is one, and follow it strictly. Do not take up old tasks from earlier conversations. If nothing needs attention, answer HEARTBEAT_OK.";
/// The time between two heartbeats where the configuration says nothing else.
pub const EVERY: Duration = Duration::from_mins(30);
/// With at most this many characters beside the agreed word, an answer is not told.
pub const ACK_MAX_CHARS: usize = 300;

/// It looks at the clock at least this often, because a host's clock can be set.
const LOOK: Duration = Duration::from_mins(1);
/// How long a failing disk is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// What heartbeats work with.
#[derive(Clone)]
pub struct HeartDeps {
    /// The heartbeats; survive a rebuild.
    pub state: Kept<State>,
    /// The store.
    pub store: StoreHandle,
    /// The way to the Gateway.
    pub gateway: GatewayPort,
    /// Published snapshots.
    pub views: Views,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// Takes runs.
    pub agent: Recipient<Call<Agent>>,
    /// Begins conversations anew.
    pub reset: Recipient<Call<SessionsReset>>,
    /// Takes answers.
    pub send: Recipient<Call<SendMethod>>,
}

/// What everybody may read of heartbeats.
#[derive(Debug, Clone, Default)]
pub struct HeartView {
    /// Whether they were stopped.
    pub off: bool,
    /// The last one that ended.
    pub last: Option<HeartbeatEvent>,
}

/// An agent's heartbeat as clients see it.
pub(crate) fn shown(plan: Option<&Plan>) -> HeartbeatConfig {
    let Some(plan) = plan else {
        return HeartbeatConfig {
            enabled: false,
            every: "disabled".into(),
            every_ms: None.into(),
            prompt: String::new(),
            target: "none".into(),
            model: None,
            ack_max_chars: 0,
        };
    };
    HeartbeatConfig {
        enabled: true,
        every: in_words(plan.every),
        every_ms: u64::try_from(plan.every.as_millis()).ok().into(),
        prompt: plan.prompt.clone(),
        target: plan.target.name().to_owned(),
        model: plan.model.clone(),
        ack_max_chars: plan.ack_max_chars as u64,
    }
}

/// An interval as it is written in the configuration.
fn in_words(every: Duration) -> String {
    let seconds = every.as_secs();
    let parts = [
        (seconds / 3_600, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let mut words = String::new();
    for (number, unit) in parts {
        if number > 0 {
            words.push_str(&number.to_string());
            words.push(unit);
        }
    }
    words
}

/// The owner of heartbeats.
pub struct Heart {
    pub(crate) deps: HeartDeps,
    timer: Option<SpawnHandle>,
}

/// Reads what was stored. What cannot be understood is left out and named in the log.
///
/// # Errors
///
/// When the store cannot be read.
pub fn load(reader: &StoreReader) -> Result<State, StoreError> {
    let mut stored: Vec<Stored> = Vec::new();
    reader.readable(Table::Heartbeats, |row| stored.push(row))?;
    Ok(State::new(stored))
}

impl Rebuild for Heart {
    type Deps = HeartDeps;
    const NAME: &'static str = "heartbeats";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 1_024;

    fn build(deps: Self::Deps) -> Self {
        let reader = deps.store.reader().clone();
        deps.state
            .recover(|broken| load(&reader).unwrap_or_else(|_| broken.anew()));
        Self { deps, timer: None }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Heart);

impl Actor for Heart {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.publish();
        self.look(ctx);
    }
}

impl Heart {
    fn now(&self) -> Millis {
        self.deps.clock.now()
    }

    fn publish(&self) {
        let view = self.deps.state.with(|state| HeartView {
            off: state.off,
            last: state.last.clone(),
        });
        self.deps.views.heartbeats.publish(view);
    }

    /// The agents that have a heartbeat.
    fn plans(&self) -> BTreeMap<String, Plan> {
        let settings = self.deps.views.settings.load();
        let planned = settings
            .agents
            .iter()
            .filter_map(|agent| Some((agent.id.clone(), agent.heartbeat.clone()?)));
        planned.collect()
    }

    /// Whether an agent hears what waits: it has a heartbeat, and they were not stopped.
    pub(crate) fn beats(&self, agent: &str) -> bool {
        let settings = self.deps.views.settings.load();
        let planned = settings
            .agent(agent)
            .is_some_and(|agent| agent.heartbeat.is_some());
        planned && !self.deps.state.with(|state| state.off)
    }

    /// Begins what is due, and looks again when the next is.
    pub(crate) fn look(&mut self, ctx: &mut Context<Self>) {
        let (now, plans) = (self.now(), self.plans());
        let (welcomed, begun) = self.deps.state.with(|state| {
            state.settle(now);
            let welcomed: Vec<Change> = plans
                .keys()
                .filter_map(|agent| state.welcome(agent, now))
                .collect();
            let begun: Vec<(Change, Beat)> = plans
                .iter()
                .filter_map(|(agent, plan)| state.begin(agent, plan, now))
                .collect();
            (welcomed, begun)
        });
        let (changes, beats): (Vec<Change>, Vec<Beat>) = begun.into_iter().unzip();
        let changes: Vec<Change> = welcomed.into_iter().chain(changes).collect();
        if changes.is_empty() {
            return self.sleep(&plans, ctx);
        }
        self.write(changes, ctx, move |heart, written, ctx| match written {
            Ok(()) => {
                for beat in beats {
                    heart.deps.state.with(|state| state.tend(&beat.agent));
                    let plan = plans[&beat.agent].clone();
                    run::spawn(&heart.deps, plan, beat, ctx.address());
                }
                heart.sleep(&plans, ctx);
            }
            Err(error) => {
                tracing::error!(%error, "heartbeats cannot begin, because that cannot be written down");
                heart.wake_in(PAUSE, ctx);
            }
        });
    }

    fn sleep(&mut self, plans: &BTreeMap<String, Plan>, ctx: &mut Context<Self>) {
        let now = self.now();
        let next = self.deps.state.with(|state| {
            let next = plans
                .iter()
                .filter_map(|(agent, plan)| state.next(agent, plan, now));
            next.min()
        });
        self.wake_in(next.map_or(LOOK, |next| next.since(now).min(LOOK)), ctx);
    }

    fn wake_in(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(wait, |heart, ctx| {
            heart.timer = None;
            heart.look(ctx);
        }));
    }

    /// Commits changes and puts them into effect; nothing else is handled meanwhile.
    fn write(
        &mut self,
        changes: Vec<Change>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<(), StoreError>, &mut Context<Self>) + 'static,
    ) {
        let ops = changes.iter().map(Change::op).collect();
        self.commit(ops, ctx, move |heart, written, ctx| {
            if written.is_ok() {
                heart.deps.state.with(|state| {
                    for change in changes {
                        state.put(change);
                    }
                });
            }
            then(heart, written, ctx);
        });
    }

    /// Commits, and then goes on; nothing else is handled meanwhile.
    pub(crate) fn commit(
        &mut self,
        ops: Vec<Op>,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, Result<(), StoreError>, &mut Context<Self>) + 'static,
    ) {
        let commit = self.deps.store.commit(ops);
        ctx.wait(
            commit
                .into_actor(self)
                .map(move |written, heart, ctx| then(heart, written, ctx)),
        );
    }

    /// Stops all, or lets them run. The state is changed once that is written.
    pub(crate) fn switch(
        &mut self,
        off: bool,
        ctx: &mut Context<Self>,
        then: impl FnOnce(Result<(), StoreError>) + 'static,
    ) {
        let last = self.deps.state.with(|state| state.last.clone());
        let ops = vec![Stored::All { off, last }.op()];
        self.commit(ops, ctx, move |heart, written, ctx| {
            if written.is_ok() {
                heart.deps.state.with(|state| state.off = off);
                tracing::info!(off, "heartbeats were switched");
                heart.publish();
                heart.look(ctx);
            }
            then(written);
        });
    }

    /// Keeps a text for an agent's heartbeat.
    pub(crate) fn keep(
        &mut self,
        agent: &str,
        note: Note,
        at_once: bool,
        ctx: &mut Context<Self>,
        then: impl FnOnce(Result<(), String>) + 'static,
    ) {
        let noted = self
            .deps
            .state
            .with(|state| state.note(agent, note, at_once));
        match noted {
            Ok(Some(change)) => self.write(vec![change], ctx, move |heart, written, ctx| {
                if at_once && written.is_ok() {
                    heart.look(ctx);
                }
                then(written.map_err(|error| error.to_string()));
            }),
            Ok(None) => then(Ok(())),
            Err(full) => then(Err(full)),
        }
    }
}

/// Leaves a text to an agent's next heartbeat. The answer says whether it will be heard: not where the
/// agent has no heartbeat.
#[derive(Message)]
#[rtype(result = "Result<bool, String>")]
pub struct Tell {
    /// The agent; the default one if unset.
    pub agent: Option<String>,
    /// Names the text: the same is kept once.
    pub id: String,
    /// What it is told.
    pub text: String,
    /// Whether the heartbeat is now.
    pub at_once: bool,
}

impl Handler<Tell> for Heart {
    type Result = ResponseFuture<Result<bool, String>>;

    fn handle(&mut self, msg: Tell, ctx: &mut Self::Context) -> Self::Result {
        let Tell {
            agent,
            id,
            text,
            at_once,
        } = msg;
        let agent = agent.unwrap_or_else(|| self.deps.views.settings.load().default_agent.clone());
        if !self.beats(&agent) {
            return Box::pin(async { Ok(false) });
        }
        let (done, kept) = oneshot::channel();
        self.keep(
            &agent,
            Note { id, text, tries: 0 },
            at_once,
            ctx,
            move |result| {
                // Whoever asked may have gone.
                let _ = done.send(result);
            },
        );
        Box::pin(async move {
            kept.await
                .unwrap_or_else(|_| Err("heartbeats are being restarted".into()))
                .map(|()| true)
        })
    }
}

/// A heartbeat is over.
#[derive(Message)]
#[rtype(result = "()")]
struct Finished {
    beat: Beat,
    /// How it ended; `None` when the gateway stops.
    end: Option<End>,
}

/// How a heartbeat ended.
#[derive(Clone)]
struct End {
    event: HeartbeatEvent,
    /// Whether the agent heard what waited.
    heard: Heard,
    /// The digest of what was told.
    said: Option<String>,
}

impl Handler<Finished> for Heart {
    type Result = ();

    fn handle(&mut self, msg: Finished, ctx: &mut Self::Context) {
        let Finished { beat, end } = msg;
        let Some(end) = end else {
            return self.deps.state.with(|state| state.untend(&beat.agent));
        };
        let (change, all) = self.deps.state.with(|state| {
            let change = state.finish(&beat, end.heard, end.said.clone());
            if end.heard == Heard::Failed {
                let kept = |id: &String| change.row.notes.iter().any(|note| note.id == *id);
                let lost = beat.notes.iter().map(|note| &note.id);
                for note in lost.filter(|id| !kept(id)) {
                    tracing::error!(
                        agent = beat.agent,
                        note,
                        "every heartbeat failed with a text for the agent; it is told no more"
                    );
                }
            }
            let mut all = state.clone();
            all.last = Some(end.event.clone());
            (change, all.all())
        });
        let ops = vec![change.op(), all.op()];
        self.commit(ops, ctx, move |heart, written, ctx| match written {
            Ok(()) => {
                heart.deps.state.with(|state| {
                    state.put(change);
                    state.last = Some(end.event.clone());
                    state.untend(&beat.agent);
                });
                heart.publish();
                heart.tell(&beat, end.event);
                heart.look(ctx);
            }
            Err(error) => {
                tracing::error!(%error, agent = beat.agent, "the end of a heartbeat cannot be written down; it is tried again");
                let end = Some(end);
                ctx.notify_later(Finished { beat, end }, PAUSE);
            }
        });
    }
}

impl Heart {
    /// Tells everyone how it ended. Every connection hears it, whatever it may read, and so nobody hears
    /// what was said: that is in `last-heartbeat`.
    fn tell(&self, beat: &Beat, event: HeartbeatEvent) {
        tracing::info!(
            agent = beat.agent,
            run = beat.run_id,
            status = ?event.status,
            reason = event.reason,
            "a heartbeat ended"
        );
        let shown = HeartbeatEvent {
            preview: None,
            to: None,
            ..event
        };
        let out = EventOut::new(HEARTBEAT, Audience::Everyone, Plain(shown));
        self.deps.gateway.emit(out.class(Class::Droppable));
    }
}
