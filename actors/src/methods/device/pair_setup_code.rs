//! `device.pair.setupCode`: a one-time code by which a device pairs itself.

use actix::{Context, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::device_setup::{
    DevicePairSetupCode, DevicePairSetupCodeParams, DevicePairSetupCodeResult, SetupAuth,
};
use openclaw_protocol::setup_code::{LINK_PREFIX, SetupCode};

use crate::call::Call;
use crate::gate::AuthMode;
use crate::pairing::reach::Addresses;
use crate::pairing::setup::NewSetup;
use crate::pairing::{Authority, PairingRegistry, qr};

impl Handler<Call<DevicePairSetupCode>> for PairingRegistry {
    type Result = ();

    fn handle(&mut self, call: Call<DevicePairSetupCode>, _: &mut Context<Self>) {
        if let Err(error) = self.ready() {
            return call.reply.error(error);
        }
        let addresses = match self.addresses(&call.params) {
            Ok(addresses) => addresses,
            Err(error) => return call.reply.error(error),
        };
        let by = Authority::of(&call.caller);
        let entropy = self.entropy();
        let profile = call.params.bootstrap_profile.unwrap_or_default();
        let step = self.decide(|state, now| state.make_setup(profile, &by, now, &*entropy));
        let auth = match self.views().gate.load().mode {
            AuthMode::Password(_) => SetupAuth::Password,
            _ => SetupAuth::Token,
        };
        // A proxy or a tunnel before the gateway has a certificate of its own.
        let fingerprint = addresses
            .own()
            .then(|| self.views().places.fingerprint())
            .flatten();
        let answer = describe(&call.params, &step.answer, (addresses, fingerprint), auth);
        self.settle(call.reply, step.effects.with(answer), |_| {});
    }
}

fn describe(
    params: &DevicePairSetupCodeParams,
    new: &NewSetup,
    (addresses, fingerprint): (Addresses, Option<String>),
    auth: SetupAuth,
) -> Result<DevicePairSetupCodeResult, ErrorShape> {
    let Addresses { urls, source } = addresses;
    let first = urls.first().cloned().unwrap_or_default();
    let several = (urls.len() > 1).then_some(urls);
    let expires_at_ms = new.expires.wire();
    let code = SetupCode {
        url: first.clone(),
        urls: several.clone(),
        bootstrap_token: new.token.clone(),
        expires_at_ms: Some(expires_at_ms),
        tls_fingerprint: fingerprint,
    }
    .encode();
    let picture = params.include_qr == Some(true);
    Ok(DevicePairSetupCodeResult {
        setup_id: new.id.clone(),
        join_url: (params.join_url == Some(true)).then(|| format!("{LINK_PREFIX}{code}")),
        qr_data_url: picture.then(|| qr::data_url(&code)).transpose()?,
        setup_code: code,
        gateway_url: first,
        gateway_urls: several,
        auth,
        url_source: source,
        access: params.bootstrap_profile.unwrap_or_default(),
        expires_at_ms,
    })
}
