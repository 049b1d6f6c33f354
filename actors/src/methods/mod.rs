//! One file per method. Each names exactly one owner: a published view that is read in the session,
//! or the actor that handles the call.

pub mod system;
