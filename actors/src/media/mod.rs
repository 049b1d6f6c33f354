//! Files that come with messages: what is taken, where their bytes are kept, how rows name them.
//!
//! The bytes are files named by the hash of what is in them, below `gateway/media` of the state
//! directory; rows of transcripts hold only references. **Invariant:** the bytes are on the disk
//! before the commit of the row that names them. Bytes that no row names any more are swept.

mod blobs;
mod files;
mod reference;
mod types;

pub use blobs::{BlobId, Blobs, MediaError, Reader, Readers};
pub(crate) use files::BASE64;
pub use files::{IncomingFile, Limits, read};
pub use reference::{MediaRow, Reference, live, references, rows_of};
pub use types::Kind;
