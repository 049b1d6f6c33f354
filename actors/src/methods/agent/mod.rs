//! `agent` and `agent.wait`.

mod start;
mod wait;
