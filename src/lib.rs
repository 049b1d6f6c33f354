//! Library.
pub mod config;
pub mod state_dir;
