//! `health`: what [`Health`](crate::health) published last.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::frame::to_bytes;
use openclaw_protocol::methods::system::{Health, HealthSummary};

use crate::call::Caller;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for Health {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        let health = views.health.load();
        let load = views.load.load().to_wire();
        // The snapshot and its event have a closed shape for as long as the gateway is well; who asks is told all of it.
        if load.is_none() || health.value().load.is_some() {
            return Ok(health.json().clone());
        }
        let told = HealthSummary {
            load,
            ..health.value().clone()
        };
        Ok(Bytes::from(to_bytes(&told)))
    }
}
