//! `node.pending.*`: what waits for a node until it comes by. Acknowledged means committed.

use actix::{
    ActorFutureExt as _, AtomicResponse, Context, Handler, ResponseActFuture, WrapFuture as _, fut,
};
use openclaw_protocol::methods::common::Nullable;
use openclaw_protocol::methods::node_side::{
    AskedPriority, NodePendingAck, NodePendingAckResult, NodePendingDrain, NodePendingDrainResult,
    NodePendingEnqueue, NodePendingEnqueueResult, NodePendingPull, NodePendingPullResult,
    PendingItem, PendingPriority,
};
use openclaw_protocol::{ErrorShape, Method};

use crate::call::{Call, Reply};
use crate::methods::store_error;
use crate::node::Nodes;
use crate::node::pending::{Queue, row};
use crate::store::{Op, StoreError, Table};

/// What changes a queue: the answer, once it is committed.
type Changing = AtomicResponse<Nodes, ()>;

fn done() -> Changing {
    AtomicResponse::new(Box::pin(fut::ready(())))
}

impl Nodes {
    fn queue(&self, node: &str) -> Result<Queue, StoreError> {
        let reader = self.deps.store.reader();
        let queue = reader.get_json(Table::Nodes, &row(node))?;
        Ok(queue.unwrap_or_default())
    }

    /// Commits a queue, then answers. Nothing else changes it meanwhile.
    fn keep<M: Method>(
        &self,
        node: &str,
        queue: &Queue,
        reply: Reply<M>,
        result: M::Result,
    ) -> Changing {
        let op = Op::put_json(Table::Nodes, row(node), queue);
        let store = self.deps.store.clone();
        let work = async move { store.commit(vec![op?]).await };
        let work: ResponseActFuture<Self, ()> =
            Box::pin(work.into_actor(self).map(move |kept, _, _| match kept {
                Ok(()) => reply.ok(&result),
                Err(error) => reply.error(store_error(&error)),
            }));
        AtomicResponse::new(work)
    }
}

impl Handler<Call<NodePendingEnqueue>> for Nodes {
    type Result = Changing;

    fn handle(&mut self, call: Call<NodePendingEnqueue>, _: &mut Context<Self>) -> Changing {
        let (params, reply) = (call.params, call.reply);
        let node = params.node_id;
        if !self
            .deps
            .invoke
            .views
            .node_trust
            .load()
            .contains_key(&*node)
        {
            reply.error(ErrorShape::invalid("unknown nodeId"));
            return done();
        }
        let mut queue = match self.queue(&node) {
            Ok(queue) => queue,
            Err(error) => {
                reply.error(store_error(&error));
                return done();
            }
        };
        let now = self.deps.invoke.clock.now().wire();
        let item = PendingItem {
            id: self.deps.invoke.entropy.uuid().to_string(),
            kind: params.kind,
            priority: match params.priority {
                Some(AskedPriority::High) => PendingPriority::High,
                Some(AskedPriority::Normal) | None => PendingPriority::Normal,
            },
            created_at_ms: now,
            expires_at_ms: Nullable(params.expires_in_ms.map(|span| now + span)),
        };
        let queued = queue.enqueue(item, now);
        let result = NodePendingEnqueueResult {
            node_id: node.clone(),
            revision: queue.revision,
            queued,
            wake_triggered: false,
        };
        self.keep(&node, &queue, reply, result)
    }
}

impl Handler<Call<NodePendingDrain>> for Nodes {
    type Result = Changing;

    fn handle(&mut self, call: Call<NodePendingDrain>, _: &mut Context<Self>) -> Changing {
        let node = call.caller.device_id.clone().unwrap_or_default();
        let mut queue = match self.queue(&node) {
            Ok(queue) => queue,
            Err(error) => {
                call.reply.error(store_error(&error));
                return done();
            }
        };
        let before = queue.revision;
        let now = self.deps.invoke.clock.now().wire();
        let (items, has_more) = queue.take(call.params.max_items, now);
        let result = NodePendingDrainResult {
            node_id: node.clone(),
            revision: queue.revision,
            items,
            has_more,
        };
        if queue.revision == before {
            call.reply.ok(&result);
            return done();
        }
        self.keep(&node, &queue, call.reply, result)
    }
}

impl Handler<Call<NodePendingPull>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodePendingPull>, _: &mut Context<Self>) {
        call.reply.ok(&NodePendingPullResult {
            node_id: call.caller.device_id.clone().unwrap_or_default(),
            actions: Vec::new(),
        });
    }
}

/// Acknowledges what was pulled; what is drained is gone with that.
impl Handler<Call<NodePendingAck>> for Nodes {
    type Result = ();

    fn handle(&mut self, call: Call<NodePendingAck>, _: &mut Context<Self>) {
        call.reply.ok(&NodePendingAckResult {
            node_id: call.caller.device_id.clone().unwrap_or_default(),
            acked_ids: call.params.ids,
            remaining_count: 0,
        });
    }
}
