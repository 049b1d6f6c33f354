//! The gateway daemon: configuration, composition, HTTP and command line around the actors.

pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod lock;
pub mod state_dir;
pub mod telemetry;
