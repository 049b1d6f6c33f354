//! `chat.startup`: history, agents and models in one answer; owner: sessions.

use actix::Handler;
use openclaw_protocol::methods::chat::{ChatStartup, ChatStartupResult};

use super::metadata;
use crate::call::Call;
use crate::methods::agents;
use crate::sessions::Sessions;

impl Handler<Call<ChatStartup>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<ChatStartup>, _: &mut Self::Context) {
        let (key, looked_up) = match self.look_up(&call.params) {
            Ok(found) => found,
            Err(error) => return call.reply.error(error),
        };
        let reply = call.reply.alias(&key, &call.params.session_key);
        let views = self.deps.views.clone();
        looked_up.answer(call.params, reply, move |history| ChatStartupResult {
            history,
            agents_list: Some(agents::list::list(&views)),
            metadata: Some(metadata::metadata(&views)),
        });
    }
}
