//! `sessions.subscribe`: changes of the index from here on; owner: sessions.

use actix::Handler;
use openclaw_protocol::methods::sessions::{
    SessionsListParams, SessionsSubscribe, SessionsSubscribeResult, SessionsUnsubscribe,
};

use crate::call::{Call, Listen};
use crate::sessions::Sessions;

impl Handler<Call<SessionsSubscribe>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsSubscribe>, _: &mut Self::Context) {
        let list = (call.params != SessionsListParams::default()).then(|| self.list(&call.params));
        call.reply
            .listen(Listen::SessionIndex(true))
            .ok(&SessionsSubscribeResult {
                subscribed: true,
                list,
            });
    }
}

impl Handler<Call<SessionsUnsubscribe>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsUnsubscribe>, _: &mut Self::Context) {
        call.reply
            .listen(Listen::SessionIndex(false))
            .ok(&SessionsSubscribeResult {
                subscribed: false,
                list: None,
            });
    }
}
