//! `agents.list` and `agent.identity.get`.

mod identity;
pub(crate) mod list;
