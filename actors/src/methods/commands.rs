//! `commands.list`: the chat commands; owner: none, they are part of the program.

use bytes::Bytes;
use openclaw_protocol::ErrorShape;
use openclaw_protocol::methods::commands::{CommandScope, CommandsList, CommandsListResult};

use crate::call::Caller;
use crate::commands;
use crate::methods::payload;
use crate::session::dispatch::SnapshotMethod;
use crate::views::Views;

impl SnapshotMethod for CommandsList {
    fn read(_: &Views, _: &Caller, params: Self::Params) -> Result<Bytes, ErrorShape> {
        let commands = match params.scope {
            // No channel has a menu of its own yet.
            Some(CommandScope::Native) => Vec::new(),
            _ => commands::catalogue(params.include_args == Some(true)),
        };
        Ok(payload(&CommandsListResult { commands }))
    }
}
