//! `config.schema`: what the configuration may hold, and `config.schema.lookup`: one place of it; owner:
//! config.

use actix::{Context, Handler};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::config::{ConfigSchema, ConfigSchemaLookup};

use crate::call::Call;
use crate::config::{ConfigActor, lookup};

impl Handler<Call<ConfigSchema>> for ConfigActor {
    type Result = ();

    fn handle(&mut self, call: Call<ConfigSchema>, _: &mut Context<Self>) {
        call.reply.ok(&self.schema());
    }
}

impl Handler<Call<ConfigSchemaLookup>> for ConfigActor {
    type Result = ();

    fn handle(&mut self, call: Call<ConfigSchemaLookup>, _: &mut Context<Self>) {
        let path = &call.params.path;
        let found = lookup::lookup(&self.schema(), path, self.fixed());
        call.reply.settle(
            found.ok_or_else(|| {
                ErrorShape::invalid(format!("config schema path not found: {path}"))
            }),
        );
    }
}
