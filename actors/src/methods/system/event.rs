//! `system-event`: a client reports on itself or on a device; owner: presence.

use actix::Handler;
use openclaw_protocol::methods::common::OkResult;
use openclaw_protocol::methods::system::{SystemEvent, SystemEventParams};
use openclaw_protocol::presence::PresenceEntry;

use crate::call::Call;
use crate::presence::Presence;

impl Handler<Call<SystemEvent>> for Presence {
    type Result = ();

    fn handle(&mut self, call: Call<SystemEvent>, ctx: &mut Self::Context) {
        let key = call
            .params
            .device_id
            .clone()
            .or_else(|| call.params.instance_id.clone())
            .unwrap_or_else(|| call.caller.conn_id.clone());
        let report = entry(call.params);
        self.change(ctx, |state, now| state.reported(&key, report, now));
        call.reply.ok(&OkResult { ok: true });
    }
}

/// The row that a report makes.
fn entry(params: SystemEventParams) -> PresenceEntry {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "negative and absurd figures become the nearest second"
    )]
    let seconds = params.last_input_seconds.map(|seconds| seconds as u64);
    PresenceEntry {
        host: params.host,
        ip: params.ip,
        version: params.version,
        platform: params.platform,
        device_family: params.device_family,
        model_identifier: params.model_identifier,
        mode: params.mode,
        last_input_seconds: seconds,
        reason: params.reason.or_else(|| Some("report".into())),
        tags: params.tags,
        text: Some(params.text),
        device_id: params.device_id,
        roles: params.roles,
        scopes: params.scopes,
        instance_id: params.instance_id,
        ..PresenceEntry::default()
    }
}
