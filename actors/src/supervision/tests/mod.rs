//! Errors, panics and hangs of every kind, and what everybody else notices of them.

mod failures;
mod probe;
