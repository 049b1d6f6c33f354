//! Changes of a session that other owners ask for, and the methods that make the same.

use std::sync::Arc;

use actix::{Handler, Message, ResponseFuture};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::sessions::SessionRow;

use super::keys::SessionKey;
use super::record::Record;
use super::state::{Index, Prepared};
use super::{Sessions, row};
use crate::event::EventOut;
use crate::methods::store_error;
use crate::store::StoreError;

/// What a change may refuse.
pub type Apply = Box<dyn FnOnce(&Index, &mut Record) -> Result<(), ErrorShape> + Send>;

/// Changes a session, made where there is none.
#[derive(Message)]
#[rtype(result = "Result<Changed, ErrorShape>")]
pub struct Change {
    /// The session.
    pub session: SessionKey,
    /// Why, for listeners.
    pub reason: &'static str,
    /// The change.
    pub apply: Apply,
}

/// Begins a session anew; its transcript is set aside.
#[derive(Message)]
#[rtype(result = "Result<Changed, ErrorShape>")]
pub struct BeginAnew {
    /// The session.
    pub session: SessionKey,
    /// Why, for listeners.
    pub reason: &'static str,
}

/// A committed change.
pub struct Changed {
    /// The session as clients see it.
    pub entry: SessionRow,
    /// What listeners have to be told, after the asking owner's own reply.
    pub event: EventOut,
}

/// Asks for a session by its canonical key.
#[derive(Message)]
#[rtype(result = "Option<(SessionRow, Record)>")]
pub struct RowOf(pub Arc<str>);

/// Why a change did not come to its commit.
struct Refused(ErrorShape);

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(store_error(&error))
    }
}

impl Handler<Change> for Sessions {
    type Result = ResponseFuture<Result<Changed, ErrorShape>>;

    fn handle(&mut self, msg: Change, _: &mut Self::Context) -> Self::Result {
        let Change {
            session,
            reason,
            apply,
        } = msg;
        let entropy = Arc::clone(&self.deps.entropy);
        let now = self.deps.clock.now();
        let prepared = self.deps.index.with(|index| {
            index.change(
                (&session.canonical, &session.agent),
                || entropy.uuid().to_string(),
                now,
                |index, record| apply(index, record).map_err(Refused),
            )
        });
        self.commit(session, reason, prepared.map_err(|refused| refused.0))
    }
}

impl Handler<BeginAnew> for Sessions {
    type Result = ResponseFuture<Result<Changed, ErrorShape>>;

    fn handle(&mut self, msg: BeginAnew, _: &mut Self::Context) -> Self::Result {
        let BeginAnew { session, reason } = msg;
        let entropy = Arc::clone(&self.deps.entropy);
        let now = self.deps.clock.now();
        let prepared = self.deps.index.with(|index| {
            index.reset(
                (&session.canonical, &session.agent),
                || entropy.uuid().to_string(),
                now,
            )
        });
        self.commit(
            session,
            reason,
            prepared.map_err(|error| store_error(&error)),
        )
    }
}

impl Handler<RowOf> for Sessions {
    type Result = Option<(SessionRow, Record)>;

    fn handle(&mut self, msg: RowOf, _: &mut Self::Context) -> Self::Result {
        let record = self.deps.index.with(|index| index.get(&msg.0).cloned())?;
        Some((self.row(&record), record))
    }
}

impl Sessions {
    fn commit(
        &self,
        session: SessionKey,
        reason: &'static str,
        prepared: Result<Prepared, ErrorShape>,
    ) -> ResponseFuture<Result<Changed, ErrorShape>> {
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Box::pin(async move { Err(error) }),
        };
        let commit = self.deps.store.commit(prepared.ops);
        let deps = self.deps.clone();
        Box::pin(async move {
            deps.settle(prepared.record, commit.await)
                .map_err(|error| store_error(&error))?;
            let record = deps
                .index
                .with(|index| index.get(&session.canonical).cloned())
                .ok_or_else(|| ErrorShape::invalid("the session was deleted meanwhile"))?;
            Ok(Changed {
                entry: row(&deps.views, &record),
                event: deps.changed(&session.canonical, &session.agent, reason),
            })
        })
    }
}
