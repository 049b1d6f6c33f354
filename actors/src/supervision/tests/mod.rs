//! Errors, panics and hangs of every kind, and what everybody else notices of them.

mod endings;
mod failures;
mod hangs;
mod probe;
mod threads;
