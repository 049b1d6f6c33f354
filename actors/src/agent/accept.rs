//! From a message to a run: whether it is taken now, its row with its key in one commit, its
//! acknowledgement.

use std::sync::Arc;
use std::time::Duration;

use actix::{AsyncContext as _, Context};
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::chat::QueueMode;
use openclaw_protocol::methods::message::Message;
use openclaw_protocol::{ErrorShape, Method, Scope};
use serde_json::Value;
use tokio::sync::watch;

use super::delivery::Delivery;
use super::run::Turn;
use super::running::Submit;
use super::state::RunnerState;
use super::steer::Steering;
use super::tools::Origin;
use super::{AgentRunner, Shown, model};
use crate::call::Reply;
use crate::commands;
use crate::dedupe::KeyGuard;
use crate::methods::injected::stored;
use crate::methods::store_error;
use crate::sessions::keys::SessionKey;
use crate::sessions::state::Draft;
use crate::sessions::{Append, Appended};

/// A message that is to be accepted.
pub(crate) struct Incoming {
    /// The request's idempotency key.
    pub run_id: Arc<str>,
    /// The session.
    pub session: SessionKey,
    /// The user's row.
    pub row: Message,
    /// Who sent it; decides which tools its run may use.
    pub origin: Origin,
    /// The key's duty.
    pub guard: KeyGuard,
    /// A system prompt of the request.
    pub extra_system: Option<String>,
    /// The run's own time limit.
    pub timeout: Option<Duration>,
    /// What becomes of it during a run; the session's own mode, or the configured one, when unset.
    pub queue_mode: Option<QueueMode>,
    /// Whether it is text for the agent even where it reads as a command.
    pub as_text: bool,
    /// What its key is answered with once it ended, where that is not the run's own end.
    pub stored: Option<Value>,
    /// Where else its end is told.
    pub delivery: Option<Arc<dyn Delivery>>,
    /// The message is in a transcript already; its run is taken up again.
    pub resumed: Option<Resumed>,
}

impl Incoming {
    /// The channel that it came from.
    pub(super) fn channel(&self) -> &str {
        let delivery = self.delivery.as_deref();
        delivery.map_or("webchat", |delivery| delivery.channel())
    }
}

/// A message whose run an earlier process left unfinished.
#[derive(Debug, Clone)]
pub(crate) struct Resumed {
    /// Its transcript.
    pub session_id: Arc<str>,
    /// Its number there.
    pub user_seq: u64,
}

/// Who waits to hear that a message was accepted.
pub(crate) trait Asked: 'static {
    /// Whether the run's end is waited for too.
    fn is_answered_twice(&self) -> bool;

    /// Whether they may do what needs this scope.
    fn grants(&self, scope: Scope) -> bool;

    /// It was not accepted. Frees the key first: whoever hears of it may use it again at once.
    fn refuse(self, key: KeyGuard, error: ErrorShape);
}

impl<M: Method> Asked for Reply<M> {
    fn is_answered_twice(&self) -> bool {
        M::NAME == Agent::NAME
    }

    fn grants(&self, scope: Scope) -> bool {
        self.caller().grants(scope)
    }

    fn refuse(self, key: KeyGuard, error: ErrorShape) {
        key.refuse(self, error);
    }
}

impl AgentRunner {
    /// Stores a message with its key, acknowledges it, and queues its run.
    ///
    /// The rest of this happens outside the actor, so that its failure cannot tear a stored message
    /// from its acknowledgement.
    pub(crate) fn accept<A: Asked>(
        &mut self,
        mut incoming: Incoming,
        reply: A,
        acknowledge: impl FnOnce(A, &Appended) -> Option<Reply<Agent>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        if self.deps.state.with(|state| state.is_draining()) {
            let error = ErrorShape::unavailable("gateway restart in progress; try again");
            return reply.refuse(incoming.guard, error.retry_after(2_000));
        }
        if !incoming.as_text {
            let text = incoming.row.plain_text();
            let triggers = &self.deps.views.settings.load().reset_triggers;
            if let Some(found) = commands::parse_with(&text, triggers) {
                return self.obey(incoming, found.spec, found.rest, reply, acknowledge, ctx);
            }
        }
        if let Some(error) = self.overload(&incoming) {
            return reply.refuse(incoming.guard, error);
        }
        let settings = self.deps.views.settings.load();
        let usual_mode = settings.queue_mode(incoming.channel());
        let op = match incoming
            .guard
            .accept(Some(&incoming.session.canonical), self.deps.clock.now())
        {
            Ok(op) => op,
            Err(error) => {
                return reply.refuse(incoming.guard, store_error(&error));
            }
        };
        let thinking = model::thinking::noted(&incoming.row);
        let draft = Draft {
            key: Arc::clone(&incoming.session.canonical),
            agent_id: incoming.session.agent.clone(),
            messages: match &incoming.resumed {
                Some(_) => Vec::new(),
                None => vec![incoming.row],
            },
            session_id: (incoming.resumed.as_ref()).map(|resumed| Arc::clone(&resumed.session_id)),
            last_run: None,
            ops: vec![op],
        };
        // On its way before this returns, so that messages of one session keep their order.
        let appending = self.deps.sessions.send(Append {
            draft,
            run_id: Some(incoming.run_id.to_string()),
            reason: "send",
        });
        let (gateway, runner) = (self.deps.gateway.clone(), ctx.address());
        let Incoming {
            run_id,
            session,
            origin,
            mut guard,
            extra_system,
            timeout,
            queue_mode,
            stored: answer,
            delivery,
            resumed,
            ..
        } = incoming;
        let (stopper, stop) = watch::channel(None);
        let text = Arc::default();
        let registered = Registered::new(self.deps.shown(), |state| {
            let key = &session.canonical;
            state.register(&run_id, key, &text, stopper, self.deps.now_ms())
        });
        actix_rt::spawn(async move {
            let appended = match stored(appending).await {
                Ok(appended) => appended,
                Err(error) => return reply.refuse(guard, error),
            };
            guard.accepted();
            let reply = acknowledge(reply, &appended);
            for event in appended.events {
                gateway.emit(event);
            }
            let turn = Turn {
                serial: registered.passed_on(),
                run_id,
                session,
                session_id: appended.session_id,
                model: appended.model,
                thinking: thinking.or(appended.thinking),
                user_seq: resumed.map_or(appended.last_seq, |resumed| resumed.user_seq),
                guard,
                origin,
                reply,
                extra_system,
                timeout,
                queue_mode: queue_mode.or(appended.queue_mode).unwrap_or(usual_mode),
                joined: Vec::new(),
                steering: Steering::default(),
                stored: answer,
                delivery,
                text,
                open_calls: Arc::default(),
                stop,
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "stored and acknowledged: it must not get lost on a full mailbox"
            )]
            runner.do_send(Submit {
                turn: Box::new(turn),
            });
        });
    }

    /// Why no further message is taken now.
    fn overload(&self, incoming: &Incoming) -> Option<ErrorShape> {
        if let Some(trouble) = self.deps.views.load.load().trouble() {
            return Some(ErrorShape::unavailable(trouble).retry_after(10_000));
        }
        let settings = self.deps.views.settings.load();
        let queue = settings.queue;
        let (waiting, here) = self.deps.state.with(|state| {
            let here = state.waiting_in(&incoming.session.canonical);
            (state.waiting(), here)
        });
        let problem = if waiting >= settings.max_queued {
            "too many messages wait for their run; try again".to_owned()
        } else if queue.refuse && here >= queue.cap {
            format!(
                "{} messages of this session wait for their run already, which is the limit (messages.queue.cap); stop the run with /stop, or try again later",
                queue.cap
            )
        } else {
            return None;
        };
        Some(ErrorShape::unavailable(problem).retry_after(2_000))
    }
}

/// A run that is known while its message is being stored; forgotten where that fails.
struct Registered {
    shown: Shown,
    serial: Option<u64>,
}

impl Registered {
    fn new(shown: Shown, register: impl FnOnce(&mut RunnerState) -> u64) -> Self {
        let serial = shown.state.with(register);
        shown.publish();
        Self {
            shown,
            serial: Some(serial),
        }
    }

    /// The run's number; from here on its turn stands for it.
    fn passed_on(mut self) -> u64 {
        self.serial.take().unwrap_or_default()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(serial) = self.serial {
            self.shown.state.with(|state| state.withdraw(serial));
            self.shown.publish();
        }
    }
}
