//! How the store is set up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::StoreError;
use super::medium::{FileMedium, Medium};

/// Where the database is and how much memory it may use.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    place: Place,
    /// Bytes of redb's page cache (`store.cacheBytes`).
    pub cache_bytes: usize,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Medium(Arc<dyn Medium>),
}

impl StoreConfig {
    /// redb's own default is 1 GiB; a personal gateway needs little.
    pub const DEFAULT_CACHE_BYTES: usize = 8 * 1024 * 1024;

    /// A database in the file at `path`, made if it does not exist.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::File(path.into()),
            cache_bytes: Self::DEFAULT_CACHE_BYTES,
        }
    }

    /// A database that ends with the process.
    #[cfg(test)]
    pub fn memory() -> Self {
        Self::on(Arc::new(super::medium::MemoryMedium::default()))
    }

    /// A database on bytes that the caller provides: faults, crashes, memory that is kept.
    pub fn on(medium: Arc<dyn Medium>) -> Self {
        Self {
            place: Place::Medium(medium),
            cache_bytes: Self::DEFAULT_CACHE_BYTES,
        }
    }

    /// Another cache size, in bytes.
    #[must_use]
    pub fn with_cache_bytes(mut self, cache_bytes: usize) -> Self {
        self.cache_bytes = cache_bytes;
        self
    }

    /// The file, where it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Medium(_) => None,
        }
    }

    pub(super) fn medium(&self) -> Result<Arc<dyn Medium>, StoreError> {
        match &self.place {
            Place::File(path) => Ok(Arc::new(FileMedium::open(path)?)),
            Place::Medium(medium) => Ok(Arc::clone(medium)),
        }
    }
}
