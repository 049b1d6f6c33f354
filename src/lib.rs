//! The gateway daemon: configuration, composition, HTTP and command line around the actors.

pub mod app;
pub mod backup;
pub mod cli;
pub mod config;
mod discovery;
pub mod doctor;
pub mod http;
pub mod lock;
pub mod migrate;
pub mod node;
pub mod notify;
pub mod service;
pub mod state_dir;
mod tailscale;
pub mod telemetry;
pub mod tls;
