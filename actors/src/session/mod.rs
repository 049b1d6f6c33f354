//! Client connections: the socket, its outbox, the hub that fills it, and the handshake.
//!
//! One worker thread carries many sessions and one hub. The session actor reads frames and answers
//! reads from published snapshots; everything else goes to the Gateway. Whatever leaves the gateway
//! is written by the hub (or by the session itself, on the same thread) into the connection's
//! outbox, which the socket drains.

mod admission;
pub mod dispatch;
pub mod fuse;
pub mod guard;
pub mod handshake;
pub mod hello;
pub mod hub;
pub mod inner;
mod interest;
pub(crate) mod line;
pub mod link;
mod notes;
pub mod origin;
pub mod peer;
pub mod queue;
mod remedy;
pub mod socket;
