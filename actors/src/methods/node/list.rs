//! `node.list`: every node, connected or not, with what is in effect.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::node::{NodeList, NodeListResult};

use crate::call::Caller;
use crate::methods::payload;
use crate::node::rows;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for NodeList {
    fn read(views: &Views, caller: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&NodeListResult {
            ts: views.places.now_ms(),
            nodes: rows::list(views, caller),
        }))
    }
}
