//! Messages that come from inside the gateway (channels), not from a client's request.

use std::sync::Arc;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::message::{ContentPart, Message, MessageRole};
use openclaw_protocol::{ErrorShape, Scope, Scopes};
use tokio::sync::oneshot;

use super::delivery::Delivery;
use super::tools::Origin;
use super::{AgentRunner, Asked, Incoming, Resumed, RunnerDeps, prompt};
use crate::call::Reply;
use crate::commands;
use crate::dedupe::KeyGuard;
use crate::methods::chat::spoken;
use crate::methods::index_restarting;
use crate::sessions::ask::Find;
use crate::sessions::keys::SessionKey;
use crate::sessions::{Appended, history};
use crate::store::StoreReader;

/// Behind every number of a transcript.
const LAST_SEQ: u64 = 1 << 55;
/// Between a run's id and the number of a further try of it.
pub const TRY: char = '~';
/// Newest rows among which an unfinished run is looked for.
const ROWS: usize = 200;

/// A message for the runner.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub struct Offer {
    /// Its key, which is its run's id.
    pub guard: KeyGuard,
    /// The same as text.
    pub run_id: Arc<str>,
    /// The session.
    pub session: SessionKey,
    /// What was written.
    pub text: String,
    /// What came with it.
    pub files: Vec<ContentPart>,
    /// Who wrote it; decides which tools its run may use.
    pub origin: Origin,
    /// What they may do by command.
    pub commands: Scopes,
    /// What the run begins with.
    pub extra_system: Option<String>,
    /// Where its end is told.
    pub delivery: Arc<dyn Delivery>,
    /// The run that an earlier process left unfinished.
    pub resumes: Option<String>,
    /// Told whether it was accepted.
    pub told: oneshot::Sender<Result<(), ErrorShape>>,
}

/// Whoever offered a message.
struct Offerer {
    commands: Scopes,
    told: oneshot::Sender<Result<(), ErrorShape>>,
}

impl Asked for Offerer {
    fn is_answered_twice(&self) -> bool {
        false
    }

    fn grants(&self, scope: Scope) -> bool {
        self.commands.grants(scope)
    }

    fn refuse(self, key: KeyGuard, error: ErrorShape) {
        drop(key);
        // Whoever does not wait any more offers it again.
        let _ = self.told.send(Err(error));
    }
}

impl Handler<Offer> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: Offer, ctx: &mut Context<Self>) {
        let Offer {
            guard,
            run_id,
            session,
            text,
            files,
            origin,
            commands,
            extra_system,
            delivery,
            resumes,
            told,
        } = msg;
        let mut row = spoken(text, self.deps.clock.now().wire());
        row.add(files);
        row.idempotency_key = Some(run_id.to_string());
        row.meta.get_or_insert_default().run_id = Some(run_id.to_string());
        let key = Arc::clone(&session.canonical);
        let incoming = Incoming {
            run_id,
            session,
            row,
            origin,
            guard,
            extra_system,
            timeout: None,
            queue_mode: None,
            // A stranger's command is text for the agent, which has no tools for them either.
            as_text: commands == Scopes::NONE,
            stored: None,
            delivery: Some(delivery),
            resumed: None,
        };
        let asked = Offerer { commands, told };
        let Some(earlier) = resumes else {
            return self.in_turn(incoming, asked, ctx);
        };
        let locating = locate(self.deps.clone(), key, earlier);
        let accepting = locating.into_actor(self).map(move |found, act, ctx| {
            let mut incoming = incoming;
            match found {
                Ok(Some(found)) if found.used_tools => {
                    let error = ErrorShape::invalid(
                        "the answer to this was cut off, by a restart or a disk that took nothing, and tools had been used for it; look at what they did, then ask again",
                    );
                    asked.refuse(incoming.guard, error);
                }
                Ok(found) => {
                    incoming.resumed = found.map(|found| found.row);
                    act.in_turn(incoming, asked, ctx);
                }
                Err(error) => asked.refuse(incoming.guard, error),
            }
        });
        ctx.spawn(accepting);
    }
}

impl AgentRunner {
    /// Accepts it behind what came to its session earlier and is not stored yet.
    fn in_turn(&mut self, incoming: Incoming, asked: Offerer, ctx: &mut Context<Self>) {
        let key = Arc::clone(&incoming.session.canonical);
        // A stop waits for nothing.
        let triggers = &self.deps.views.settings.load().reset_triggers;
        let text = incoming.row.plain_text();
        let stops = !incoming.as_text
            && commands::parse_with(&text, triggers)
                .is_some_and(|found| found.spec.name == commands::Name::Stop);
        if stops || !self.intake.is_busy(&key) {
            return self.accept(incoming, asked, acknowledge, ctx);
        }
        if let Some(busy) = self.intake.refusal(&key, 0) {
            return asked.refuse(incoming.guard, busy);
        }
        self.intake.line_up(
            &key,
            Box::new(move |act, ctx| act.accept(incoming, asked, acknowledge, ctx)),
        );
    }
}

/// What an earlier process left of a run.
struct Left {
    row: Resumed,
    used_tools: bool,
}

/// Finds the message of a run in the present transcript of its session; `None` when it is not there.
async fn locate(
    deps: RunnerDeps,
    key: Arc<str>,
    run_id: String,
) -> Result<Option<Left>, ErrorShape> {
    let record = deps.sessions.send(Find(key)).await;
    let Some(record) = record.map_err(|_| index_restarting())? else {
        return Ok(None);
    };
    let session_id = Arc::clone(&record.session_id);
    let read = move |reader: &StoreReader| history::recent(reader, &session_id, 1..LAST_SEQ, ROWS);
    let rows = deps.reader.offload(read).await;
    let rows = rows.map_err(|error| crate::methods::store_error(&error))?;
    // What a later try did has its number behind the first one's id.
    let is_try = |id: &str| {
        let rest = id.strip_prefix(run_id.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(TRY))
    };
    let own = |row: &&Message| {
        let id = row.meta.as_ref().and_then(|meta| meta.run_id.as_deref());
        id.is_some_and(is_try)
    };
    let of_run = || rows.iter().filter(own);
    let asked = of_run().find(|row| row.role == MessageRole::User);
    let Some(user_seq) = asked.and_then(|row| row.meta.as_ref()?.seq) else {
        return Ok(None);
    };
    Ok(Some(Left {
        row: Resumed {
            session_id: record.session_id,
            user_seq,
        },
        used_tools: of_run().any(|row| row.role == MessageRole::ToolResult)
            || of_run().any(|row| row.role == MessageRole::Assistant && calls_tools(row)),
    }))
}

fn calls_tools(row: &Message) -> bool {
    !prompt::conversation(std::slice::from_ref(row), &super::attached::Files::new())
        .iter()
        .all(|message| message.calls().next().is_none())
}

fn acknowledge(asked: Offerer, _: &Appended) -> Option<Reply<Agent>> {
    let _ = asked.told.send(Ok(()));
    None
}
