//! Idempotency: the gate in front of every method with a key. Owns the keys in memory; their rows
//! are committed by the owner of the work, together with the work.
//!
//! Replaceable; the keys outlive a panic in their slot, and are read again when half-written.

pub mod keyed;
pub mod state;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use actix::prelude::SendError;
use actix::{Actor, Context, Handler, Message, Recipient};
use openclaw_protocol::methods::agent::Agent;
use openclaw_protocol::methods::chat::{ChatSend, ChatSendParams};
use openclaw_protocol::methods::messaging::{MessageAction, Poll, Send};
use openclaw_protocol::methods::node_invoke::NodeInvoke;
use openclaw_protocol::methods::session_starts::{
    SessionsCreate, SessionsSend, SessionsSendParams,
};
use openclaw_protocol::methods::tools::ToolsInvoke;
use openclaw_protocol::{ErrorShape, Method};
use serde_json::json;

use crate::call::{Call, Reply};
use crate::clock::{Millis, SharedClock, SharedEntropy};
use crate::kept::Kept;
use crate::limiter::counts::Count;
use crate::methods::messaging;
use crate::published::Published;
use crate::settings::Settings;
use crate::store::{Op, StoreError, StoreHandle, StoreReader, Table};
use crate::supervised;
use crate::supervision::{Rebuild, Tier};
use keyed::{Keyed, WhileInFlight};
use state::{Bounds, FoundKey, KeyId, KeyRow, Keys, Recovery, Stored, Verdict};

/// Most callers that wait for one result.
const MAX_WAITING: usize = 32;

/// What the gate works with.
#[derive(Clone)]
pub struct DedupeDeps {
    /// The keys; survive a rebuild.
    pub keys: Kept<Keys>,
    /// Callers that wait for a result under way; survive a rebuild.
    pub waiting: Kept<Waiting>,
    /// The store, for results.
    pub store: StoreHandle,
    /// How many keys are kept, and how long.
    pub settings: Published<Settings>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness, for keys that a client left out.
    pub entropy: SharedEntropy,
    /// Owner of `sessions.create`.
    pub create: Recipient<Admitted<SessionsCreate>>,
    /// Owner of `chat.send`.
    pub chat_send: Recipient<Admitted<ChatSend>>,
    /// Owner of `agent`.
    pub agent: Recipient<Admitted<Agent>>,
    /// Owner of `send` to conversations.
    pub send: Recipient<Admitted<Send>>,
    /// Owner of what goes to channels; set once at the start, since channels claim keys here.
    pub platforms: Arc<OnceLock<Platforms>>,
    /// Owner of `tools.invoke`.
    pub invoke: Recipient<Admitted<ToolsInvoke>>,
    /// The same, for calls without a key: each of them is run.
    pub invoke_unkeyed: Recipient<Call<ToolsInvoke>>,
    /// Owner of `node.invoke`.
    pub node_invoke: Recipient<Admitted<NodeInvoke>>,
}

/// The owner of what goes to channels.
pub struct Platforms {
    /// Of `send` to channels.
    pub send: Recipient<Admitted<Send>>,
    /// Of `poll`.
    pub poll: Recipient<Admitted<Poll>>,
    /// Of `message.action`.
    pub action: Recipient<Admitted<MessageAction>>,
}

/// Callers that wait for the result of a request under way.
#[derive(Default)]
pub struct Waiting(HashMap<KeyId, Vec<Reply<Send>>>);

/// The gate.
pub struct Dedupe {
    deps: DedupeDeps,
}

/// Reads the stored keys and gives those of an earlier process their end. Results stay on the disk. A
/// row that cannot be decoded is left out and named in the log; its key is refused when it is used.
///
/// # Errors
///
/// When the store cannot be read.
pub fn recover(reader: &StoreReader, now: Millis, bounds: Bounds) -> Result<Recovery, StoreError> {
    let mut stored: Vec<FoundKey> = Vec::new();
    reader.readable(Table::Idempotency, |row| stored.push(row))?;
    state::recover(stored, now, bounds)
}

impl Rebuild for Dedupe {
    type Deps = DedupeDeps;
    const NAME: &'static str = "dedupe";
    const TIER: Tier = Tier::Replaceable;
    const MAILBOX: usize = 8_192;

    fn build(deps: Self::Deps) -> Self {
        let (reader, now) = (deps.store.reader().clone(), deps.clock.now());
        let bounds = deps.settings.load().retention.keys;
        deps.keys.recover(|_| {
            recover(&reader, now, bounds)
                .map(|recovery| recovery.keys)
                .unwrap_or_default()
        });
        // Callers of a half-written list are answered by their replies, as they are dropped.
        deps.waiting.recover(|_| Waiting::default());
        Self { deps }
    }

    fn deps(&self) -> Self::Deps {
        self.deps.clone()
    }
}

supervised!(Dedupe);

impl Actor for Dedupe {
    type Context = Context<Self>;
}

/// A request whose key is new, on its way to its owner.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Admitted<M: Keyed> {
    /// The request.
    pub call: Call<M>,
    /// Its key.
    pub guard: KeyGuard,
}

/// The key of a request under way. Dropped before the request is accepted, it frees the key: nothing
/// was committed, and a retry may run. Dropped later without an end, the work is gone and its key is
/// answered as interrupted.
pub struct KeyGuard {
    id: KeyId,
    digest: String,
    session: Option<String>,
    dedupe: Recipient<Settled>,
    progress: Progress,
}

/// How far the request of a key has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing of it is committed.
    Admitted,
    /// Its row is committed, without a result.
    Accepted,
    /// Its end was told, or is left to the next start.
    Settled,
}

impl KeyGuard {
    /// Writes the key down as accepted; belongs to the commit that accepts the request.
    ///
    /// # Errors
    ///
    /// As [`KeyId::op`].
    pub fn accept(&mut self, session: Option<&str>, now: Millis) -> Result<Op, StoreError> {
        self.session = session.map(str::to_owned);
        self.id.op(&self.digest, session, None, now)
    }

    /// The accepting commit is done: from here on the key is never free again.
    pub const fn accepted(&mut self) {
        self.progress = Progress::Accepted;
    }

    /// Frees the key, then says why, in this order: whoever hears of the refusal may use the key again at once.
    pub fn refuse<M: Method>(self, reply: Reply<M>, error: ErrorShape) {
        drop(self);
        reply.error(error);
    }

    /// The gateway is stopping and the work will not be done: the key stays in flight, and the next
    /// start calls it interrupted.
    pub fn leave(mut self) {
        self.progress = Progress::Settled;
    }

    /// Writes the result down; belongs to the commit that ends the work.
    ///
    /// # Errors
    ///
    /// As [`KeyId::op`].
    pub fn finish(&self, result: Stored, now: Millis) -> Result<Op, StoreError> {
        self.id
            .op(&self.digest, self.session.as_deref(), Some(result), now)
    }

    /// Whether the result is on the disk.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn is_stored(&self, reader: &StoreReader) -> Result<bool, StoreError> {
        let row: Option<KeyRow> = reader.get_json(Table::Idempotency, &self.id.row_key())?;
        Ok(row.is_some_and(|row| row.result.is_some()))
    }

    /// A result is committed, and callers are given that one. The work goes on, and may write down
    /// another result at its end.
    pub fn answered(&mut self) {
        self.settle(true);
    }

    /// The ending commit is done.
    pub fn finished(mut self) {
        self.settle(true);
    }

    /// The ending commit failed: nothing runs any more, and the result is lost.
    pub fn lost(mut self) {
        self.settle(true);
    }

    fn settle(&mut self, done: bool) {
        self.progress = Progress::Settled;
        self.tell(done);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "one per key that was let in, and a lost one would hold its key for ever"
    )]
    fn tell(&self, done: bool) {
        self.dedupe.do_send(Settled {
            id: self.id.clone(),
            done,
        });
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        match self.progress {
            Progress::Admitted => self.settle(false),
            Progress::Accepted => self.settle(true),
            Progress::Settled => {}
        }
    }
}

/// What became of a request under way. One per request, so never refused.
#[derive(Message)]
#[rtype(result = "()")]
struct Settled {
    id: KeyId,
    done: bool,
}

impl Handler<Settled> for Dedupe {
    type Result = ();

    fn handle(&mut self, msg: Settled, _: &mut Self::Context) {
        self.deps.keys.with(|keys| {
            if msg.done {
                keys.done(&msg.id);
            } else {
                keys.release(&msg.id);
            }
        });
        let waiting = self.deps.waiting.with(|waiting| waiting.0.remove(&msg.id));
        for reply in waiting.unwrap_or_default() {
            if msg.done {
                self.answer_stored(&msg.id, reply);
            } else {
                reply.error(
                    ErrorShape::unavailable(
                        "the request with this key was not accepted; try again",
                    )
                    .retry_after(250),
                );
            }
        }
    }
}

/// Asks for the key of work that does not come from a client's request.
#[derive(Message)]
#[rtype(result = "Claimed")]
pub struct Claim {
    /// The key.
    pub id: KeyId,
    /// What the work is about.
    pub digest: String,
}

/// What is known of such a key.
pub enum Claimed {
    /// It is new.
    New(KeyGuard),
    /// Its work is under way.
    InFlight,
    /// Its work came to an end, or an earlier process left it.
    Done(Option<Stored>),
    /// No key has a place now.
    Full,
}

impl Handler<Claim> for Dedupe {
    type Result = actix::MessageResult<Claim>;

    fn handle(&mut self, msg: Claim, ctx: &mut Self::Context) -> Self::Result {
        let Claim { id, digest } = msg;
        let now = self.deps.clock.now();
        let verdict = self.begin(&id, &digest, now);
        let left = verdict == Verdict::New && self.answer_leftover(&id, &digest);
        actix::MessageResult(match verdict {
            Verdict::New | Verdict::Anew if !left => Claimed::New(KeyGuard {
                id,
                digest,
                session: None,
                dedupe: actix::AsyncContext::address(ctx).recipient(),
                progress: Progress::Admitted,
            }),
            Verdict::InFlight => Claimed::InFlight,
            Verdict::Full => Claimed::Full,
            Verdict::New | Verdict::Anew | Verdict::Done | Verdict::Conflict => {
                let row = self
                    .deps
                    .store
                    .reader()
                    .get_json::<KeyRow>(Table::Idempotency, &id.row_key());
                Claimed::Done(row.ok().flatten().and_then(KeyRow::into_result))
            }
        })
    }
}

impl Dedupe {
    /// Begins a request's key; those that are forgotten for it go from the store, too.
    fn begin(&self, id: &KeyId, digest: &str, now: Millis) -> Verdict {
        let bounds = self.deps.settings.load().retention.keys;
        let (verdict, forgotten) = self
            .deps
            .keys
            .with(|keys| keys.begin(id, digest, now, bounds));
        if !forgotten.is_empty() {
            let ops = forgotten
                .iter()
                .map(|id| Op::delete(Table::Idempotency, id.row_key()))
                .collect();
            // A row that stays is deleted at the next start.
            drop(actix_rt::spawn(self.deps.store.commit(ops)));
        }
        verdict
    }

    fn admit<M: Keyed>(
        &mut self,
        call: Call<M>,
        own: Recipient<Settled>,
        owner: &Recipient<Admitted<M>>,
    ) {
        let id = KeyId {
            method: M::NAME.into(),
            principal: call.caller.principal(),
            key: M::key(&call.params).to_owned(),
        };
        let digest = keyed::digest::<M>(&call.params);
        let now = self.deps.clock.now();
        let verdict = self.begin(&id, &digest, now);
        match verdict {
            Verdict::New | Verdict::Anew => {
                if verdict == Verdict::New && self.answer_leftover(&id, &digest) {
                    return self.answer_stored(&id, call.reply);
                }
                let guard = KeyGuard { id, digest, session: None, dedupe: own, progress: Progress::Admitted };
                match owner.try_send(Admitted { call, guard }) {
                    Ok(()) => {}
                    Err(SendError::Full(refused) | SendError::Closed(refused)) => {
                        let Admitted { call, guard } = refused;
                        drop(guard);
                        busy(call);
                    }
                }
            }
            Verdict::InFlight => match M::while_in_flight(&call.params) {
                WhileInFlight::Answer(payload) => call.reply.ok_as(&payload),
                WhileInFlight::Wait => self.wait(id, call.reply.cast()),
            },
            Verdict::Done => self.answer_stored(&id, call.reply),
            Verdict::Conflict => call.reply.error(
                ErrorShape::invalid("This message ID was already used for different input; use a new idempotencyKey for a new message")
                    .with_details(json!({ "reason": "chat-request-conflict", "idempotencyKey": id.key })),
            ),
            Verdict::Full => call.reply.error(ErrorShape::unavailable("too many requests are under way; try again").retry_after(1_000)),
        }
    }

    /// A new key whose row is in the store all the same: an earlier attempt was told that its commit
    /// is not confirmed, and the disk had it after all. Its work never began and never will; it
    /// gets that as its result, and the key is done.
    fn answer_leftover(&self, id: &KeyId, digest: &str) -> bool {
        let row = self
            .deps
            .store
            .reader()
            .get_json::<KeyRow>(Table::Idempotency, &id.row_key());
        let row = match row {
            Ok(Some(row)) => Some(row),
            // It was used before, nobody can say for what: never run it a second time.
            Err(StoreError::Row { .. }) => None,
            Ok(None) | Err(_) => return false,
        };
        self.deps.keys.with(|keys| keys.done(id));
        if row.is_some_and(|row| row.into_result().is_none())
            && let Ok(op) = id.op(
                digest,
                None,
                Some(state::interrupted(id)),
                self.deps.clock.now(),
            )
        {
            // Not confirmed either: the next start does the same.
            drop(actix_rt::spawn(self.deps.store.commit(vec![op])));
        }
        true
    }

    fn wait(&self, id: KeyId, reply: Reply<Send>) {
        let refused = self.deps.waiting.with(|waiting| {
            let waiting = waiting.0.entry(id).or_default();
            if waiting.len() >= MAX_WAITING {
                return Some(reply);
            }
            waiting.push(reply);
            None
        });
        if let Some(reply) = refused {
            reply.error(
                ErrorShape::unavailable("too many callers wait for this result; try again")
                    .retry_after(1_000),
            );
        }
    }

    fn answer_stored<M: Method>(&self, id: &KeyId, reply: Reply<M>) {
        match self
            .deps
            .store
            .reader()
            .get_json::<KeyRow>(Table::Idempotency, &id.row_key())
        {
            Ok(Some(row)) => {
                let result = row.into_result();
                match result.unwrap_or_else(|| state::without_result(id)) {
                    Stored {
                        ok: true, payload, ..
                    } => reply.ok_as(&payload),
                    Stored { payload, error, .. } => {
                        let error =
                            error.unwrap_or_else(|| ErrorShape::unavailable("the request failed"));
                        reply.refuse(error, payload.as_ref());
                    }
                }
            }
            Ok(None) => reply.error(ErrorShape::unavailable(
                "the result of this key is gone; use a new idempotencyKey",
            )),
            Err(error) => reply.error(crate::methods::store_error(&error)),
        }
    }
}

macro_rules! gate {
    ($method:ty, $owner:ident) => {
        impl Handler<Call<$method>> for Dedupe {
            type Result = ();

            fn handle(&mut self, call: Call<$method>, ctx: &mut Self::Context) {
                let owner = self.deps.$owner.clone();
                self.admit(call, actix::AsyncContext::address(ctx).recipient(), &owner);
            }
        }
    };
}

gate!(ChatSend, chat_send);
gate!(Agent, agent);

impl Handler<Call<SessionsCreate>> for Dedupe {
    type Result = ();

    fn handle(&mut self, mut call: Call<SessionsCreate>, ctx: &mut Self::Context) {
        let key = call.params.idempotency_key.take();
        call.params.idempotency_key = Some(key.unwrap_or_else(|| self.new_key()));
        let owner = self.deps.create.clone();
        self.admit(call, actix::AsyncContext::address(ctx).recipient(), &owner);
    }
}

impl Handler<Call<ToolsInvoke>> for Dedupe {
    type Result = ();

    fn handle(&mut self, call: Call<ToolsInvoke>, ctx: &mut Self::Context) {
        if call.params.idempotency_key.is_some() {
            let owner = self.deps.invoke.clone();
            return self.admit(call, actix::AsyncContext::address(ctx).recipient(), &owner);
        }
        match self.deps.invoke_unkeyed.try_send(call) {
            Ok(()) => {}
            Err(SendError::Full(refused) | SendError::Closed(refused)) => busy(refused),
        }
    }
}

/// The owner of a request takes no more at the moment.
fn busy<M: Method>(call: Call<M>) {
    call.caller.hub.count(Count::BusyRequests);
    let busy = "The server is busy. Please try again in a moment.";
    call.reply
        .error(ErrorShape::unavailable(busy).retry_after(500));
}

/// `sessions.send` is `chat.send` with other names, and shares its keys.
impl Handler<Call<SessionsSend>> for Dedupe {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsSend>, ctx: &mut Self::Context) {
        let SessionsSendParams {
            key,
            agent_id,
            message,
            thinking,
            attachments,
            timeout_ms,
            idempotency_key,
        } = call.params;
        let params = ChatSendParams {
            agent_id,
            thinking,
            attachments,
            timeout_ms,
            ..ChatSendParams::new(
                key,
                message,
                idempotency_key.unwrap_or_else(|| self.new_key()),
            )
        };
        let call = Call {
            params,
            caller: call.caller,
            reply: call.reply.cast(),
        };
        Handler::<Call<ChatSend>>::handle(self, call, ctx);
    }
}

impl Dedupe {
    fn new_key(&self) -> String {
        self.deps.entropy.uuid().to_string()
    }
}

gate!(NodeInvoke, node_invoke);

impl Handler<Call<Send>> for Dedupe {
    type Result = ();

    fn handle(&mut self, call: Call<Send>, ctx: &mut Self::Context) {
        let stays = messaging::stays(&call.params, &self.deps.settings.load());
        let owner = match self.deps.platforms.get() {
            Some(platforms) if !stays => platforms.send.clone(),
            _ => self.deps.send.clone(),
        };
        self.admit(call, actix::AsyncContext::address(ctx).recipient(), &owner);
    }
}

macro_rules! platform_gate {
    ($method:ty, $owner:ident) => {
        impl Handler<Call<$method>> for Dedupe {
            type Result = ();

            fn handle(&mut self, call: Call<$method>, ctx: &mut Self::Context) {
                let Some(platforms) = self.deps.platforms.get() else {
                    return busy(call);
                };
                let owner = platforms.$owner.clone();
                self.admit(call, actix::AsyncContext::address(ctx).recipient(), &owner);
            }
        }
    };
}

platform_gate!(Poll, poll);
platform_gate!(MessageAction, action);
