//! Library.
pub mod config;
pub mod lock;
pub mod state_dir;
