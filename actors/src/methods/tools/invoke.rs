//! `tools.invoke`: one tool, run for its caller as a run of theirs would. With an idempotency key it is
//! run once, whatever becomes of the connection, and its result is kept for whoever asks again.

use std::sync::Arc;

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::tools::{
    ToolFailure, ToolsInvoke, ToolsInvokeParams, ToolsInvokeResult,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::agent::AgentRunner;
use crate::agent::model::ToolCall;
use crate::agent::tools::{self, Origin, Tool, ToolContext, Toolbox};
use crate::call::{Call, Caller};
use crate::dedupe::Admitted;
use crate::dedupe::state::Stored;
use crate::methods::store_error;
use crate::sessions::keys::SessionKey;
use crate::settings::Settings;

/// Most calls at one time, over all connections.
const MAX_RUNNING: usize = 16;
/// Largest result that is kept for a second answer, bytes.
const MAX_KEPT: usize = 256 * 1024;
static RUNNING: Semaphore = Semaphore::const_new(MAX_RUNNING);

impl Handler<Call<ToolsInvoke>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, call: Call<ToolsInvoke>, _: &mut Self::Context) {
        let (params, caller, reply) = (call.params, call.caller, call.reply);
        let job = match self.tool_job(params, &caller) {
            Ok(job) => job,
            Err(error) => return reply.error(error),
        };
        actix_rt::spawn(async move {
            // Nobody is left to read the result of a connection that is over.
            tokio::select! {
                result = job.run() => reply.settle(result),
                () = caller.ended.wait() => {}
            }
        });
    }
}

impl Handler<Admitted<ToolsInvoke>> for AgentRunner {
    type Result = ();

    fn handle(&mut self, msg: Admitted<ToolsInvoke>, _: &mut Self::Context) {
        let Admitted { call, mut guard } = msg;
        let (params, caller, reply) = (call.params, call.caller, call.reply);
        let job = match self.tool_job(params, &caller) {
            Ok(job) => job,
            Err(error) => return guard.refuse(reply, error),
        };
        let (store, clock) = (self.deps.store.clone(), Arc::clone(&self.deps.clock));
        let accepting = match guard.accept(None, clock.now()) {
            Ok(op) => store.commit(vec![op]),
            Err(error) => return guard.refuse(reply, store_error(&error)),
        };
        actix_rt::spawn(async move {
            if let Err(error) = accepting.await {
                return guard.refuse(reply, store_error(&error));
            }
            guard.accepted();
            let result = job.run().await;
            let ended = match guard.finish(kept(&result), clock.now()) {
                Ok(op) => store.commit(vec![op]).await,
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => {
                    guard.finished();
                    reply.settle(result);
                }
                Err(error) => {
                    guard.lost();
                    reply.error(store_error(&error));
                }
            }
        });
    }
}

/// A call that has its place.
struct Job {
    tools: Toolbox,
    settings: Arc<Settings>,
    caller: Arc<Caller>,
    session: SessionKey,
    params: ToolsInvokeParams,
    _place: SemaphorePermit<'static>,
}

impl AgentRunner {
    fn tool_job(&self, params: ToolsInvokeParams, caller: &Arc<Caller>) -> Result<Job, ErrorShape> {
        let settings = self.deps.views.settings.load();
        let key = params.session_key.as_ref().unwrap_or(&settings.main_key);
        let agent = params.agent_id.as_deref();
        let session = super::session(&settings, key, agent, "tools.invoke")?;
        let place = RUNNING.try_acquire().map_err(|_| {
            let busy = format!("{MAX_RUNNING} tools run already; try again");
            ErrorShape::unavailable(busy).retry_after(1_000)
        })?;
        Ok(Job {
            tools: self.deps.tools.clone(),
            settings,
            caller: Arc::clone(caller),
            session,
            params,
            _place: place,
        })
    }
}

impl Job {
    async fn run(self) -> Result<ToolsInvokeResult, ErrorShape> {
        let Self {
            tools,
            settings,
            caller,
            session,
            params,
            _place,
        } = self;
        invoke(&tools, &settings, &caller, &session, params).await
    }
}

/// A result as it is kept for whoever asks again with the same key.
fn kept(result: &Result<ToolsInvokeResult, ErrorShape>) -> Stored {
    let payload = result.as_ref().ok().and_then(|result| {
        let bytes = to_bytes(result);
        if bytes.len() <= MAX_KEPT {
            return serde_json::from_slice(&bytes).ok();
        }
        let text = "[it was too large to be kept; use a new idempotencyKey to run the tool again]";
        let short = ToolsInvokeResult {
            output: Some(json!({ "content": [{ "type": "text", "text": text }] })),
            ..result.clone()
        };
        serde_json::to_value(&short).ok()
    });
    Stored {
        ok: result.is_ok(),
        payload,
        error: result.as_ref().err().cloned(),
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
    tools.prepare(settings, caller.scopes).await;
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
