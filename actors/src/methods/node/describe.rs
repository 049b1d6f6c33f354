//! `node.describe`: one node, with what is in effect.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::node::{NodeDescribe, NodeDescribeResult};

use crate::call::Caller;
use crate::methods::payload;
use crate::node::rows;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for NodeDescribe {
    fn read(views: &Views, caller: &Caller, params: Self::Params) -> Result<Bytes, ErrorShape> {
        let node = rows::find(views, caller, params.node_id.trim())
            .ok_or_else(|| ErrorShape::invalid("unknown nodeId"))?;
        Ok(payload(&NodeDescribeResult {
            ts: views.places.now_ms(),
            node,
        }))
    }
}
