//! `chat.*`: conversations of web, terminal and app clients.

mod abort;
mod history;
mod inject;
mod metadata;
mod send;
mod startup;

pub(crate) use send::spoken;
