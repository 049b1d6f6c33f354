//! What answers took: a price for each model, a small row for each message, sums of these rows.
//!
//! The rows are written in the commit of the message that they count, by the owner of transcripts.
//! They outlive it: what was paid for stays paid for when its conversation is deleted.

mod days;
mod price;
mod row;
mod sums;

pub use days::Days;
pub use price::{Price, add_cost};
pub use row::{UsageRow, age, between, row_of};
pub use sums::{Grouping, Sums};
