//! `channels.logout`: an account is stopped, and where it went on receiving is forgotten; owner:
//! channels. Its secret is the configuration's, which a person changes.

use actix::Handler;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::channels::{ChannelsLogout, ChannelsLogoutResult};

use crate::call::Call;
use crate::channel::inbox::cursor;
use crate::channel::provider::Leave;
use crate::channel::supervisor::Channels;
use crate::methods::store_error;

impl Handler<Call<ChannelsLogout>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsLogout>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let found = self.find::<ChannelsLogout>(&params.channel, params.account_id.as_deref());
        let who = match found {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let settings = self.deps.shared.views.settings.load();
        let own = settings.channels.accounts.get(&who);
        let source = own.and_then(|own| own.token_source);
        let linked = own.and_then(|own| own.setup.clone().ok());
        let linked = linked.filter(|setup| setup.links().is_some());
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            if linked.is_some() {
                let provider = deps.accounts.with(|accounts| accounts.provider(&who));
                if let Some(provider) = provider {
                    let _ = provider.send(Leave).await;
                }
            }
            deps.stop(&who).await;
            if let Some(setup) = linked
                && let Err(why) = setup.forget(&deps.shared.world).await
            {
                return reply.error(ErrorShape::unavailable(why));
            }
            let forgotten = deps.shared.store.commit(vec![cursor::forget(&who)]).await;
            if let Err(error) = forgotten {
                return reply.error(store_error(&error));
            }
            reply.ok(&ChannelsLogoutResult {
                channel: who.channel.to_string(),
                account_id: who.account.to_string(),
                cleared: true,
                logged_out: source.is_none(),
                env_token: Some(source == Some("env")),
                note: source.map(|source| {
                    format!(
                        "its secret is still there ({source}); take it out of openclaw.json or the environment, or the next start connects again"
                    )
                }),
            });
        });
    }
}
