//! From the attachments of a request to files: decoded, told apart, within the limits. Pure.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use openclaw_protocol::ErrorShape;
use openclaw_protocol::connect::AttachmentPolicy;
use openclaw_protocol::methods::common::Attachment;
use serde_json::json;

use super::types::{self, Kind};

/// Longest name that is kept, characters.
const MAX_NAME: usize = 200;
/// Bytes of a frame that are not the file.
const FRAME_OVERHEAD: u64 = 256 * 1024;
/// Largest picture: what providers take at most.
const MAX_IMAGE_BYTES: u64 = 6 * 1024 * 1024;
/// Where the size is configured.
const PLACE: &str = "agents.defaults.mediaMaxMb";

/// Some clients write no padding.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How large files may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Any file, and all files of one message, bytes.
    pub max_bytes: u64,
    /// A picture, bytes.
    pub max_image_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::megabytes(20.0)
    }
}

impl Limits {
    /// The limits of `agents.defaults.mediaMaxMb`.
    pub fn megabytes(megabytes: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie between the bounds that the configuration has"
        )]
        let max_bytes = (megabytes.clamp(0.001, 1_024.0) * 1_048_576.0) as u64;
        Self {
            max_bytes,
            max_image_bytes: MAX_IMAGE_BYTES.min(max_bytes),
        }
    }

    /// What a client is told, whose frames have at most `max_payload` bytes: base64 makes four bytes
    /// of three.
    pub fn policy(self, max_payload: u64) -> AttachmentPolicy {
        let fits = max_payload.saturating_sub(FRAME_OVERHEAD).max(4) / 4 * 3;
        let max_bytes = self.max_bytes.min(fits).max(1);
        AttachmentPolicy {
            max_bytes,
            max_image_bytes: self.max_image_bytes.min(max_bytes),
        }
    }
}

/// A file that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingFile {
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its MIME type.
    pub mime: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Decodes the files of a message. It takes as long as their bytes: not on an actor's thread.
///
/// # Errors
///
/// `INVALID_REQUEST` with the place of the file that is not taken, why, and what to do.
pub fn read(attachments: &[Attachment], limits: Limits) -> Result<Vec<IncomingFile>, ErrorShape> {
    let mut files = Vec::with_capacity(attachments.len());
    let mut total = 0;
    for (index, attachment) in attachments.iter().enumerate() {
        let file = one(index, attachment, limits)?;
        total += file.bytes.len() as u64;
        if total > limits.max_bytes {
            return Err(refused(
                index,
                &file.name,
                "ATTACHMENT_TOO_LARGE",
                &format!(
                    "the files of this message have more than {} together; send fewer at a time, or raise {PLACE}",
                    size(limits.max_bytes)
                ),
            ));
        }
        files.push(file);
    }
    Ok(files)
}

fn one(index: usize, attachment: &Attachment, limits: Limits) -> Result<IncomingFile, ErrorShape> {
    let name = name(index, attachment);
    let refuse = |code: &str, why: &str| Err(refused(index, &name, code, why));
    let content = attachment.content.as_deref().unwrap_or_default().trim();
    // `data:image/png;base64,...`, as a page's file reader gives it.
    let content = content
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"))
        .map_or(content, |(_, data)| data);
    // Refused before anything of that size is made of it.
    let about = content.len() as u64 / 4 * 3;
    if about > limits.max_bytes.saturating_add(3) {
        return refuse("ATTACHMENT_TOO_LARGE", &too_large(limits.max_bytes));
    }
    let bytes = match BASE64.decode(content) {
        Ok(bytes) if bytes.is_empty() => {
            return refuse("ATTACHMENT_EMPTY", "it is empty; leave it out");
        }
        Ok(bytes) => bytes,
        Err(_) => {
            return refuse(
                "ATTACHMENT_UNREADABLE",
                "its `content` is not base64; encode the bytes of the file as standard base64",
            );
        }
    };
    let length = bytes.len() as u64;
    if length > limits.max_bytes {
        return refuse("ATTACHMENT_TOO_LARGE", &too_large(limits.max_bytes));
    }
    let Some((kind, mime)) = types::tell(&bytes, attachment.mime_type.as_deref()) else {
        return refuse(
            "ATTACHMENT_TYPE",
            "models can be given PNG, JPEG, GIF and WebP pictures, PDF, and text in UTF-8; convert it to one of these",
        );
    };
    if kind == Kind::Image && length > limits.max_image_bytes {
        return refuse(
            "ATTACHMENT_TOO_LARGE",
            &format!(
                "it has {}, and a picture may have {}; make it smaller",
                size(length),
                size(limits.max_image_bytes)
            ),
        );
    }
    Ok(IncomingFile {
        name,
        kind,
        mime,
        bytes,
    })
}

fn too_large(limit: u64) -> String {
    format!(
        "it has more than {}, which is the limit; make it smaller, or raise {PLACE}",
        size(limit)
    )
}

fn size(bytes: u64) -> String {
    if bytes < 1_048_576 {
        format!("{} kB", bytes.div_ceil(1_024))
    } else {
        format!("{} MB", bytes.div_ceil(1_048_576))
    }
}

/// The last part of the name that was given, without what would break a line.
fn name(index: usize, attachment: &Attachment) -> String {
    let given = attachment.file_name.as_deref().unwrap_or_default();
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME)
        .collect();
    let clean = clean.trim();
    if clean.is_empty() {
        format!("file {}", index + 1)
    } else {
        clean.to_owned()
    }
}

fn refused(index: usize, name: &str, code: &str, why: &str) -> ErrorShape {
    ErrorShape::invalid(format!("attachments[{index}] ({name}): {why}"))
        .with_details(json!({ "code": code, "index": index, "fileName": name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment(name: &str, content: &str) -> Attachment {
        Attachment {
            file_name: Some(name.into()),
            content: Some(content.into()),
            ..Attachment::default()
        }
    }

    const LIMITS: Limits = Limits {
        max_bytes: 40,
        max_image_bytes: 20,
    };

    fn problem(attachments: &[Attachment]) -> String {
        read(attachments, LIMITS).unwrap_err().message.to_string()
    }

    #[test]
    fn files_are_taken_as_clients_write_them() {
        let png = BASE64.encode(b"\x89PNG\r\n\x1a\n");
        let files = read(
            &[
                attachment("C:\\pictures\\cat\n.png", &png),
                attachment("", &format!("data:image/png;base64,{png}")),
                attachment("notes.md", "aGVsbG8"),
            ],
            LIMITS,
        )
        .unwrap();
        let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["cat.png", "file 2", "notes.md"]);
        assert_eq!(files[0].kind, Kind::Image);
        assert_eq!(files[2].bytes, b"hello");
    }

    #[test]
    fn what_is_not_taken_is_refused_with_place_and_remedy() {
        let long = BASE64.encode([b'a'; 41]);
        let said = problem(&[attachment("a.txt", "aGVsbG8="), attachment("b.txt", &long)]);
        assert!(
            said.starts_with("attachments[1] (b.txt): it has more than 1 kB"),
            "{said}"
        );
        assert!(said.contains("agents.defaults.mediaMaxMb"), "{said}");
        let half = BASE64.encode([b'a'; 21]);
        let said = problem(&[attachment("a", &half), attachment("b", &half)]);
        assert!(said.contains("together"), "{said}");
        let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
        picture.resize(21, 0);
        let said = problem(&[attachment("big.png", &BASE64.encode(&picture))]);
        assert!(said.contains("a picture may have 1 kB"), "{said}");
        assert!(problem(&[attachment("a", "%%%")]).contains("not base64"));
        assert!(problem(&[attachment("a", "")]).contains("empty"));
        let said = problem(&[attachment("a.zip", &BASE64.encode(b"PK\x03\x04\0\0"))]);
        assert!(said.contains("convert it"), "{said}");
    }

    #[test]
    fn clients_are_told_what_fits_into_a_frame() {
        let policy = Limits::default().policy(26_214_400);
        assert_eq!(
            (policy.max_bytes, policy.max_image_bytes),
            (19_464_192, 6_291_456)
        );
        let small = Limits::megabytes(1.0).policy(26_214_400);
        assert_eq!(
            (small.max_bytes, small.max_image_bytes),
            (1_048_576, 1_048_576)
        );
    }
}
