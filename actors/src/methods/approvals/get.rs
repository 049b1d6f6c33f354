//! `exec.approval.get`: one that waits.

use actix::Handler;
use openclaw_protocol::methods::approvals::ExecApprovalGet;

use crate::approvals::Approvals;
use crate::call::Call;

impl Handler<Call<ExecApprovalGet>> for Approvals {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalGet>, _: &mut Self::Context) {
        let found = self
            .deps
            .state
            .with(|state| state.get(&call.params.id).cloned());
        call.reply.settle(found.ok_or_else(super::unknown));
    }
}
