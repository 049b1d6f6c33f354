//! `node.*`.

mod describe;
mod invoke;
mod invoke_result;
mod list;
mod pair_approve;
mod pair_list;
mod pair_reject;
mod pair_remove;
mod rename;
