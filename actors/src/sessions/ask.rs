//! What other owners ask of the index.

use std::sync::Arc;

use actix::{Handler, Message, MessageResult};

use super::Sessions;
use super::record::Record;

/// Asks for the sessions of an agent, the newest first.
#[derive(Message)]
#[rtype(result = "Vec<Record>")]
pub struct ListOf {
    /// The agent.
    pub agent: String,
    /// Most of them.
    pub most: usize,
}

impl Handler<ListOf> for Sessions {
    type Result = MessageResult<ListOf>;

    fn handle(&mut self, msg: ListOf, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.deps.index.with(|index| {
            let mut own: Vec<&Record> = index
                .records()
                .filter(|record| record.agent_id == msg.agent)
                .collect();
            own.sort_by_key(|record| std::cmp::Reverse(record.updated_at));
            own.into_iter().take(msg.most).cloned().collect()
        }))
    }
}

/// Asks for a session by its canonical key.
#[derive(Message)]
#[rtype(result = "Option<Record>")]
pub struct Find(pub Arc<str>);

impl Handler<Find> for Sessions {
    type Result = Option<Record>;

    fn handle(&mut self, msg: Find, _: &mut Self::Context) -> Self::Result {
        self.deps.index.with(|index| index.get(&msg.0).cloned())
    }
}
