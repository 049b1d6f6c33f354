//! The client against a scripted gateway: over TCP where the socket matters, over an in-memory
//! stream with paused time where waiting does.

mod connections;
mod fake;
mod handshakes;
mod nodes;
mod reconnects;
mod requests;
