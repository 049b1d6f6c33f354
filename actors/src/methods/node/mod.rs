//! `node.*`.

mod agent_request;
mod describe;
mod event;
mod exec_rules;
mod invoke;
mod invoke_result;
mod list;
mod offers;
mod pair_approve;
mod pair_list;
mod pair_reject;
mod pair_remove;
mod pending;
mod rename;
mod voicewake;
