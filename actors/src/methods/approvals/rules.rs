//! `exec.approvals.get` and `exec.approvals.set`: the lasting rules.

use actix::{ActorFutureExt as _, AtomicResponse, Handler, WrapFuture as _, fut};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::approvals::{
    ExecApprovalsGet, ExecApprovalsSet, ExecApprovalsSnapshot,
};

use crate::approvals::Approvals;
use crate::approvals::state::{Rules, State};
use crate::call::Call;

fn snapshot(state: &State) -> ExecApprovalsSnapshot {
    let rules = state.rules().cloned();
    let exists = rules.is_some();
    let rules = rules.unwrap_or_default();
    ExecApprovalsSnapshot {
        path: "store:exec_approvals".into(),
        exists,
        hash: rules.hash(),
        file: rules.file,
        resolved_defaults: Some(state.resolved(None)),
    }
}

impl Handler<Call<ExecApprovalsGet>> for Approvals {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalsGet>, _: &mut Self::Context) {
        call.reply
            .ok(&self.deps.state.with(|state| snapshot(state)));
    }
}

impl Handler<Call<ExecApprovalsSet>> for Approvals {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, call: Call<ExecApprovalsSet>, _: &mut Self::Context) -> Self::Result {
        let (params, reply) = (call.params, call.reply);
        let present = self.deps.state.with(|state| state.rules().map(Rules::hash));
        let refusal = match (&present, &params.base_hash) {
            (Some(_), None) => Some(
                "exec approvals base hash required; call exec.approvals.get, and send its hash as baseHash",
            ),
            (Some(hash), Some(base)) if hash != base => {
                Some("exec approvals changed since last load; call exec.approvals.get and retry")
            }
            _ => None,
        };
        if let Some(refusal) = refusal {
            reply.error(ErrorShape::invalid(refusal));
            return AtomicResponse::new(Box::pin(fut::ready(())));
        }
        let stored = self.store(Rules { file: params.file });
        // Nothing else changes the rules meanwhile.
        AtomicResponse::new(Box::pin(stored.into_actor(self).map(
            |stored, approvals, _| match stored {
                Ok(()) => reply.ok(&approvals.deps.state.with(|state| snapshot(state))),
                Err(error) => reply.error(crate::methods::store_error(&error)),
            },
        )))
    }
}
