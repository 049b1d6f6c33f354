//! `cron.add`, `cron.update` and `cron.remove`.

use actix::Handler;
use openclaw_protocol::events::CronAction;
use openclaw_protocol::methods::cron::{CronAdd, CronRemove, CronRemoveResult, CronUpdate};
use openclaw_protocol::{ErrorShape, Method};

use crate::call::{Call, Reply};
use crate::cron::job::Definition;
use crate::cron::state::{self, Change};
use crate::cron::{Scheduler, event};
use crate::methods::store_error;
use crate::sessions::keys;

fn invalid<M: Method>(wrong: impl std::fmt::Display) -> ErrorShape {
    ErrorShape::invalid(format!("invalid {} params: {wrong}", M::NAME))
}

impl Scheduler {
    /// Whether its agent and its session are there.
    fn check<M: Method>(&self, definition: &Definition) -> Result<(), ErrorShape> {
        let settings = self.deps.views.settings.load();
        let agent = definition.agent_id.as_deref();
        let target = definition.session_target.strip_prefix("session:");
        let keys = [target, definition.session_key.as_deref(), Some("main")];
        for key in keys.into_iter().flatten() {
            keys::of_params::<M>(key, agent, &settings)?;
        }
        if let Some(model) = &definition.payload.model {
            match settings.catalogue.get(model) {
                Some(Ok(_)) => {}
                Some(Err(problem)) => {
                    return Err(invalid::<M>(format!("at /payload/model: {problem}")));
                }
                None => {
                    return Err(invalid::<M>(format!(
                        "at /payload/model: \"{model}\" is not configured; models.list has those that are, as provider/model"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Commits a change, answers with the job, and tells everyone.
    fn change<M>(
        &mut self,
        change: Change,
        reply: Reply<M>,
        action: CronAction,
        ctx: &mut actix::Context<Self>,
    ) where
        M: Method<Result = openclaw_protocol::methods::cron::CronJob>,
    {
        self.write(vec![change], ctx, move |scheduler, written, ctx| {
            match written {
                Ok(jobs) => {
                    for job in &jobs {
                        scheduler.tell(event(job, action));
                    }
                    if let Some(job) = jobs.first() {
                        let generation = reply.caller().generation;
                        reply.ok(&job.to_wire(generation));
                    }
                }
                Err(error) => reply.error(store_error(&error)),
            }
            scheduler.look(ctx);
        });
    }
}

impl Handler<Call<CronAdd>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronAdd>, ctx: &mut Self::Context) {
        let Call {
            params,
            caller,
            reply,
        } = call;
        let definition = match Definition::of(params) {
            Ok(definition) => definition,
            Err(wrong) => return reply.error(invalid::<CronAdd>(wrong)),
        };
        if let Err(error) = self.check::<CronAdd>(&definition) {
            return reply.error(error);
        }
        let id = self.deps.entropy.uuid().to_string();
        let (now, rules) = (self.now(), self.rules());
        let added = self
            .deps
            .state
            .with(|state| state.add(id, definition, caller.scopes, now, &rules));
        match added {
            Ok(change) => self.change(change, reply, CronAction::Added, ctx),
            Err(error) => reply.error(error),
        }
    }
}

impl Handler<Call<CronUpdate>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronUpdate>, ctx: &mut Self::Context) {
        let Call {
            params,
            caller,
            reply,
        } = call;
        let job = match self.job::<CronUpdate>(params.id, params.job_id) {
            Ok(job) => job,
            Err(error) => return reply.error(error),
        };
        let expected = params.expected_config_revision;
        if expected.is_some_and(|expected| expected != job.definition.revision()) {
            return reply.error(invalid::<CronUpdate>(
                "at /expectedConfigRevision: the job was changed since; read it again (cron.get)",
            ));
        }
        let definition = match job.definition.patched(params.patch) {
            Ok(definition) => definition,
            Err(wrong) => return reply.error(invalid::<CronUpdate>(wrong)),
        };
        if let Err(error) = self.check::<CronUpdate>(&definition) {
            return reply.error(error);
        }
        let (now, rules) = (self.now(), self.rules());
        let changed = self
            .deps
            .state
            .with(|state| state.redefine(&job, definition, caller.scopes, now, &rules));
        match changed {
            Ok(change) => self.change(change, reply, CronAction::Updated, ctx),
            Err(wrong) => reply.error(invalid::<CronUpdate>(wrong)),
        }
    }
}

impl Handler<Call<CronRemove>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronRemove>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let job = match self.job::<CronRemove>(params.id, params.job_id) {
            Ok(job) => job,
            Err(error) => return reply.error(error),
        };
        let removal = Change {
            ops: state::removal(&job.id),
            job,
            notice: None,
        };
        self.write(vec![removal], ctx, move |scheduler, written, ctx| {
            match written {
                Ok(jobs) => {
                    for job in &jobs {
                        scheduler.deps.state.with(|state| state.remove(&job.id));
                        scheduler.tell(event(job, CronAction::Removed));
                    }
                    reply.ok(&CronRemoveResult {
                        ok: true,
                        removed: true,
                    });
                }
                Err(error) => reply.error(store_error(&error)),
            }
            scheduler.look(ctx);
        });
    }
}
