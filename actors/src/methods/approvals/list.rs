//! `exec.approval.list`: what waits for a decision.

use actix::Handler;
use openclaw_protocol::methods::approvals::ExecApprovalList;

use crate::approvals::Approvals;
use crate::call::Call;

impl Handler<Call<ExecApprovalList>> for Approvals {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalList>, _: &mut Self::Context) {
        call.reply
            .ok(&self.deps.state.with(|state| state.pending()));
    }
}
