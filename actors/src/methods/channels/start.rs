//! `channels.start`: an account runs, now; owner: channels.

use actix::Handler;
use openclaw_protocol::methods::channels::{ChannelsStart, ChannelsStartResult};

use crate::call::Call;
use crate::channel::supervisor::Channels;

impl Handler<Call<ChannelsStart>> for Channels {
    type Result = ();

    fn handle(&mut self, call: Call<ChannelsStart>, _: &mut Self::Context) {
        let Call { params, reply, .. } = call;
        let found = self.find::<ChannelsStart>(&params.channel, params.account_id.as_deref());
        let who = match found {
            Ok(who) => who,
            Err(error) => return reply.error(error),
        };
        let deps = self.deps.clone();
        actix_rt::spawn(async move {
            let started = deps.start(&who).await;
            reply.settle(started.map(|new| ChannelsStartResult {
                channel: who.channel.to_string(),
                account_id: who.account.to_string(),
                started: true,
                outcome: if new { "started" } else { "already-running" }.to_owned(),
            }));
        });
    }
}
