//! `sessions.describe`: one row of the index; owner: sessions.

use actix::Handler;
use openclaw_protocol::methods::sessions::{SessionsDescribe, SessionsDescribeResult};

use crate::call::Call;
use crate::sessions::{Sessions, keys};

impl Handler<Call<SessionsDescribe>> for Sessions {
    type Result = ();

    fn handle(&mut self, call: Call<SessionsDescribe>, _: &mut Self::Context) {
        let settings = self.deps.views.settings.load();
        match keys::of_params::<SessionsDescribe>(&call.params.key, None, &settings) {
            Ok(session) => {
                let row = self
                    .deps
                    .index
                    .with(|index| index.get(&session.canonical).map(|record| self.row(record)));
                call.reply.ok(&SessionsDescribeResult {
                    session: row.into(),
                });
            }
            Err(error) => call.reply.error(error),
        }
    }
}
