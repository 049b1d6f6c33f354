//! `sessions.*`: the index of conversations and who listens to them.

mod abort;
mod compact;
mod create;
mod delete;
mod describe;
mod list;
mod messages;
mod patch;
mod preview;
mod reset;
mod resolve;
mod search;
mod subscribe;
