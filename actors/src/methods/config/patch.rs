//! `config.patch`: merges an object into the configuration file; owner: config.

use actix::{Context, Handler};
use openclaw_protocol::methods::config::ConfigPatch;

use crate::call::Call;
use crate::config::state::Wish;
use crate::config::{ConfigActor, Write};

impl Handler<Call<ConfigPatch>> for ConfigActor {
    type Result = ();

    fn handle(&mut self, call: Call<ConfigPatch>, ctx: &mut Context<Self>) {
        let write = Write {
            base: call.params.base_hash.clone(),
            wish: Wish::Patch {
                raw: call.params.raw.clone(),
                replace_paths: call.params.replace_paths.clone().unwrap_or_default(),
            },
        };
        self.write(call, write, ctx);
    }
}
