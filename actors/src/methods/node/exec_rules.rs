//! `exec.approvals.node.get` and `exec.approvals.node.set`: the rules that a node keeps itself. The node is asked for
//! them, and refuses as it likes.

use std::time::Duration;

use actix::{Context, Handler};
use openclaw_protocol::methods::approvals::{
    ExecApprovalsNodeGet, ExecApprovalsNodeSet, ExecApprovalsNodeSnapshot,
};
use openclaw_protocol::{ErrorShape, Scope};
use serde_json::{Value, json};

use crate::call::{Call, Caller};
use crate::node::invoke::{By, Invocation, InvokeDeps};
use crate::node::invokes::{Answer, Given};
use crate::node::{Nodes, refusal};
use crate::pairing::Authority;

/// How long a node may take.
const LIMIT: Duration = Duration::from_secs(15);

const ONE_OF_TWO: &str = "invalid exec.approvals.node.set params: at root: one of 'file' and 'native' is needed, the one that exec.approvals.node.get gave";

impl Handler<Call<ExecApprovalsNodeGet>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalsNodeGet>, _: &mut Context<Self>) {
        let deps = self.deps.invoke.clone();
        let Call {
            params,
            caller,
            reply,
        } = call;
        actix_rt::spawn(async move {
            match ask(
                &deps,
                &caller,
                params.node_id,
                "system.execApprovals.get",
                json!({}),
            )
            .await
            {
                Ok(rules) => reply.ok(&rules),
                Err(error) => reply.error(error),
            }
        });
    }
}

impl Handler<Call<ExecApprovalsNodeSet>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<ExecApprovalsNodeSet>, _: &mut Context<Self>) {
        let deps = self.deps.invoke.clone();
        let Call {
            params,
            caller,
            reply,
        } = call;
        // As the official gateway hands them on: a file under its name, a list as it is.
        let mut asked = match (&params.file, &params.native) {
            (Some(file), None) => json!({ "file": file }),
            (None, Some(native)) => json!(native),
            _ => {
                reply.error(ErrorShape::invalid(ONE_OF_TWO));
                return;
            }
        };
        if let Some(hash) = params.base_hash {
            asked["baseHash"] = hash.into();
        }
        actix_rt::spawn(async move {
            match ask(
                &deps,
                &caller,
                params.node_id,
                "system.execApprovals.set",
                asked,
            )
            .await
            {
                Ok(rules) => reply.ok(&rules),
                Err(error) => reply.error(error),
            }
        });
    }
}

async fn ask(
    deps: &InvokeDeps,
    caller: &Caller,
    node: String,
    command: &str,
    params: Value,
) -> Result<ExecApprovalsNodeSnapshot, ErrorShape> {
    let authority = Authority::of(caller);
    let by = By {
        scopes: caller.scopes,
        generation: caller.generation,
        decides: authority.scopes.grants(Scope::Pairing) && authority.reaches(&node),
        agent: None,
        session: None,
    };
    let what = Invocation {
        node,
        command: command.to_owned(),
        params: Some(params),
        timeout: LIMIT,
        key: deps.entropy.uuid().to_string(),
        progress: None,
    };
    let placed = deps.place_rules(&by, what).await?;
    tracing::info!(node = ?placed.node().caller.device_id, %command, by = %caller.principal(), "a node is asked for its own rules");
    let (answer, sent) = deps.carry_out(placed).await;
    let value = match answer {
        Answer::Done(Given::Value(value)) => Some(value),
        Answer::Done(Given::Text(text)) => serde_json::from_str(&text).ok(),
        Answer::Failed { code, message } => {
            let (code, message) = (code.as_deref(), message.as_deref());
            return Err(refusal::node_error(code, message, sent, caller.generation));
        }
    };
    let rules = value.and_then(|value| serde_json::from_value(value).ok());
    let rules = rules.filter(ExecApprovalsNodeSnapshot::is_whole);
    rules.ok_or_else(|| {
        ErrorShape::unavailable("the node answered with something else than its rules")
    })
}
