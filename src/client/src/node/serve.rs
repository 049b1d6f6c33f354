//! One connection of a node: invocations in, results out.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use openclaw_protocol::events::{
    NODE_INVOKE_CANCEL, NODE_INVOKE_REQUEST, NodeInvokeCancelEvent, NodeInvokeRequestEvent,
};
use openclaw_protocol::methods::node_invoke::{
    DEFAULT_TIMEOUT_MS, NodeError, NodeInvokeResult, NodeInvokeResultParams,
};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

use super::invocation::{CommandError, Gateway, Invocation, Progress};
use super::link::NodeReport;
use super::{Handler, Node};
use crate::{CloseReason, Connection, Error, Event, EventMessage};

/// Room in a frame for what is around a result, bytes.
const AROUND: usize = 4 * 1024;

/// How a command ended.
struct Ended {
    id: String,
    command: String,
    took: Duration,
    error: Option<CommandError>,
}

/// The commands of one connection that are under way.
struct Serving<'a> {
    node: &'a Node,
    gateway: Gateway,
    tasks: JoinSet<Ended>,
    running: BTreeMap<String, AbortHandle>,
}

impl Node {
    /// Carries out what a connection asks for until it ends; then ends what is still under way.
    pub async fn serve(
        &self,
        connection: Connection,
        mut report: impl FnMut(NodeReport<'_>),
    ) -> CloseReason {
        let hello = Arc::new(connection.hello.clone());
        let (client, mut events) = connection.into_parts();
        let gateway = Gateway { client, hello };
        report(NodeReport::Connected(&gateway));
        let mut serving = Serving {
            node: self,
            gateway: gateway.clone(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        };
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Message(message)) => serving.take(message),
                    // Invocations are not numbered, so none of them is in a gap.
                    Some(Event::Gap { .. }) => {}
                    None => break,
                },
                Some(ended) = serving.tasks.join_next() => {
                    if let Ok(ended) = ended {
                        serving.running.remove(&ended.id);
                        let Ended { command, took, error, .. } = ended;
                        report(NodeReport::Done { command: &command, took, error: error.as_ref() });
                    } else {
                        // Cancelled; its entry went with the cancellation.
                    }
                }
            }
        }
        serving.tasks.shutdown().await;
        gateway.client.closed().await
    }
}

impl Serving<'_> {
    fn take(&mut self, message: EventMessage) {
        match message.name.as_str() {
            NODE_INVOKE_REQUEST => {
                match serde_json::from_value::<NodeInvokeRequestEvent>(message.payload) {
                    Ok(asked) => self.begin(asked),
                    Err(error) => tracing::warn!(%error, "an invocation is not understood"),
                }
            }
            NODE_INVOKE_CANCEL => {
                let cancel: Option<NodeInvokeCancelEvent> =
                    serde_json::from_value(message.payload).ok();
                if let Some(running) = cancel.and_then(|it| self.running.remove(&it.invoke_id)) {
                    running.abort();
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, asked: NodeInvokeRequestEvent) {
        if self.running.contains_key(&asked.id) {
            tracing::debug!(id = %asked.id, "an invocation that is under way came again");
            return;
        }
        let found = self.node.commands.get(&asked.command).cloned();
        let handler = match found {
            None => Err(CommandError::new(
                "UNKNOWN_COMMAND",
                format!("this node has no command {}", asked.command),
            )),
            Some(_) if self.running.len() >= self.node.limit => Err(CommandError::new(
                "BUSY",
                format!(
                    "this node carries out {} commands already; ask again later",
                    self.node.limit
                ),
            )),
            Some(handler) => Ok(handler),
        };
        let id = asked.id.clone();
        let work = carry_out(self.gateway.clone(), asked, handler);
        let task = self.tasks.spawn(work);
        self.running.insert(id, task);
    }
}

/// Carries one command out and tells the gateway what came of it.
async fn carry_out(
    gateway: Gateway,
    asked: NodeInvokeRequestEvent,
    handler: Result<Handler, CommandError>,
) -> Ended {
    let started = Instant::now();
    let time = Duration::from_millis(asked.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS));
    let outcome = match handler {
        Ok(handler) => ask(&gateway, &asked, &handler, time).await,
        Err(refused) => Err(refused),
    };
    let error = answer(&gateway, &asked, outcome).await;
    Ended {
        id: asked.id,
        command: asked.command,
        took: started.elapsed(),
        error,
    }
}

async fn ask(
    gateway: &Gateway,
    asked: &NodeInvokeRequestEvent,
    handler: &Handler,
    time: Duration,
) -> Result<Value, CommandError> {
    let params = match asked.params_json.as_deref() {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).map_err(|error| {
            CommandError::invalid(format!("the parameters are no JSON: {error}"))
        })?,
    };
    let progress = Progress {
        gateway: gateway.clone(),
        node: asked.node_id.clone(),
        id: asked.id.clone(),
        next: Arc::new(Mutex::new(0)),
    };
    let invocation = Invocation {
        command: asked.command.clone(),
        params,
        time,
        key: asked.idempotency_key.clone(),
        progress,
        gateway: gateway.clone(),
    };
    // The function itself may panic as well as its future.
    let work = AssertUnwindSafe(async { handler(invocation).await }).catch_unwind();
    match timeout(time, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(CommandError::new(
            "INTERNAL",
            format!("{} failed inside this node", asked.command),
        )),
        Err(_) => Err(CommandError::new(
            "TIMEOUT",
            format!("{} took longer than {} ms", asked.command, time.as_millis()),
        )),
    }
}

/// Sends what came of a command; gives back why it failed.
async fn answer(
    gateway: &Gateway,
    asked: &NodeInvokeRequestEvent,
    outcome: Result<Value, CommandError>,
) -> Option<CommandError> {
    let most = usize::try_from(gateway.hello.policy.max_payload).unwrap_or(usize::MAX);
    let outcome = outcome.and_then(|value| {
        let text = (!value.is_null()).then(|| value.to_string());
        match text {
            Some(text) if text.len() + AROUND > most => Err(too_large(text.len(), most)),
            text => Ok(text),
        }
    });
    let (error, sent) = match outcome {
        Ok(text) => {
            let sent = send(gateway, asked, Ok(text)).await;
            // It became larger on its way into the frame.
            match sent {
                Err(Error::Protocol(why)) => {
                    let error = CommandError::new("PAYLOAD_TOO_LARGE", why);
                    let sent = send(gateway, asked, Err(&error)).await;
                    (Some(error), sent)
                }
                sent => (None, sent),
            }
        }
        Err(error) => {
            let sent = send(gateway, asked, Err(&error)).await;
            (Some(error), sent)
        }
    };
    if let Err(error) = sent {
        tracing::debug!(%error, command = %asked.command, "a result did not arrive");
    }
    error
}

fn too_large(size: usize, most: usize) -> CommandError {
    CommandError::new(
        "PAYLOAD_TOO_LARGE",
        format!("the result has {size} bytes, and the gateway takes {most} at once; ask for less"),
    )
}

async fn send(
    gateway: &Gateway,
    asked: &NodeInvokeRequestEvent,
    outcome: Result<Option<String>, &CommandError>,
) -> Result<(), Error> {
    let mut params = NodeInvokeResultParams {
        id: asked.id.clone(),
        node_id: asked.node_id.clone(),
        ok: outcome.is_ok(),
        ..NodeInvokeResultParams::default()
    };
    match outcome {
        Ok(text) => params.payload_json = text.map(Value::String),
        Err(error) => {
            params.error.0 = Some(NodeError {
                code: Some(error.code.clone()).filter(|text| !text.is_empty()),
                message: Some(error.message.clone()).filter(|text| !text.is_empty()),
            });
        }
    }
    let told = gateway.client.request::<NodeInvokeResult>(&params).await?;
    if told.ignored == Some(true) {
        tracing::debug!(command = %asked.command, "a result came too late");
    }
    Ok(())
}
