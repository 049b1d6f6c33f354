//! `exec.approval.request`: a client asks on its own behalf. The decision goes back to it; it is bound
//! to nothing here, and nothing here runs by it.

use std::time::Duration;

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::approvals::{
    ExecApprovalRequest, ExecApprovalRequestParams, ExecRequest,
};
use serde_json::json;

use crate::approvals::Approvals;
use crate::call::Call;

/// How long a request waits when it names no time.
const DEFAULT_WAIT: Duration = Duration::from_mins(2);

impl Handler<Call<ExecApprovalRequest>> for Approvals {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalRequest>, ctx: &mut Self::Context) {
        let (params, mut reply) = (call.params, call.reply);
        let two_phase = params.two_phase == Some(true);
        let wait = params
            .timeout_ms
            .map_or(DEFAULT_WAIT, Duration::from_millis);
        let id = params.id.clone();
        let id = id.unwrap_or_else(|| self.deps.entropy.uuid().to_string());
        let request = match shown(params) {
            Ok(request) => request,
            Err(error) => return reply.error(error),
        };
        let told = match self.ask(id.clone(), request, None, wait, ctx) {
            Ok(told) => told,
            Err(full) => {
                let error = ErrorShape::unavailable(full.to_string());
                return reply.error(error.retry_after(5_000));
            }
        };
        let now = self.now();
        let times = self.deps.state.with(|state| {
            let one = state.get(&id);
            one.map_or((now, now), |one| (one.created_at_ms, one.expires_at_ms))
        });
        if two_phase {
            reply.interim(&json!({ "status": "accepted", "id": id, "createdAtMs": times.0, "expiresAtMs": times.1 }));
        }
        actix_rt::spawn(async move {
            let decision = told.await.ok().flatten();
            reply.ok(&super::decided(id, times, decision));
        });
    }
}

fn shown(params: ExecApprovalRequestParams) -> Result<ExecRequest, ErrorShape> {
    let argv = params.command_argv.unwrap_or_default();
    let command = params
        .command
        .or_else(|| (!argv.is_empty()).then(|| argv.join(" ")));
    let command = command.ok_or_else(|| {
        ErrorShape::invalid(
            "invalid exec.approval.request params: at root: command or commandArgv is required",
        )
    })?;
    let text =
        |text: Option<openclaw_protocol::methods::approvals::Text>| text.and_then(|text| text.0);
    Ok(ExecRequest {
        command,
        command_argv: argv,
        cwd: text(params.cwd),
        host: text(params.host),
        node_id: text(params.node_id),
        security: text(params.security),
        ask: text(params.ask),
        agent_id: text(params.agent_id),
        resolved_path: text(params.resolved_path),
        session_key: text(params.session_key),
        warning_text: text(params.warning_text),
        allowed_decisions: Vec::new(),
    })
}
