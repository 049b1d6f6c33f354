//! `config.*`.

mod apply;
mod get;
mod patch;
mod schema;
mod set;
