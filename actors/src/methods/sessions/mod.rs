//! `sessions.*`: the index of conversations and who listens to them.

mod describe;
mod list;
mod messages;
mod preview;
mod resolve;
mod subscribe;
