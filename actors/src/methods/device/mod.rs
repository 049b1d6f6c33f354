//! Devices and who may connect; the owner is the [pairing registry](crate::pairing).

mod gateway_identity;
mod pair_approve;
mod pair_list;
mod pair_reject;
