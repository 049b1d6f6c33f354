//! `channels.stop`: an account is silent until somebody starts it; owner: channels.

use actix::Handler;
use openclaw_protocol::methods::channels::{ChannelsStop, ChannelsStopResult};

use crate::call::Call;
use crate::channel::supervisor::Channels;

impl Handler<Call<ChannelsStop>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsStop>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let found = self.find::<ChannelsStop>(&params.channel, params.account_id.as_deref());
        let who = match found {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let stopped = deps.stop(&who).await;
            reply.ok(&ChannelsStopResult {
                channel: who.channel.to_string(),
                account_id: who.account.to_string(),
                stopped,
            });
        });
    }
}
