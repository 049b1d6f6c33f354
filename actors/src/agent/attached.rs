//! The files of a conversation as a run gives them to its model.

use std::collections::HashMap;

use bytes::Bytes;
use openclaw_protocol::methods::message::Message;

use super::model::{PromptDocument, PromptImage, PromptPart};
use crate::media::{BlobId, Blobs, Kind, Reference, references};

/// Most bytes of earlier files that a run is given again.
const MAX_EARLIER: u64 = 12 * 1024 * 1024;
/// Most characters of a text file that a model is given.
const MAX_TEXT: usize = 100_000;

/// Bytes of files, by their names.
pub(super) type Files = HashMap<BlobId, Bytes>;

/// Reads the files that a conversation names: all of its newest message, and the newest of the
/// earlier ones as far as they fit. What cannot be read is left out, and the model is told.
pub(super) async fn load<'a>(
    media: &Blobs,
    rows: impl DoubleEndedIterator<Item = &'a Message>,
) -> Files {
    let wanted = wanted(rows);
    if wanted.is_empty() {
        return Files::new();
    }
    let media = media.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let read = wanted.into_iter().filter_map(|id| match media.get(&id) {
            Ok(bytes) => Some((id, Bytes::from(bytes))),
            Err(error) => {
                tracing::warn!(%error, "a file of a conversation cannot be read");
                None
            }
        });
        read.collect()
    });
    reading.await.unwrap_or_default()
}

fn wanted<'a>(rows: impl DoubleEndedIterator<Item = &'a Message>) -> Vec<BlobId> {
    let mut wanted = Vec::new();
    let mut left = MAX_EARLIER;
    for (age, row) in rows.rev().enumerate() {
        for file in references(row) {
            if wanted.contains(&file.id) {
                continue;
            }
            if age > 0 {
                let Some(rest) = left.checked_sub(file.bytes) else {
                    return wanted;
                };
                left = rest;
            }
            wanted.push(file.id);
        }
    }
    wanted
}

/// A file as a part of a prompt.
pub(super) fn part(file: &Reference, files: &Files) -> PromptPart {
    let Some(bytes) = files.get(&file.id) else {
        return PromptPart::Text(format!(
            "[the file \"{}\" was given here; it is left out now]",
            file.name
        ));
    };
    match file.kind() {
        Kind::Image => PromptPart::Image(PromptImage {
            mime: file.mime.clone(),
            data: bytes.clone(),
        }),
        Kind::Document => PromptPart::Document(PromptDocument {
            name: file.name.clone(),
            data: bytes.clone(),
        }),
        Kind::Text => PromptPart::Text(text(&file.name, &String::from_utf8_lossy(bytes))),
    }
}

fn text(name: &str, content: &str) -> String {
    let (shown, note) = match content.char_indices().nth(MAX_TEXT) {
        None => (content, String::new()),
        Some((end, _)) => (
            &content[..end],
            format!("\n[cut: only the first {MAX_TEXT} characters are given]"),
        ),
    };
    // A name with a quote in it would end the mark early.
    let name = name.replace('"', "'");
    format!("<file name=\"{name}\">\n{shown}{note}\n</file>")
}

#[cfg(test)]
mod tests {
    use openclaw_protocol::methods::message::{ContentPart, MessageRole};

    use super::*;

    fn reference(name: &str, mime: &str, bytes: u64) -> Reference {
        Reference {
            id: BlobId::of(name.as_bytes()),
            name: name.into(),
            mime: mime.into(),
            bytes,
        }
    }

    fn row(files: &[&Reference]) -> Message {
        let mut parts = vec![ContentPart::text("look")];
        parts.extend(files.iter().map(|file| file.part()));
        Message::parts(MessageRole::User, parts, 0)
    }

    #[test]
    fn the_newest_files_are_given_and_those_of_the_newest_message_always() {
        let old = reference("old", "image/png", 1);
        let large = reference("large", "image/png", MAX_EARLIER);
        let huge = reference("huge", "image/png", MAX_EARLIER * 2);
        let rows = [row(&[&old]), row(&[&large]), row(&[&huge, &huge])];
        assert_eq!(wanted(rows.iter()), [huge.id, large.id]);
    }

    #[test]
    fn each_kind_reaches_the_model_in_its_own_way() {
        let text_file = reference("a\".csv", "text/csv", 3);
        let gone = reference("gone.pdf", "application/pdf", 3);
        let document = reference("b.pdf", "application/pdf", 3);
        let files = Files::from([
            (text_file.id, Bytes::from_static(b"a,b")),
            (document.id, Bytes::from_static(b"%PDF-")),
        ]);
        assert_eq!(
            part(&text_file, &files),
            PromptPart::Text("<file name=\"a'.csv\">\na,b\n</file>".into())
        );
        assert!(matches!(part(&document, &files), PromptPart::Document(_)));
        assert!(matches!(part(&gone, &files), PromptPart::Text(text) if text.contains("gone.pdf")));
        let long = text("x", &"é".repeat(MAX_TEXT + 1));
        assert!(long.contains("cut") && long.chars().count() < MAX_TEXT + 100);
    }
}
