//! `cron.run`: a run that a person asks for. It leaves the job's slots as they are, but for one that is
//! due, which it is then the run of.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::cron::{CronRun, CronRunResult};

use crate::call::Call;
use crate::cron::Scheduler;
use crate::cron::state::State;
use crate::methods::store_error;

impl Handler<Call<CronRun>> for Scheduler {
    type Result = ();

    fn handle(&mut self, call: Call<CronRun>, ctx: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let job = match self.job::<CronRun>(params.id, params.job_id) {
            Ok(job) => job,
            Err(error) => return reply.error(error),
        };
        let (now, rules) = (self.now(), self.rules());
        let mode = params.mode.unwrap_or_default();
        if let Err(reason) = State::may_run(&job, mode, now) {
            return reply.ok(&CronRunResult {
                ok: true,
                ran: Some(false),
                reason: Some(reason.into()),
                ..CronRunResult::default()
            });
        }
        let is_due = job.definition.enabled && job.next.is_some_and(|next| next <= now);
        let begun = self
            .deps
            .state
            .with(|state| state.begin(&job.id, !is_due, now, &rules));
        let Some(change) = begun else {
            return reply.error(ErrorShape::unavailable(
                "the job cannot begin now; try again",
            ));
        };
        self.write(vec![change], ctx, move |scheduler, written, ctx| {
            match written {
                Ok(jobs) => {
                    let run_id = jobs.first().and_then(|job| job.running.as_ref());
                    let run_id = run_id.map(|running| running.run_id.clone());
                    reply.ok(&CronRunResult {
                        ok: true,
                        enqueued: Some(true),
                        run_id,
                        ..CronRunResult::default()
                    });
                    for job in &jobs {
                        scheduler.launch(job, ctx);
                    }
                }
                Err(error) => reply.error(store_error(&error)),
            }
            scheduler.look(ctx);
        });
    }
}
