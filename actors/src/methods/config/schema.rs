//! `config.schema`: what the configuration may hold; owner: config.

use actix::{Context, Handler};
use openclaw_protocol::methods::config::ConfigSchema;

use crate::call::Call;
use crate::config::ConfigActor;

impl Handler<Call<ConfigSchema>> for ConfigActor {
    type Result = ();

    fn handle(&mut self, call: Call<ConfigSchema>, _: &mut Context<Self>) {
        call.reply.ok(&self.schema());
    }
}
