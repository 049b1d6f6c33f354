//! The actors of the gateway.
//!
//! Every actor owns its state alone and is reached by messages; decisions live in `state` modules
//! without IO. [`gateway`] orders and routes, [`session`] holds the sockets, [`supervision`] keeps
//! everything up.

pub mod agent;
pub mod approvals;
pub mod audit;
pub mod call;
pub mod canvas;
pub mod channel;
pub mod clock;
pub mod commands;
pub mod config;
pub mod cron;
pub mod dedupe;
pub mod event;
pub mod gate;
pub mod gateway;
pub mod health;
pub mod heartbeat;
pub mod kept;
pub mod limiter;
pub mod logs;
pub mod mcp;
pub mod media;
pub mod methods;
pub mod network;
pub mod node;
pub mod pairing;
pub mod placement;
pub mod presence;
pub mod published;
pub mod session;
pub mod sessions;
pub mod settings;
pub mod store;
pub mod supervision;
pub mod sweep;
pub mod totals;
pub mod usage;
pub mod views;

#[cfg(test)]
mod tests;
