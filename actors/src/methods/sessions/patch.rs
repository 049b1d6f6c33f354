//! `sessions.patch`: name, model and marks of a session; owner: sessions.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::common::Nullable;
use openclaw_protocol::methods::session_changes::{
    ResolvedModelName, SessionsPatch, SessionsPatchParams, SessionsPatchResult,
};

use crate::agent::model::thinking::Thinking;
use crate::call::Call;
use crate::sessions::change::{Change, Changed};
use crate::sessions::state::{Index, Record};
use crate::sessions::{Sessions, keys};
use crate::settings::Settings;

impl Handler<Call<SessionsPatch>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsPatch>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let settings = self.deps.views.settings.load();
        let agent = params.agent_id.as_deref();
        let session = match keys::of_params::<SessionsPatch>(&params.key, agent, &settings) {
            Ok(session) => session,
            Err(error) => return reply.error(error),
        };
        let key = session.canonical.to_string();
        let changing = self.handle(
            Change {
                session,
                reason: "patch",
                apply: Box::new(move |index, record| {
                    apply(index, record, &params, &settings).map_err(|refused| refused.0)
                }),
            },
            ctx,
        );
        let gateway = self.deps.gateway.clone();
        actix_rt::spawn(async move {
            let Changed { entry, event } = match changing.await {
                Ok(changed) => changed,
                Err(error) => return reply.error(error),
            };
            reply.ok(&SessionsPatchResult {
                ok: true,
                path: String::new(),
                key,
                resolved: Some(ResolvedModelName {
                    model_provider: entry.model_provider.clone(),
                    model: entry.model.clone(),
                }),
                entry,
            });
            gateway.emit(event);
        });
    }
}

/// Why a patch is refused.
#[derive(Debug)]
struct Refused(ErrorShape);

fn refused(problem: impl std::fmt::Display) -> Refused {
    Refused(ErrorShape::invalid(format!(
        "invalid sessions.patch params: {problem}"
    )))
}

fn apply(
    index: &Index,
    record: &mut Record,
    params: &SessionsPatchParams,
    settings: &Settings,
) -> Result<(), Refused> {
    if let Some(expected) = &params.expected_session_id
        && **expected != *record.session_id
    {
        return Err(refused(
            "at /expectedSessionId: the session began anew since; read it again",
        ));
    }
    if let Some(Nullable(label)) = &params.label {
        let label = label.as_ref().map(|label| label.0.as_str());
        rename(index, record, label).map_err(refused)?;
    }
    if let Some(Nullable(model)) = &params.model {
        if let Some(model) = model {
            known_model(settings, model).map_err(refused)?;
        }
        record.model.clone_from(model);
    }
    if let Some(Nullable(level)) = &params.thinking_level {
        let level = level.as_deref().map(Thinking::read).transpose();
        let level = level.map_err(|problem| refused(format!("at /thinkingLevel: {problem}")))?;
        record.thinking = level;
    }
    record.archived = params.archived.unwrap_or(record.archived);
    record.pinned = params.pinned.unwrap_or(record.pinned);
    Ok(())
}

/// Gives a session its name, or takes it away.
///
/// # Errors
///
/// When another session has it.
pub(super) fn rename(
    index: &Index,
    record: &mut Record,
    label: Option<&str>,
) -> Result<(), String> {
    let label = label.map(|label| label.trim().to_owned());
    let taken = index
        .records()
        .find(|other| other.key != record.key && label.is_some() && other.label == label);
    if let Some(other) = taken {
        return Err(format!(
            "at /label: it is the name of {} already",
            other.key
        ));
    }
    record.label = label.filter(|label| !label.is_empty());
    Ok(())
}

/// Whether a session can have this model.
///
/// # Errors
///
/// Why not, with the remedy.
pub(super) fn known_model(settings: &Settings, model: &str) -> Result<(), String> {
    match settings.catalogue.get(model) {
        Some(Ok(_)) => Ok(()),
        Some(Err(problem)) => Err(format!("at /model: {problem}")),
        None => Err(format!(
            "at /model: \"{model}\" is not configured; models.list has those that are, as provider/model"
        )),
    }
}
