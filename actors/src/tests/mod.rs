//! The actors together: whole turns, faults and interleavings, without sockets and processes.

mod approvals;
mod boundaries;
mod channels;
mod cron;
mod exact;
mod heartbeat;
mod limits;
mod passing;
pub(crate) mod peer;
mod poison;
mod runs;
mod sends;
mod simulation;
mod tools;
mod turn;
mod units;
pub(crate) mod world;
