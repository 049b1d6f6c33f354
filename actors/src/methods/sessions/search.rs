//! `sessions.search`: messages by their words; owner: sessions.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::session_search::{SessionsSearch, SessionsSearchParams};

use crate::call::Call;
use crate::methods::store_error;
use crate::sessions::record::Record;
use crate::sessions::search::Query;
use crate::sessions::{Sessions, keys};

/// Hits when the client names no number.
const DEFAULT_HITS: usize = 10;

impl Handler<Call<SessionsSearch>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsSearch>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let limit = params.limit.map_or(DEFAULT_HITS, |limit| limit as usize);
        let Some(query) = Query::new(&params.query, limit) else {
            return reply.error(ErrorShape::invalid(
                "invalid sessions.search params: at /query: give a word to look for",
            ));
        };
        let sessions = match self.searched(&params) {
            Ok(sessions) => sessions,
            Err(error) => return reply.error(error),
        };
        // On the blocking pool; bounded by the connection's own cap on requests in flight.
        let reader = self.deps.store.reader().clone();
        drop(reader.offload(move |reader| {
            let result = query.run(reader, &sessions);
            reply.settle(result.map_err(|error| store_error(&error)));
            Ok(())
        }));
    }
}

impl Sessions {
    /// The sessions that a search looks through, the newest first.
    fn searched(&self, params: &SessionsSearchParams) -> Result<Vec<Record>, ErrorShape> {
        let settings = self.deps.views.settings.load();
        let mut wanted = None;
        if let Some(written) = &params.session_keys {
            let canonical = written.iter().map(|key| {
                keys::of_params::<SessionsSearch>(key, params.agent_id.as_deref(), &settings)
                    .map(|session| session.canonical)
            });
            wanted = Some(canonical.collect::<Result<Vec<_>, _>>()?);
        }
        let mut sessions: Vec<Record> = self.deps.index.with(|index| {
            let fits = |record: &&Record| {
                wanted
                    .as_ref()
                    .is_none_or(|wanted| wanted.contains(&record.key))
                    && params
                        .agent_id
                        .as_ref()
                        .is_none_or(|agent| *agent == record.agent_id)
            };
            index.records().filter(fits).cloned().collect()
        });
        sessions.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
        Ok(sessions)
    }
}
