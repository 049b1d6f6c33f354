//! `trust.audit.list`: the trail, with what is still on its way to the disk; owner: audit.

use actix::{Context, Handler};
use openclaw_protocol::methods::audit::AuditList;

use super::store_error;
use crate::audit::{Audit, read};
use crate::call::Call;

impl Handler<Call<AuditList>> for Audit {
    type Result = ();

    fn handle(&mut self, call: Call<AuditList>, _: &mut Context<Self>) {
        let Call { params, reply, .. } = call;
        let flushed = self.flush();
        let reader = self.deps().store.reader().clone();
        let dropped = self.deps().views.audit.dropped();
        actix_rt::spawn(async move {
            if let Err(error) = flushed.await {
                // Reads go on while the disk takes nothing: what waits is in the log.
                tracing::debug!(%error, "the newest rows of the audit trail are not on the disk");
            }
            let result = reader
                .offload(move |reader| read::list(reader, &params, dropped))
                .await;
            reply.settle(result.map_err(|error| store_error(&error)));
        });
    }
}
