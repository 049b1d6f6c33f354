//! `last-heartbeat`, `set-heartbeats` and `wake`; owner: heartbeats.

mod last;
mod set;
mod wake;
