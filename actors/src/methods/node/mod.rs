//! `node.*`.

mod describe;
mod list;
mod pair_approve;
mod pair_list;
mod pair_reject;
mod pair_remove;
mod rename;
