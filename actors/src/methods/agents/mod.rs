//! `agents.*` and `agent.identity.get`.

mod files;
mod identity;
pub(crate) mod list;
