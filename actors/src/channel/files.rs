//! Files that go out: what a channel takes, how the outbox names them, how they are read for a transport.
//!
//! The bytes are where those of clients are ([`crate::media`]); a row of the outbox names them, so that a
//! message that waits, or that a person sends again, has its file.

use std::collections::HashSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::media::{BlobId, Blobs};
use crate::store::{StoreError, StoreReader, Table, rows};

/// What a channel takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Takes {
    /// Largest file, bytes.
    pub max_bytes: u64,
    /// Most UTF-16 units of text that stand beside one.
    pub caption: usize,
    /// Whether no text stands beside sounds.
    pub mute_sounds: bool,
}

/// How a file is shown, where that is not told by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Style {
    /// As a file, whatever it is.
    Document,
    /// As a voice message.
    Voice,
    /// As a moving picture without sound.
    Gif,
}

/// A file as the outbox names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRef {
    /// Its bytes.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its MIME type.
    pub mime: String,
    /// Its size.
    pub bytes: u64,
    /// How it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Style>,
}

/// A file as a transport gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its name for people.
    pub name: String,
    /// Its MIME type.
    pub mime: String,
    /// How it is shown.
    pub style: Option<Style>,
    /// What is in it.
    pub bytes: Bytes,
}

/// Reads a file for a transport.
///
/// # Errors
///
/// In words, where its bytes are gone.
pub(crate) async fn load(media: &Blobs, file: &FileRef) -> Result<Upload, String> {
    let id = BlobId::of_artifact(&file.id).ok_or("its row names no file")?;
    let media = media.clone();
    let reading = tokio::task::spawn_blocking(move || media.get(&id));
    let bytes = reading.await.map_err(|error| error.to_string())?;
    let bytes = bytes.map_err(|error| error.to_string())?;
    Ok(Upload {
        name: file.name.clone(),
        mime: file.mime.clone(),
        style: file.style,
        bytes: bytes.into(),
    })
}

/// Files that rows of the outbox name, also of those that did not arrive: a person may send them again.
///
/// # Errors
///
/// When the store cannot be read.
pub(crate) fn live(reader: &StoreReader, live: &mut HashSet<BlobId>) -> Result<(), StoreError> {
    reader.scan(Table::Sends, &[]..&[], false, |_, value| {
        let row = rows::decode::<super::outbox::Row>(Table::Sends, value);
        let file = row.ok().and_then(|row| row.file);
        live.extend(file.and_then(|file| BlobId::of_artifact(&file.id)));
        ControlFlow::Continue(())
    })
}

/// The MIME type of a file: what was said, else what its first bytes or its name tell.
pub(crate) fn mime_of(bytes: &[u8], name: &str, said: Option<&str>) -> String {
    let said = said.map(|said| said.split(';').next().unwrap_or_default().trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.+-_".contains(c);
    let fits = |said: &&str| said.len() <= 100 && said.contains('/') && said.chars().all(plain);
    if let Some(said) = said.filter(fits)
        && said != "application/octet-stream"
    {
        return said.to_ascii_lowercase();
    }
    let known = match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("application/pdf"),
        [b'O', b'g', b'g', b'S', ..] => Some("audio/ogg"),
        [b'I', b'D', b'3', ..] => Some("audio/mpeg"),
        _ => None,
    };
    let ending = name.rsplit('.').next().unwrap_or_default();
    let told = known.unwrap_or(match ending.to_ascii_lowercase().as_str() {
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "mp4" => "video/mp4",
        "txt" | "md" | "log" => "text/plain",
        "csv" => "text/csv",
        "json" => "application/json",
        "html" => "text/html",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    });
    told.to_owned()
}

/// A name without folders and what would break a line; one of its own where none is left.
pub(crate) fn name_of(said: Option<&str>, mime: &str) -> String {
    let last = said.unwrap_or_default().rsplit(['/', '\\']).next();
    let clean: String = last
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let clean = clean.trim();
    if !clean.is_empty() {
        return clean.to_owned();
    }
    let ending = mime.rsplit('/').next().unwrap_or("bin");
    let ending = match ending {
        "jpeg" => "jpg",
        "plain" => "txt",
        "mpeg" => "mp3",
        "octet-stream" => "bin",
        other => other,
    };
    format!("file.{ending}")
}

/// A body of `multipart/form-data`.
pub(crate) struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self {
            boundary: uuid::Uuid::new_v4().simple().to_string(),
            body: Vec::new(),
        }
    }

    fn head(&mut self, name: &str, more: &str) {
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n",
            self.boundary
        );
        self.body.extend_from_slice(head.as_bytes());
    }

    /// A value.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.head(name, "");
        self.body.extend_from_slice(value.as_bytes());
        self.body.extend_from_slice(b"\r\n");
    }

    /// A file.
    pub(crate) fn file(&mut self, name: &str, file: &Upload) {
        let own = file.name.replace('"', "%22").replace(['\r', '\n'], " ");
        let more = format!("; filename=\"{own}\"\r\nContent-Type: {}", file.mime);
        self.head(name, &more);
        self.body.extend_from_slice(&file.bytes);
        self.body.extend_from_slice(b"\r\n");
    }

    /// Its type, and it.
    pub(crate) fn finish(mut self) -> (String, Bytes) {
        let end = format!("--{}--\r\n", self.boundary);
        self.body.extend_from_slice(end.as_bytes());
        let kind = format!("multipart/form-data; boundary={}", self.boundary);
        (kind, self.body.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_what_is_said_or_what_it_holds_or_its_name() {
        assert_eq!(
            mime_of(b"x", "a", Some("Text/CSV; charset=utf-8")),
            "text/csv"
        );
        assert_eq!(mime_of(b"\x89PNG...", "a.txt", None), "image/png");
        let octets = Some("application/octet-stream");
        assert_eq!(mime_of(b"x", "song.MP3", octets), "audio/mpeg");
        assert_eq!(
            mime_of(b"x", "a\r\nb", Some("no type\r\nx/y")),
            "application/octet-stream"
        );
        assert_eq!(name_of(Some("../../etc/pass\nwd"), "text/plain"), "passwd");
        assert_eq!(name_of(None, "image/jpeg"), "file.jpg");
    }

    #[test]
    fn a_form_keeps_names_within_their_quotes() {
        let file = Upload {
            name: "a\"; x=\"\r\nevil: 1".into(),
            mime: "text/plain".into(),
            style: None,
            bytes: Bytes::from_static(b"hi"),
        };
        let mut form = Form::new();
        form.text("chat_id", "7");
        form.file("document", &file);
        let (kind, body) = form.finish();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(kind.starts_with("multipart/form-data; boundary="));
        assert!(!body.contains("\r\nevil"), "{body}");
        assert!(body.contains("filename=\"a%22; x=%22  evil: 1\""), "{body}");
        assert!(body.ends_with("--\r\n"));
    }
}
