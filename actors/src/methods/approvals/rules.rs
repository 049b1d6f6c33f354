//! `exec.approvals.get` and `exec.approvals.set`: the lasting rules.

use actix::{ActorFutureExt as _, AtomicResponse, Handler, WrapFuture as _, fut};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::approvals::{
    ExecApprovalsGet, ExecApprovalsSet, ExecApprovalsSnapshot,
};

use crate::approvals::Approvals;
use crate::approvals::state::{Rules, State};
use crate::audit::{AuditRow, Kind};
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

/// The rules for the audit trail, which names no program of them.
fn in_words(rules: &ExecApprovalsSnapshot) -> String {
    let agents = rules.file.agents.iter().flatten();
    let listed: usize = agents
        .map(|(_, agent)| agent.allowlist.as_ref().map_or(0, Vec::len))
        .sum();
    let (security, ask) = rules
        .resolved_defaults
        .as_ref()
        .map_or(("", ""), |rules| (&*rules.security, &*rules.ask));
    format!("security {security}, ask {ask}, {listed} programs on allowlists")
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
        let (params, caller, reply) = (call.params, call.caller, call.reply);
        let present = self.deps.state.with(|state| state.rules().map(Rules::hash));
        let socket = params.file.socket.as_ref();
        let refusal = match (&present, &params.base_hash) {
            // A secret that nothing here would use is not kept.
            _ if socket.is_some_and(|socket| socket.token.is_some()) => Some(
                "invalid exec.approvals.set params: at /file/socket/token: this gateway has no such socket; leave 'token' out",
            ),
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
            move |stored, approvals, _| match stored {
                Ok(()) => {
                    let now = approvals.deps.state.with(|state| snapshot(state));
                    let row = AuditRow::new(Kind::ExecRulesChanged).by(caller.principal());
                    approvals.deps.audit.record(&row.reason(in_words(&now)));
                    reply.ok(&now);
                }
                Err(error) => reply.error(crate::methods::store_error(&error)),
            },
        )))
    }
}
