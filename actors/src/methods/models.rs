//! `models.list`: the models that a person can choose.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::models::{ModelsList, ModelsListResult};

use crate::call::Caller;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for ModelsList {
    fn read(views: &Views, _: &Caller, _: Self::Params) -> Result<Bytes, ErrorShape> {
        Ok(payload(&ModelsListResult {
            models: views.settings.load().models.clone(),
        }))
    }
}
