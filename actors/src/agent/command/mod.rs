//! Chat commands: messages that the gateway answers itself. What they say and are answered is stored
//! and told like any other turn, and no model sees it.

mod compact;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::events::chat::ChatFinal;
use openclaw_protocol::events::{CHAT, ChatEvent, ChatState};
use openclaw_protocol::methods::agent::{
    Agent, AgentFinal, AgentMeta, RunMeta, RunPayload, RunResult, RunStatus,
};
use openclaw_protocol::methods::message::{Message, MessageRole};
use serde_json::json;

use super::delivery::Said;
use super::emit::ChatBody;
use super::model::thinking::Thinking;
use super::run::Ended;
use super::{AgentRunner, Asked, Incoming, echo};
use crate::call::Reply;
use crate::commands::{self, Name, Spec};
use crate::dedupe::state::Stored;
use crate::event::{Audience, EventOut};
use crate::methods::{index_restarting, injected, store_error};
use crate::sessions::change::{Apply, BeginAnew, Change, Changed, RowOf};
use crate::sessions::keys::SessionKey;
use crate::sessions::state::Draft;
use crate::sessions::{Append, Appended};
use words::{Facts, choose, models_text, queue_text, thinking_text};

/// Model name of the gateway's own answers.
pub const MODEL: &str = "gateway-command";

/// What a command came to.
struct Done {
    text: String,
    /// What listeners have to be told behind the acknowledgement.
    event: Option<EventOut>,
}

impl From<String> for Done {
    fn from(text: String) -> Self {
        Self { text, event: None }
    }
}

type Doing = Pin<Box<dyn Future<Output = Result<Done, ErrorShape>>>>;

fn now(text: String) -> Doing {
    Box::pin(async move { Ok(text.into()) })
}

impl AgentRunner {
    /// Does what a command asks, and answers it.
    pub(super) fn obey<A: Asked>(
        &mut self,
        mut incoming: Incoming,
        spec: &'static Spec,
        rest: &str,
        reply: A,
        acknowledge: impl FnOnce(A, &Appended) -> Option<Reply<Agent>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        if !reply.grants(spec.scope) {
            return reply.refuse(incoming.guard, ErrorShape::missing_scope(spec.scope));
        }
        let key = Arc::clone(&incoming.session.canonical);
        // What comes behind a command finds it done and stored. It need not wait for a model, and a
        // stop waits for nothing.
        let holds = !matches!(spec.name, Name::Stop | Name::Compact) && self.intake.hold(&key);
        let doing = self.act(spec.name, rest, &incoming, ctx);
        let begins = matches!(spec.name, Name::New | Name::Reset) && !rest.is_empty();
        let first = rest.to_owned();
        ctx.spawn(doing.into_actor(self).map(move |done, act, ctx| {
            match done {
                Err(error) => reply.refuse(incoming.guard, error),
                Ok(done) if begins => {
                    act.deps.tell(done.event);
                    let at = act.deps.now_ms();
                    let mut row = Message::text(MessageRole::User, first, at);
                    row.idempotency_key = incoming.row.idempotency_key.take();
                    row.meta = incoming.row.meta.take();
                    incoming.row = row;
                    incoming.as_text = true;
                    act.accept(incoming, reply, acknowledge, ctx);
                }
                Ok(done) => act.tell(incoming, done, reply, acknowledge),
            }
            if holds {
                act.go_on(&key, ctx);
            }
        }));
    }

    fn act(
        &mut self,
        name: Name,
        rest: &str,
        incoming: &Incoming,
        ctx: &mut Context<Self>,
    ) -> Doing {
        let session = &incoming.session;
        match name {
            Name::Help => now(commands::help()),
            Name::Stop => {
                let stopped = self.stop(&session.canonical, None, &ctx.address());
                now(match stopped.len() {
                    0 => "Nothing runs in this session.".into(),
                    1 => "Stopped the run of this session.".into(),
                    n => format!("Stopped {n} runs of this session."),
                })
            }
            Name::New | Name::Reset => {
                self.stop(&session.canonical, None, &ctx.address());
                let reason = if name == Name::New { "new" } else { "reset" };
                self.begin_anew(session, reason)
            }
            Name::Status => self.status(session),
            Name::Compact => self.shorten(session, rest),
            Name::Model => self.model(session, rest),
            Name::Think => self.think(session, rest),
            Name::Queue => self.queue(session, rest, incoming.channel()),
        }
    }

    fn begin_anew(&self, session: &SessionKey, reason: &'static str) -> Doing {
        let asked = self.deps.sessions.send(BeginAnew {
            session: session.clone(),
            reason,
        });
        Box::pin(async move {
            let Changed { event, .. } = asked.await.map_err(|_| index_restarting())??;
            Ok(Done {
                text: "This is a new conversation; the earlier one was set aside.".into(),
                event: Some(event),
            })
        })
    }

    fn change(&self, session: &SessionKey, text: String, apply: Apply) -> Doing {
        let asked = self.deps.sessions.send(Change {
            session: session.clone(),
            reason: "patch",
            apply,
        });
        Box::pin(async move {
            let Changed { event, .. } = asked.await.map_err(|_| index_restarting())??;
            Ok(Done {
                text,
                event: Some(event),
            })
        })
    }

    fn status(&self, session: &SessionKey) -> Doing {
        let asked = self
            .deps
            .sessions
            .send(RowOf(Arc::clone(&session.canonical)));
        let settings = self.deps.views.settings.load();
        let waiting = self.deps.views.queued.load();
        let waiting = waiting.get(&session.canonical).map_or(0, Vec::len);
        let (session, now_ms) = (session.clone(), self.deps.now_ms());
        let started = self.deps.views.runs.load();
        let started = started
            .get(&session.canonical)
            .and_then(|runs| runs.first())
            .map(|run| run.started_at);
        Box::pin(async move {
            let known = asked.await.map_err(|_| index_restarting())?;
            let facts = Facts {
                session: &session,
                known: known.as_ref(),
                settings: &settings,
                running_ms: started.map(|at| now_ms.saturating_sub(at)),
                waiting,
            };
            Ok(facts.text().into())
        })
    }

    fn model(&self, session: &SessionKey, rest: &str) -> Doing {
        let settings = self.deps.views.settings.load();
        if rest.is_empty() {
            let asked = self
                .deps
                .sessions
                .send(RowOf(Arc::clone(&session.canonical)));
            return Box::pin(async move {
                let known = asked.await.map_err(|_| index_restarting())?;
                Ok(models_text(&settings, known.as_ref().map(|(row, _)| row)).into())
            });
        }
        let chosen = match choose(&settings, rest) {
            Ok(chosen) => chosen,
            Err(problem) => return now(problem),
        };
        let text = match &chosen {
            Some(model) => format!("This session uses {model} from now on."),
            None => "This session uses its agent's own model from now on.".into(),
        };
        self.change(
            session,
            text,
            Box::new(move |_, record| {
                record.model = chosen;
                Ok(())
            }),
        )
    }

    fn think(&self, session: &SessionKey, rest: &str) -> Doing {
        let settings = self.deps.views.settings.load();
        let agent = settings.agent(&session.agent);
        let configured = agent.and_then(|agent| agent.thinking);
        if rest.is_empty() {
            let asked = self
                .deps
                .sessions
                .send(RowOf(Arc::clone(&session.canonical)));
            return Box::pin(async move {
                let known = asked.await.map_err(|_| index_restarting())?;
                let own = known.and_then(|(_, record)| record.thinking);
                Ok(thinking_text(own, configured).into())
            });
        }
        let level = match rest {
            "default" | "reset" => None,
            written => match Thinking::read(written) {
                Ok(level) => Some(level),
                Err(problem) => return now(problem),
            },
        };
        self.change(
            session,
            thinking_text(level, configured),
            Box::new(move |_, record| {
                record.thinking = level;
                Ok(())
            }),
        )
    }

    fn queue(&self, session: &SessionKey, rest: &str, channel: &str) -> Doing {
        let configured = self.deps.views.settings.load().queue_mode(channel);
        if rest.is_empty() {
            let asked = self
                .deps
                .sessions
                .send(RowOf(Arc::clone(&session.canonical)));
            return Box::pin(async move {
                let known = asked.await.map_err(|_| index_restarting())?;
                let own = known.and_then(|(_, record)| record.queue_mode);
                Ok(queue_text(own, configured).into())
            });
        }
        let mode = match commands::queue_mode(rest) {
            Ok(mode) => mode,
            Err(problem) => return now(problem),
        };
        self.change(
            session,
            queue_text(mode, configured),
            Box::new(move |_, record| {
                record.queue_mode = mode;
                Ok(())
            }),
        )
    }

    /// Stores the command and its answer in one commit, acknowledges, and tells the answer.
    fn tell<A: Asked>(
        &mut self,
        incoming: Incoming,
        done: Done,
        reply: A,
        acknowledge: impl FnOnce(A, &Appended) -> Option<Reply<Agent>> + 'static,
    ) {
        let Incoming {
            run_id,
            session,
            mut row,
            mut guard,
            delivery,
            ..
        } = incoming;
        let at = self.deps.now_ms();
        let mut answer = Message::text(MessageRole::Assistant, done.text, at);
        answer.provider = Some(echo::PROVIDER.into());
        answer.model = Some(MODEL.into());
        answer.stop_reason = Some("stop".into());
        answer.meta.get_or_insert_default().run_id = Some(run_id.to_string());
        for row in [&mut row, &mut answer] {
            row.meta.get_or_insert_default().command = Some(true);
        }
        let end = final_answer(&run_id, &answer);
        let stored = Stored {
            ok: true,
            payload: if reply.is_answered_twice() {
                serde_json::to_value(&end).ok()
            } else {
                Some(json!({ "runId": *run_id, "status": "ok" }))
            },
            error: None,
        };
        let now = self.deps.clock.now();
        // Accepted and done are one commit; the first row is replaced by the second.
        let ops = guard
            .accept(Some(&session.canonical), now)
            .and_then(|_| guard.finish(stored, now));
        let told = delivery.as_ref().map_or_else(
            || Ok(Vec::new()),
            |delivery| delivery.ops(Some(Said::Text(&answer.plain_text())), now),
        );
        let ops = match ops.and_then(|op| Ok((op, told?))) {
            Ok((op, mut told)) => {
                told.push(op);
                told
            }
            Err(error) => return reply.refuse(guard, store_error(&error)),
        };
        let appending = self.deps.sessions.send(Append {
            draft: Draft {
                key: Arc::clone(&session.canonical),
                agent_id: session.agent.clone(),
                session_id: None,
                messages: vec![row, answer.clone()],
                last_run: None,
                ops,
            },
            run_id: Some(run_id.to_string()),
            reason: "command",
        });
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let mut appended = match injected::stored(appending).await {
                Ok(appended) => appended,
                Err(error) => return reply.refuse(guard, error),
            };
            guard.accepted();
            guard.finished();
            if let Some(delivery) = delivery {
                delivery.committed(true);
            }
            let ended = Ended {
                run_id: run_id.to_string(),
                status: RunStatus::Ok,
                started_at: at,
                ended_at: at,
                error: None,
                stop_reason: None,
            };
            deps.state.with(|state| state.remember(ended));
            let events = std::mem::take(&mut appended.events);
            let second = acknowledge(reply, &appended);
            for event in done.event.into_iter().chain(events) {
                deps.gateway.emit(event);
            }
            let event = ChatEvent {
                run_id: run_id.to_string(),
                session_key: session.canonical.to_string(),
                seq: 1,
                agent_id: Some(session.agent),
                spawned_by: None,
                state: ChatState::Final(ChatFinal {
                    message: Some(answer),
                    usage: None,
                    stop_reason: Some("stop".into()),
                }),
            };
            let audience = Audience::Session(session.canonical);
            deps.gateway
                .emit(EventOut::new(CHAT, audience, ChatBody(event)));
            if let Some(second) = second {
                second.ok_as(&end);
            }
        });
    }
}

fn final_answer(run_id: &str, answer: &Message) -> AgentFinal {
    AgentFinal {
        run_id: run_id.to_owned(),
        status: RunStatus::Ok,
        summary: Some("completed".into()),
        result: Some(RunResult {
            payloads: vec![RunPayload {
                text: answer.plain_text(),
                media_url: None.into(),
            }],
            meta: RunMeta {
                duration_ms: 0,
                agent_meta: AgentMeta {
                    session_id: String::new(),
                    provider: echo::PROVIDER.into(),
                    model: MODEL.into(),
                    usage: None,
                },
                aborted: None,
            },
        }),
        stop_reason: None,
        timeout_phase: None,
        provider_started: None,
        ended_at: None,
    }
}
