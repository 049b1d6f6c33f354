//! How rows of transcripts name files, and the rows that keep these files from being swept.

use std::collections::HashSet;
use std::ops::ControlFlow;

use openclaw_protocol::methods::message::{Content, ContentPart, ImagePart, KnownPart, Message};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::blobs::BlobId;
use super::files::IncomingFile;
use super::types::Kind;
use crate::store::{Op, StoreError, StoreReader, Table, keys};

/// A file as a message names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its bytes.
    pub id: BlobId,
    /// Its name for people.
    pub name: String,
    /// Its MIME type.
    pub mime: String,
    /// Its size, bytes.
    pub bytes: u64,
}

/// What is kept of a file beside its bytes, one row for each session that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaRow {
    /// Its name for people.
    pub name: String,
    /// Its MIME type.
    pub mime: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Number of the last message that names it.
    pub seq: u64,
}

impl Reference {
    /// The reference of a file that is kept.
    pub fn of(id: BlobId, file: &IncomingFile) -> Self {
        Self {
            id,
            name: file.name.clone(),
            mime: file.mime.clone(),
            bytes: file.bytes.len() as u64,
        }
    }

    /// Whether it is shown, inlined or handed on.
    pub fn kind(&self) -> Kind {
        Kind::of_mime(&self.mime)
    }

    /// The part of a message that names it.
    pub fn part(&self) -> ContentPart {
        let mut other = Map::new();
        other.insert("artifactId".into(), self.id.artifact_id().into());
        other.insert("fileName".into(), self.name.clone().into());
        other.insert("sizeBytes".into(), self.bytes.into());
        if self.kind() == Kind::Image {
            return ContentPart::Known(KnownPart::Image(ImagePart {
                mime_type: Some(self.mime.clone()),
                other,
                ..ImagePart::default()
            }));
        }
        other.insert("type".into(), "file".into());
        other.insert("mimeType".into(), self.mime.clone().into());
        ContentPart::Other(other)
    }

    /// The file that a part names, if it names one of ours.
    pub fn of_part(part: &ContentPart) -> Option<Self> {
        let (mime, other) = match part {
            ContentPart::Known(KnownPart::Image(image)) => {
                (image.mime_type.as_deref()?, &image.other)
            }
            ContentPart::Other(other) if other.get("type") == Some(&json!("file")) => {
                (other.get("mimeType").and_then(Value::as_str)?, other)
            }
            _ => return None,
        };
        let text = |name: &str| other.get(name).and_then(Value::as_str);
        Some(Self {
            id: BlobId::of_artifact(text("artifactId")?)?,
            name: text("fileName").unwrap_or("file").to_owned(),
            mime: mime.to_owned(),
            bytes: other.get("sizeBytes").and_then(Value::as_u64).unwrap_or(0),
        })
    }
}

/// The files that a message names.
pub fn references(message: &Message) -> impl Iterator<Item = Reference> {
    let parts = match &message.content {
        Content::Text(_) => &[] as &[ContentPart],
        Content::Parts(parts) => parts,
    };
    parts.iter().filter_map(Reference::of_part)
}

/// The rows that go with message number `seq` of a transcript.
///
/// # Errors
///
/// When a row cannot be written as JSON.
pub fn rows_of(session_id: &str, seq: u64, message: &Message) -> Result<Vec<Op>, StoreError> {
    references(message)
        .map(|file| {
            let key = keys::media(session_id, file.id.hash());
            let row = MediaRow {
                name: file.name,
                mime: file.mime,
                bytes: file.bytes,
                seq,
            };
            Op::put_json(Table::Media, key, &row)
        })
        .collect()
}

/// Everything that is named by a row. 32 bytes for each file.
///
/// # Errors
///
/// When the store cannot be read.
pub fn live(reader: &StoreReader) -> Result<HashSet<BlobId>, StoreError> {
    let mut live = HashSet::new();
    reader.scan(Table::Media, &[]..&[], false, |key, _| {
        live.extend(keys::media_hash(key).map(BlobId::from_hash));
        ControlFlow::Continue(())
    })?;
    Ok(live)
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::message::MessageRole;

    use super::*;

    #[test]
    fn a_reference_survives_its_row() {
        let reference = |name: &str, mime: &str| Reference {
            id: BlobId::of(name.as_bytes()),
            name: name.into(),
            mime: mime.into(),
            bytes: 5,
        };
        let files = [
            reference("cat.png", "image/png"),
            reference("a.pdf", "application/pdf"),
            reference("b.csv", "text/csv"),
        ];
        let mut parts = vec![ContentPart::text("look")];
        parts.extend(files.iter().map(Reference::part));
        let row = Message::parts(MessageRole::User, parts, 1);
        let stored = serde_json::to_string(&row).unwrap();
        let row: Message = serde_json::from_str(&stored).unwrap();
        assert_eq!(references(&row).collect::<Vec<_>>(), files);
        assert_eq!(rows_of("s", 3, &row).unwrap().len(), 3);
    }
}
