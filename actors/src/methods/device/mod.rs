//! Devices and who may connect; the owner is the [pairing registry](crate::pairing).

mod gateway_identity;
mod pair_approve;
mod pair_list;
mod pair_reject;
mod pair_remove;
mod pair_rename;
mod pair_setup_code;
mod pair_setup_status;
mod scopes_request;
mod scopes_wait;
mod token_revoke;
mod token_rotate;
