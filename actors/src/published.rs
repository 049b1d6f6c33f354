//! Read snapshots: an owner publishes, everyone reads without asking it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use openclaw_protocol::frame::to_bytes;
use serde::Serialize;

/// The reading side of a snapshot; cheap to clone.
pub struct Published<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Published")
    }
}

impl<T> Published<T> {
    /// A snapshot that holds `value` until its owner publishes another.
    pub fn new(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }

    /// The value published last.
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Publishes a new value. Only the owner of the state calls this.
    pub fn publish(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

/// A value whose JSON text is made at most once, by whoever needs it first.
#[derive(Debug, Default)]
pub struct Rendered<T> {
    value: T,
    json: OnceLock<Bytes>,
}

impl<T: Serialize> Rendered<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self {
            value,
            json: OnceLock::new(),
        }
    }

    /// The value.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// Its JSON text.
    pub fn json(&self) -> &Bytes {
        self.json.get_or_init(|| Bytes::from(to_bytes(&self.value)))
    }
}
