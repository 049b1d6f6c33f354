//! `sessions.resolve`: the canonical key of a session; owner: sessions.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::sessions::{
    SessionsResolve, SessionsResolveParams, SessionsResolveResult,
};

use crate::call::Call;
use crate::sessions::state::Record;
use crate::sessions::{Sessions, keys};

impl Handler<Call<SessionsResolve>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsResolve>, _: &mut Self::Context) {
        let allow_missing = call.params.allow_missing == Some(true);
        match self.resolve(&call.params) {
            Ok(result) => call.reply.ok(&result),
            Err(wanted) if allow_missing => {
                tracing::trace!(wanted, "no session found");
                call.reply.ok_as(&serde_json::json!({ "ok": false }));
            }
            Err(wanted) => call
                .reply
                .error(ErrorShape::invalid(format!("No session found: {wanted}"))),
        }
    }
}

impl Sessions {
    fn resolve(&self, params: &SessionsResolveParams) -> Result<SessionsResolveResult, String> {
        let settings = self.deps.views.settings.load();
        let found = |record: Option<&Record>| {
            record.map(|record| (record.key.to_string(), record.agent_id.clone()))
        };
        let hit = self.deps.index.with(|index| match params {
            SessionsResolveParams { key: Some(key), .. } => {
                let session = keys::canonical(key, params.agent_id.as_deref(), &settings).ok();
                session.and_then(|session| found(index.get(&session.canonical)))
            }
            SessionsResolveParams {
                session_id: Some(id),
                ..
            } => found(index.by_id(id)),
            SessionsResolveParams {
                label: Some(label), ..
            } => found(
                index
                    .records()
                    .find(|record| record.label.as_ref() == Some(label)),
            ),
            SessionsResolveParams {
                short_id: Some(short),
                ..
            } => found(
                index
                    .records()
                    .find(|record| record.session_id.starts_with(short.as_str())),
            ),
            _ => None,
        });
        let wanted = || {
            [
                &params.key,
                &params.session_id,
                &params.label,
                &params.short_id,
            ]
            .into_iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_else(|| "give key, sessionId, label or shortId".into())
        };
        let (key, agent_id) = hit.ok_or_else(wanted)?;
        Ok(SessionsResolveResult {
            ok: true,
            key: Some(key),
            agent_id: Some(agent_id),
            candidates: None,
        })
    }
}
