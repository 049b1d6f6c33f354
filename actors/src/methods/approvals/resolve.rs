//! `exec.approval.resolve`: a person decides.

use actix::{ActorFutureExt as _, AtomicResponse, Handler, WrapFuture as _, fut};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::approvals::ExecApprovalResolve;
use openclaw_protocol::methods::common::OkResult;

use crate::approvals::state::Decision;
use crate::approvals::{Approvals, End, decision};
use crate::call::Call;

impl Handler<Call<ExecApprovalResolve>> for Approvals {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, call: Call<ExecApprovalResolve>, _: &mut Self::Context) -> Self::Result {
        let (params, caller, reply) = (call.params, call.caller, call.reply);
        let done = || AtomicResponse::new(Box::pin(fut::ready(())));
        let Some(decision) = decision(&params.decision) else {
            reply.error(ErrorShape::invalid(
                "invalid exec.approval.resolve params: at /decision: use allow-once, allow-always or deny",
            ));
            return done();
        };
        let known = self.deps.state.with(|state| state.get(&params.id).cloned());
        let Some(waiting) = known else {
            reply.error(super::unknown());
            return done();
        };
        if !waiting.request.allowed_decisions.contains(&params.decision) {
            reply.error(ErrorShape::invalid(format!(
                "invalid exec.approval.resolve params: at /decision: this one takes {}",
                waiting.request.allowed_decisions.join(" or ")
            )));
            return done();
        }
        let by = caller.principal();
        let now = self.now();
        let rules = (decision == Decision::AllowAlways)
            .then(|| {
                self.deps
                    .state
                    .with(|state| state.with_always(&params.id, now))
            })
            .flatten();
        let stored = rules.map(|rules| self.store(rules));
        let work = async move {
            match stored {
                Some(stored) => stored.await,
                None => Ok(()),
            }
        };
        // Nothing else changes the rules meanwhile.
        AtomicResponse::new(Box::pin(work.into_actor(self).map(
            move |stored, approvals, _| match stored {
                Ok(()) => {
                    approvals.end(&params.id, End::Decided(decision, by));
                    reply.ok(&OkResult { ok: true });
                }
                Err(error) => reply.error(crate::methods::store_error(&error)),
            },
        )))
    }
}
