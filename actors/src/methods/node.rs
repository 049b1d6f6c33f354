//! `node.list`: the nodes; none can be invoked yet, so none is listed.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::node::{NodeList, NodeListResult};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for NodeList {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        let ts = views.places.now_ms();
        Ok(payload(&NodeListResult {
            ts,
            nodes: Vec::new(),
        }))
    }
}
