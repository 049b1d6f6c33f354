//! `sessions.messages.subscribe` and `.unsubscribe`: messages of one session; owner: sessions.

use actix::Handler;
use openclaw_protocol::Method;
use openclaw_protocol::methods::sessions::{
    SessionKeyParams, SessionsMessagesSubscribe, SessionsMessagesSubscribeResult,
    SessionsMessagesUnsubscribe,
};

use crate::call::{Call, Listen, Reply};
use crate::sessions::{Sessions, keys};

impl Handler<Call<SessionsMessagesSubscribe>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsMessagesSubscribe>, _: &mut Self::Context) {
        self.listen(&call.params, call.reply, true);
    }
}

impl Handler<Call<SessionsMessagesUnsubscribe>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsMessagesUnsubscribe>, _: &mut Self::Context) {
        self.listen(&call.params, call.reply, false);
    }
}

impl Sessions {
    fn listen<M: Method<Result = SessionsMessagesSubscribeResult>>(
        &self,
        params: &SessionKeyParams,
        reply: Reply<M>,
        on: bool,
    ) {
        let settings = self.deps.views.settings.load();
        match keys::of_params::<M>(&params.key, params.agent_id.as_deref(), &settings) {
            Ok(session) => {
                let subscriptions = &reply.caller().subscriptions;
                if let Err(error) = subscriptions.change(&session.canonical, on) {
                    return reply.error(error);
                }
                let result = SessionsMessagesSubscribeResult {
                    subscribed: on,
                    key: session.canonical.to_string(),
                };
                reply
                    .alias(&session.canonical, &params.key)
                    .listen(Listen::Session(session.canonical, on))
                    .ok(&result);
            }
            Err(error) => reply.error(error),
        }
    }
}
