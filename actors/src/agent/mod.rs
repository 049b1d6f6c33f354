//! The agent runtime: what turns a message into an answer.

pub mod model;
