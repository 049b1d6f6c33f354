//! The trail: what is counted together, and what reaches the disk.

mod actor;
mod ledger;
