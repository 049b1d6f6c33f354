//! `node.invoke`: has a node carry out a command, once for each key.

use std::sync::Arc;

use actix::{Context, Handler};
use openclaw_protocol::client::ClientMode;
use openclaw_protocol::methods::node_invoke::NodeInvoke;
use openclaw_protocol::{ClientId, ErrorCode, ErrorShape, Generation, Scope, depth};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::call::{Call, Caller};
use crate::dedupe::state::Stored;
use crate::dedupe::{Admitted, KeyGuard};
use crate::methods::store_error;
use crate::node::invoke::{By, Invocation, InvokeDeps, timeout};
use crate::node::invokes::{Answer, Given};
use crate::node::{Nodes, refusal};
use crate::pairing::Authority;
use crate::store::StoreHandle;

/// Largest result that is kept for those who ask again with the same key, bytes: there may be ten
/// thousand of them. A photo is not among them.
const MAX_KEPT: usize = 64 * 1024;

impl Handler<Admitted<NodeInvoke>> for Nodes {
    type Result = ();

    fn handle(&mut self, msg: Admitted<NodeInvoke>, _: &mut Context<Self>) {
        let (deps, store) = (self.deps.invoke.clone(), self.deps.store.clone());
        let Admitted { call, guard } = msg;
        let caller = Arc::clone(&call.caller);
        let ends_with_it = ends_with_connection(&caller);
        actix_rt::spawn(async move {
            tokio::select! {
                // Dropped, it is cancelled where it stands.
                () = caller.ended.wait(), if ends_with_it => {}
                () = serve(&deps, &store, call, guard) => {}
            }
        });
    }
}

/// Whether a command ends with the connection that asked for it: the command line's do, because its
/// person pressed Ctrl-C. The official parameters have no key to ask for it.
fn ends_with_connection(caller: &Caller) -> bool {
    let client = &caller.client;
    client.id == ClientId::Cli && client.mode == ClientMode::Cli
}

async fn serve(
    deps: &InvokeDeps,
    store: &StoreHandle,
    call: Call<NodeInvoke>,
    mut guard: KeyGuard,
) {
    let Call {
        params,
        caller,
        reply,
    } = call;
    let authority = Authority::of(&caller);
    let by = By {
        scopes: caller.scopes,
        generation: caller.generation,
        decides: authority.scopes.grants(Scope::Pairing) && authority.reaches(&params.node_id),
        agent: None,
        session: params.session_key,
    };
    let what = Invocation {
        node: params.node_id.clone(),
        command: params.command.clone(),
        params: params.params,
        timeout: timeout(params.timeout_ms),
        key: params.idempotency_key,
        progress: None,
    };
    let placed = match deps.place(&by, what).await {
        Ok(placed) => placed,
        Err(error) => {
            return guard.refuse(reply, error);
        }
    };
    let accepted = match guard.accept(None, deps.clock.now()) {
        Ok(op) => store.commit(vec![op]).await,
        Err(error) => Err(error),
    };
    if let Err(error) = accepted {
        return guard.refuse(reply, store_error(&error));
    }
    guard.accepted();
    tracing::info!(node = %params.node_id, command = %params.command, by = %caller.principal(), "a node is asked");
    let (answer, sent) = deps.carry_out(placed).await;
    let end = End::of(
        &params.node_id,
        &params.command,
        answer,
        sent,
        caller.generation,
    );
    let finished = match guard.finish(end.stored(), deps.clock.now()) {
        Ok(op) => store.commit(vec![op]).await,
        Err(error) => Err(error),
    };
    match finished {
        Ok(()) => guard.finished(),
        // It happened all the same, and its caller is told so.
        Err(error) => {
            tracing::warn!(%error, "the result of a node cannot be kept");
            guard.lost();
        }
    }
    match &end {
        End::Done(done) => reply.ok_as(&done.wire()),
        End::Failed(error) => reply.error(error.clone()),
    }
}

/// How it ended, as its caller learns it.
enum End {
    Done(Done),
    Failed(ErrorShape),
}

struct Done {
    node: String,
    command: String,
    given: Given,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireDone<'a> {
    ok: bool,
    node_id: &'a str,
    command: &'a str,
    payload: Payload<'a>,
    #[serde(rename = "payloadJSON")]
    payload_json: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Raw(&'a RawValue),
    Value(&'a Value),
}

impl End {
    fn of(node: &str, command: &str, answer: Answer, sent: bool, generation: Generation) -> Self {
        match answer {
            Answer::Done(given) => Self::Done(Done {
                node: node.to_owned(),
                command: command.to_owned(),
                given,
            }),
            Answer::Failed { code, message } => Self::Failed(refusal::node_error(
                code.as_deref(),
                message.as_deref(),
                sent,
                generation,
            )),
        }
    }

    /// What those get who ask again with the same key.
    fn stored(&self) -> Stored {
        let failed = |error| Stored {
            ok: false,
            payload: None,
            error: Some(error),
        };
        match self {
            Self::Failed(error) => failed(error.clone()),
            Self::Done(done) => {
                let size = done.size();
                if size > MAX_KEPT {
                    let message = format!(
                        "the node carried it out, and its result of {size} bytes was not kept; use a new idempotencyKey to ask again"
                    );
                    let details =
                        json!({ "code": "RESULT_NOT_KEPT", "nodeCommandDispatched": true });
                    return failed(
                        ErrorShape::new(ErrorCode::Unavailable, message).with_details(details),
                    );
                }
                Stored {
                    ok: true,
                    payload: serde_json::to_value(done.wire()).ok(),
                    error: None,
                }
            }
        }
    }
}

impl Done {
    fn size(&self) -> usize {
        match &self.given {
            Given::Text(text) => 2 * text.len(),
            Given::Value(value) => value.to_string().len(),
        }
    }

    fn wire(&self) -> WireDone<'_> {
        let (payload, payload_json) = match &self.given {
            Given::Value(value) => (Payload::Value(value), None),
            Given::Text(text) => {
                // Nested deeper than a request may be, it could not be sent on.
                let decoded = (!depth::too_deep(text))
                    .then(|| serde_json::from_str::<&RawValue>(text).ok())
                    .flatten();
                let payload = decoded.map_or(Payload::Value(&Value::Null), Payload::Raw);
                (payload, Some(text.as_str()))
            }
        };
        WireDone {
            ok: true,
            node_id: &self.node,
            command: &self.command,
            payload,
            payload_json,
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::node_invoke::NodeInvoked;

    use super::*;

    fn wire(given: Given) -> NodeInvoked {
        let done = Done {
            node: "n".into(),
            command: "device.info".into(),
            given,
        };
        serde_json::from_slice(&openclaw_protocol::frame::to_bytes(&done.wire())).unwrap()
    }

    #[test]
    fn a_result_is_given_decoded_and_as_it_was_written() {
        let text = |text: &str| Given::Text(text.to_owned());
        let done = wire(text(" {\"a\": [1]} "));
        assert_eq!(done.payload, json!({"a": [1]}));
        assert_eq!(done.payload_json.0.as_deref(), Some(" {\"a\": [1]} "));
        for broken in ["{", "", &"[".repeat(1_000)] {
            let done = wire(text(broken));
            assert_eq!(
                (done.payload, done.payload_json.0.as_deref()),
                (Value::Null, Some(broken))
            );
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(wire(text(&deep)).payload, Value::Null);
        let done = wire(Given::Value(json!([1])));
        assert_eq!((done.payload, done.payload_json.0), (json!([1]), None));
    }

    #[test]
    fn a_large_result_is_not_kept_and_says_so() {
        let end = |text: String| {
            End::Done(Done {
                node: "n".into(),
                command: "camera.snap".into(),
                given: Given::Text(text),
            })
        };
        assert!(end("[]".into()).stored().ok);
        let stored = end("x".repeat(MAX_KEPT)).stored();
        assert!(!stored.ok);
        assert_eq!(
            stored.error.unwrap().details.unwrap()["code"],
            "RESULT_NOT_KEPT"
        );
    }
}
