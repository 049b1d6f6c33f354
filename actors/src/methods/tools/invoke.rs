//! `tools.invoke`: one tool, run for its caller as a run of theirs would.

use std::sync::Arc;

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::tools::{
    ToolFailure, ToolsInvoke, ToolsInvokeParams, ToolsInvokeResult,
};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::agent::AgentRunner;
use crate::agent::model::ToolCall;
use crate::agent::tools::{self, Origin, Tool, ToolContext, Toolbox};
use crate::call::{Call, Caller};
use crate::sessions::keys::SessionKey;
use crate::settings::Settings;

/// Most calls at one time, over all connections.
const MAX_RUNNING: usize = 16;
static RUNNING: Semaphore = Semaphore::const_new(MAX_RUNNING);

impl Handler<Call<ToolsInvoke>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ToolsInvoke>, _: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        let params = call.params;
        let key = params.session_key.as_ref().unwrap_or(&settings.main_key);
        let agent = params.agent_id.as_deref();
        let session = match super::session(&settings, key, agent, "tools.invoke") {
            Ok(session) => session,
            Err(error) => return call.reply.error(error),
        };
        let Ok(place) = RUNNING.try_acquire() else {
            let busy = format!("{MAX_RUNNING} tools run already; try again");
            return call
                .reply
                .error(ErrorShape::unavailable(busy).retry_after(1_000));
        };
        let (tools, caller, reply) = (self.deps.tools.clone(), call.caller, call.reply);
        actix_rt::spawn(async move {
            let _place = place;
            // Nobody is left to read the result of a connection that is over.
            tokio::select! {
                result = invoke(&tools, &settings, &caller, &session, params) => reply.settle(result),
                () = caller.ended.wait() => {}
            }
        });
    }
}

async fn invoke(
    tools: &Toolbox,
    settings: &Settings,
    caller: &Caller,
    session: &SessionKey,
    params: ToolsInvokeParams,
) -> Result<ToolsInvokeResult, ErrorShape> {
    let agent = super::agent(settings, &session.agent, "tools.invoke")?;
    let inventory = tools.inventory(agent, caller.scopes);
    let found: Option<&Arc<dyn Tool>> = inventory
        .iter()
        .find(|tool| tool.descriptor().name == params.name);
    let Some(tool) = found else {
        return Ok(failed(
            params.name.clone(),
            None,
            "not_found",
            format!("Tool not available: {}", params.name),
        ));
    };
    let call = ToolCall {
        id: String::new(),
        name: params.name.clone(),
        arguments: Value::Object(params.args.unwrap_or_default()),
        signature: None,
    };
    let cx = ToolContext {
        agent,
        session: &session.canonical,
        origin: &Origin::of(caller),
        settings,
        deps: tools.deps(),
        progress: &|_| {},
    };
    let outcome = tools::run(Some(&**tool), &cx, &call, &[]).await;
    let output = Some(outcome.shown());
    if outcome.is_error {
        return Ok(failed(params.name, output, "tool_failed", outcome.text));
    }
    Ok(ToolsInvokeResult {
        ok: true,
        tool_name: params.name,
        output,
        source: Some("core".into()),
        error: None,
    })
}

fn failed(tool: String, output: Option<Value>, code: &str, message: String) -> ToolsInvokeResult {
    ToolsInvokeResult {
        ok: false,
        tool_name: tool,
        output,
        source: Some("core".into()),
        error: Some(ToolFailure {
            code: code.into(),
            message,
        }),
    }
}
