//! `exec.approval.waitDecision`: waits with those who asked.

use actix::Handler;
use openclaw_protocol::methods::approvals::ExecApprovalWaitDecision;

use crate::approvals::Approvals;
use crate::approvals::state::Wait;
use crate::call::Call;

impl Handler<Call<ExecApprovalWaitDecision>> for Approvals {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalWaitDecision>, _: &mut Self::Context) {
        let (id, caller, reply) = (call.params.id, call.caller, call.reply);
        match self.deps.state.with(|state| state.wait(&id)) {
            Wait::Unknown => reply.error(super::unknown()),
            Wait::Decided(known) => reply.ok(&super::decided(id, known.times, known.decision)),
            Wait::Waiting(times, told) => {
                actix_rt::spawn(async move {
                    tokio::select! {
                        told = told => reply.ok(&super::decided(id, times, told.ok().flatten())),
                        () = caller.ended.wait() => {}
                    }
                });
            }
        }
    }
}
