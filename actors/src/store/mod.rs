//! The store: one redb file, one writing actor with group commit, readers on every thread.
//!
//! Acknowledged means committed: [`StoreHandle::commit`] answers `Ok` after the disk has all of
//! its changes, and none of them is visible before. Reads go straight to the last commit through
//! [`StoreReader`] and never wait for the writer. When the disk fails, commits are refused with the
//! reason and the remedy, reads go on, and the file is opened again in place until it works.

mod actor;
mod config;
mod copy;
mod database;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faults;
mod handle;
pub mod keys;
mod medium;
mod overlay;
mod reader;
pub mod retention;
pub mod rows;
mod salvage;
mod schema;
mod status;
mod table;
#[cfg(test)]
mod tests;

pub use actor::{Close, Commit, Store, StoreDeps};
pub use config::StoreConfig;
pub use copy::{Copied, look, verify};
pub use error::StoreError;
pub use handle::StoreHandle;
pub(crate) use medium::make_private_folder;
pub use medium::{FileMedium, Medium, MemoryMedium};
pub use reader::{Row, Snapshot, StoreReader};
pub use salvage::Salvaged;
pub use schema::{SCHEMA_VERSION, SchemaVersion};
pub use status::StoreStatus;
pub use table::{Op, Table};
