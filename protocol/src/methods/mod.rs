//! One type per method; [`ALL`] is the table of them.

use crate::method::MethodSpec;

pub mod system;

/// Every method of the protocol that this gateway implements, by name.
pub static ALL: &[MethodSpec] = &[
    MethodSpec::of::<system::Health>(),
    MethodSpec::of::<system::SystemPresence>(),
];
