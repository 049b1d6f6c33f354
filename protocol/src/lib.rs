//! The gateway protocol: frames, identities, methods, events and their schemas.
//!
//! Everything here is a value or a pure function: no IO, no clock, no async. The Rust types are
//! the single source of the contract; JSON Schemas are derived from them ([`schema`]) and inbound
//! frames are checked against those schemas ([`validate`]) before they are decoded.

pub mod a2ui;
pub mod client;
pub mod compare;
pub mod connect;
pub mod depth;
pub mod device;
pub mod error;
pub mod events;
pub mod frame;
pub mod method;
pub mod methods;
pub mod node_command;
pub mod presence;
pub mod schema;
pub mod scope;
pub mod setup_code;
pub mod validate;
pub mod version;

pub use client::{ClientId, ClientMode, Role};
pub use error::{ErrorCode, ErrorShape};
pub use method::{Access, Method, MethodContract, MethodSpec};
pub use scope::{Scope, Scopes};
pub use version::Generation;
