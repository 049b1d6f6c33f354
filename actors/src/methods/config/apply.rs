//! `config.apply`: replaces the configuration file; owner: config.

use actix::{Context, Handler};
use openclaw_protocol::methods::config::ConfigApply;

use crate::call::Call;
use crate::config::state::Wish;
use crate::config::{ConfigActor, Write};

impl Handler<Call<ConfigApply>> for ConfigActor {
    type Result = ();

    fn handle(&mut self, call: Call<ConfigApply>, ctx: &mut Context<Self>) {
        let write = Write {
            base: call.params.base_hash.clone(),
            wish: Wish::Replace(call.params.raw.clone()),
        };
        self.write(call, write, ctx);
    }
}
