//! `sessions.list`: a page of the index; owner: sessions.

use actix::Handler;
use openclaw_protocol::methods::sessions::{SessionsList, SessionsListParams, SessionsListResult};

use crate::call::Call;
use crate::sessions::Sessions;
use crate::sessions::state::Record;

impl Handler<Call<SessionsList>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsList>, _: &mut Self::Context) {
        let page = self.list(&call.params);
        call.reply.ok(&page);
    }
}

impl Sessions {
    /// A page of the index.
    pub(crate) fn list(&self, params: &SessionsListParams) -> SessionsListResult {
        let now = self.deps.clock.now();
        let (runs, queued) = (self.deps.views.runs.load(), self.deps.views.queued.load());
        let works = |record: &Record| {
            runs.get(&record.key).is_some_and(|runs| !runs.is_empty())
                || queued
                    .get(&record.key)
                    .is_some_and(|waiting| !waiting.is_empty())
        };
        let page = self.deps.index.with(|index| {
            crate::sessions::list::page(index, params, now, works, |record| self.row(record))
        });
        SessionsListResult {
            path: self.deps.views.places.state_dir.clone(),
            defaults: self.deps.views.settings.load().model_defaults(),
            ..page
        }
    }
}
