//! Actors.

pub mod clock;
pub mod placement;
pub mod supervision;
